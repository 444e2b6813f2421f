"""Find the cells that have been run and read what a report needs of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from agentx.errors import UserError
from agentx.evaluation.summary import PLAN, SUMMARY, score_cell
from agentx.reasoning.settings import BacktrackSettings, MethodSettings, TreeSettings

log = logging.getLogger(__name__)

CONFIG = "config.yaml"
METHOD_ORDER = ("io", "cot", "react", "decompose", "branch", "backtrack", "best_of_n", "tot", "ours")


@dataclass(frozen=True)
class Row:
    """One cell: its resolved configuration and its summary (see `agentx.evaluation.summary.summarise`)."""

    directory: Path
    config: Mapping[str, Any] = field(repr=False)
    summary: Mapping[str, Any] = field(repr=False)

    @property
    def model(self) -> str:
        return str(self._option("model", "name", "?"))

    @property
    def tuning(self) -> str:
        return str(self._option("tuning", "name", "none"))

    @property
    def data(self) -> str | None:
        """The training sets, agent data first, or the name given to them; None for a model evaluated as it is."""
        if self.tuning == "none":
            return None
        name = self._option("data", "name", None)
        if name is not None:
            return str(name)
        sets = [*(self._option("data", "agent", None) or []), *(self._option("data", "general", None) or [])]
        return " + ".join(Path(str(part)).stem for part in sets) or None

    @property
    def agent_ratio(self) -> float | None:
        """λ; None for a model evaluated as it is."""
        value = self.config.get("lambda")
        return float(value) if self.tuning != "none" and isinstance(value, int | float) else None

    def role(self, name: str) -> str | None:
        """The planner's or judge's own model; None where it is the policy."""
        model = self._option(name, "name", None)
        return None if model is None else str(model)

    @property
    def method(self) -> str:
        return str(self._option("method", "name", "?"))

    @property
    def num_path(self) -> int:
        return self._width("num_path")

    @property
    def num_branch(self) -> int:
        return self._width("num_branch")

    @property
    def seed(self) -> int:
        return int(self.config.get("seed") or 0)

    @property
    def trials(self) -> int:
        """Episodes per sample."""
        return int(self._option("evaluation", "trials", 1))

    @property
    def label(self) -> str:
        """The task's label, which says so when its data is generated."""
        return str(self.summary["label"])

    @property
    def n(self) -> int:
        return int(self.summary["n"])

    @property
    def uses_oracle(self) -> bool:
        """Whether the true reward steered the search or chose the path that counts."""
        method = self.config.get("method")
        options = method if isinstance(method, Mapping) else {}
        settings = MethodSettings(
            num_path=self.num_path,
            backtrack=_known(BacktrackSettings, options.get("backtrack")),
            tree=_known(TreeSettings, options.get("tree")),
        )
        return settings.uses_oracle

    @property
    def record(self) -> dict[str, Any]:
        """What the cell is, without what was measured, as plain values."""
        return {
            "cell": self.directory.name,
            "task": self.label,
            "model": self.model,
            "tuning": self.tuning,
            "data": self.data,
            "lambda": self.agent_ratio,
            "method": self.method,
            "num_path": self.num_path,
            "num_branch": self.num_branch,
            "seed": self.seed,
            "oracle": self.uses_oracle,
        }

    @property
    def sort_key(self) -> tuple[Any, ...]:
        order = METHOD_ORDER.index(self.method) if self.method in METHOD_ORDER else len(METHOD_ORDER)
        ratio = -1.0 if self.agent_ratio is None else self.agent_ratio
        widths = (self.num_path, self.num_branch, self.seed, int(self.summary["expected"]))
        return (self.label, self.model, self.tuning, ratio, order, self.method, *widths, self.directory.name)

    def _option(self, group: str, name: str, default: Any) -> Any:
        options = self.config.get(group)
        return options.get(name, default) if isinstance(options, Mapping) else default

    def _width(self, name: str) -> int:
        """The top-level option where it is given, else the method's own."""
        given = self.config.get(name)
        return int(given if given is not None else self._option("method", name, 1) or 1)


def collect(directory: str | Path) -> list[Row]:
    """The evaluated cells anywhere below `directory`, in the order of the tables.

    A cell whose run died before it wrote its summary is scored here, from its episodes. A cell that cannot be read is
    left out with a warning. Raises UserError where there is no such directory.
    """
    root = Path(directory)
    if not root.is_dir():
        raise UserError(f"{root}: no such directory; nothing has been evaluated there yet")
    cells = {path.parent for name in (PLAN, SUMMARY) for path in root.rglob(name)}
    rows = []
    for cell in sorted(cells):
        try:
            rows.append(_read(cell))
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, UserError) as error:
            log.warning("%s is left out of the report: %s", cell, " ".join(str(error).split()))
    return sorted(rows, key=lambda row: row.sort_key)


def _read(cell: Path) -> Row:
    config = yaml.safe_load((cell / CONFIG).read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG} holds no options")
    path = cell / SUMMARY
    summary = json.loads(path.read_text(encoding="utf-8")) if path.exists() else score_cell(cell)
    row = Row(cell, config, summary)
    for name in ("label", "n", "expected", "success_rate", "reward", "failures", "cost"):
        summary[name]
    _ = row.sort_key, row.uses_oracle
    return row


def _known(kind: type, options: Any) -> Any:
    """Settings from what a cell recorded, possibly with another version's options among it."""
    given = options if isinstance(options, Mapping) else {}
    return kind(**{f.name: given[f.name] for f in fields(kind) if f.name in given})
