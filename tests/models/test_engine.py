import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from agentx.models.chat import BackendError, Completion, Sampling
from agentx.models.engine import Engine, cache_shape
from agentx.models.keyvalues import KeyValues, PrefixStore

END = 3
GREEDY = Sampling(max_tokens=24)
SAMPLED = Sampling(temperature=1.0, top_p=0.9, max_tokens=24)


def llama(**options: Any) -> Any:
    torch.manual_seed(5)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=97, num_key_value_heads=2, initializer_range=0.3, eos_token_id=END, **{**shape, **options}
    )
    return LlamaForCausalLM(config).eval()


def words(ids: Any) -> str:
    return "".join(f"{index} " for index in ids)


def start(model: Any = None, **options: Any) -> Engine:
    defaults: dict[str, Any] = {"max_concurrency": 8, "max_tokens": 8192, "prefill_tokens": 512}
    return Engine(model or llama(), words, frozenset({END}), **{**defaults, **options})


@pytest.fixture()
def engine() -> Iterator[Engine]:
    made = start()
    yield made
    made.close()


def prompts(count: int, shortest: int = 1, longest: int = 150) -> list[list[int]]:
    source = np.random.default_rng(7)
    return [source.integers(4, 97, source.integers(shortest, longest)).tolist() for _ in range(count)]


def replies(engine: Engine, requests: list[list[int]], sampling: Sampling, at_once: bool) -> list[str]:
    if at_once:
        futures = [engine.submit(p, sampling, seed, sampling.max_tokens) for seed, p in enumerate(requests)]
        return [future.result(60).text for future in futures]
    return [engine.submit(p, sampling, seed, sampling.max_tokens).result(60).text for seed, p in enumerate(requests)]


def test_greedy_replies_equal_the_librarys_generate(engine: Engine) -> None:
    model = llama()
    requests = prompts(12)
    expected = []
    for prompt in requests:
        config = GenerationConfig(max_new_tokens=24, do_sample=False, eos_token_id=END, pad_token_id=0)
        out = model.generate(torch.tensor([prompt]), generation_config=config)[0, len(prompt) :].tolist()
        expected.append(words(out[: out.index(END)] if END in out else out))
    assert replies(engine, requests, GREEDY, at_once=True) == expected


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_the_batch_does_not_change_a_reply(sampling: Sampling) -> None:
    requests = prompts(32)
    alone, together, narrow = (
        start(max_concurrency=1),
        start(max_concurrency=32),
        start(max_concurrency=5, prefill_tokens=40),
    )
    expected = replies(alone, requests, sampling, at_once=False)
    assert replies(together, requests, sampling, at_once=True) == expected
    assert replies(narrow, requests, sampling, at_once=True) == expected
    assert len(set(expected)) > 16
    assert together.forward_passes < alone.forward_passes / 10
    for made in (alone, together, narrow):
        made.close()


def test_seeds_decide_what_is_sampled(engine: Engine) -> None:
    prompt = prompts(1, 20)[0]
    drawn = [engine.submit(prompt, SAMPLED, seed, 24).result(60).text for seed in (1, 2, 1, 2)]
    assert drawn[0] == drawn[2] != drawn[1] == drawn[3]


def test_a_sliding_window_is_heeded() -> None:
    torch.manual_seed(1)
    config = MistralConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=16,
        initializer_range=0.3,
        eos_token_id=END,
    )
    model = MistralForCausalLM(config).eval()
    prompt = prompts(1, 60)[0]
    generation = GenerationConfig(max_new_tokens=24, do_sample=False, eos_token_id=END, pad_token_id=0)
    out = model.generate(torch.tensor([prompt]), generation_config=generation)[0, len(prompt) :].tolist()
    engine = start(model, prefill_tokens=25)
    assert engine.submit(prompt, GREEDY, 0, 24).result(60).text == words(out[: out.index(END)] if END in out else out)
    engine.close()


def test_growing_conversations_compute_only_what_is_new(engine: Engine) -> None:
    prompt = prompts(1, 140)[0]
    fresh = start()
    for turn in range(3):
        before = engine.computed_tokens
        completion = engine.submit(prompt, GREEDY, 0, 24).result(60)
        assert completion.text == fresh.submit(prompt, GREEDY, 0, 24).result(60).text
        if turn:
            assert completion.cached_tokens >= len(prompt) - 12
            assert engine.computed_tokens - before <= 12 + completion.completion_tokens
        prompt = prompt + [int(word) for word in completion.text.split()] + [END] + prompts(1, 9, 10)[0]
        fresh.close()
        fresh = start()
    fresh.close()


def test_branches_share_the_prompt_that_one_of_them_reads(engine: Engine) -> None:
    prompt = prompts(1, 140)[0]
    futures = [engine.submit(prompt, SAMPLED, seed, 8) for seed in range(4)]
    completions = [future.result(60) for future in futures]
    assert sorted(c.cached_tokens for c in completions) == [0] + [len(prompt) - 1] * 3
    assert engine.computed_tokens < 2 * len(prompt)


