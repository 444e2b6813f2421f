import asyncio

import pytest

from agentx.tasks.environment import Action
from agentx.tasks.operating_system.actions import Command, render
from agentx.tasks.operating_system.environment import OperatingSystemEnvironment
from agentx.tasks.operating_system.families import FAMILIES, NEED_USER_IDS, WORDS, generate
from agentx.tasks.operating_system.problems import passes
from agentx.tasks.operating_system.settings import Settings
from agentx.tasks.operating_system.user_ids import user_ids


def test_at_least_twelve_families_and_disjoint_splits():
    assert len(FAMILIES) >= 12
    assert not set(WORDS["train"]) & set(WORDS["test"])
    texts = {split: {generate(split, 0, i).description for i in range(320)} for split in WORDS}
    assert not texts["train"] & texts["test"]
    assert all(any(word in text for word in WORDS["test"]) for text in texts["test"])


DEBIAN = """
    adm audio backup bin cdrom crontab daemon dialout disk fax floppy games input irc kmem kvm list lp mail man
    news nobody nogroup operator plugdev proxy render root sasl sgx shadow src staff sudo sync sys tape tty
    users utmp uucp video voice
"""


def test_no_name_is_a_user_or_group_of_every_system():
    for words in WORDS.values():
        assert not set(words) & set(DEBIAN.split())


def test_the_same_arguments_give_the_same_problem():
    assert generate("test", 3, 5) == generate("test", 3, 5)
    assert generate("test", 3, 5).description != generate("test", 4, 5).description


def test_every_problem_is_judged_in_one_way():
    for index in range(64):
        problem = generate("train", 1, index)
        assert (problem.match is None) == bool(problem.checks)


@pytest.mark.sandbox
def test_reference_solutions_pass_and_wrong_or_empty_answers_do_not(run):
    async def play(problem):
        environment = OperatingSystemEnvironment(problem, Settings())
        try:
            await environment.reset()
            for wrong in ("", "wrong", "-1"):
                assert not await passes(problem, wrong, environment.sandbox, 20), problem.id
            for step in problem.solution:
                kind = "bash" if step.script else "answer" if step.answer else "finish"
                result = await environment.step(Action(render(Command(kind, step.script or step.answer)), ""))
                if step.script:
                    shown = result.observation.text
            assert result.reward == 1.0, (problem.id, shown)
            if problem.match is not None:
                assert problem.match in shown.split()
        finally:
            await environment.close()

    async def all_of_them():
        gate = asyncio.Semaphore(4)

        async def one(index):
            async with gate:
                problem = generate("test", 7, index)
                if user_ids().several or problem.kind not in NEED_USER_IDS:
                    await play(problem)

        await asyncio.gather(*(one(index) for index in range(len(FAMILIES))))

    run(all_of_them())
