"""Which of the processes of one job this is. Lightning starts the same command once per device; one of them speaks."""

from __future__ import annotations

import os

RANK_VARIABLES = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")
"""set by torchrun, Slurm and Lightning"""


def is_first() -> bool:
    """True in a job of one process, and in the first of several."""
    return all(os.environ.get(name, "0") in ("", "0") for name in RANK_VARIABLES)
