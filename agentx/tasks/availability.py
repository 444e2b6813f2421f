"""What a task that needs something of the machine says of it. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Availability:
    """One kind of what `option` chooses. `detail`: where it works, what it is and what limits it has; else why it does
    not. `remedy`: what to do about either, '' where there is nothing to mend."""

    option: ClassVar[str]
    name: str
    works: bool
    detail: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """What a run that asked for it is told."""
        return f"{self.option}={self.name}: {self.detail}" + (f"; {self.remedy}" if self.remedy else "")
