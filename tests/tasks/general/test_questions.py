"""When a reply is right."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentx.tasks.general.questions import LETTERS, Question, is_right

WORDS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
ANYTHING = st.text(max_size=60)
SCORINGS = st.sampled_from(["exact", "contains", "number", "choice"])


def question(answer: str, scoring: str = "exact", choices: tuple[str, ...] = ()) -> Question:
    return Question("q", "skill", "?", (answer,), choices, scoring)  # type: ignore[arg-type]


@given(ANYTHING, SCORINGS, ANYTHING, st.booleans(), st.booleans())
def test_no_reply_is_too_odd_to_judge(reply, scoring, answer, case, punctuation) -> None:
    asked = question(answer, scoring, ("yes", answer + "!") if scoring == "choice" else ())
    assert is_right(asked, reply, ignore_case=case, ignore_punctuation=punctuation) in (True, False)


@given(st.lists(WORDS, min_size=1, max_size=5), st.data())
def test_exact_forgives_spaces_and_nothing_else(words, data) -> None:
    asked = question(" ".join(words))
    spaced = data.draw(st.sampled_from([" ", "  ", "\t"])).join(words)
    assert is_right(asked, f" {spaced}\n")
    loud = " ".join(words).upper()  # not of every letter the same one in capitals: ı becomes I
    assert is_right(asked, loud, ignore_case=True) == (loud.casefold() == " ".join(words).casefold())
    assert not is_right(asked, " ".join([*words, "more"]))
    if len(words) > 1:
        assert not is_right(asked, "\n".join(words))
    changed = " ".join(words).swapcase()
    assert is_right(asked, changed) == (changed == " ".join(words))


@given(st.lists(WORDS, min_size=1, max_size=3), WORDS, WORDS)
def test_what_is_exact_is_contained_and_stays_so_between_other_words(words, before, after) -> None:
    asked = question(" ".join(words), "contains")
    assert is_right(asked, " ".join(words))
    assert is_right(asked, f"{before} {' '.join(words)}, {after}")


@given(st.integers(-(10**9), 10**9), st.text(st.characters(categories=("L", "Z")), max_size=10))
def test_the_last_number_counts_however_it_is_written(value, words) -> None:
    asked = question(str(value), "number")
    for written in (f"{value}", f"{value:,}", f"{value}.0", f"{words} 3 {words} {value}.", f"= {value}"):
        assert is_right(asked, written), written
    assert not is_right(asked, f"{value} or {value + 1}")
    assert not is_right(asked, words)


@given(st.lists(WORDS, min_size=2, max_size=6, unique_by=str.casefold), st.data())
def test_an_option_is_named_by_letter_or_text(choices, data) -> None:
    index = data.draw(st.integers(0, len(choices) - 1))
    letter = LETTERS[index]
    asked = question(choices[index], "choice", tuple(f"the {choice}" for choice in choices))
    asked = replace(asked, answers=(asked.choices[index],))
    right = [letter, letter.lower(), f"({letter})", f"{letter}. {asked.choices[index]}", f"Answer: {letter}"]
    for reply in [*right, f"The answer is {letter}.", asked.choices[index], asked.expected, f"**{letter}**"]:
        assert is_right(asked, reply), reply
    assert asked.asked.split("\n")[1 + index] == f"{letter}. {asked.choices[index]}"
    other = LETTERS[(index + 1) % len(choices)]
    assert not is_right(asked, other) and not is_right(asked, "") and not is_right(asked, "Z")


@pytest.mark.parametrize(
    ("answer", "scoring", "reply", "right"),
    [
        ("art", "contains", "a party", False),
        ("art", "contains", "party, art", True),
        ("3", "contains", "13", False),
        ("", "contains", "x", False),
        ("3", "number", "5-3", True),
        ("-3", "number", "x = -3", True),
        ("1000", "number", "It is 1,000.", True),
        ("0.5", "number", "It is .5", False),
        ("7", "number", "$7.", True),
        ("7", "number", "seven", False),
        ("Café", "exact", "Cafe\u0301", True),
    ],
)
def test_cases(answer: str, scoring: str, reply: str, right: bool) -> None:
    assert is_right(question(answer, scoring), reply) is right


def test_punctuation_and_case_count_unless_told_otherwise() -> None:
    asked = question("Paris")
    assert not is_right(asked, "paris.")
    assert not is_right(asked, "paris.", ignore_case=True)
    assert is_right(asked, "paris.", ignore_case=True, ignore_punctuation=True)


def test_a_word_that_begins_like_a_letter_names_no_option() -> None:
    asked = question("red", "choice", ("red", "blue"))
    assert not is_right(asked, "Apples, I think")
    assert not is_right(asked, "A's")
    assert is_right(asked, "A")


@settings(max_examples=5)
@given(SCORINGS)
def test_huge_replies_take_no_time(scoring) -> None:
    asked = question("1", scoring, ("1", "2") if scoring == "choice" else ())
    for piece in ("1", "1,", "a ", "((", "\n", "answer "):
        is_right(asked, piece * 1_000_000, ignore_punctuation=True)
