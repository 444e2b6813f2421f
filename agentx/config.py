"""The typed configuration: what Hydra composed becomes a `Config`, or one clear `ConfigError`.

Each part of the project declares its own options in an import-light `settings.py`; this module assembles
them and checks what spans several parts. It is the one place that knows the option `lambda`, a Python
keyword: everything else calls it `agent_ratio`. Nothing heavy (torch, transformers) is imported here, so
a mistake is reported before anything is loaded.
"""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from agentx.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from agentx.evaluation.settings import EvaluationSettings
    from agentx.jobs.settings import SweepSettings
    from agentx.models.settings import BackendSettings, CacheSettings, ModelSettings, RunBudgetSettings
    from agentx.reasoning.settings import BudgetSettings, MethodSettings
    from agentx.tuning.settings import DataSettings, LoggerSettings, TrainerSettings, TuningSettings

SECTIONS = {
    "model": "agentx.models.settings:ModelSettings",
    "teacher": "agentx.models.settings:ModelSettings",
    "backend": "agentx.models.settings:BackendSettings",
    "method": "agentx.reasoning.settings:MethodSettings",
    "budget": "agentx.reasoning.settings:BudgetSettings",
    "data": "agentx.tuning.settings:DataSettings",
    "tuning": "agentx.tuning.settings:TuningSettings",
    "trainer": "agentx.tuning.settings:TrainerSettings",
    "logger": "agentx.tuning.settings:LoggerSettings",
    "cache": "agentx.models.settings:CacheSettings",
    "run_budget": "agentx.models.settings:RunBudgetSettings",
    "evaluation": "agentx.evaluation.settings:EvaluationSettings",
    "sweep": "agentx.jobs.settings:SweepSettings",
    "paths": "agentx.config:PathSettings",
}
"""Sections whose options are always the same; `task` and `job` bring their own, by their name."""

OPTIONAL = {
    "planner": "agentx.models.settings:ModelSettings",
    "judge": "agentx.models.settings:ModelSettings",
    "planner_backend": "agentx.models.settings:BackendSettings",
    "judge_backend": "agentx.models.settings:BackendSettings",
}
"""Sections that may be left out (null)."""

TOP_LEVEL = ("lambda", "num_path", "num_branch", "seed")

EXPERTS_OF = "experts:"
"""in data.agent: what follows is a choice of conf/task, whose scripted expert writes the set"""
TASKS = Path(__file__).resolve().parents[1] / "conf" / "task"


@dataclass(frozen=True)
class PathSettings:
    """Where things are. Relative paths count from the directory the command is started in."""

    output: Path = Path("outputs")
    """cells, adapters, data and reports"""
    agentbench: Path | None = None
    """AgentBench's data folder"""
    alfworld: Path | None = None
    """ALFWorld's folder of games (json_2.1.1)"""
    webshop: Path | None = None
    """WebShop's data folder"""
    mind2web: Path | None = None
    """Mind2Web's data folder"""
    datasets: Path | None = None
    """Folder of downloaded data sets, each a file or directory of the set's name"""
    prices: Path | None = None
    """YAML of prices that go before those of agentx/models/prices.yaml"""


@dataclass(frozen=True)
class Config:
    """One run, checked."""

    model: ModelSettings
    teacher: ModelSettings
    task: Any
    method: MethodSettings
    planner: ModelSettings | None
    """who splits tasks; null: the policy"""
    judge: ModelSettings | None
    """who chooses and says what is done; null: the policy"""
    planner_backend: BackendSettings | None
    judge_backend: BackendSettings | None
    data: DataSettings
    tuning: TuningSettings
    backend: Any
    trainer: TrainerSettings
    logger: LoggerSettings
    job: Any
    cache: CacheSettings
    run_budget: RunBudgetSettings
    evaluation: EvaluationSettings
    budget: BudgetSettings
    sweep: SweepSettings
    paths: PathSettings
    seed: int
    agent_ratio: float
    """λ of Eq. 1, in [0, 1]: the share of agent conversations"""
    resolved: dict[str, Any] = field(repr=False, compare=False)
    """the configuration as composed, interpolations resolved, for the record"""


