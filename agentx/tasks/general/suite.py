"""The held-out suite: exercises of the skills that the general training text is made of, which that text never has.

What keeps them apart is the opening user turn. The training generator lets a skill open only with turns whose hash
falls into its training split, and draws no later turn of the test split; the suite takes only openings of the test
split, so none of its questions is a turn of any training text, whatever the seed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import islice
from random import Random

from agentx.conversation import Message
from agentx.errors import ConfigError, did_you_mean
from agentx.pretraining.exercise import Exercise
from agentx.pretraining.skills import SKILLS, Split, split_of
from agentx.tasks.general.questions import Question

AREAS: dict[str, tuple[str, ...]] = {
    "copying": ("copy_list", "copy_one"),
    "finding": (
        *("membership", "find_class", "find_all", "pick_option", "read_option", "nth_item", "next_item"),
        *("not_yet", "count_items", "count_word"),
    ),
    "formats": ("relist", "key_values", "fill_template", "two_lines", "sub_steps"),
    "questions": ("look_up_field", "where_is", "who_has", "moved", "is_done", "category"),
    "arithmetic": ("arithmetic", "word_problem", "compare", "sequence", "number_words"),
    "sorting": ("sort_words", "sort_numbers", "reverse_list"),
    "edits": ("replace_word", "change_case", "spell", "join_words", "remaining_items"),
    "dialogue": ("remember_name",),
}
OTHER = "other"
"""area of skills that are in none of these"""
LEFT_OUT = ("small_talk",)
"""a handful of fixed exchanges, all of them in every training text"""
DIALOGUES = ("remember_name",)
"""skills whose last turn is the question and whose earlier turns belong to it"""
_SUM = re.compile(r"\d+ [-+*] \d+")
_TRIES = 1500
"""draws without a new question after which a skill is exhausted"""


def skills() -> tuple[str, ...]:
    """The suite's skills."""
    return tuple(name for name in SKILLS if name not in LEFT_OUT)


def area_of(skill: str) -> str:
    return next((area for area, names in AREAS.items() if skill in names), OTHER)


def held_out(count: int, seed: int, chosen: tuple[str, ...] = ()) -> list[Question]:
    """`count` different questions, the skills in turn; the first ones do not depend on `count`.

    Raises ConfigError on an unknown skill, and where the skills have no more questions.
    """
    names = chosen or skills()
    for name in names:
        if name not in skills():
            hint = did_you_mean(name, skills()) or f"; the skills are {', '.join(skills())}"
            raise ConfigError(f"task.skills={name}: no such skill{hint}")
    streams = {name: questions(name, seed, "test") for name in dict.fromkeys(names)}
    found: list[Question] = []
    while streams and len(found) < count:
        for name in list(streams):
            question = next(streams[name], None)
            if question is None:
                del streams[name]
            elif len(found) < count:
                found.append(question)
    if len(found) < count:
        raise ConfigError(f"task.samples={count}: these skills have {len(found)} held-out questions; ask for fewer")
    return found


def questions(skill: str, seed: int, split: Split) -> Iterator[Question]:
    """Different questions of one skill and split, until it has no more."""
    rng = Random(f"general-suite:{seed}:{split}:{skill}")
    seen: set[str] = set()
    tries = 0
    while tries < _TRIES:
        tries += 1
        turns = drawn(skill, rng)
        key = "\n\n".join(turn.prompt for turn in turns)
        if not turns or split_of(turns[0].prompt) != split or key in seen:
            continue
        seen.add(key)
        tries = 0
        before = [Message("user", turn.prompt) for turn in turns[:-1]]
        answers = [Message("assistant", turn.answer) for turn in turns[:-1]]
        yield Question(
            id=f"{skill}-{hashlib.blake2b(key.encode(), digest_size=5).hexdigest()}",
            skill=skill,
            text=turns[-1].prompt,
            answers=(turns[-1].answer,),
            before=tuple(message for pair in zip(before, answers, strict=True) for message in pair),
        )


def drawn(skill: str, rng: Random) -> list[Exercise]:
    """The turns of one question, the last of which is asked; none where the draw has no question."""
    turns = SKILLS[skill][0](rng)
    if skill in DIALOGUES:
        return turns if turns[-1].question.endswith("?") and len(turns) > 1 else []
    if skill == "arithmetic":
        # The sums are few, and training text has most of them in one wording or another; it never asks like this.
        found = _SUM.search(turns[0].question)
        return [Exercise(f"How much is {found[0]}?", turns[0].answer)] if found else []
    return turns[:1]


def examples(skill: str, seed: int, count: int) -> list[Question]:
    """Worked examples of a skill, from the training split."""
    return list(islice(questions(skill, seed, "train"), count))
