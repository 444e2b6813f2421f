"""The suite is held out: nothing it asks is in any text a model of this project is trained on."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import pytest

from agentx.conversation import Conversation
from agentx.errors import ConfigError
from agentx.pretraining import skills as training
from agentx.pretraining.corpus import document
from agentx.pretraining.exercise import Exercise
from agentx.pretraining.settings import PretrainSettings
from agentx.pretraining.skills import SKILLS, general_conversations, split_of
from agentx.tasks.general import suite
from agentx.tasks.general.questions import Question, is_right


def opening(question: Question) -> str:
    return question.before[0].content if question.before else question.text


@pytest.fixture(scope="module")
def asked() -> list[Question]:
    return [question for seed in range(3) for question in suite.held_out(400, seed)]


def user_turns(conversations) -> set[str]:
    return {m.content for c in conversations for m in c.messages if m.role == "user"}


def test_no_question_is_in_the_tuning_or_the_pretraining_text(asked) -> None:
    tuned = user_turns(conversation for seed in range(4) for conversation in general_conversations(1500, seed))
    settings = PretrainSettings()
    documents = [document(settings, settings.drill_documents + index, plays=()) for index in range(400)]
    pretrained = user_turns(text for text in documents if isinstance(text, Conversation))
    assert len(tuned) > 8000 and len(pretrained) > 150
    assert not {opening(question) for question in asked} & (tuned | pretrained)


def test_an_opening_can_open_no_training_conversation(asked) -> None:
    assert {split_of(opening(question)) for question in asked} == {"test"}


def test_what_follows_an_opening_in_training_is_no_opening_of_the_suite(asked) -> None:
    """Later turns are not split by hash in training, so none of them may be a question of the suite's."""
    later = {
        turn.prompt for name in SKILLS for seed in range(150) for turn in SKILLS[name][0](Random(f"{name}{seed}"))[1:]
    }
    assert len(later) > 500
    assert not {opening(question) for question in asked} & later
    for name in suite.skills():
        draws = [SKILLS[name][0](Random(seed)) for seed in range(60)]
        stands_alone = any(len(turns) > 1 and not turns[0].context for turns in draws)
        assert not stands_alone or name in (*suite.DIALOGUES, "arithmetic"), f"{name}: its later turns stand alone"


def test_a_collision_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that offers both kinds is asked only what is held out, and one without any is exhausted."""

    def offer(rng: Random) -> list[Exercise]:
        return [Exercise(f"Say {rng.randrange(400)}.", "x")]

    monkeypatch.setitem(training.SKILLS, "offer", (offer, 1.0))
    held = {question.text for question in islice(suite.questions("offer", 0, "test"), 1000)}
    taught = {question.text for question in islice(suite.questions("offer", 0, "train"), 1000)}
    every = {f"Say {number}." for number in range(400)}
    assert held == {text for text in every if split_of(text) == "test"} and not held & taught
    with pytest.raises(ConfigError, match=rf"task\.samples=100: these skills have {len(held)} held-out questions"):
        suite.held_out(100, 0, ("offer",))


def test_questions_differ_and_the_first_ones_do_not_depend_on_how_many(asked) -> None:
    first = suite.held_out(400, 0)
    assert len({question.id for question in first}) == len({(q.before, q.text) for q in first}) == 400
    assert suite.held_out(50, 0) == first[:50]
    assert {question.id for question in first} != {question.id for question in asked[400:800]}


def test_skills_are_asked_about_equally_and_every_one_has_an_area() -> None:
    counts = Counter(question.skill for question in suite.held_out(4 * len(suite.skills()), 0))
    # Skills of few different questions run out, and others step in.
    assert set(counts) == set(suite.skills()) and max(counts.values()) <= 5
    listed = [name for names in suite.AREAS.values() for name in names]
    assert Counter(listed) == Counter(dict.fromkeys(suite.skills(), 1))
    assert suite.area_of("something new") == suite.OTHER


def test_expected_replies_are_right_and_dialogues_come_with_their_past(asked) -> None:
    assert all(is_right(question, question.expected) for question in asked)
    dialogues = [question for question in asked if question.before]
    assert {question.skill for question in dialogues} == {"remember_name"}
    assert all([m.role for m in q.before[:2]] == ["user", "assistant"] for q in dialogues)


def test_unknown_skills_are_named() -> None:
    with pytest.raises(ConfigError, match=r"task\.skills=copy_lst: no such skill; did you mean copy_list\?"):
        suite.held_out(1, 0, ("copy_lst",))
    with pytest.raises(ConfigError, match=r"task\.skills=small_talk"):
        suite.held_out(1, 0, ("small_talk",))
