"""AgentBench's prompt, from a checkout in miniature: its structure, our words."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.conversation import Message
from agentx.tasks.environment import Action, TaskDataError
from agentx.tasks.operating_system.actions import Command
from agentx.tasks.operating_system.agentbench_prompt import read_prompt, read_reply
from agentx.tasks.operating_system.settings import Settings
from agentx.tasks.operating_system.task import make_task
from agentx.trajectory import Outcome

SOURCE = '''
import docker

raise SystemExit("this file must never be run")

ONE_SHOT = [
    {"role": "user", "content": "how many users are there?"},
    {"role": "agent", "content": """Think: I count them.

Act: bash

```bash
wc -l /etc/passwd
```"""},
    {"role": "user", "content": "The system says:\\n7"},
    {"role": "agent", "content": "Think: Seven.\\n\\nAct: answer(7)"},
]


class OSInteraction(Task):
    async def _judge(self, session, config, container):
        session.inject({"role": "user", "content": """You are a shell user. Take bash, finish or answer.\\n\\n"""})
        if not oneshot:
            session.history[-1].content += "Problem:\\n\\n" + config.description
        else:
            session.history[-1].content += "Here is a problem:\\n\\n" + ONE_SHOT[0]["content"]
            for item in ONE_SHOT[1:]:
                session.inject(item)
            session.inject({"role": "user", "content": "Here is another one:\\n\\n" + config.description})
        for _ in range(self.round_limit):
            session.inject({
                "role": "user",
                "content": ("The system says:\\n\\n" + result) if result else "The system says nothing.",
            })
'''


@pytest.fixture
def checkout(tmp_path):
    path = tmp_path / "src/server/tasks/os_interaction/task.py"
    path.parent.mkdir(parents=True)
    path.write_text(SOURCE)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_takes_instruction_example_and_wording_without_running_anything(checkout):
    prompt = read_prompt(checkout)
    first = "You are a shell user. Take bash, finish or answer.\n\nHere is a problem:\n\nhow many users are there?"
    assert [turn.role for turn in prompt.opening] == ["user", "assistant", "user", "assistant", "user"]
    assert prompt.opening[0] == Message("user", first)
    assert prompt.opening[1].content.endswith("```bash\nwc -l /etc/passwd\n```")
    assert prompt.opening[-1].content == "Here is another one:\n"
    assert prompt.shown("5") == "The system says:\n\n5" and prompt.shown("") == "The system says nothing."


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ONE_SHOT = [", "ONE_SHOT = make() + ["),
        ('"role": "agent"', '"part": "agent"'),
        ("session.inject", "session.say"),
        ("ONE_SHOT[0]", "example[0]"),
        ("config.description", "config.text"),
        ("+ result", "+ seen"),
        ("class OSInteraction", "klass OSInteraction"),
    ],
)
def test_a_file_in_another_form_is_named(checkout, old, new):
    path = checkout.parent / "src/server/tasks/os_interaction/task.py"
    path.write_text(SOURCE.replace(old, new))
    with pytest.raises(TaskDataError, match=r"os_interaction/task\.py: not in the form of AgentBench 0\.2"):
        read_prompt(checkout)


def test_missing_and_endless_files_are_named(tmp_path, checkout):
    with pytest.raises(TaskDataError, match=r"task\.replies=agentbench: set paths\.agentbench"):
        read_prompt(None)
    with pytest.raises(TaskDataError, match=r"task\.py: not readable"):
        read_prompt(tmp_path / "elsewhere" / "data")
    path = checkout.parent / "src/server/tasks/os_interaction/task.py"
    for hostile in ("x = " + "(" * 5000, "x" * (1 << 21), "\0"):
        path.write_text(hostile)
        with pytest.raises(TaskDataError, match=r"task\.py"):
            read_prompt(checkout)


@pytest.mark.parametrize(
    ("reply", "command"),
    [
        ("Think: a\n\nAct: bash\n\n```bash\nls\ncd /\n```", Command("bash", "ls\ncd /")),
        ("Act: bash\n```bash\na\n```\nand\n```bash\nb\n```", Command("bash", "a\n\nb")),
        ("Act: bash\nno script", Command("bash", "")),
        ("Act: bash\n```bash\nls", Command("bash", "")),
        ("Act:\nBash\n```bash\nls\n```", Command("bash", "ls")),
        ("Think: t\nAct: finish", Command("finish")),
        ("Act: answer(4)\nAct: nothing", Command("answer", "4")),
        ("Act: answer(f(x) )", Command("answer", "f(x)")),
        ("Act: finish\nAct: Answer (220)", Command("answer", "220")),
        ("Act: answer 4\nAct: dance", None),
        ("ACTION: finish", None),
        ("", None),
    ],
)
def test_replies_are_read_by_agentbenchs_rules(reply, command):
    assert read_reply(reply) == command


@given(st.text(alphabet="Act: bshfin(er)\n`", max_size=200))
def test_never_raises(reply):
    read_reply(reply)
    read_reply(f"Act: bash\n```bash\n{reply}\n```")


@pytest.mark.sandbox
def test_an_episode_in_agentbenchs_words(checkout, run):
    task = make_task(Settings(replies="agentbench", samples=2), SimpleNamespace(agentbench=checkout))
    sample = task.samples[0]
    assert task.opening(sample, "react", 3) == list(read_prompt(checkout).opening)

    async def play():
        environment = await task.open(sample)
        try:
            assert environment.keeps_replies
            first = await environment.reset()
            results = []
            for reply in ("Act: bash\n\n```bash\necho hello\n```", "Act: bash\n```bash\ntrue\n```", "hm", "x"):
                results.append(await environment.step(Action(None, reply)))
                if results[-1].done:
                    return first, results
        finally:
            await environment.close()

    first, (hello, nothing, last) = run(play())
    assert first.text == task.problems[sample.id].description
    assert hello.observation.text == "The system says:\n\nhello"
    assert nothing.observation.text == "The system says nothing."
    assert last.outcome is Outcome.INVALID_ACTION
