"""Speed of the database task's engines: set-up, step and hash per episode.

    python benchmarks/database.py [--episodes 200] [--engines sqlite mysql] [--concurrency 16]

An episode opens a generated sample (database, table, rows, and on a server the connection), runs its true statement,
takes the table's hash and closes. Times are medians in milliseconds of episodes played one after the other; the last
column is episodes a second with several of them in play. The server's start is shown apart. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agentx.tasks.database.engines import Engine
from agentx.tasks.database.generator import generate
from agentx.tasks.database.settings import KINDS
from agentx.tasks.database.tables import Record
from agentx.tasks.database.task import engine

PARTS = ("set-up", "statement", "hash", "close")
SECONDS = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--engines", nargs="+", choices=("sqlite", "mysql"), default=["sqlite", "mysql"])
    parser.add_argument("--concurrency", type=int, default=16)
    arguments = parser.parse_args()

    records = generate("test", arguments.episodes, 0, KINDS, (6, 12))
    result: dict[str, Any] = {"benchmark": "database", "episodes": arguments.episodes}
    print(f"{'engine':8s}{'start':>10s}" + "".join(f"{part + ' (ms)':>16s}" for part in PARTS) + f"{'episodes/s':>14s}")
    for name in arguments.engines:
        started = time.perf_counter()
        chosen = engine(name, None)
        start = time.perf_counter() - started
        played = [play(chosen, record) for record in records]
        medians = [statistics.median(times) * 1e3 for times in zip(*played, strict=True)]
        started = time.perf_counter()
        with ThreadPoolExecutor(arguments.concurrency) as pool:
            list(pool.map(lambda record, chosen=chosen: play(chosen, record), records))
        rate = len(records) / (time.perf_counter() - started)
        print(f"{name:8s}{start:9.2f}s" + "".join(f"{median:16.2f}" for median in medians) + f"{rate:14.0f}")
        result[name] = {part: round(median, 3) for part, median in zip(PARTS, medians, strict=True)}
        result[name] |= {"start_seconds": round(start, 2), "episodes_per_second": round(rate)}
    print(json.dumps(result))


def play(chosen: Engine, record: Record) -> tuple[float, ...]:
    """Seconds of each part."""
    times = [time.perf_counter()]
    database = chosen.open(record.table, SECONDS)
    times.append(time.perf_counter())
    database.execute(record.statement)
    times.append(time.perf_counter())
    database.digest()
    times.append(time.perf_counter())
    database.close()
    times.append(time.perf_counter())
    return tuple(after - before for before, after in itertools.pairwise(times))


if __name__ == "__main__":
    main()