def from_hydra(composed: DictConfig) -> Config:
    """Check the composed configuration. Raises ConfigError naming the option, what is allowed and the
    nearest valid spelling."""
    try:
        tree = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "?"
        reason = "needs a value" if "Missing mandatory" in str(error) else str(error).splitlines()[0]
        raise ConfigError(f"{key}: {reason}") from error
    assert isinstance(tree, dict)
    resolved = {str(key): value for key, value in tree.items() if key not in ("hydra", "experiments")}
    values = dict(resolved)

    agent_ratio = _number(values.pop("lambda", 0.5), "lambda", 0.0, 1.0)
    num_path = values.pop("num_path", None)
    num_branch = values.pop("num_branch", None)
    seed = _integer(values.pop("seed", 0), "seed", 0)

    sections: dict[str, Any] = {}
    for name, location in SECTIONS.items():
        sections[name] = build(load(location), values.get(name, {}), name)
    for name, location in OPTIONAL.items():
        given = values.get(name)
        sections[name] = None if given is None else build(load(location), given, name)
    sections["method"] = _with_search_width(sections["method"], num_path, num_branch)
    sections["task"] = build(_task_settings(values.get("task", {})), values.get("task", {}), "task")
    sections["job"] = build(_job_settings(values.get("job", {})), values.get("job", {}), "job")
    unknown = set(values) - set(sections)
    if unknown:
        name = sorted(unknown)[0]
        raise ConfigError(f"{name}: no such option{_nearest(name, [*sections, *TOP_LEVEL])}")
    config = Config(seed=seed, agent_ratio=agent_ratio, resolved=resolved, **sections)
    _check_across(config)
    return config


def build(settings: type, values: Any, prefix: str) -> Any:
    """Make the dataclass `settings` from plain `values`; `prefix` is how the user types the section.

    Raises ConfigError for unknown options, wrong types and values that the dataclass itself refuses.
    """
    from pydantic import ValidationError

    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix}={values}: is a group of options, not a single value")
    _refuse_unknown(settings, values, prefix)
    try:
        return _validator(settings).validate_python(dict(values))
    except ValidationError as error:
        raise ConfigError(_describe(error.errors()[0], prefix)) from error
    except ConfigError as error:
        raise ConfigError(_named(str(error), prefix)) from error


def _named(message: str, prefix: str) -> str:
    """Settings that serve several sections (model, teacher, planner …) name the first of them."""
    first = next((name for name in ("model", "backend") if message.startswith(f"{name}.")), prefix)
    return message if first == prefix else prefix + message.removeprefix(first)


@cache
def _validator(settings: type) -> Any:
    """Made once: a sweep checks all of its cells before the first."""
    from pydantic import TypeAdapter

    return TypeAdapter(settings)


def _refuse_unknown(settings: type, values: Mapping[str, Any], prefix: str) -> None:
    hints = typing.get_type_hints(settings)
    known = [f.name for f in dataclasses.fields(settings) if f.init]
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"{prefix}.{name}: no such option{_nearest(str(name), known)}")
        nested = next((kind for kind in _alternatives(hints[name]) if dataclasses.is_dataclass(kind)), None)
        if isinstance(nested, type) and isinstance(value, Mapping):
            _refuse_unknown(nested, value, f"{prefix}.{name}")


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) or (kind,)


def _describe(problem: Any, prefix: str) -> str:
    """One line for pydantic's account of what is wrong."""
    option = ".".join([prefix, *(str(part) for part in problem["loc"] if not str(part).startswith("function-"))])
    given = problem.get("input")
    context = problem.get("ctx", {})
    if problem["type"] == "literal_error":
        allowed = [part.strip("' ") for part in str(context["expected"]).replace(" or ", ", ").split(",")]
        return f"{option}={given}: must be one of {', '.join(allowed)}{did_you_mean(str(given), allowed)}"
    if problem["type"] == "missing":
        return f"{option}: needs a value"
    if problem["type"] == "value_error":
        return f"{option}={given}: {context.get('error', problem['msg'])}"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{option}={given}: {message}"


def _nearest(given: str, allowed: Iterable[str]) -> str:
    names = list(allowed)
    return did_you_mean(given, names) or f"; there is {', '.join(sorted(names))}"


def load(location: str) -> Any:
    """The object at `module:name`."""
    module, _, name = location.partition(":")
    return getattr(importlib.import_module(module), name)


def _task_settings(values: Any) -> type:
    """A task is a folder of agentx/tasks with a `settings.py` that holds a dataclass `Settings`."""
    name = values.get("name") if isinstance(values, Mapping) else None
    folder = Path(__file__).parent / "tasks"
    known = sorted(path.parent.name for path in folder.glob("*/settings.py"))
    if name not in known:
        raise ConfigError(f"task.name={name}: no such task{_nearest(str(name), known)}")
    settings = load(f"agentx.tasks.{name}.settings:Settings")
    assert isinstance(settings, type)
    return settings


