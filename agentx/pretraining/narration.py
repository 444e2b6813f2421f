"""Household play told as plain text: the simulated game's words, and the expert's thoughts and commands.

Rooms come from the training floor plans only. The layout varies from document to document (marks before thoughts,
commands and observations, with or without thoughts) and never is the reply format of an agent in a chat: what
the model learns here is how households work; how to act in a conversation is left to tuning.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from agentx.tasks.household.expert import Transcript, play
from agentx.tasks.household.layouts import Split
from agentx.tasks.household.room import TASK_TYPES, random_room

THOUGHT_MARKS = ("", "", "Think:", "#", "Note:", "*", "Idea:", "~")
COMMAND_MARKS = (">", ">", "Do:", "$", "->", "Next:", "Command:", ">>>", "I do:", "Play:")
OBSERVATION_MARKS = ("", "", "", "=", "Game:", "Result:")


@dataclass(frozen=True)
class Narration:
    """Pieces of a text; those marked False (deliberate mistakes) are shown but not to be imitated."""

    pieces: tuple[tuple[str, bool], ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)


def narrate(rng: Random, split: Split) -> Narration:
    """One episode told in a layout drawn by `rng`."""
    return tell(episode(rng, split), rng)


def episode(rng: Random, split: Split) -> Transcript:
    """A random task type in a random room of the split, played by the expert."""
    receptacles, objects = rng.choices((((6, 12), 10), ((8, 18), 14), ((4, 7), 8)), (0.75, 0.15, 0.1))[0]
    room = random_room(rng.randrange(2**31), rng.choice(TASK_TYPES), split, receptacles, objects)
    return play(room, rng)


def marks(rng: Random) -> tuple[str, str, str, bool, bool]:
    """A layout: the marks of observation, thought and command, whether thoughts are told, and on the command's line."""
    observed, thought, commanded = (
        rng.choice(choices) for choices in (OBSERVATION_MARKS, THOUGHT_MARKS, COMMAND_MARKS)
    )
    thoughtful = rng.random() < 0.75
    return observed, thought, commanded, thoughtful, thoughtful and bool(thought) and rng.random() < 0.3


def tell(transcript: Transcript, rng: Random) -> Narration:
    observed, thought, commanded, thoughtful, one_line = marks(rng)
    pieces = []
    for turn in transcript.turns:
        pieces.append((f"{_marked(observed, turn.observation)}\n", True))
        said = f"{_marked(thought, turn.thought)}{' ' if one_line else chr(10)}" if thoughtful else ""
        pieces.append((f"{said}{_marked(commanded, turn.action)}\n", turn.trained))
    pieces.append((_marked(observed, transcript.ending), True))
    return Narration(tuple(pieces))


def _marked(mark: str, text: str) -> str:
    return f"{mark} {text}" if mark else text
