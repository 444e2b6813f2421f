"""On the real TextWorld engine, built from the dialogue's own room."""

import asyncio
import random

import pytest

from agentx.construction.record import Dialogue, Reason, Status, Turn, Verdict
from agentx.construction.three_roles import real_environment
from agentx.construction.verification import verify
from agentx.tasks.household.plan import scripted_plan
from agentx.tasks.household.room import random_room
from agentx.tasks.household.settings import Settings
from agentx.tasks.household.simulated_state import SimulatedState

ROOM = random_room(4, "pick_and_place_simple", "train", (6, 6), 8)
CLASSES = frozenset(
    name.rpartition(" ")[0] for name in [*(r.name for r in ROOM.receptacles), *(i.name for i in ROOM.items)]
)


@pytest.fixture()
def dialogue():
    """A dialogue that is true in every word."""
    state = SimulatedState(ROOM)
    made = Dialogue(0, "d", "household", ROOM.task_type, {}, opening=state.restart())
    for command in scripted_plan(ROOM):
        made.turns.append(Turn(f"THOUGHT: I go on.\nACTION: {command}", "I go on.", command, state.do(command)))
    return made


def verified(dialogue: Dialogue, invalid_actions: int = 2, max_turns: int = 20) -> tuple[Dialogue, Verdict]:
    return asyncio.run(
        verify(
            dialogue,
            lambda: real_environment(ROOM, Settings(), max_turns),
            invalid_actions=invalid_actions,
            classes=CLASSES,
        )
    )


def test_what_is_true_is_verified_and_left_as_it_is(dialogue):
    before = [turn.observation for turn in dialogue.turns]
    played, verdict = verified(dialogue)
    assert (verdict.status, verdict.reward, verdict.replaced) == (Status.VERIFIED, 1.0, [])
    assert verdict.replies == len(before) - 1
    assert [turn.observation for turn in played.turns] == before
    assert all(turn.agrees for turn in played.turns[:-1])
    assert {turn.verdict for turn in played.turns} == {"valid"}


def test_a_false_reply_gives_way_to_the_real_one(dialogue):
    right = dialogue.turns[0].observation
    dialogue.turns[0].observation = "You arrive at nowhere. You see a golden key 9."
    played, verdict = verified(dialogue)
    assert (verdict.status, verdict.replaced) == (Status.REPAIRED, [0])
    assert (played.turns[0].observation, played.turns[0].by) == (right, "real")
    assert played.turns[0].said.startswith("You arrive at nowhere")


def test_an_agent_that_acts_on_what_was_never_so_is_rejected(dialogue):
    thing = ROOM.items[0].name.rpartition(" ")[0] + " 77"
    dialogue.turns[1].thought = f"There is {thing}."
    dialogue.turns[0].observation += f" And a {thing}."
    _, verdict = verified(dialogue)
    assert (verdict.status, verdict.reason) == (Status.REJECTED, Reason.INCONSISTENT)
    assert thing in verdict.detail


def test_a_goal_that_only_the_simulation_saw_reached(dialogue):
    dialogue.turns.pop()
    _, verdict = verified(dialogue)
    assert (verdict.status, verdict.reason) == (Status.REJECTED, Reason.GOAL_NOT_REACHED)


def test_what_follows_the_goal_is_cut_off_and_a_missed_end_is_found(dialogue):
    length = len(dialogue.turns)
    dialogue.turns.append(Turn("THOUGHT: More.\nACTION: look", "More.", "look", "You see nothing."))
    dialogue.failure = Reason.TURN_LIMIT
    played, verdict = verified(dialogue)
    assert (verdict.status, verdict.trimmed, len(played.turns)) == (Status.REPAIRED, 1, length)


def test_the_turn_limit_stays_the_reason_where_the_goal_was_missed(dialogue):
    dialogue.turns.pop()
    dialogue.failure, dialogue.detail = Reason.TURN_LIMIT, "not solved after 5 turns"
    _, verdict = verified(dialogue)
    assert (verdict.reason, verdict.detail) == (Reason.TURN_LIMIT, "not solved after 5 turns")


def test_actions_that_do_nothing_are_marked_and_too_many_are_refused(dialogue):
    dialogue.turns.insert(0, Turn("THOUGHT: Hm.\nACTION: open sky 1", "Hm.", "open sky 1", "Nothing happens."))
    played, verdict = verified(dialogue)
    assert verdict.status is Status.VERIFIED
    assert [turn.verdict == "valid" for turn in played.turns] == [False] + [True] * (len(played.turns) - 1)
    _, verdict = verified(dialogue, invalid_actions=0)
    assert (verdict.status, verdict.reason) == (Status.REJECTED, Reason.INVALID_ACTION)


def test_a_reply_corrected_while_it_was_written_counts_as_repaired(dialogue):
    dialogue.turns[0].said, dialogue.turns[0].by = "Nothing happens.", "real"
    _, verdict = verified(dialogue)
    assert (verdict.status, verdict.replaced) == (Status.REPAIRED, [0])


def test_real_replies_are_not_counted_as_compared_and_lies_about_them_are_found(dialogue):
    for turn in dialogue.turns:
        turn.by = "real"
    _, verdict = verified(dialogue)
    assert (verdict.status, verdict.replies) == (Status.VERIFIED, 0)
    dialogue.turns[0].observation = "You arrive at the moon."
    _, verdict = verified(dialogue)
    assert (verdict.status, verdict.reason) == (Status.REJECTED, Reason.NOT_REPRODUCIBLE)


def test_a_failure_is_rejected_without_a_play(dialogue):
    dialogue.failure, dialogue.detail = Reason.REFUSED, "no"
    _, verdict = asyncio.run(verify(dialogue, lambda: 1 / 0, invalid_actions=0))
    assert (verdict.status, verdict.reason, verdict.detail) == (Status.REJECTED, Reason.REFUSED, "no")


def test_any_mixture_of_lies_ends_in_a_verdict_and_kept_dialogues_hold_only_real_replies(dialogue):
    rng = random.Random(0)
    for _ in range(6):
        lying = Dialogue.from_dict(dialogue.to_dict())
        for turn in rng.sample(lying.turns, 2):
            turn.observation = rng.choice(["Nothing happens.", "", "You see a {} 1.", "\x00"])
        played, verdict = verified(lying)
        if verdict.kept:
            assert [turn.observation for turn in played.turns] == [turn.observation for turn in dialogue.turns]
