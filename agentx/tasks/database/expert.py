"""The database expert as a chat model: it acts, plans and judges while a real reasoning method runs.

What it says becomes training text, so that the text a model is tuned on is the text it will be sent, byte for byte.
It knows the sample's true statement; whether it has been run it sees in the environment.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Sequence

from agentx.conversation import Message
from agentx.models.chat import Request
from agentx.tasks.database import actions
from agentx.tasks.database.environment import DatabaseEnvironment
from agentx.tasks.database.settings import MUTATIONS
from agentx.tasks.database.tables import Record
from agentx.tasks.demonstration import ScriptedModel
from agentx.tasks.replies import reply
from agentx.trajectory import Purpose

_NUMBERED = re.compile(r"^(\d+)[.)]\s+", re.MULTILINE)
_DONE = ["done"]

_QUERYING = ("I need rows from {table}, so I query it.", "One query on {table} tells me this.", "I ask {table} for it.")
_CHANGING = ("The table {table} has to change, so I run the statement.", "One statement on {table} makes the change.")
_ANSWERING = ("The result has what was asked for, so I answer.", "That is the answer.", "I have the values and answer.")
_FINISHING = ("The change is made, so I finish.", "The statement went through. I finish.")


class ExpertModel(ScriptedModel):
    """A ChatModel for one episode in `environment`; implements `agentx.models.chat.ChatModel`.

    Deviations from the expert's way are seeded and recorded in `strayed` as (path, step, branch), for the recorder not
    to train on them: with probability `mistakes` the first reply is a clumsy statement; the first `weak_paths` paths
    end in a wrong answer; of further replies to one prompt about half differ, and at a share `contested` of the steps
    the first is the wrong one and the others are right.
    """

    simulated = True

    def __init__(
        self,
        record: Record,
        environment: DatabaseEnvironment,
        style: str,
        *,
        seed: int = 0,
        mistakes: float = 0.0,
        weak_paths: int = 0,
        contested: float = 0.0,
    ) -> None:
        super().__init__("database-expert")
        self._record = record
        self._environment = environment
        self._style = style
        self._seed = seed
        self._mistakes = mistakes
        self._weak_paths = weak_paths
        self._contested = contested
        self._marks: dict[int, float] = {}

    def reply(self, messages: Sequence[Message], request: Request) -> str:
        question = messages[-1].content
        if request.purpose is Purpose.ACT:
            return self._act(request)
        if request.purpose is Purpose.PLAN:
            return "\n".join(f"{number}. {subtask}" for number, subtask in enumerate(self._plan(), 1))
        if request.purpose is Purpose.PICK:
            return str(self._pick(question))
        if request.purpose is Purpose.SCORE:
            # Marks are asked for when all paths have ended, and the state is the last one's by then.
            return str(round(10 * self._marks.get(request.path, self._progress())))
        if request.purpose is Purpose.SUBTASK_DONE:
            last = self._plan()[-1] in question and self._plan()[0] not in question
            return "Yes" if (self._environment.reward >= 1 if last else self._run_already()) else "No"
        self._marks[request.path] = self._progress()
        return "Yes" if self._environment.reward >= 1 else "No"

    def _plan(self) -> list[str]:
        if self._record.kind in MUTATIONS:
            return [f"change the table {self._record.table.name}", "finish with an answer"]
        return [f"query the table {self._record.table.name}", "answer with the result"]

    def _act(self, request: Request) -> str:
        rng = random.Random(request.seed)
        step = random.Random(f"{self._seed}/{request.path}/{request.step}")
        if step.random() < self._contested:
            wrong = request.branch == 0
        elif request.path < self._weak_paths:
            wrong = True
        else:
            # Only a first statement is ever fumbled: an answer would end the episode.
            wrong = rng.random() < (0.5 if request.branch else self._mistakes * (request.step == 0))
        if wrong:
            self.strayed.add((request.path, request.step, request.branch))
        final = request.path < self._weak_paths and request.step > 0
        action = self._wrong(rng, final) if wrong else self._right()
        return self._say(action, rng)

    def _right(self) -> str:
        if not self._run_already():
            return actions.operation(self._record.statement)
        if self._record.kind in MUTATIONS:
            return actions.answer(_DONE)
        return actions.answer(values(self._result()))

    def _wrong(self, rng: random.Random, final: bool) -> str:
        """A statement that changes nothing, or where the path is to fail an answer without having asked."""
        name, columns = self._record.table.name, self._record.table.columns
        if final:
            return actions.answer(["unknown"])
        slips = (
            f"SELECT `{rng.choice(columns)}` FROM `{name.rstrip('s')}x`",
            f"SELECT `{rng.choice(columns)} name` FROM `{name}`",
            f"SELECT `{rng.choice(columns)}` FROM `{name}` LIMIT 1",
        )
        return actions.operation(rng.choice(slips))

    def _say(self, action: str, rng: random.Random) -> str:
        mutation = self._record.kind in MUTATIONS
        if action.startswith("Operation"):
            thought = rng.choice(_CHANGING if mutation else _QUERYING).format(table=self._record.table.name)
        else:
            thought = rng.choice(_FINISHING if mutation else _ANSWERING)
        return reply(self._style, thought, thought, action)

    def _run_already(self) -> bool:
        return any(statement == self._record.statement and not r.error for statement, r in self._environment.log)

    def _result(self) -> str:
        return next(r.text for statement, r in reversed(self._environment.log) if statement == self._record.statement)

    def _progress(self) -> float:
        return 1.0 if self._environment.reward >= 1 else 0.5 if self._run_already() else 0.0

    def _pick(self, question: str) -> int:
        """Number of the first candidate that is the expert's own, else 1."""
        # The candidates are the last run of lines numbered from 1; nothing before them is one.
        starts = list(_NUMBERED.finditer(question))
        first = max((i for i, start in enumerate(starts) if start.group(1) == "1"), default=len(starts))
        ends = [*(start.start() for start in starts[first + 1 :]), len(question)]
        right = self._right()
        for start, end in zip(starts[first:], ends, strict=True):
            if right in question[start.end() : end]:
                return int(start.group(1))
        return 1


def values(result: str) -> list[str]:
    """The values of a result in order, as strings; what is no list of rows is one value."""
    try:
        rows = ast.literal_eval(result)
        return [str(value) for row in rows for value in row]
    except (ValueError, SyntaxError, TypeError):
        return [result]
