"""Fast Downward's C library, of which every game in play needs a copy of its own.

The library keeps its state in globals and its translator replaces sys.argv and sys.stdout, so all use of either is
under one lock. Copies are used again and never unloaded: they share C++ statics across copies, so that unloading one
leaves dangling pointers in the others (a crash when the process ends), and a copy that loads its next game frees the
one before, which keeps memory flat.
"""

from __future__ import annotations

import threading
from typing import Any

import fast_downward

LOCK = threading.RLock()
_idle: list[Any] = []


def take_library(sas: bytes) -> Any:
    """A copy with the planning task `sas` loaded, for the caller alone. Hold LOCK."""
    library = _idle.pop() if _idle else fast_downward.load_lib()
    library.load_sas(sas)
    return library


def give_library_back(library: Any) -> None:
    """Free the loaded task and keep the copy for the next one. Hold LOCK."""
    library.cleanup()
    _idle.append(library)
