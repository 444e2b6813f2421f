"""AgentBench's prompt, from a checkout in miniature: its structure, our words."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.conversation import Message
from agentx.models.chat import Roles
from agentx.reasoning.method import EpisodeContext, Method
from agentx.reasoning.settings import BudgetSettings, MethodSettings
from agentx.tasks.database.actions import Answer, Operation
from agentx.tasks.database.agentbench_prompt import read_opening, read_reply
from agentx.tasks.database.settings import Settings
from agentx.tasks.database.task import make_task
from agentx.tasks.demonstration import ScriptedModel
from agentx.tasks.environment import Action, TaskDataError
from agentx.trajectory import Outcome

SOURCE = '''
from src.server.task import Task

raise SystemExit("this file must never be run")

big_prompt = """
Use the SQL database.
Action: Operation or Action: Answer
"""


class DBBench(Task):
    async def start_sample(self, index, session):
        session.inject({"role": "user", "content": big_prompt})
        session.inject({"role": "agent", "content": "Fine."})
        prompt = entry["description"] + "\\n" + entry["add_description"]
        session.inject({"role": "user", "content": prompt})
'''


@pytest.fixture
def checkout(tmp_path):
    path = tmp_path / "src/server/tasks/dbbench/__init__.py"
    path.parent.mkdir(parents=True)
    path.write_text(SOURCE)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_takes_the_instruction_without_running_anything(checkout):
    instruction = "\nUse the SQL database.\nAction: Operation or Action: Answer\n"
    assert read_opening(checkout) == (Message("user", instruction), Message("assistant", "Fine."))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("big_prompt = ", "big_prompt = words() + "),
        ("session.inject", "session.say"),
        ("SQL", "FHIR"),
        ('"agent"', '"user"'),
        ("class", "klass"),
    ],
)
def test_a_file_in_another_form_is_named(checkout, old, new):
    (checkout.parent / "src/server/tasks/dbbench/__init__.py").write_text(SOURCE.replace(old, new))
    with pytest.raises(TaskDataError, match=r"dbbench/__init__\.py: not in the form of AgentBench 0\.2"):
        read_opening(checkout)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TaskDataError, match=r"task\.replies=agentbench: set paths\.agentbench"):
        read_opening(None)
    with pytest.raises(TaskDataError, match=r"dbbench/__init__\.py: not readable"):
        read_opening(tmp_path / "data")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("I look.\nAction: Operation\n```sql\nSELECT 1;\n```", Operation("SELECT 1;")),
        ("Action: Operation\nfirst\n```sql\nA\n```\n```sql\nB\n```", Operation("A")),
        ("Action: Operation\nSELECT 1", None),
        ("Action: Operation \n```sql\nA\n```", None),
        ("Action: Operation\n```sql\nSELECT 1", None),
        ('Action: Answer\nFinal Answer: ["a"]\nmore', Answer('["a"]')),
        ("x\nFinal Answer:1", Answer("1")),
        ("Final Answer: 1", None),
        ("Action: Answer\nFinal Answer: 1\nAction: Operation\n```sql\nA\n```", Answer("1")),
        ("", None),
    ],
)
def test_replies_are_read_by_agentbenchs_rules(reply, said):
    assert read_reply(reply) == said


@given(st.text(alphabet="Action: Operatinsql\n`FlAwe", max_size=200))
def test_never_raises(reply):
    read_reply(reply)
    read_reply(f"Action: Operation\n```sql\n{reply}\n```")


def test_an_episode_in_agentbenchs_words(checkout):
    settings = Settings(replies="agentbench", kinds=["counting"], samples=1)
    task = make_task(settings, SimpleNamespace(agentbench=checkout))
    sample = task.samples[0]
    assert task.opening(sample, "react", 3) == list(read_opening(checkout))

    async def play():
        environment = await task.open(sample)
        assert environment.keeps_replies
        await environment.reset()
        statement = f"Let me see.\nAction: Operation\n```sql\n{task.records[sample.id].statement}\n```"
        # What the style makes of it (`Action:` reads as ACTION:) does not count.
        looked = await environment.step(Action("Operation", statement))
        answer = f"Action: Answer\nFinal Answer: {list(task.records[sample.id].label)!r}"
        answered = await environment.step(Action("Answer", answer))
        await environment.close()
        return looked, answered

    looked, answered = asyncio.run(play())
    assert looked.observation.text.startswith("[(") and not looked.done
    assert (answered.reward, answered.outcome) == (1.0, Outcome.COMPLETED)


class Recorded(ScriptedModel):
    def __init__(self, *replies):
        super().__init__("recorded")
        self.replies, self.asked = list(replies), []

    def reply(self, messages, request):
        self.asked.append([message.content for message in messages])
        return self.replies.pop(0)


@pytest.mark.parametrize("style", ["io", "cot", "react"])
def test_replies_stay_in_the_dialogue_as_they_were(checkout, style):
    task = make_task(Settings(replies="agentbench", samples=1), SimpleNamespace(agentbench=checkout))
    sample = task.samples[0]
    said = "I look.\nAction: Operation\n```sql\nSELECT 1\n```"
    model = Recorded(said, "Action: Answer\nFinal Answer: []")

    async def play():
        method = Method(MethodSettings(name=style, style=style, multiline_actions=True))
        context = EpisodeContext(0, sample.id, 0, task.opening(sample, style, 0))
        environment = await task.open(sample)
        try:
            return await method.solve(environment, Roles.all_one(model), BudgetSettings(), context)
        finally:
            await environment.close()

    assert asyncio.run(play()).outcome is Outcome.COMPLETED
    description = task.records[sample.id].description
    opening = [message.content for message in read_opening(checkout)]
    assert model.asked == [[*opening, description], [*opening, description, said, "[(1,)]"]]
