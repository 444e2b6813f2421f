"""How long a user waits before anything happens: `--help`, `--cfg job`, a mistake; beside a bare Hydra program.

    python benchmarks/startup.py [--runs 7]

Whole processes, interleaved, medians. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BARE = """
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(config):
    print(config)
main()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as scratch:
        bare = Path(scratch) / "bare.py"
        bare.write_text(BARE)
        out = f"paths.output={scratch}/out"
        commands = {
            "bare_hydra": [str(bare), f"hydra.run.dir={scratch}/bare"],
            "bare_hydra_help": [str(bare), "--help"],
            "help": ["run.py", "--help"],
            "cfg_job": ["run.py", "--cfg", "job"],
            "invalid_option": ["run.py", "model.nam=tiny", out],
            "invalid_choice": ["run.py", "model=tinny", out],
            "invalid_value": ["run.py", "lambda=1.5", out],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, arguments in commands.items():
                started = time.perf_counter()
                subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=False)
                seconds[name].append(time.perf_counter() - started)
    medians = {name: round(statistics.median(values), 3) for name, values in seconds.items()}
    for name, median in medians.items():
        spread = f"{min(seconds[name]):.2f}–{max(seconds[name]):.2f}"
        ratio = median / medians["bare_hydra"]
        print(f"{name:16s} {median:6.2f} s   ({spread})   {ratio:4.1f} × bare Hydra")
    print(json.dumps({"benchmark": "startup", "runs": runs, "median_s": medians}))


if __name__ == "__main__":
    main()
