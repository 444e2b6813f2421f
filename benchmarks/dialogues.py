"""Speed of one back end on dialogues that grow: `python benchmarks/dialogues.py --backend transformers`.

The embedded model's weights, greedy, through the same `ChatModel` that an evaluation calls: rendering, batching, prefix
caches and, with --base-url, HTTP are all in it. Each dialogue grows by the reply and an observation a turn. Every
number of dialogues in play gets new ones, so that no cache knows them from before. `benchmarks/generation.py` runs this
for each back end, in the environment that has it. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time

from agentx.conversation import Message
from agentx.models.chat import ChatModel, Request, Sampling
from agentx.models.loading import open_model
from agentx.models.settings import BackendSettings, ModelSettings

PLACES = ("shelf", "cabinet", "drawer", "desk", "countertop", "fridge", "sinkbasin", "armchair")
THINGS = ("mug", "apple", "knife", "book", "pencil", "plate", "tomato", "cloth")


class Dialogue:
    """One opening and an observation for each later turn, drawn from `name`."""

    def __init__(self, name: str, turns: int) -> None:
        draw = random.Random(name)
        seen = ", ".join(f"a {draw.choice(PLACES)} {draw.randint(1, 9)}" for _ in range(20))
        goal = f"put a {draw.choice(THINGS)} in {draw.choice(PLACES)}"
        self.opening = f"Game {name}. You are in the middle of a room. You see {seen}. Your task is to: {goal}."
        self.observations = [
            f"On the {draw.choice(PLACES)} {draw.randint(1, 9)}, you see "
            + ", ".join(f"a {draw.choice(THINGS)} {draw.randint(1, 9)}" for _ in range(draw.randint(2, 6)))
            for _ in range(turns - 1)
        ]

    async def play(self, model: ChatModel, reply_tokens: int) -> int:
        """Tokens generated."""
        messages = [Message("user", self.opening)]
        tokens = 0
        for observation in [*self.observations, ""]:
            completion = await model.generate(messages, Sampling(max_tokens=reply_tokens), Request())
            tokens += completion.completion_tokens
            messages += [Message("assistant", completion.text), Message("user", observation)]
        return tokens


async def measure(model: ChatModel, concurrency: int, options: argparse.Namespace) -> dict[str, float]:
    """All dialogues, `concurrency` of them in play."""
    places = asyncio.Semaphore(concurrency)

    async def play(dialogue: Dialogue) -> int:
        async with places:
            return await dialogue.play(model, options.reply)

    dialogues = [Dialogue(f"{concurrency}-{number}", options.turns) for number in range(options.episodes)]
    started = time.perf_counter()
    tokens = sum(await asyncio.gather(*map(play, dialogues)))
    seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 2),
        "tokens": tokens,
        "requests_per_s": round(options.episodes * options.turns / seconds, 2),
        "tokens_per_s": round(tokens / seconds, 1),
    }


async def run(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    backend = BackendSettings(
        name=options.backend,
        base_url=options.base_url,
        render="local",
        threads=options.threads,
        cache_gib=0.5 if options.backend == "vllm" else None,
    )
    model = open_model(ModelSettings("tiny", chat_template="tiny"), backend)
    await Dialogue("before", 2).play(model, options.reply)  # the first calls allocate and are not measured
    rows = {}
    for concurrency in options.concurrency:
        rows[str(concurrency)] = await measure(model, concurrency, options)
    await model.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="transformers", choices=["transformers", "vllm", "openai"])
    parser.add_argument("--base-url", help="server of --backend openai")
    parser.add_argument("--episodes", type=int, default=32)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--reply", type=int, default=24, help="longest reply in tokens")
    parser.add_argument("--threads", type=int, help="of the transformers back end")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    options = parser.parse_args()
    rows = asyncio.run(run(options))
    print(json.dumps({"benchmark": "dialogues", "backend": options.backend, "runs": rows}))


if __name__ == "__main__":
    main()
