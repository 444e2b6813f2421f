"""Options of `job=review`; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agentx.errors import ConfigError

Mode = Literal["judge", "compare"]


@dataclass
class ReviewSettings:
    """What people look at, and where the page listens."""

    name: Literal["review"] = "review"
    """which job"""
    files: list[str] = field(default_factory=list)
    """trajectories: files of conversations (JSONL), or cells (directories with episodes.jsonl). Two of them with
    `mode=compare`"""
    mode: Mode = "judge"
    """judge: accept, reject, edit and comment one trajectory at a time; compare: two trajectories of the same sample
    side by side, without saying whose they are"""
    state: str | None = None
    """file of all decisions; null: <paths.output>/review/<name of the first file>.decisions.jsonl"""
    serve: bool = True
    """false: no page; only sum up the decisions so far and write the reviewed file"""
    host: str = "127.0.0.1"
    """address to listen at; another than this machine's own needs a token, which the printed link holds"""
    port: int = 8760
    """port to listen at; 0: any free one"""
    open_browser: bool = True
    """open the page in the browser of this machine"""
    accepted_by: int = 1
    """acceptances that a trajectory needs, more of them than rejections, to be in the reviewed file"""

    def __post_init__(self) -> None:
        if self.mode not in ("judge", "compare"):
            raise ConfigError(f"job.mode={self.mode}: must be judge or compare")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"job.port={self.port}: must lie in [0, 65535]")
        if self.accepted_by < 1:
            raise ConfigError(f"job.accepted_by={self.accepted_by}: must be at least 1")
        if self.files and self.mode == "compare" and len(self.files) != 2:
            raise ConfigError(f"job.files has {len(self.files)}: job.mode=compare needs exactly two")
