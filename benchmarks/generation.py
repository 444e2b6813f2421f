"""Speed of the back ends on agent-like traffic: `python benchmarks/generation.py`.

First the transformers back end beside plain batched `generate`. Each episode is a conversation that grows by a reply
and an observation a turn, as the tasks' do. Measured: the same episodes with 1, 8 and 32 of them in play, and the same
turns as waves of padded `model.generate`, in which every turn's prompt is read again and the wave ends with its longest
reply. Weights are random (the speed does not depend on them), so each turn's reply length is drawn beforehand and both
sides generate exactly that many tokens. CPU seconds stand beside wall time: with --threads 1 they tell the truth on a
busy machine too.

Then every back end on the embedded model's own dialogues (benchmarks/dialogues.py): transformers, vLLM in its process
and vLLM's server over HTTP, the latter two where vLLM or `.venv-vllm` is here. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from agentx.models.chat import Sampling
from agentx.models.engine import Engine
from agentx.models.server import ServerProcess, server_command, server_python
from agentx.models.settings import BackendSettings, ModelSettings
from agentx.models.vllm_options import has_gpu

VOCABULARY = 1536
ROOT = Path(__file__).resolve().parents[1]
START = 900.0
"""seconds for vLLM's server to answer"""


def build_model(hidden: int, layers: int, heads: int, device: str) -> Any:
    """A Llama of tiny's shape (3.4 million parameters by default) with random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3 // 64 * 64,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=None,
    )
    model: Any = LlamaForCausalLM(config)
    return model.to(device).eval()


class Traffic:
    """Episodes drawn beforehand: an opening each, then (reply length, observation) a turn."""

    def __init__(self, episodes: int, turns: int, opening: int) -> None:
        source = random.Random(1)

        def words(count: int) -> list[int]:
            return [source.randrange(5, VOCABULARY) for _ in range(count)]

        self.openings = [words(source.randint(opening * 3 // 4, opening * 5 // 4)) for _ in range(episodes)]
        self.turns = [
            [(source.randint(8, 32), words(source.randint(10, 50))) for _ in range(turns)] for _ in range(episodes)
        ]
        self.requests = episodes * turns
        self.tokens = sum(reply for episode in self.turns for reply, _ in episode)


def continuous(model: Any, traffic: Traffic, concurrency: int, threads: int) -> float:
    """Seconds for all episodes with `concurrency` of them in play."""
    engine = Engine(
        model,
        lambda ids: " ".join(map(str, ids)),
        frozenset(),
        max_concurrency=concurrency,
        max_tokens=131_072,
        prefill_tokens=2048,
        threads=threads,
    )

    async def play(index: int, places: asyncio.Semaphore) -> None:
        async with places:
            prompt = list(traffic.openings[index])
            for reply, observation in traffic.turns[index]:
                completion = await asyncio.wrap_future(engine.submit(prompt, Sampling(), 0, reply))
                prompt += [int(token) for token in completion.text.split()] + observation

    async def play_all() -> None:
        places = asyncio.Semaphore(concurrency)
        await asyncio.gather(*(play(index, places) for index in range(len(traffic.openings))))

    started = time.perf_counter()
    asyncio.run(play_all())
    elapsed = time.perf_counter() - started
    engine.close()
    return elapsed


def waves(model: Any, traffic: Traffic, size: int) -> float:
    """Seconds for all episodes as padded batches of `size`: turn by turn, all of a wave wait for its slowest."""
    device = model.device
    model.set_attn_implementation("sdpa")
    started = time.perf_counter()
    for first in range(0, len(traffic.openings), size):
        wave = range(first, min(first + size, len(traffic.openings)))
        prompts = {index: list(traffic.openings[index]) for index in wave}
        for turn in range(len(traffic.turns[0])):
            replies = generate_padded(
                model, [prompts[i] for i in wave], max(traffic.turns[i][turn][0] for i in wave), device
            )
            for index, reply in zip(wave, replies, strict=True):
                length, observation = traffic.turns[index][turn]
                prompts[index] += reply[:length] + observation
    return time.perf_counter() - started


def generate_padded(model: Any, prompts: Sequence[list[int]], new_tokens: int, device: Any) -> list[list[int]]:
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    config = GenerationConfig(max_new_tokens=new_tokens, do_sample=False, pad_token_id=0)
    with torch.inference_mode():
        replies: list[list[int]] = model.generate(ids, attention_mask=mask, generation_config=config)[
            :, longest:
        ].tolist()
    return replies


def equal_length(model: Any, count: int, prompt: int, new_tokens: int, threads: int) -> dict[str, float]:
    """Where plain `generate` is at its best: prompts and replies of one length, nothing to reuse. Tokens/s."""
    source = random.Random(2)
    prompts = [[source.randrange(5, VOCABULARY) for _ in range(prompt)] for _ in range(count)]
    model.set_attn_implementation("sdpa")
    started = time.perf_counter()
    generate_padded(model, prompts, new_tokens, model.device)
    plain = time.perf_counter() - started
    engine = Engine(
        model, str, frozenset(), max_concurrency=count, max_tokens=131_072, prefill_tokens=2048, threads=threads
    )
    started = time.perf_counter()
    for future in [engine.submit(ids, Sampling(), 0, new_tokens) for ids in prompts]:
        future.result()
    ours = time.perf_counter() - started
    engine.close()
    tokens = count * new_tokens
    return {"generate_tokens_per_s": round(tokens / plain, 1), "engine_tokens_per_s": round(tokens / ours, 1)}


def dialogues(python: str, options: argparse.Namespace, *arguments: str) -> dict[str, dict[str, float]]:
    """benchmarks/dialogues.py in a process of its own, since not every environment has every back end."""
    command = [python, str(Path(__file__).with_name("dialogues.py")), *arguments]
    command += ["--episodes", str(options.dialogues), "--turns", str(options.turns), "--threads", str(options.threads)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    rows: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])["runs"]
    return rows


def back_ends(options: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """The rows of each back end that is here, by its name and the number of dialogues in play."""
    found = {"transformers": dialogues(sys.executable, options, "--backend", "transformers")}
    python = server_python()
    if python is None:
        print("vLLM is in no environment here (make vllm): its rows are left out", flush=True)
        return found
    # It would pin its threads to cores that the clients and other processes need as well.
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    found["vllm"] = dialogues(python, options, "--backend", "vllm")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    backend = BackendSettings(name="vllm", cache_gib=0.5)
    model = ModelSettings("tiny", chat_template="tiny")
    command = server_command(model, backend, {}, python=python, host="127.0.0.1", port=port, gpu=has_gpu())
    server = ServerProcess(command, quiet=True)
    try:
        server.wait_until_healthy(START)
        through = ("--backend", "openai", "--base-url", command.url)
        found["vllm server"] = dialogues(sys.executable, options, *through)
    finally:
        server.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--dialogues", type=int, default=32, help="episodes for the comparison of back ends")
    parser.add_argument("--opening", type=int, default=120, help="tokens of an episode's first prompt, on average")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = build_model(options.hidden, options.layers, options.heads, options.device)
    traffic = Traffic(options.episodes, options.turns, options.opening)
    continuous(model, Traffic(4, 2, 50), 4, options.threads)  # the first passes allocate and are not measured

    rows: dict[str, dict[str, float]] = {}
    runs = {f"continuous_{n}": partial(continuous, model, traffic, n, options.threads) for n in (1, 8, 32)}
    runs["generate_waves_32"] = partial(waves, model, traffic, 32)
    for name, measure in runs.items():
        before = time.process_time()
        seconds = measure()
        rows[name] = {
            "seconds": round(seconds, 2),
            "cpu_seconds": round(time.process_time() - before, 2),
            "requests_per_s": round(traffic.requests / seconds, 2),
            "tokens_per_s": round(traffic.tokens / seconds, 1),
        }
        print(
            f"{name:20s} {rows[name]['requests_per_s']:8.2f} requests/s {rows[name]['tokens_per_s']:9.1f} tokens/s",
            flush=True,
        )
    equal = equal_length(model, 32, 200, 32, options.threads)
    for name, speed in equal.items():
        print(f"equal lengths: {name:22s} {speed:9.1f}")
    found = back_ends(options)
    for name, by_concurrency in found.items():
        for concurrency, measured in by_concurrency.items():
            print(
                f"{name:12s} {concurrency:>3s} in play {measured['requests_per_s']:8.2f} requests/s "
                f"{measured['tokens_per_s']:9.1f} tokens/s"
            )
    result = {
        "benchmark": "generation",
        "parameters": sum(p.numel() for p in model.parameters()),
        "device": options.device,
        "threads": options.threads,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "episodes": options.episodes,
        "requests": traffic.requests,
        "runs": rows,
        "equal_length_32": equal,
        "equal_length_share": round(equal["engine_tokens_per_s"] / equal["generate_tokens_per_s"], 2),
        "back_ends": found,
        "speedup_32_over_1": round(rows["continuous_1"]["seconds"] / rows["continuous_32"]["seconds"], 2),
        "cpu_speedup_32_over_1": round(rows["continuous_1"]["cpu_seconds"] / rows["continuous_32"]["cpu_seconds"], 2),
        "speedup_over_waves": round(rows["generate_waves_32"]["seconds"] / rows["continuous_32"]["seconds"], 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
