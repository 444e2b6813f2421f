"""The WebShop task at scale: build time, start, search latency and resident memory on a generated catalogue.

    python benchmarks/webshop.py --products 1180000 [--folder DIR] [--searches 300] [--words 60]

The catalogue's size is the official one's by default. Generated texts are padded to `--words` filler words per product,
drawn from a long-tailed vocabulary, so that documents are about as long as real ones. Start and memory are those of a
fresh process; a second one is opened beside it. Building includes generating the products, which `generation_s` gives
alone; cpu figures are processor time, for machines that do other work as well. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from agentx.tasks.webshop.analysis import analyze
from agentx.tasks.webshop.catalogue import Product
from agentx.tasks.webshop.generated import generate_products
from agentx.tasks.webshop.store import ProductStore, build_store, is_built

VOCABULARY = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=1_180_000)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="keep the store here; built only where it is not yet")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.searches)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "store"
        result: dict[str, object] = {"benchmark": "webshop", "products": options.products, "words": options.words}
        if not is_built(folder):
            started = time.perf_counter()
            for _ in padded(options.products, options.words):
                pass
            result["generation_s"] = round(time.perf_counter() - started, 1)
            started, processor = time.perf_counter(), time.process_time()
            build_store(folder, padded(options.products, options.words))
            result["build_s"] = round(time.perf_counter() - started, 1)
            result["build_cpu_s"] = round(time.process_time() - processor, 1)
            print(f"built in {result['build_s']} s, generation included", flush=True)
        result["disk_mb"] = sum(path.stat().st_size for path in folder.iterdir()) >> 20
        command = [sys.executable, __file__, "--measure", str(folder), "--searches", str(options.searches)]
        first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        result["processes"] = [json.loads(process.communicate()[0]) for process in (first, second)]
    print(json.dumps(result))


def padded(count: int, words: int) -> Iterator[Product]:
    """Generated products with longer descriptions."""
    rng = random.Random(0)
    vocabulary = ["".join(rng.choices("abcdefghijklmnoprstuvwy", k=rng.randint(4, 9))) for _ in range(VOCABULARY)]
    for product in generate_products(count, 0, "test"):
        filler = " ".join(vocabulary[int(VOCABULARY ** rng.random()) - 1] for _ in range(words))
        yield replace(product, description=f"{product.description} {filler}")


def measure(folder: Path, searches: int) -> None:
    """Prints one JSON object: start in seconds, search latencies in milliseconds, memory in megabytes."""
    started = time.perf_counter()
    store = ProductStore(folder)
    analyze("warm shoes")
    start = time.perf_counter() - started
    rng = random.Random(1)
    seconds, processor = [], []
    for _ in range(searches):
        product = store[rng.randrange(store.size)]
        words = product.name.split()[1:] + [rng.choice(values) for values in product.options.values()]
        query = " ".join(rng.sample(words, min(len(words), 6)))
        began, worked = time.perf_counter(), time.process_time()
        found = store.search(query, 50)
        page = [store[number] for number in found[:10]]
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - worked)
        assert page, query
    seconds.sort()
    memory = memory_mb()
    print(
        json.dumps(
            {
                "start_s": round(start, 2),
                "search_median_ms": round(1000 * statistics.median(seconds), 1),
                "search_cpu_median_ms": round(1000 * statistics.median(processor), 1),
                "search_p95_ms": round(1000 * seconds[int(0.95 * len(seconds))], 1),
                **memory,
            }
        )
    )


def memory_mb() -> dict[str, int]:
    """Resident memory of this process, and the part of it that is its own rather than mapped files."""
    text = Path("/proc/self/status").read_text()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.startswith("Rss")}
    kilobytes |= {"VmRSS": int(text.split("VmRSS:")[1].split()[0])}
    return {"resident_mb": kilobytes["VmRSS"] >> 10, "resident_own_mb": kilobytes.get("RssAnon", 0) >> 10}


if __name__ == "__main__":
    main()
