"""Yields and run times of job=construct: the offline teacher beside a simulated one behind an OpenAI-compatible server.

    python benchmarks/construction.py [--task household] [--size 200] [--environment simulated]

The server's teacher is simulated (agentx/construction/simulated_teacher.py): scripted experts, wrong at the rates
printed. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hydra import compose, initialize_config_dir  # noqa: E402

from agentx import config as configuration  # noqa: E402
from agentx.construction.simulated_teacher import RATES, Server, SimulatedTeacher  # noqa: E402
from agentx.construction.workshops import workshop  # noqa: E402

FIGURES = ("begun", "verified", "repaired", "rejected", "yield", "stages", "simulated_replies", "cost")


def run(arguments: list[str], output: Path) -> dict[str, object]:
    """One run of job=construct: its report's figures, with the time it took."""
    started = time.perf_counter()
    command = [sys.executable, "run.py", "job=construct", f"paths.output={output}", *arguments]
    environment = {**os.environ, "OPENAI_API_KEY": "sk-simulated-teacher", "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    (path,) = output.glob("construction/*/report.json")
    report = json.loads(path.read_text())
    return {**{name: report[name] for name in FIGURES}, "seconds": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="household")
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--environment", default="simulated")
    options = parser.parse_args()
    arguments = [f"task={options.task}", f"data.size={options.size}", f"job.environment={options.environment}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = configuration.from_hydra(compose("config", overrides=["job=construct", *arguments]))
    made = workshop(config.task.name, config.task, config.job, config.data.seed)
    teacher = SimulatedTeacher(made, config.seed, options.size, config.job.max_turns, config.job.asks)
    with tempfile.TemporaryDirectory() as scratch:
        results = {"offline teacher": run(arguments, Path(scratch) / "offline")}
        print(f"offline teacher: {json.dumps(results['offline teacher'])}", flush=True)
        with Server(teacher.answer) as server:
            address = ["teacher=gpt-4", f"teacher.base_url={server.url}", "teacher.api_name=simulated-teacher"]
            results["simulated server"] = run([*arguments, *address], Path(scratch) / "server")
            results["simulated server"]["requests"] = server.calls
    print(json.dumps({"task": options.task, "environment": options.environment, "fault_rates": RATES, **results}))


if __name__ == "__main__":
    main()
