import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentx.construction import duplicates
from agentx.construction.filters import foreign_language, objection
from agentx.construction.record import Dialogue, Reason, Status, Turn, Verdict
from agentx.construction.selection import select
from agentx.construction.settings import FilterSettings

GERMAN = "Ich gehe jetzt zum Kühlschrank und öffne ihn, weil dort das Bier steht."
CHINESE = "我现在去冰箱那里，打开它，然后把里面的啤酒拿出来，最后放到桌子上，这样任务就完成了，再去别处。"


def dialogue(
    *actions: str, thought: str = "I go on to the next place and look there.", opening: str = "", index: int = 0
):
    turns = [Turn(f"THOUGHT: {thought}\nACTION: {action}", thought, action, f"You did {action}.") for action in actions]
    return Dialogue(
        index, f"d{index}", "household", "kind", {}, opening=opening or f"a room with number {index}", turns=turns
    )


@pytest.mark.parametrize(
    ("made", "options", "reason"),
    [
        (dialogue("a", "b"), FilterSettings(), None),
        (dialogue("a", "a", "a", "b"), FilterSettings(repeats=2), None),
        (dialogue("a", "a", "a", "b"), FilterSettings(repeats=1), Reason.LOOP),
        (dialogue("a"), FilterSettings(min_turns=2), Reason.LENGTH),
        (dialogue(*"abcdefgh"), FilterSettings(max_words=50), Reason.LENGTH),
        (dialogue("a", "b", thought=GERMAN), FilterSettings(), Reason.LANGUAGE),
        (dialogue("a", "b", thought=GERMAN), FilterSettings(language="de"), None),
        (dialogue("a", "b", thought=CHINESE), FilterSettings(), Reason.LANGUAGE),
        (dialogue("a", "b", thought="我现在去冰箱那里，打开它。"), FilterSettings(language=None), None),
    ],
)  # fmt: skip
def test_what_speaks_against_a_trajectory(made, options, reason):
    found = objection(made, options)
    assert (found[0] if found else None) is reason


def test_a_simulated_contradiction_that_was_never_replaced():
    go, back = "You arrive at a 1. On the a 1, you see a b 1.", "You arrive at a 1. On the a 1, you see nothing."
    made = dialogue("x", "y")
    made.turns[0].observation, made.turns[1].observation = go, back
    assert objection(made, FilterSettings())[0] is Reason.CONTRADICTION
    made.turns[1].by = "real"
    assert objection(made, FilterSettings()) is None


def test_short_thoughts_have_no_language():
    assert foreign_language("Hm, ja.", "en") == ""


WORDS = [f"word{number}" for number in range(60)]


def test_near_duplicates_are_found_and_the_first_stays():
    base = " ".join(WORDS)
    nearly = " ".join([*WORDS[:-1], "other"])
    half = " ".join([*WORDS[:30], *(f"new{number}" for number in range(30))])
    assert duplicates.near_duplicates([base, half, nearly, base], 0.85) == {2: 0, 3: 0}
    assert duplicates.near_duplicates([base, nearly], 1.0) == {}


@settings(max_examples=15)
@given(st.lists(st.text("ab ", max_size=30), max_size=8), st.sampled_from([0.5, 1.0]))
def test_equal_texts_are_always_duplicates_and_only_similar_ones_ever_are(texts, threshold):
    found = duplicates.near_duplicates(texts, threshold)
    for number, text in enumerate(texts):
        assert (number in found) or text not in texts[:number]
    for number, first in found.items():
        assert first < number and first not in found
        one, other = duplicates.shingles(texts[number]), duplicates.shingles(texts[first])
        assert duplicates.jaccard(one, other) >= threshold


def test_a_problem_from_the_evaluation_is_found_in_any_wording_of_the_rest():
    problem = "How many files below /srv/anvil have a name that ends in .log? Answer with the number."
    evaluated = [("test-1", problem)]
    near = problem.replace("How many", "how  many")
    other = problem.replace("anvil", "amber").replace(".log", ".cfg")
    assert duplicates.leaks([near, other, "something else altogether"], evaluated, 0.9) == {0: "test-1"}


def test_the_selection_rejects_in_order_and_leaves_the_given_verdicts_alone():
    good = Verdict(Status.VERIFIED)
    made = [dialogue("a", "b", index=number) for number in range(3)]
    made.append(dialogue("c", "d", "e", opening="the evaluated room with all its five or more words", index=3))
    made.append(dialogue("x", "x", "x", "x", "x", index=4))
    lost = Verdict(Status.REJECTED, Reason.GOAL_NOT_REACHED)
    results = [(made[0], good), (made[1], lost), (made[2], good), (made[3], good), (made[4], good)]
    chosen = select(
        results,
        FilterSettings(duplicates=0.5, repeats=2),
        [("test-0", "the evaluated room with all its five or more words")],
    )
    assert [verdict.reason for _, verdict in chosen] == [
        None, Reason.GOAL_NOT_REACHED, Reason.DUPLICATE, Reason.LEAKED, Reason.LOOP,
    ]  # fmt: skip
    assert good.status is Status.VERIFIED and good.reason is None
    off = select(results, FilterSettings(duplicates=None, leakage=None, repeats=9), [("test-0", made[3].opening)])
    assert [verdict.kept for _, verdict in off] == [True, False, True, True, True]
