from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.tasks.household.matching import match, normalise, sentence_bleu

COMMANDS = ("go to cabinet 1", "go to desk 1", "look", "open drawer 1", "take mug 1 from desk 1")
WORDS = st.lists(
    st.sampled_from(["go", "to", "take", "from", "put", "open", "mug", "desk", "cabinet", "1", "2", "the", "in/on"]),
    max_size=9,
)

# NLTK 3.9.1: sentence_bleu([reference], candidate, smoothing_function=SmoothingFunction().method4)
NLTK = [
    ("go to cabinet 1", "cabinet", 0.049787068367863944),
    ("take mug 1 from desk 1", "take mug 1 from desk 2", 0.7598356856515925),
    ("put mug 1 in/on desk 1", "put mug 1 on desk 1", 0.293945703509473),
    ("look", "look around", 0.06754436142034707),
    ("open drawer 1", "close drawer 1", 0.21177974141341938),
    ("go to desk 1", "go to the desk 1", 0.17141814854755813),
    ("examine mug 1", "put the hot mug in the microwave 1", 0.03401086821506398),
    ("inventory", "cabinet 3", 0.0),
]


@pytest.mark.parametrize(("reference", "candidate", "expected"), NLTK)
def test_bleu_has_the_values_of_nltk(reference, candidate, expected):
    assert sentence_bleu(reference.split(), candidate.split()) == expected


@given(WORDS, WORDS)
def test_bleu_agrees_with_nltk_where_it_is_installed(reference, candidate):
    bleu_score = pytest.importorskip("nltk.translate.bleu_score")
    smoothing = bleu_score.SmoothingFunction().method4
    if reference:
        expected = bleu_score.sentence_bleu([reference], candidate, smoothing_function=smoothing)
        assert sentence_bleu(reference, candidate) == expected


@given(WORDS, WORDS)
def test_bleu_is_a_share_and_zero_without_a_common_word(reference, candidate):
    score = sentence_bleu(reference, candidate)
    assert 0 <= score <= 1
    assert (score == 0) == (not set(reference) & set(candidate))


@given(WORDS.filter(lambda words: len(words) >= 4))
def test_bleu_of_a_sentence_with_itself_is_one(words):
    assert sentence_bleu(words, words) == pytest.approx(1)


def test_an_available_action_is_taken_as_it_is():
    for command in COMMANDS:
        found = match(command, COMMANDS, "bleu")
        assert (found.command, found.replaced) == (command, False)


def test_another_becomes_the_most_similar_available_one():
    assert match("take the mug 1 from the desk 1", COMMANDS, "bleu").command == "take mug 1 from desk 1"
    assert match("open drawer 2", COMMANDS, "bleu").command == "open drawer 1"
    assert match("cabinet", COMMANDS, "bleu").command == "go to cabinet 1"
    assert match("go to the desk", COMMANDS, "bleu").replaced


def test_the_first_of_equally_similar_ones_is_taken():
    assert match("go to shelf 1", ("go to desk 1", "go to sofa 1"), "bleu").command == "go to desk 1"


def test_nothing_in_common_stays_as_written():
    found = match("dance wildly", COMMANDS, "bleu")
    assert (found.command, found.replaced) == ("dance wildly", False)


def test_exact_matching_replaces_nothing():
    found = match("open drawer 2", COMMANDS, "exact")
    assert (found.command, found.replaced) == ("open drawer 2", False)


@pytest.mark.parametrize(
    ("written", "expected"),
    [(None, ""), ("", ""), ("  \n ", ""), (" Go To Desk 1 ", "go to desk 1"), ("look\nopen drawer 1", "look")],
)
def test_an_action_is_its_first_line_in_lower_case(written, expected):
    assert normalise(written) == expected
