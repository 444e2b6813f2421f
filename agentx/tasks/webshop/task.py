"""The WebShop task: its goals, environments, prompts and scores."""

from __future__ import annotations

import hashlib
import inspect
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agentx.conversation import Message
from agentx.tasks import record_stream
from agentx.tasks.environment import Sample, TaskDataError
from agentx.tasks.webshop import analysis, catalogue, generated, goals, prompts, ranking, stemming, store
from agentx.tasks.webshop.engine import Shop
from agentx.tasks.webshop.environment import WebShopEnvironment
from agentx.tasks.webshop.nouns import make_tagger
from agentx.tasks.webshop.reward import Goal
from agentx.tasks.webshop.settings import INSTRUCTIONS, PRODUCT_FILES, Settings
from agentx.tasks.webshop.store import PriceList, ProductStore
from agentx.trajectory import Trajectory

_RANGES = {"std": range(0, 200), "dev": range(200, 280)}


class Paths(Protocol):
    """Where data are; each may be None where it is not needed."""

    @property
    def webshop(self) -> Path | None: ...
    @property
    def output(self) -> Path | None: ...


@dataclass(frozen=True)
class WebShopTask:
    """Satisfies `agentx.tasks.environment.Task`."""

    settings: Settings
    label: str
    samples: Sequence[Sample]
    goals: dict[str, Goal]
    """by sample id"""
    shop: Shop
    name: str = "webshop"
    success_threshold: float = 1.0

    def opening(self, sample: Sample, style: str, shots: int) -> list[Message]:
        return prompts.opening(style, shots, self.settings.prompt, self.settings.max_rounds)

    async def open(self, sample: Sample) -> WebShopEnvironment:
        return WebShopEnvironment(self.shop, self.goals[sample.id], sample.id.rpartition("-")[2], self.settings)

    def statements(self) -> dict[str, str]:
        """What each sample asks for, by its id: to find evaluation samples among training data."""
        return {name: goal.instruction for name, goal in self.goals.items()}

    def aggregate(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """Mean reward (AgentBench's metric) and the share of episodes with reward 1."""
        if not trajectories:
            return {}
        rewards = [trajectory.reward for trajectory in trajectories]
        won = sum(reward >= self.success_threshold for reward in rewards)
        return {"reward": sum(rewards) / len(rewards), "success_rate": won / len(rewards)}


def make_task(settings: Settings, paths: Paths) -> WebShopTask:
    """The task as configured. Builds product store and index where they are not on disk yet.

    Raises TaskDataError when official data are missing or broken, naming file, record and field.
    """
    nouns, exact = make_tagger()
    output = (paths.output or Path("outputs")) / "webshop"
    if settings.source == "official":
        opened, prices, found = _official(settings, paths.webshop, output)
        wanted = [
            (index, found[index]) for index in _RANGES.get(settings.split, range(len(found))) if index < len(found)
        ]
        if not wanted:
            raise TaskDataError(f"{paths.webshop}: holds {len(found)} goals, none of task.split={settings.split}")
        numbered = evenly(wanted, settings.samples)
    else:
        opened, prices, numbered = _generated(settings, output)
        wanted = numbered
    ids = {f"{settings.split}-{settings.seed}-{index}": goal for index, goal in numbered}
    samples = [Sample(name, "api", settings.split, goal.category, {"asin": goal.asin}) for name, goal in ids.items()]
    label = _label(settings, exact, len(numbered), len(wanted))
    return WebShopTask(settings, label, samples, ids, Shop(opened, prices, nouns, settings.rules))


def _label(settings: Settings, exact: bool, played: int, wanted: int) -> str:
    split = "generated" if settings.source == "generated" else settings.split
    notes = [split]
    if settings.source == "official":
        notes += ["1000 products"] if settings.catalogue == "small" else []
        notes += ["synthetic goals"] if settings.goals == "synthetic" else []
        notes += [f"{played} of {wanted}"] if played < wanted else []
    if settings.rules == "corrected":
        notes.append("corrected rules")
    if not exact:
        notes.append("approximate type match")
    official = settings.source == "official" and settings.rules == "faithful"
    return f"{'WebShop' if official else 'webshop'} ({', '.join(notes)})"


def _official(settings: Settings, folder: Path | None, output: Path) -> tuple[ProductStore, PriceList, list[Goal]]:
    if folder is None:
        raise TaskDataError("task.source=official needs paths.webshop: the folder of WebShop's data files")
    items, attributes_file = (folder / name for name in PRODUCT_FILES[settings.catalogue])
    needed = [items, attributes_file, *([folder / INSTRUCTIONS] if settings.goals == "human" else [])]
    for path in needed:
        if not path.is_file():
            raise TaskDataError(f"{path} is missing; download WebShop's data there, or set paths.webshop")
    shape = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in (items, attributes_file)]
    place = output / f"{settings.catalogue}-{_fingerprint(shape)}"
    attributes = (
        catalogue.read_mapping(attributes_file) if settings.goals == "synthetic" or not store.is_built(place) else {}
    )
    if not store.is_built(place):
        store.build_store(place, catalogue.read_products(items, attributes, attributes_file))
    opened = ProductStore(place)
    prices = PriceList(opened, random.Random(settings.seed))
    if settings.goals == "synthetic":
        return opened, prices, goals.synthetic_goals(opened, prices, attributes, attributes_file)
    instructions = catalogue.read_mapping(folder / INSTRUCTIONS)
    return opened, prices, goals.human_goals(opened, prices, instructions, folder / INSTRUCTIONS)


def _generated(settings: Settings, output: Path) -> tuple[ProductStore, PriceList, list[tuple[int, Goal]]]:
    shape = [settings.split, settings.products, settings.seed]
    place = output / f"{settings.split}-{_fingerprint(shape, *generated.sources())}"
    if not store.is_built(place):
        store.build_store(place, generated.generate_products(settings.products, settings.seed, settings.split))
    opened = ProductStore(place)
    prices = PriceList(opened, random.Random(settings.seed))
    made = []
    for index in range(settings.samples or 0):
        rng = random.Random(f"{settings.seed}/{settings.split}/goal/{index}")
        number = rng.randrange(opened.size)
        made.append((index, generated.generate_goal(opened[number], prices[number], rng)))
    return opened, prices, made


def _fingerprint(shape: object, *texts: str) -> str:
    """Names what a store depends on: its data and the code that builds it."""
    digest = hashlib.blake2b(repr((shape, store.FORMAT)).encode(), digest_size=8)
    for text in (*map(inspect.getsource, (analysis, stemming, catalogue, record_stream, ranking, store)), *texts):
        digest.update(text.encode())
    return digest.hexdigest()


def evenly(found: Sequence[tuple[int, Goal]], count: int | None) -> list[tuple[int, Goal]]:
    """At most `count` of them, spread over the whole list."""
    if count is None or count >= len(found):
        return list(found)
    return [found[index * len(found) // count] for index in range(count)]