def test_memory_stays_within_its_bound_and_everyone_is_served() -> None:
    bounded = start(max_tokens=630, max_concurrency=8)
    peak = []
    store = bounded._store
    release = store.release

    def watched(entry: KeyValues) -> None:
        peak.append(store.tokens)
        release(entry)

    store.release = watched  # type: ignore[method-assign]
    requests = prompts(20)
    unbounded = start()
    assert replies(bounded, requests, GREEDY, at_once=True) == replies(unbounded, requests, GREEDY, at_once=True)
    assert max(peak) <= 640
    assert bounded.submit([5] * 626, GREEDY, 0, 4).result(60).prompt_tokens == 626
    with pytest.raises(ValueError, match="may be held"):
        bounded.submit([5] * 630, GREEDY, 0, 24)
    bounded.close()
    unbounded.close()


def test_a_request_that_ends_gives_its_place_to_one_that_waits() -> None:
    engine = start(max_concurrency=2)
    finished: list[str] = []
    requests = {"long": 120, "a": 3, "b": 3, "c": 3}
    futures = {}
    for seed, (name, limit) in enumerate(requests.items()):
        future: Future[Completion] = engine.submit([10 + seed] * 5, Sampling(), seed, limit)
        future.add_done_callback(lambda _, name=name: finished.append(name))  # type: ignore[misc]
        futures[name] = future
    assert [futures[name].result(60).completion_tokens <= limit for name, limit in requests.items()] == [True] * 4
    if futures["long"].result().completion_tokens > 12:
        assert finished[-1] == "long"
    engine.close()


def test_cancelling_frees_the_place() -> None:
    engine = start(llama(max_position_embeddings=100_000), max_concurrency=1, max_tokens=100_000)
    engine._end_token_ids = frozenset()
    endless = engine.submit([5, 6, 7], Sampling(), 0, 90_000)
    waiting = engine.submit([8, 9], Sampling(), 0, 90_000)
    while engine.forward_passes < 3:
        time.sleep(0.01)
    assert waiting.cancel()
    assert endless.cancel()
    assert engine.submit([5, 6], GREEDY, 0, 4).result(60).completion_tokens == 4
    assert not engine._running
    engine.close()


def test_limits_and_ends(engine: Engine) -> None:
    prompt = prompts(1, 20)[0]
    whole = engine.submit(prompt, GREEDY, 0, 24).result(60)
    tokens = whole.text.split()
    assert len(tokens) > 4
    short = engine.submit(prompt, GREEDY, 0, 3).result(60)
    assert (short.text.split(), short.finish_reason, short.completion_tokens) == (tokens[:3], "length", 3)
    stop = f" {tokens[3]} "
    stopped = engine.submit(prompt, Sampling(stop=(stop,)), 0, 24).result(60)
    assert stopped.finish_reason == "stop"
    assert stopped.text == whole.text[: whole.text.find(stop)]
    assert short.prompt_tokens == len(prompt)


def test_a_failing_forward_pass_reaches_every_caller_and_the_engine_lives_on(engine: Engine) -> None:
    forward = engine._model.forward
    broken = threading.Event()

    def failing(*args: Any, **options: Any) -> Any:
        if broken.is_set():
            raise RuntimeError("no more\nmemory")
        return forward(*args, **options)

    engine._model.forward = failing
    broken.set()
    futures = [engine.submit(prompt, GREEDY, 0, 24) for prompt in prompts(12)]
    for future in futures:
        with pytest.raises(BackendError, match="RuntimeError: no more"):
            future.result(60)
    broken.clear()
    assert engine.submit([5, 6], GREEDY, 0, 4).result(60).completion_tokens


def test_closing_answers_the_callers_and_stops_the_thread() -> None:
    engine = start(llama(max_position_embeddings=100_000), max_concurrency=1, max_tokens=100_000)
    engine._end_token_ids = frozenset()
    futures = [engine.submit([5, 6], Sampling(), 0, 90_000) for _ in range(3)]
    engine.close()
    for future in futures:
        with pytest.raises(BackendError, match="closed"):
            future.result(60)
    assert not engine._thread.is_alive()
    with pytest.raises(BackendError, match="closed"):
        engine.submit([5], GREEDY, 0, 4)
    engine.close()


def test_stored_prefixes_are_dropped_oldest_first() -> None:
    store = PrefixStore(cache_shape(llama()), 3 * 128)
    for first in (10, 20, 30, 40):
        ids = np.full(100, first)
        entry = store.admit(ids, 120, store.match(ids))
        assert entry is not None
        entry.length = entry.size
        store.release(entry)
    assert [store.match(np.full(100, first)).length for first in (10, 20, 30, 40)] == [0, 99, 99, 99]
    assert store.tokens == 384
