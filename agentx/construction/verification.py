"""Verification instead of trust: a trajectory is played again, action by action, in the real environment."""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import deepcopy

from agentx.construction.agreement import agree, contradictions
from agentx.construction.consistency import inconsistency
from agentx.construction.record import Dialogue, Reason, Status, Verdict, rejected
from agentx.tasks.environment import Action, Environment
from agentx.trajectory import Outcome
from agentx.trajectory import Verdict as StepVerdict

FULL_REWARD = 1.0 - 1e-9


async def verify(
    dialogue: Dialogue,
    open_real: Callable[[], Environment],
    *,
    invalid_actions: int,
    classes: Collection[str] = (),
    instruction: str = "",
) -> tuple[Dialogue, Verdict]:
    """The dialogue with the real replies in it, and what came of it.

    verified: every simulated reply agreed with the real one and the goal was reached. repaired: some did not; with the
    real ones in their place the dialogue was played once more and held, and what the agent says fits them
    (`inconsistency`, which takes `classes` and `instruction`). rejected, with the reason, otherwise. `invalid_actions`
    is how many actions may do nothing. Raises what the environment raises.
    """
    found = len(contradictions(dialogue.turns))
    if dialogue.failure not in (None, Reason.TURN_LIMIT):
        assert dialogue.failure is not None
        return dialogue, rejected(dialogue.failure, dialogue.detail, contradictions=found)
    played, verdict = await _play(dialogue, open_real, invalid_actions)
    verdict.contradictions = found
    if dialogue.failure is not None and not verdict.kept:
        # A simulated environment that never said "solved" may have missed it; the real one did not say so either.
        return played, _no(verdict, dialogue.failure, dialogue.detail)
    if verdict.status is Status.REPAIRED:
        _, second = await _play(_as_repaired(played), open_real, invalid_actions)
        if not second.kept:
            return played, _no(verdict, Reason.NOT_REPRODUCIBLE, f"played again: {second.detail}")
        if second.replaced:
            return played, _no(verdict, Reason.NOT_REPRODUCIBLE, f"turn {second.replaced[0]}: another reply")
    unfit = inconsistency(dialogue, played, classes, instruction) if verdict.kept else ""
    return played, _no(verdict, Reason.INCONSISTENT, unfit) if unfit else verdict


async def _play(
    dialogue: Dialogue, open_real: Callable[[], Environment], invalid_actions: int
) -> tuple[Dialogue, Verdict]:
    """One play; the dialogue that comes back holds what the real environment said."""
    played = deepcopy(dialogue)
    facts = Verdict(Status.VERIFIED)
    environment = open_real()
    try:
        await environment.reset()
        outcome = await _replay(played, environment, facts)
    finally:
        await environment.close()
    invalid = sum(turn.verdict != StepVerdict.VALID for turn in played.turns)
    facts.trimmed = len(dialogue.turns) - len(played.turns)
    if facts.reward < FULL_REWARD:
        ending = "the real environment was not at an end" if outcome is None else outcome.value
        return played, _no(facts, Reason.GOAL_NOT_REACHED, f"{ending}, reward {facts.reward:g}")
    if invalid > invalid_actions:
        return played, _no(facts, Reason.INVALID_ACTION, f"{invalid} actions did nothing")
    facts.status = Status.REPAIRED if facts.replaced or facts.trimmed else Status.VERIFIED
    return played, facts


async def _replay(played: Dialogue, environment: Environment, facts: Verdict) -> Outcome | None:
    """Run the actions and put real replies in the place of false ones; how the environment ended, None where it did
    not.

    What followed the last action is not compared: it is in no training text. A real reply that differs when played
    again (process ids, free memory) stays where the environment is not deterministic.
    """
    for number, turn in enumerate(played.turns):
        result = await environment.step(Action(turn.action, turn.reply))
        turn.real, turn.verdict = result.observation.text, result.verdict.value
        facts.reward = result.reward
        last = result.done or number + 1 == len(played.turns)
        agrees = agree(turn.observation, turn.real)
        turn.agrees = None if last else agrees and turn.said is None
        if turn.by == "simulated" or turn.said is not None:
            facts.replies += not last
            if not agrees:
                turn.said = turn.said or turn.observation or None
                turn.observation, turn.by = turn.real, "real"
            if not last and turn.said is not None:
                facts.replaced.append(number)
        elif not agrees and not last and environment.deterministic:
            facts.replaced.append(number)
        if result.done:
            del played.turns[number + 1 :]
            return result.outcome
    return None


def _as_repaired(dialogue: Dialogue) -> Dialogue:
    """The dialogue as if the real replies had been there from the beginning."""
    repaired = deepcopy(dialogue)
    for turn in repaired.turns:
        turn.by, turn.said = "real", None
    return repaired


def _no(facts: Verdict, reason: Reason, detail: str) -> Verdict:
    facts.status, facts.reason, facts.detail = Status.REJECTED, reason, detail
    return facts
