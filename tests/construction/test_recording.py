import asyncio

from hypothesis import given
from hypothesis import strategies as st

from agentx.construction.recording import Exchange, RecordingModel, conversations
from agentx.conversation import Message
from agentx.models.chat import Completion, Request, Sampling
from agentx.trajectory import Purpose

USER, ASSISTANT = "user", "assistant"


def exchange(*contents: str, reply: str, trained: bool = True) -> Exchange:
    roles = [USER, ASSISTANT] * len(contents)
    messages = tuple(Message(role, text) for role, text in zip(roles, contents, strict=False))
    return Exchange(messages, reply, Request(), trained)


def test_a_growing_history_becomes_one_conversation():
    recorded = [exchange("task", reply="a1"), exchange("task", "a1", "seen", reply="a2")]
    (conversation,) = conversations(recorded, "experts", "s1")
    assert [message.content for message in conversation.messages] == ["task", "a1", "seen", "a2"]
    assert [message.trained for message in conversation.messages] == [False, True, False, True]


def test_a_changed_history_starts_another_and_trains_no_reply_twice():
    recorded = [exchange("task", reply="long thought, a1"), exchange("task", "a1", "seen", reply="a2")]
    first, second = conversations(recorded, "experts", "s1")
    assert [m.trained for m in first.messages] == [False, True]
    assert [m.trained for m in second.messages] == [False, False, False, True]
    assert first.id != second.id


def test_replies_not_worth_imitating_are_kept_untrained():
    recorded = [exchange("task", reply="wrong", trained=False), exchange("task", "wrong", "hm", reply="right")]
    (conversation,) = conversations(recorded, "experts", "s1")
    assert [m.trained for m in conversation.messages] == [False, False, False, True]
    assert conversations(recorded[:1], "experts", "s1") == []


def test_the_recorder_passes_calls_on():
    class Echo:
        name, context_length = "echo", 100

        async def generate(self, messages, sampling, request):
            return Completion(messages[-1].content, 1, 1)

    recorder = RecordingModel(Echo())
    completion = asyncio.run(recorder.generate([Message(USER, "hi")], Sampling(), Request(purpose=Purpose.PLAN)))
    assert completion.text == "hi"
    assert recorder.exchanges == [Exchange((Message(USER, "hi"),), "hi", Request(purpose=Purpose.PLAN))]


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=7).filter(lambda x: len(x) % 2), max_size=8))
def test_every_reply_is_trained_exactly_once(histories):
    recorded = [exchange(*history, reply=f"r{i}") for i, history in enumerate(histories)]
    trained = [m.content for c in conversations(recorded, "x", "y") for m in c.messages if m.trained]
    assert sorted(trained) == sorted(e.reply for e in recorded)
