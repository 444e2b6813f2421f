"""What a list of cells needs before it starts: weights, data, GPU memory, hours, money. Estimates, and they say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agentx.config import Config

DATA_OF = {
    "household": (("alfworld", "ALFWorld's games (json_2.1.1)"), ("agentbench", "AgentBench's lists of games")),
    "operating_system": (("agentbench", "AgentBench's problems"),),
    "database": (("agentbench", "AgentBench's questions"),),
    "webshop": (("webshop", "WebShop's products and instructions"),),
    "mind2web": (("mind2web", "Mind2Web's pages and scores"),),
}
"""official data: option under paths, what it points to"""


@dataclass(frozen=True)
class Need:
    """One thing, and what is known of it here."""

    what: str
    state: str = ""
    """there, missing, or empty where it cannot be told from here"""


def needs_of(configs: Sequence[Config]) -> list[Need]:
    """Of cells that have to be run from the beginning, without what earlier runs left."""
    return [
        *_weights(configs),
        *_tuning_data(configs),
        *_task_data(configs),
        *_machine(configs),
        *_time(configs),
        *_money(configs),
    ]


def describe(needs: Iterable[Need]) -> str:
    """One line each."""
    lines = [f"  {need.what}{f' [{need.state}]' if need.state else ''}" for need in needs]
    return "\n".join(["needs, estimated:", *lines]) if lines else "needs nothing beyond this package"


def _local(configs: Iterable[Config]) -> list[Config]:
    """One cell for each model with weights that are not part of this package."""
    found = {c.model.source: c for c in configs if c.model.kind == "local" and c.model.source}
    return list(found.values())


def _weights(configs: Sequence[Config]) -> list[Need]:
    needs = []
    for config in _local(configs):
        source = str(config.model.source)
        if Path(source).is_dir():
            needs.append(Need(f"weights in {source}", "there"))
            continue
        size = f", {2 * config.model.parameters:.0f} GB" if config.model.parameters else ""
        licence = f", licence to be accepted at {config.model.licence}" if config.model.gated else ""
        needs.append(Need(f"download of {source}{size}{licence} (or model.source=/directory)"))
    return needs


def _tuning_data(configs: Sequence[Config]) -> list[Need]:
    from agentx.tuning.known_sets import known_sets

    needs: dict[str, Need] = {}
    for config in configs:
        if not is_tuned(config):
            continue
        for side, share in (("agent", config.agent_ratio), ("general", 1 - config.agent_ratio)):
            for name in getattr(config.data, side) if share > 0 else []:
                if name == "constructed":
                    made = config.paths.output / "constructed"
                    state = "there" if made.is_dir() else "missing: run job=construct first"
                    needs[name] = Need(f"constructed agent data in {made}", state)
                elif name in known_sets():
                    needs[name] = Need(f"data set {known_sets()[name].hub}: {known_sets()[name].holds}")
                elif "/" in name:
                    state = "there" if Path(name).exists() else ""
                    needs[name] = Need(f"data set {name}", state)
    return list(needs.values())


def _task_data(configs: Sequence[Config]) -> list[Need]:
    needs: dict[str, Need] = {}
    for config in configs:
        if getattr(config.task, "source", "generated") != "official":
            continue
        for option, what in DATA_OF.get(config.task.name, ()):
            path = getattr(config.paths, option)
            state = (
                f"missing: set paths.{option}" if path is None else "there" if path.exists() else "no such directory"
            )
            needs[option + what] = Need(f"{what}, paths.{option}", state)
        if getattr(config.task, "engine", "") == "mysql":
            needs["mysql"] = Need("MySQL or MariaDB for task=db (task.dsn, or a mariadbd that can be started)")
    return list(needs.values())


def _machine(configs: Sequence[Config]) -> list[Need]:
    needs = []
    sizes = {c.model.source: c for c in configs if c.model.kind == "local" and c.model.parameters and c.model.source}
    tuned = {c.model.source for c in configs if is_tuned(c)}
    for source, config in sizes.items():
        billions = config.model.parameters or 0.0
        parts = [f"{2 * billions + 6:.0f} GB to generate (16 bits, with the cache of 32 requests)"]
        if source in tuned:
            quantised = config.tuning.name == "qlora"
            amount = 0.7 * billions + 5 if quantised else 2 * billions + 8
            parts.append(
                f"{amount:.0f} GB to tune" + ("" if quantised else f" (tuning=qlora: {0.7 * billions + 5:.0f})")
            )
        needs.append(Need(f"GPU memory for {config.model.name}: about {', '.join(parts)}"))
    return needs


def _time(configs: Sequence[Config]) -> list[Need]:
    facts = _facts()
    local = [c for c in configs if c.model.kind == "local" and c.model.source]
    if not local:
        return []
    slower = [(c, (c.model.parameters or 7) / 7) for c in local]
    played = sum(calls(c) * _reply(c) * factor / facts["generated_per_second"] for c, factor in slower)
    adapters = {_adapter(c): factor for c, factor in slower if is_tuned(c)}
    tuned = sum(facts["tuned_tokens"] * factor / facts["tuned_per_second"] for factor in adapters.values())
    parts = [f"{played / 3600:.0f} h to play {len(local)} cells"]
    if adapters:
        parts.append(f"{tuned / 3600:.0f} h to tune {len(adapters)} adapters")
    return [Need(f"time on one GPU of 80 GB: about {' and '.join(parts)}")]


def _money(configs: Sequence[Config]) -> list[Need]:
    facts = _facts()
    spent: dict[str, float] = {}
    keys: dict[str, str] = {}
    for config in configs:
        if config.model.kind == "api" and config.model.name in facts["dollars"]:
            prompt, completion = facts["dollars"][config.model.name]
            tokens = facts["prompt_tokens"] * prompt + _reply(config) * completion
            name = config.model.name
            spent[name] = spent.get(name, 0.0) + calls(config) * tokens / 1e6
            keys[name] = str(config.model.api_key_env)
    return [Need(f"{name}: about {dollars:.0f} US dollars, key in {keys[name]}") for name, dollars in spent.items()]


def calls(config: Config) -> float:
    """Model calls of a cell: policy, and judge and planner where the method asks them."""
    facts = _facts()
    task, method = config.task, config.method
    split = facts["samples"].get(task.name, {}).get(getattr(task, "split", ""), 50)
    samples = getattr(task, "samples", None) or split
    rounds = getattr(task, "max_rounds", None) or facts["rounds"].get(task.name, 10)
    per_step = method.num_branch + (method.num_branch > 1) + method.decompose.enabled
    per_path = rounds * facts["rounds_used"] * per_step + method.decompose.enabled + (method.num_path > 1)
    return float(samples * config.evaluation.trials * method.num_path * per_path)


def _reply(config: Config) -> float:
    """Tokens of a reply: a third of what it may have."""
    return float((config.model.max_tokens or 256) / 3)


def is_tuned(config: Config) -> bool:
    return config.tuning.name != "none" and config.job.name in ("experiment", "tune")


def _adapter(config: Config) -> tuple[Any, ...]:
    data = config.data
    return (config.model.source, config.tuning.name, config.agent_ratio, config.seed, *data.agent, "|", *data.general)


@cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return facts
