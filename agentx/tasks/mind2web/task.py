"""The Mind2Web task: its samples, environments, prompts and scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agentx.conversation import Message
from agentx.errors import ConfigError
from agentx.tasks.environment import Observation, Sample
from agentx.tasks.mind2web import generator, official, prompts
from agentx.tasks.mind2web.agentbench_prompt import AgentBenchPrompt, read_prompt
from agentx.tasks.mind2web.environment import Mind2WebEnvironment
from agentx.tasks.mind2web.ranking import rank_candidates, recall
from agentx.tasks.mind2web.rounds import NOTHING, Prediction
from agentx.tasks.mind2web.samples import Score, WebStep, score
from agentx.tasks.mind2web.settings import Settings
from agentx.trajectory import Outcome, Trajectory

_EXAMPLE_SEED = 1_000_003
"""of the worked examples' training pages, away from the seeds pages are tuned and tested on"""


class Paths(Protocol):
    """Where data are; each may be None where it is not needed."""

    @property
    def mind2web(self) -> Path | None: ...
    @property
    def agentbench(self) -> Path | None: ...


@dataclass(frozen=True)
class Mind2WebTask:
    """Satisfies `agentx.tasks.environment.Task`."""

    settings: Settings
    label: str
    samples: Sequence[Sample]
    steps: Mapping[str, WebStep]
    """by sample id"""
    wording: Mapping[str, AgentBenchPrompt]
    """AgentBench's prompt by prompting style, where it is used"""
    name: str = "mind2web"
    success_threshold: float = 1.0

    def opening(self, sample: Sample, style: str, shots: int) -> list[Message]:
        """AgentBench's worked examples are its own number, whatever `shots`; each of its questions is put right after
        them, without the ones before it."""
        if self.settings.replies == "agentbench":
            if style not in self.wording:
                raise ConfigError(f"method.style={style}: must be one of {', '.join(self.wording)}")
            return list(self.wording[style].opening)
        return prompts.opening(style, shots, self.settings.prompt, worked_examples() if shots else ())

    async def open(self, sample: Sample) -> Mind2WebEnvironment:
        return Mind2WebEnvironment(self.steps[sample.id], self.settings, self._ask())

    def _ask(self) -> Callable[[prompts.Question], Observation]:
        if self.settings.replies == "action":
            return prompts.observe
        wording = self.wording["cot"]  # the question reads the same in every style

        def ask(question: prompts.Question) -> Observation:
            step = question.step
            previous = step.previous[-prompts.REMEMBERED :]
            choices = [text for _, text in question.choices]
            return Observation(wording.ask(question.page, step.task, previous, choices), fresh=True)

        return ask

    def statements(self) -> dict[str, str]:
        """What each sample asks for, by its id: to find evaluation samples among training data."""
        return {name: step.task for name, step in self.steps.items()}

    def aggregate(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """Means over steps, in [0, 1]: element accuracy, action F1, step success rate; with the share of steps that
        could be scored at all as recall@k. Task success rate over the tasks of which every step is there."""
        scored = [(trajectory, self._score(trajectory)) for trajectory in trajectories]
        if not scored:
            return {}
        asked = [self.steps[trajectory.sample] for trajectory, _ in scored]
        metrics = {
            "element_accuracy": _mean([result.element for _, result in scored]),
            "action_f1": _mean([result.action_f1 for _, result in scored]),
            "step_success_rate": _mean([result.step for _, result in scored]),
            f"recall@{self.settings.top_k}": recall(asked, self.settings.top_k),
        }
        whole: dict[tuple[str, int], list[float]] = defaultdict(list)
        for trajectory, result in scored:
            whole[self.steps[trajectory.sample].annotation_id, trajectory.trial].append(result.step)
        lengths = {step.annotation_id: step.steps for step in asked}
        tasks = [min(results) for (name, _), results in whole.items() if len(results) == lengths[name]]
        return metrics | ({"task_success_rate": _mean(tasks)} if tasks else {})

    def _score(self, trajectory: Trajectory) -> Score:
        """Of the prediction that stood when the path that counts ended."""
        path = trajectory.paths[trajectory.selected] if trajectory.paths else None
        prediction = NOTHING
        if path is not None and path.steps and path.outcome is not Outcome.INVALID_ACTION:
            prediction = Prediction(*path.steps[-1].executed.partition(" ")[::2])
        return score(self.steps[trajectory.sample], prediction, self.settings.top_k)


def make_task(settings: Settings, paths: Paths) -> Mind2WebTask:
    """The task as configured. Raises TaskDataError where data are missing or broken, naming the path to set."""
    if settings.source == "official":
        found = official.read_split(paths.mind2web, settings.split, settings.samples)
        if settings.scores == "official" and paths.mind2web is not None:
            steps = official.with_official_ranks(found, paths.mind2web)
        else:
            steps = found if settings.ranker else [rank_candidates(step) for step in found]
    else:
        steps = generated_steps(settings)
    if settings.ranker is not None:
        from agentx.tasks.mind2web.cross_encoder import CrossEncoder

        ranker = CrossEncoder(settings.ranker)
        steps = [ranker.rank(step) for step in steps]
    wording = {}
    if settings.replies == "agentbench":
        wording = {style: read_prompt(paths.agentbench, style) for style in prompts.STYLES}
    return Mind2WebTask(
        settings,
        label=_label(settings),
        samples=[_sample(step, settings) for step in steps],
        steps={step.id: step for step in steps},
        wording=wording,
    )


def generated_steps(settings: Settings) -> list[WebStep]:
    """The first `samples` steps of generated tasks; the last task may be cut short."""
    steps: list[WebStep] = []
    count, number = settings.samples or 0, 0
    while len(steps) < count:
        split: generator.Split = "train" if settings.split == "train" else "test"
        steps += generator.generate_task(split, settings.seed, number)
        number += 1
    return steps[:count]


def worked_examples() -> list[WebStep]:
    """Steps from training pages, one of each operation first."""
    steps = [step for number in range(8) for step in generator.generate_task("train", _EXAMPLE_SEED, number)]
    first = [next(step for step in steps if step.operation == kind) for kind in ("TYPE", "SELECT", "CLICK")]
    return [*first, *(step for step in steps if step not in first)][: prompts.MOST_SHOTS]


def _sample(step: WebStep, settings: Settings) -> Sample:
    metadata = {
        "annotation_id": step.annotation_id,
        "website": step.website,
        "step": len(step.previous),
        "candidates": sum(map(len, step.candidates(settings.top_k))),
    }
    return Sample(step.id, "api", settings.split, step.operation, metadata)


def _label(settings: Settings) -> str:
    """Everything that makes results not comparable with AgentBench's is named."""
    notes = []
    if settings.ranker is not None:
        notes.append(f"ranked by {Path(settings.ranker).name}")
    if settings.source == "official":
        notes += ["own ranking"] * (settings.scores == "own")
        notes += ["own prompt"] * (settings.replies == "action")
        notes += [f"top {settings.top_k}"] * (settings.top_k != 10)
        notes += [f"{settings.choices} choices"] * (settings.choices != 5)
    notes += ["corrected rules"] * (settings.rules == "corrected")
    start = f"Mind2Web ({settings.split}" if settings.source == "official" else "mind2web (generated"
    return f"{', '.join([start, *notes])})"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
