"""Entry point: `python run.py [group=choice] [option=value]`; `python run.py --help` explains.

Nothing heavy is imported before the configuration is known to be valid.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback

import hydra
from omegaconf import DictConfig

from agentx import config as configuration
from agentx.jobs import composition, sweep
from agentx.jobs.usage import usage

# Hydra prints its own account of errors unless told to raise them; ours is one line (see `main`).
os.environ["HYDRA_FULL_ERROR"] = "1"
# Idle threads that spin stall the other processes on a machine with few cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


failures: list[Exception] = []
"""what went wrong in the job: kept from Hydra, which would tell of it in its own words as well"""


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def start(composed: DictConfig) -> None:
    """One job. In a sweep a failing job is recorded by `agentx.jobs.run` and the others go on."""
    try:
        config = configuration.from_hydra(composed)
        from agentx.jobs.run import run_job

        run_job(config)
    except Exception as error:
        if not sweep.record_failure(error):
            failures.append(error)


def main() -> int:
    """Exit code: 0 done, 1 failed (in a sweep: at least one job), 2 the command line is wrong, 130 interrupted."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(usage())
        return 0
    sweep.register_sweeper()
    try:
        start()
        for failure in failures:
            raise failure
    except KeyboardInterrupt:
        print("\nInterrupted. What is finished is kept; the same command does the rest.", file=sys.stderr)
        return 130
    except Exception as error:
        known = composition.explain(error)
        if known is None or composition.wants_traceback(sys.argv[1:]):
            traceback.print_exc()
        if known is None:
            print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
            return 1
        print(f"error: {known}", file=sys.stderr)
        return known.exit_code
    finally:
        logging.shutdown()
    return sweep.exit_code()


if __name__ == "__main__":
    sys.exit(main())
