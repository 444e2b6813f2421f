"""The dialogue that the policy is shown: it grows, and begins anew where an observation is fresh."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentx.conversation import Message
from agentx.reasoning.history import History
from agentx.tasks.environment import Observation

TEXT = st.text("ab \n", max_size=6)
OPENINGS = st.sampled_from(
    [
        [],
        [Message("user", "Act.")],
        [Message("user", "Act."), Message("assistant", "OK")],
        [Message("user", "Act."), Message("assistant", "OK"), Message("user", "Next:")],
    ]
)
OBSERVATIONS = st.builds(Observation, TEXT, TEXT, st.booleans())
EVENTS = st.lists(st.one_of(TEXT, st.tuples(TEXT, OBSERVATIONS)), max_size=8)


def play(history: History, events: list[str | tuple[str, Observation]]) -> None:
    for event in events:
        if isinstance(event, str):
            history.announce(event)
        else:
            history.proceed(*event)


@given(OPENINGS, OBSERVATIONS, EVENTS, OBSERVATIONS)
def test_a_fresh_observation_takes_the_place_of_the_first_and_announcements_stand(
    opening, first, events, latest
) -> None:
    history = History(opening, first)
    play(history, events)
    history.proceed("reply", Observation(latest.text, latest.transient, fresh=True))
    expected = History(opening, latest)
    play(expected, [event for event in events if isinstance(event, str)])
    assert history.messages == expected.messages


@given(OPENINGS, OBSERVATIONS, EVENTS, EVENTS)
def test_a_copy_goes_its_own_way(opening, first, before, after) -> None:
    history, twin = History(opening, first), History(opening, first)
    play(history, before)
    copied = history.copy()
    play(copied, after)
    play(twin, before)
    assert history.messages == twin.messages
    play(history, after)
    assert history.messages == copied.messages


def test_without_a_fresh_observation_every_request_extends_the_one_before() -> None:
    history = History([Message("user", "Act.")], Observation("one", "hint"))
    history.announce("subtask")
    assert [message.content for message in history.messages] == ["Act.\none\nsubtask\nhint"]
    history.proceed("reply", Observation("two"))
    assert [message.content for message in history.messages] == ["Act.\none\nsubtask", "reply", "two"]
    history.proceed("again", Observation("three", fresh=True))
    assert [message.content for message in history.messages] == ["Act.\nthree\nsubtask"]
