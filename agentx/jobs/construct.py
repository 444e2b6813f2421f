"""`job=construct`: build agent data and write the file that tuning reads, with a report and a data card."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentx.config import Config, load
from agentx.construction import wording
from agentx.construction.card import card
from agentx.construction.demonstrations import demonstrate_with
from agentx.construction.pipeline import Pipeline
from agentx.construction.progress import ConstructionProgress
from agentx.construction.record import Cost, sharegpt
from agentx.construction.selection import Result, select
from agentx.construction.teachers import Teachers, currency_of
from agentx.construction.workshops import Workshop, evaluated_problems, workshop
from agentx.construction.yields import REPORT, comparable, markdown, report
from agentx.errors import ConfigError, UserError
from agentx.jobs import cells
from agentx.jobs.assignments import check_prices
from agentx.jobs.claims import claimed
from agentx.jobs.tuning_data import CONSTRUCTED
from agentx.models.addresses import read_key
from agentx.models.settings import BackendSettings, ModelSettings

log = logging.getLogger(__name__)


def run(config: Config) -> Path:
    """Returns the data file. A run that was stopped goes on; a finished one writes the same files again."""
    job = _Job(config)
    for name in ("httpx", "httpx2"):  # a line for each call would bury everything else
        logging.getLogger(name).setLevel(logging.WARNING)
    with claimed(job.directory / "run", dead_after=config.sweep.dead_after):
        try:
            asyncio.run(job.construct())
        except UserError as failure:
            if job.results:
                job.write(failure=str(failure))
            raise
        return job.write()


class _Job:
    """One configuration's construction: who plays, where things are kept, what the files say."""

    def __init__(self, config: Config) -> None:
        demonstrate_with(config.task.name)  # a task without training problems of its own is refused here
        self.config, self.settings = config, config.job
        self.size = config.data.size
        self.workshop: Workshop = workshop(config.task.name, config.task, config.job, config.data.seed)
        self.models = {role: getattr(config.job.models, role, None) or config.teacher for role in self.workshop.roles}
        _check_keys(self.models, config.backend)
        paid = {role: (model, config.backend) for role, model in self.models.items() if model.kind != "expert"}
        check_prices(config, paid)
        self.free = not paid
        self.identity = self._identity()
        label = f"{config.task.name}-{config.teacher.name}-{config.job.environment}"
        self.directory = cells.open_cell(config, "construction", label, self.identity)
        self.file = config.paths.output / CONSTRUCTED / f"{self.directory.name}.jsonl"
        self.stopped = self.currency = ""
        self.results: list[Result] = []
        self.paid = Cost()
        """what all calls cost, earlier starts and unfinished trajectories included"""

    async def construct(self) -> None:
        """Do everything that is missing. `results` are then those that are finished, in the order of their numbers, not
        yet filtered, also where it raises."""
        config = self.config
        teachers = Teachers(self.models, config.backend, config.paths.prices, config.run_budget, self.directory)
        self.currency = currency_of(teachers.prices)
        label = f"{config.task.name}, {config.teacher.name}, {self.settings.environment}"
        try:
            with ConstructionProgress(label, self.size) as progress:
                if not self.free:
                    progress.paid, progress.currency = teachers.paid, self.currency
                pipeline = Pipeline(
                    self.workshop,
                    lambda index: teachers.roles(self.workshop, index, self.settings),
                    self.settings,
                    config.seed,
                    self.size,
                    self.directory,
                    progress,
                )
                try:
                    await pipeline.run()
                finally:
                    pipeline.close()
                    self.stopped = pipeline.stopped
                    self.results = [pipeline.results[i] for i in sorted(pipeline.results) if i < self.size]
        finally:
            self.paid = teachers.paid()
            await teachers.close()

    def write(self, failure: str = "") -> Path:
        """Filter, and write data, rejected trajectories, report and card; `failure` is what ended the run, if anything
        did."""
        if not self.results:
            raise UserError(_out_of_budget(self.stopped) if self.stopped else "job=construct: nothing was written")
        evaluated = self._evaluated()
        chosen = select(self.results, self.settings.filters, evaluated)
        facts = self._facts(len(evaluated), failure or self.stopped)
        own = report(chosen, facts)
        rejected = self.directory / "rejected.jsonl"
        _write_lines(self.file, [self._record(result) for result in chosen if result[1].kept])
        _write_lines(rejected, [self._record(result) for result in chosen if not result[1].kept])
        _write(self.directory / REPORT, json.dumps(own, indent=1))
        text = markdown(own, comparable(self.directory, own))
        _write(self.directory / "report.md", text)
        _write(self.file.with_suffix(".md"), card(chosen, own, self.file.name))
        print(f"\n{text}")
        print(f"data     {self.file}  (card: {self.file.with_suffix('.md').name}; tune with data.agent=[{self.file}])")
        print(f"report   {self.directory / 'report.md'}  (also {REPORT}, rejected.jsonl)")
        missing = self.size - len(self.results)
        if self.stopped:
            print(_out_of_budget(self.stopped))
        elif missing and not failure:
            print(f"{missing} of {self.size} trajectories failed for outer reasons; the same command tries them again")
        return self.file

    def _evaluated(self) -> list[tuple[str, str]]:
        """First observations of the problems that this configuration evaluates."""
        filters, config = self.settings.filters, self.config
        if filters.leakage is None or not filters.leakage_samples:
            return []
        count = filters.leakage_samples
        told = evaluated_problems(config.task.name, config.task, config.paths, count)
        return told if told is not None else asyncio.run(self._opened(count))

    async def _opened(self, count: int) -> list[tuple[str, str]]:
        config = self.config
        task = load(f"agentx.tasks.{config.task.name}.task:make_task")(config.task, config.paths)
        found = []
        for sample in task.samples[:count]:
            environment = await task.open(sample)
            try:
                found.append((sample.id, (await environment.reset()).text))
            finally:
                await environment.close()
        return found

    def _record(self, result: Result) -> dict[str, Any]:
        from agentx.construction.record import Dialogue

        dialogue, verdict = result
        config = self.config
        style, shots = config.method.style, config.model.shots
        worded, replies = self.workshop.worded(Dialogue.from_dict(dialogue.to_dict()), style)
        provenance = {
            "teacher": config.teacher.name,
            "models": {role: model.served_name for role, model in self.models.items()},
            "simulated_teacher": self._simulated_teacher(),
            "currency": self.currency,
            "prompts": self._prompts(),
            "seed": config.data.seed,
            "temperature": self.settings.temperature,
        }
        return sharegpt(worded, verdict, self.workshop.prompt(dialogue, style, shots), replies, provenance)

    def _facts(self, evaluated: int, stopped: str) -> dict[str, Any]:
        config = self.config
        described = {**self.identity, "job": {**self.identity["job"], "environment": None}}
        return {
            "task": config.task.name,
            "teacher": config.teacher.name,
            "models": {role: model.served_name for role, model in self.models.items()},
            "simulated_teacher": self._simulated_teacher(),
            "currency": self.currency,
            "paid": None if self.free else asdict(self.paid),
            "environment": self.settings.environment,
            "real_environment": _REAL.get(config.task.name, "its own").format(
                engine=getattr(config.task, "engine", "")
            ),
            "seed": config.data.seed,
            "size": self.size,
            "prompts": self._prompts(),
            "style": config.method.style,
            "prompt": config.task.prompt,
            "shots": config.model.shots,
            "evaluated_problems": evaluated,
            "stopped": stopped,
            "comparable": cells.fingerprint({**described, "models": None, "prompts": None, "size": self.size}),
        }

    def _simulated_teacher(self) -> bool:
        return any(model.kind == "expert" or "simulated" in model.served_name for model in self.models.values())

    def _prompts(self) -> dict[str, str]:
        return {name: wording.fingerprint(name) for name in sorted(set(self.workshop.roles.values()))}

    def _identity(self) -> dict[str, Any]:
        """Everything that decides what is written: not how many, how fast, where the limits are, or the filters, which
        can be changed afterwards."""
        config = self.config
        not_decisive = ("filters", "models", "concurrency", "verify_concurrency", "give_up_after")
        module = load(f"agentx.tasks.{config.task.name}.demonstrations:relevant_settings")
        return {
            "task": config.task.name,
            "settings": module(config.task),
            "job": {key: value for key, value in cells.plain(self.settings).items() if key not in not_decisive},
            "invalid_actions": self.settings.filters.invalid_actions,
            "models": {role: [model.kind, model.served_name, model.base_url] for role, model in self.models.items()},
            "teacher": config.teacher.name,
            "prompts": self._prompts(),
            "seeds": [config.seed, config.data.seed],
        }


_REAL = {
    "household": "TextWorld engine on the same room",
    "operating_system": "a sandbox of its own",
    "database": "{engine}",
    "webshop": "the shop's engine",
    "mind2web": "the page's own rounds of questions",
}


def _check_keys(models: Mapping[str, ModelSettings], backend: BackendSettings) -> None:
    """Raises UserError for a key that the first call would miss."""
    for role, model in models.items():
        try:
            read_key(model, backend)
        except ConfigError:
            raise
        except UserError as error:
            raise UserError(f"teacher ({role}) {error}; teacher=expert needs none") from None


def _out_of_budget(limit: str) -> str:
    return f"stopped at {limit}; what is finished is kept, the same command with a higher limit goes on"


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    _write(path, "".join(json.dumps(record, ensure_ascii=True) + "\n" for record in records))


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
