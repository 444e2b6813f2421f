"""Constrained replies: the tokens of choices, and the engine that may give nothing else."""

import asyncio
import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from agentx.conversation import Message
from agentx.errors import ConfigError
from agentx.models.chat import ContextOverflow, Request, Sampling
from agentx.models.choices import ChoiceTokens
from agentx.models.engine import Engine
from agentx.models.loading import load_renderer, open_model
from agentx.models.sampling import keep_only
from agentx.models.settings import BackendSettings, ModelSettings, constrains
from agentx.reasoning.settings import JudgeSettings

END = 2
VOCABULARY = 23

sequences = st.lists(
    st.lists(st.integers(3, VOCABULARY - 1), min_size=1, max_size=4).map(tuple), min_size=1, max_size=6, unique=True
)


def made_of(drawn: list[tuple[int, ...]]) -> ChoiceTokens:
    return ChoiceTokens({" ".join(map(str, ids)): (*ids, END) for ids in drawn})


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.5,
        eos_token_id=END,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def engine(model: Any) -> Iterator[Engine]:
    # A copy: the engine exchanges the attention of its model.
    made = Engine(copy.deepcopy(model), str, frozenset({END}), max_concurrency=8, max_tokens=4096, prefill_tokens=512)
    yield made
    made.close()


@given(drawn=sequences)
def test_walking_the_allowed_tokens_reaches_every_choice_and_nothing_else(drawn: list[tuple[int, ...]]) -> None:
    choices = made_of(drawn)
    reached: set[str] = set()
    pending: list[list[int]] = [[]]
    while pending:
        reply = pending.pop()
        decided = choices.decided(reply)
        if decided is not None:
            assert choices.sequences[decided][: len(reply)] == tuple(reply)
            reached.add(decided)
        else:
            assert len(reply) < choices.longest
            pending += [[*reply, token] for token in choices.allowed(reply)]
    assert reached == set(choices.sequences)


@pytest.mark.parametrize("sequences", [{}, {"a": ()}, {"a": (1, 2), "b": (1, 2)}])
def test_choices_that_are_none(sequences: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="choices"):
        ChoiceTokens(sequences)


def best_token_by_token(model: Any, prompt: list[int], choices: ChoiceTokens) -> str:
    """What greedy decoding must give, from whole forward passes of the plain model."""
    reply: list[int] = []
    while (decided := choices.decided(reply)) is None:
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *reply]])).logits[0, -1]
        allowed = choices.allowed(reply)
        reply.append(max(allowed, key=lambda token: float(logits[token])))
    return decided


@settings(max_examples=40)
@given(drawn=sequences, prompt=st.lists(st.integers(3, VOCABULARY - 1), min_size=1, max_size=20))
def test_greedy_constrained_decoding_takes_the_best_token_allowed(
    model: Any, engine: Engine, drawn: list[tuple[int, ...]], prompt: list[int]
) -> None:
    choices = made_of(drawn)
    done = engine.submit(prompt, Sampling(choices=tuple(choices.sequences)), 0, choices.longest, choices).result(60)
    if len(drawn) > 1:
        assert done.text == best_token_by_token(model, prompt, choices)
    assert done.text in choices.sequences
    assert 1 <= done.completion_tokens <= choices.longest


def test_sampled_choices_follow_the_models_probabilities_and_the_seed(model: Any, engine: Engine) -> None:
    choices = made_of([(5,), (6,), (7, 8)])
    hot = Sampling(temperature=1.0, choices=tuple(choices.sequences))

    def draw(seeds: range) -> list[str]:
        futures = [engine.submit([3, 4], hot, seed, choices.longest, choices) for seed in seeds]
        return [future.result(60).text for future in futures]

    drawn = draw(range(300))
    assert drawn[:20] == draw(range(20))
    with torch.no_grad():
        shares = keep_only(model(torch.tensor([[3, 4]])).logits[0, -1], [5, 6, 7]).softmax(-1)
    for name, token in (("5", 5), ("6", 6), ("7 8", 7)):
        assert abs(drawn.count(name) / 300 - float(shares[token])) < 0.1


def test_free_and_constrained_requests_share_a_batch_without_touching_each_other(engine: Engine) -> None:
    choices = made_of([(5, 6), (5, 7), (9,)])
    source = random.Random(2)
    prompts = [[source.randrange(3, VOCABULARY) for _ in range(9)] for _ in range(12)]

    def ask(index: int) -> Any:
        free = index % 2 == 0
        given = (None,) if free else (choices,)
        return engine.submit(prompts[index], Sampling(max_tokens=8), index, 8, *given)

    alone = [ask(index).result(60).text for index in range(12)]
    assert [future.result(60).text for future in [ask(index) for index in range(12)]] == alone
    assert all(alone[index] in choices.sequences for index in range(1, 12, 2))
    assert any(alone[index] not in choices.sequences for index in range(0, 12, 2))


@pytest.mark.parametrize("flavour", ["llama2", "openchat", "chatml", "tiny"])
def test_choices_are_written_as_trained_replies_are(llama_directories: dict[str, Any], flavour: Any) -> None:
    renderer = load_renderer(ModelSettings("m", source=str(llama_directories[flavour]), chat_template=flavour))
    choices = renderer.choices(("Yes", "No", "1", "10"))
    for choice, ids in choices.sequences.items():
        longer = [Message("user", "Is it done?"), Message("assistant", "go"), Message("user", "And now?")]
        prompt = renderer.prompt(longer)
        whole = renderer.render([*longer, Message("assistant", choice, trained=True)])
        assert [token for token, trained in zip(whole.ids, whole.trained, strict=True) if trained] == list(ids)
        assert tuple(whole.ids[len(prompt) : len(prompt) + len(ids)]) == ids
        assert ids[-1] in renderer.end_token_ids
        assert renderer.decode(ids).strip() == choice


def test_a_model_on_disk_answers_with_a_choice_or_overflows() -> None:
    model = open_model(ModelSettings("tiny", chat_template="tiny", context_length=128, max_tokens=8), BackendSettings())
    asked = [Message("user", "Is the mug clean? Answer Yes or No.")]
    sampling = Sampling(max_tokens=1, choices=("Certainly, it is", "By no means"))
    answer = asyncio.run(model.generate(asked, sampling, Request()))
    assert answer.text in sampling.choices
    with pytest.raises(ContextOverflow):
        asyncio.run(model.generate([Message("user", "mug " * 200)], sampling, Request()))
    asyncio.run(model.close())


def test_who_keeps_to_choices() -> None:
    local, api = ModelSettings("m"), ModelSettings("gpt-4", kind="api", context_length=100, max_tokens=8)
    assert constrains(local, BackendSettings())
    assert not constrains(api, BackendSettings())
    assert not constrains(local, BackendSettings(name="openai"))
    with pytest.raises(ConfigError, match=r"method\.judge\.answers=always: must be one of auto, parsed"):
        JudgeSettings(answers="always")