def shipped_settings(config: Config, choice: str) -> Any:
    """The settings of another task than the run's, as conf/task/<choice>.yaml has them beside the run's other
    options. Raises ConfigError where there is no such choice."""
    known = sorted(path.stem for path in TASKS.glob("*.yaml"))
    if choice not in known:
        raise ConfigError(f"data.agent=[{EXPERTS_OF}{choice}]: no such task{_nearest(choice, known)}")
    shipped = OmegaConf.load(TASKS / f"{choice}.yaml")
    assert isinstance(shipped, DictConfig)
    shipped.pop("defaults", None)
    beside = {name: value for name, value in config.resolved.items() if name != "task"}
    tree = OmegaConf.to_container(OmegaConf.create({**beside, "task": shipped}), resolve=True)
    assert isinstance(tree, dict)
    return build(_task_settings(tree["task"]), tree["task"], f"{EXPERTS_OF}{choice}")


def _job_settings(values: Any) -> type:
    """A job is a module of agentx/jobs; pretraining alone has options of its own."""
    name = values.get("name") if isinstance(values, Mapping) else None
    settings = load("agentx.jobs.settings:settings_of")(name)
    assert isinstance(settings, type)
    return settings


def _number(value: Any, option: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{option}={value}: must be a number from {low:g} to {high:g}")
    return float(value)


def _integer(value: Any, option: str, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ConfigError(f"{option}={value}: must be a whole number, at least {low}")
    return value


def _with_search_width(method: MethodSettings, num_path: Any, num_branch: Any) -> MethodSettings:
    """num_path and num_branch stand at the top level for the user's convenience; null leaves the method's own.

    A method without that switch refuses them: it would silently become another method.
    """
    widths: dict[str, Any] = {
        name: _integer(value, name, 1)
        for name, value in (("num_path", num_path), ("num_branch", num_branch))
        if value is not None
    }
    if widths.get("num_path", 1) > 1 and not method.supports_paths:
        raise ConfigError(
            f"num_path={num_path}: method={method.name} follows a single path; "
            "use method=backtrack, best_of_n or ours, or leave num_path out"
        )
    if widths.get("num_branch", 1) > 1 and not method.supports_branches:
        raise ConfigError(
            f"num_branch={num_branch}: method={method.name} proposes a single action a step; "
            "use method=branch, tot or ours, or leave num_branch out"
        )
    return dataclasses.replace(method, **widths)


def _check_across(config: Config) -> None:
    """Checks that no single section can make."""
    if config.job.name in ("experiment", "evaluate"):
        load("agentx.jobs.assignments:check")(config)
    tuned = config.tuning.name != "none" and config.job.name in ("experiment", "tune")
    if config.model.kind == "api":
        needed = ["tuning=none"] * tuned + ["backend=openai"] * (config.backend.name != "openai")
        if needed:
            raise ConfigError(
                f"model={config.model.name}: reached by an API, so it cannot be tuned or run here; "
                f"add {' '.join(needed)}"
            )
    elif tuned:
        for name, share in (("agent", config.agent_ratio), ("general", 1 - config.agent_ratio)):
            if share > 0 and not getattr(config.data, name):
                alone = "general" if name == "agent" else "agent"
                raise ConfigError(
                    f"data.{name}=[]: λ={config.agent_ratio:g} draws {name} data, so it needs a data set; "
                    f"lambda={int(name == 'general')} draws {alone} data alone"
                )
    experts = [name for name in config.data.agent if name == "experts" or name.startswith(EXPERTS_OF)]
    for name in experts:
        if name.startswith(EXPERTS_OF):
            shipped_settings(config, name.removeprefix(EXPERTS_OF))
    if tuned and experts and config.agent_ratio > 0 and config.teacher.kind != "expert":
        raise ConfigError(
            f"teacher={config.teacher.name}: data.agent=[{experts[0]}] is written by the task's scripted expert; use "
            "teacher=expert, or name files that this teacher wrote"
        )
    check_method = getattr(config.task, "check_method", None)
    if check_method is not None and config.job.name in ("experiment", "evaluate"):
        check_method(config.method)
    if config.job.name == "tune" and config.tuning.name == "none":
        raise ConfigError("job=tune: tuning=none leaves nothing to do; use tuning=lora, qlora or full")
