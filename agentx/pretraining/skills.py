"""General skills as conversations: part of the pretraining text, and the general data set of tuning.

Every answer is exact (compared character by character), so the same generators make the held-out suite that
measures general ability. The train and test splits are disjoint by construction: the hash of a user turn
decides which of them it belongs to (of a test conversation, that of the first one).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random
from typing import Literal

from agentx.conversation import Conversation, Message
from agentx.errors import ConfigError
from agentx.pretraining import list_skills, number_skills, text_skills
from agentx.pretraining.exercise import Exercise, Skill

Split = Literal["train", "test"]

SKILLS: dict[str, tuple[Skill, float]] = {
    "copy_list": (list_skills.copy_list, 1.5),
    "copy_one": (list_skills.copy_one, 1),
    "relist": (list_skills.relist, 2),
    "membership": (list_skills.membership, 2.5),
    "find_class": (list_skills.find_class, 3),
    "find_all": (list_skills.find_all, 2),
    "pick_option": (list_skills.pick_option, 3),
    "read_option": (list_skills.read_option, 1),
    "nth_item": (list_skills.nth_item, 1),
    "next_item": (list_skills.next_item, 1.5),
    "not_yet": (list_skills.not_yet, 2.5),
    "remaining_items": (list_skills.remaining_items, 2),
    "count_items": (list_skills.count_items, 1.2),
    "sort_words": (list_skills.sort_words, 1.2),
    "reverse_list": (list_skills.reverse_list, 1.2),
    "category": (list_skills.category, 0.7),
    "arithmetic": (number_skills.arithmetic, 1.5),
    "compare": (number_skills.compare, 0.7),
    "sort_numbers": (number_skills.sort_numbers, 1.2),
    "sequence": (number_skills.sequence, 1.2),
    "word_problem": (number_skills.word_problem, 1.2),
    "number_words": (number_skills.number_words, 0.6),
    "replace_word": (text_skills.replace_word, 1.5),
    "change_case": (text_skills.change_case, 0.8),
    "spell": (text_skills.spell, 0.8),
    "join_words": (text_skills.join_words, 0.5),
    "count_word": (text_skills.count_word, 1.2),
    "key_values": (text_skills.key_values, 1.5),
    "look_up_field": (text_skills.look_up_field, 1),
    "fill_template": (text_skills.fill_template, 1),
    "two_lines": (text_skills.two_lines, 1),
    "where_is": (text_skills.where_is, 1.5),
    "who_has": (text_skills.who_has, 1.5),
    "moved": (text_skills.moved, 1),
    "sub_steps": (text_skills.sub_steps, 1),
    "is_done": (text_skills.is_done, 1.5),
    "remember_name": (text_skills.remember_name, 0.5),
    "small_talk": (text_skills.small_talk, 0.3),
}
"""Generator and share of each skill."""

TEST_BUCKETS = 1
BUCKETS = 10


def split_of(question: str) -> Split:
    """The split that a conversation opening with this user turn belongs to."""
    bucket = hashlib.blake2b(question.encode(), digest_size=4).digest()[0] * BUCKETS // 256
    return "test" if bucket < TEST_BUCKETS else "train"


def general_conversations(
    count: int, seed: int, split: Split = "train", skills: tuple[str, ...] = ()
) -> Iterator[Conversation]:
    """`count` conversations of one to eight turns, the same for the same arguments.

    Conversation i does not depend on `count`. All assistant turns are `trained`. `skills` restricts which are
    drawn (default all); `metadata["skills"]` names the skill of every assistant turn. Raises ConfigError on an
    unknown skill or split.
    """
    if split not in ("train", "test"):
        raise ConfigError(f"general split {split!r}: must be train or test")
    unknown = [name for name in skills if name not in SKILLS]
    if unknown:
        raise ConfigError(f"general skill {unknown[0]!r} is unknown; the skills are {', '.join(SKILLS)}")
    names = list(skills or SKILLS)
    weights = [SKILLS[name][1] for name in names]
    for index in range(count):
        rng = Random(f"general:{seed}:{split}:{index}")
        turns: list[tuple[str, Exercise]] = []
        for _ in range(rng.choice((1, 1, 2, 3))):
            name = rng.choices(names, weights)[0]
            turns += [(name, exercise) for exercise in _draw(name, rng, split)]
        messages = []
        for _, exercise in turns:
            messages += [Message("user", exercise.prompt), Message("assistant", exercise.answer, trained=True)]
        metadata = {"skills": [name for name, _ in turns]}
        yield Conversation(tuple(messages), "general", f"{split}-{seed}-{index}", metadata)


def _draw(name: str, rng: Random, split: Split) -> list[Exercise]:
    """Turns of one skill whose opening question belongs to the split; in training text no later one is a test
    question either.

    Skills of few different questions may have none in the test split; after 200 draws another skill steps in.
    """
    for _ in range(200):
        turns = SKILLS[name][0](rng)
        if all(split_of(turn.prompt) == split for turn in (turns if split == "train" else turns[:1])):
            return turns
    return _draw("copy_list", rng, split)
