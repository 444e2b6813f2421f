"""The household engine beside TextWorld's own player: loading, stepping and memory, in one run.

    python benchmarks/household.py [--games 20] [--steps 50] [--episodes 500]

Both players take the same random walks on the same generated games, in turn, and every observation and list of
admissible commands is compared on the way. Times are medians over all loads (to the first observation) and steps
(admissible commands included). Memory is the process's resident set over episodes of load, 35 steps and close, on
more games than the engine keeps; the stock player only loads, 20 times, anew each time as AgentBench does. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from agentx.tasks.household.engine import Engine
from agentx.tasks.household.games import build_game
from agentx.tasks.household.room import TASK_TYPES, random_room

Game = dict[str, Any]
_EPISODE_STEPS = 35
_STOCK_LOADS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=20)
    parser.add_argument("--steps", type=int, default=50, help="per game")
    parser.add_argument("--episodes", type=int, default=500, help="for memory; 0 leaves it out")
    arguments = parser.parse_args()

    seconds, compared = race([make_game(seed) for seed in range(arguments.games)], arguments.steps)
    medians = {name: statistics.median(values) * 1e3 for name, values in seconds.items()}
    ratios = {
        "load": medians["stock_load"] / medians["ours_load"],
        "step": medians["stock_step"] / medians["ours_step"],
    }
    print(f"{compared} steps on {arguments.games} games, observations and admissible commands identical")
    print(f"{'':16s} {'stock':>10s} {'ours':>10s} {'ratio':>8s}")
    for what, ratio in ratios.items():
        print(f"{what:10s} (ms) {medians[f'stock_{what}']:11.2f} {medians[f'ours_{what}']:10.2f} {ratio:7.0f}×")

    result: dict[str, Any] = {
        "benchmark": "household",
        "steps_compared": compared,
        "games": arguments.games,
        "median_ms": {name: round(value, 3) for name, value in medians.items()},
        "ratio": {name: round(value, 1) for name, value in ratios.items()},
    }
    if arguments.episodes:
        result["memory"] = memory(arguments.episodes)
    print(json.dumps(result))


def make_game(seed: int) -> Game:
    return build_game(random_room(seed, TASK_TYPES[seed % len(TASK_TYPES)], "train", (6, 12), 10))


def stock_player() -> Any:
    """TextWorld's player with ALFWorld's names, as ALFWorld uses it."""
    os.environ.setdefault("ALFWORLD_DATA", tempfile.mkdtemp(prefix="alfworld-"))
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
    from textworld.core import EnvInfos
    from textworld.envs import PddlEnv

    return AlfredDemangler(PddlEnv(EnvInfos(won=True, admissible_commands=True, feedback=True)))


def race(games: list[Game], steps: int) -> tuple[dict[str, list[float]], int]:
    """Seconds by what was timed, and the number of steps compared. Raises SystemExit at the first difference."""
    seconds: dict[str, list[float]] = {name: [] for name in ("stock_load", "ours_load", "stock_step", "ours_step")}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        value = call()
        seconds[name].append(time.perf_counter() - started)
        return value

    def load_stock(game: Game) -> Any:
        stock.load(game)
        return stock.reset()

    def load_ours(game: Game) -> Any:
        engine = Engine(game)
        return engine, engine.reset()

    stock = stock_player()
    load_stock(games[0])
    load_ours(make_game(10_000))[0].close()  # the first load parses the grammar that all games share
    compared = 0
    for number, game in enumerate(games):
        rng = random.Random(number)
        theirs = timed("stock_load", partial(load_stock, game))
        engine, ours = timed("ours_load", partial(load_ours, game))
        for _ in range(steps):
            if theirs.feedback != ours.feedback or theirs.admissible_commands != list(ours.admissible):
                raise SystemExit(f"the players differ on game {number}:\n{theirs.feedback}\n{ours.feedback}")
            acts = [command for command in ours.admissible if not command.startswith("go to ")]
            command = rng.choice(acts if rng.random() < 0.6 else ours.admissible)
            theirs = timed("stock_step", partial(stock.step, command))[0]
            ours = timed("ours_step", partial(engine.step, command))
            compared += 1
        engine.close()
    return seconds, compared


def memory(episodes: int) -> dict[str, float]:
    """Megabytes of growth after a warm-up."""
    games = [make_game(seed) for seed in range(100)]

    def play_ours(number: int) -> None:
        engine = Engine(games[number % len(games)])
        rng, state = random.Random(number), engine.reset()
        for _ in range(_EPISODE_STEPS):
            state = engine.step(rng.choice(state.admissible))
        engine.close()

    def play_stock(number: int) -> None:
        stock = stock_player()
        stock.load(games[number % len(games)])
        stock.reset()

    ours = _growth(play_ours, 50, episodes)
    theirs = _growth(play_stock, 3, _STOCK_LOADS)
    print(f"memory: ours {ours:+.1f} MB over {episodes} episodes; stock {theirs:+.1f} MB over {_STOCK_LOADS} loads")
    return {
        "ours_mb": round(ours, 2),
        "ours_episodes": episodes,
        "stock_mb": round(theirs, 2),
        "stock_loads": _STOCK_LOADS,
    }


def _growth(play: Callable[[int], None], warm_up: int, episodes: int) -> float:
    for number in range(warm_up):
        play(number)
    gc.collect()
    before = _resident_mb()
    for number in range(warm_up, warm_up + episodes):
        play(number)
    gc.collect()
    return _resident_mb() - before


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
