"""One tuning from beginning to end: checks, examples, plan, training, adapter."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from agentx.conversation import Conversation
from agentx.errors import ConfigError, UserError
from agentx.models.loading import load_renderer, load_tokenizer
from agentx.models.settings import ModelSettings
from agentx.tuning import base
from agentx.tuning.adapters import AdapterCard, attach, save
from agentx.tuning.data import TuningData, TuningPlan
from agentx.tuning.examples import ExampleSet, make_examples
from agentx.tuning.loss import check_packing
from agentx.tuning.model_card import write_readme
from agentx.tuning.module import TuningModule
from agentx.tuning.progress import Report, TuningProgress
from agentx.tuning.settings import NOT_DECISIVE, LoggerSettings, TrainerSettings, TuningSettings
from agentx.tuning.stopping import StopBetweenSteps
from agentx.tuning.trainer import build_loggers, build_trainer, quiet

SHOWN_SKIPPED = 20
"""broken records whose place and reason an adapter's card keeps"""


@dataclass(frozen=True)
class AdapterResult:
    """A finished tuning. `path` holds the adapter (or, with tuning=full, the whole model) and agentx.json."""

    path: Path
    card: AdapterCard
    reused: bool = False
    """it was there already, made from the same data and settings"""

    @property
    def realised(self) -> dict[str, float]:
        """Realised λ in examples and in trained tokens, and the counts behind it."""
        return self.card.realised

    @property
    def history(self) -> list[dict[str, float]]:
        """Loss of every optimiser step: step, loss, loss_agent, loss_general."""
        return self.card.history

    @property
    def seconds(self) -> float:
        """Wall time of the training loop; of a resumed tuning, since it was resumed."""
        return self.card.seconds


def tune(
    model: ModelSettings,
    tuning: TuningSettings,
    trainer: TrainerSettings,
    logger: LoggerSettings,
    *,
    agent: Sequence[Conversation],
    general: Sequence[Conversation],
    agent_ratio: float,
    seed: int,
    output: str | Path,
    data_seed: int = 0,
    skipped: Mapping[str, Sequence[str]] | None = None,
    on_error: Literal["stop", "skip"] = "stop",
    progress: Report | None = None,
) -> AdapterResult:
    """Tune `model` and leave the adapter in `output`/adapter.

    An adapter that is there already and was made from the same model, data and settings is returned as it is; a
    tuning that was interrupted goes on from its last checkpoint. `agent_ratio` is λ; `data_seed` orders the draws,
    `seed` initialises the adapter and its dropout. `skipped` tells which broken records were left out of either
    side, for the record; with on_error="skip", conversations that cannot be rendered are left out as well. `progress`
    replaces the display on stderr.

    Raises ConfigError or UserError, before anything is trained, when the model cannot be tuned, data is missing,
    a conversation cannot be rendered, max_length exceeds the model's context or adapter targets match nothing.
    """
    output = Path(output)
    _check_data(agent, general, agent_ratio)
    base.check_tunable(model, tuning)
    if trainer.threads is not None:
        torch.set_num_threads(trainer.threads)

    renderer = load_renderer(model)
    card = _card(model, tuning, renderer, agent, general, agent_ratio, seed, data_seed)
    if (output / "adapter").is_dir():
        existing = AdapterCard.read(output / "adapter")
        if existing.fingerprint == card.fingerprint:
            return AdapterResult(output / "adapter", existing, reused=True)

    sets = [
        make_examples(conversations if share > 0 else [], renderer, tuning.max_length, tuning.overlong, on_error)
        for conversations, share in ((agent, agent_ratio), (general, 1 - agent_ratio))
    ]
    plan = _plan(sets[0], sets[1], agent_ratio, tuning, data_seed)
    for name, made in zip(("agent", "general"), sets, strict=True):
        card.data[name]["examples"] = made.counts()
        left_out = [*(skipped or {}).get(name, ()), *made.refused]
        card.data[name]["skipped"] = {"records": len(left_out), "first": left_out[:SHOWN_SKIPPED]}

    with quiet():
        callbacks = [
            TuningProgress(progress),
            _SaveAdapter(output / "adapter", card, load_tokenizer(model)),
            StopBetweenSteps(output / "checkpoint" / "last.ckpt"),
        ]
        engine = build_trainer(trainer, tuning, build_loggers(logger, output), output, plan.steps, callbacks)
        try:
            engine.accumulate_grad_batches = plan.passes(engine.world_size)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        division = f"{card.fingerprint} {engine.accumulate_grad_batches} {engine.world_size}"
        last = _checkpoint(output, division, engine.is_global_zero)
        base.check_device(tuning, engine.strategy.root_device)
        base.check_memory(model, tuning, engine.strategy.root_device, trainer.strategy, engine.world_size)
        weights = base.load_weights(model, tuning, accelerated=engine.strategy.root_device.type != "cpu")
        if tuning.packing:
            check_packing(weights)
        module = TuningModule(attach(weights, tuning, model.lora_targets, seed), plan, tuning, seed)
        engine.fit(module, datamodule=TuningData(plan, trainer.workers), ckpt_path=last)
    engine.strategy.barrier("adapter")
    if engine.is_global_zero:
        shutil.rmtree(output / "checkpoint", ignore_errors=True)
    return AdapterResult(output / "adapter", AdapterCard.read(output / "adapter"))


def _check_data(agent: Sequence[Conversation], general: Sequence[Conversation], agent_ratio: float) -> None:
    if not 0 <= agent_ratio <= 1:
        raise ConfigError(f"lambda={agent_ratio}: must be a number from 0 to 1")
    for name, conversations, share in (("agent", agent, agent_ratio), ("general", general, 1 - agent_ratio)):
        if share > 0 and not conversations:
            raise UserError(f"data.{name}: no conversations, but λ={agent_ratio:g} draws {name} data; add a set")


def _plan(
    agent: ExampleSet, general: ExampleSet, agent_ratio: float, tuning: TuningSettings, data_seed: int
) -> TuningPlan:
    for name, made, share in (("agent", agent, agent_ratio), ("general", general, 1 - agent_ratio)):
        if share > 0 and not len(made):
            raise UserError(
                f"data.{name}: all {made.conversations} conversations are longer than tuning.max_length="
                f"{tuning.max_length} tokens; raise it"
            )
    return TuningPlan(agent, general, agent_ratio, tuning, data_seed)


def _card(
    model: ModelSettings,
    tuning: TuningSettings,
    renderer: Any,
    agent: Sequence[Conversation],
    general: Sequence[Conversation],
    agent_ratio: float,
    seed: int,
    data_seed: int,
) -> AdapterCard:
    card = AdapterCard(
        model=model.name,
        source=model.source or model.name,
        weights=base.weights_digest(model),
        template=renderer.template,
        template_sha256=renderer.sha256,
        agent_ratio=agent_ratio,
        seed=seed,
        settings={**asdict(tuning), "data_seed": data_seed},
        data={"agent": _describe(agent), "general": _describe(general)},
        fingerprint="",
        kind="model" if tuning.name == "full" else "adapter",
    )
    decisive = {
        "weights": card.weights,
        "template": card.template_sha256,
        "targets": model.lora_targets,
        "dtype": model.dtype,
        "agent_ratio": agent_ratio,
        "seed": seed,
        "settings": {name: value for name, value in card.settings.items() if name not in NOT_DECISIVE},
        "agent": card.data["agent"]["sha256"] if agent_ratio > 0 else "",
        "general": card.data["general"]["sha256"] if agent_ratio < 1 else "",
    }
    card.fingerprint = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return card


def _describe(conversations: Sequence[Conversation]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for conversation in conversations:
        digest.update(json.dumps([message.to_dict() for message in conversation.messages]).encode())
    return {"sha256": digest.hexdigest(), "sources": dict(Counter(c.source for c in conversations))}


class _SaveAdapter(pl.Callback):
    """Writes the adapter where the training ran, which may be another process than the one that asked for it."""

    def __init__(self, directory: Path, card: AdapterCard, tokenizer: Any) -> None:
        self.directory, self.card, self.tokenizer = directory, card, tokenizer
        self._start = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TuningModule)
        state = pl_module.trained_state(trainer.strategy.lightning_module_state_dict())
        if not trainer.is_global_zero:
            return
        realised = pl_module.plan.realised()
        self.card.realised = {
            "lambda_examples": realised.ratio_examples,
            "lambda_tokens": realised.ratio_tokens,
            **asdict(realised),
        }
        self.card.history = pl_module.history
        self.card.seconds = time.perf_counter() - self._start
        weights = {name.removeprefix("model."): value for name, value in state.items()}
        save(pl_module.model, weights, self.directory, self.card, self.tokenizer)
        write_readme(self.directory)


def _checkpoint(output: Path, fingerprint: str, first_rank: bool) -> str | None:
    """The checkpoint to go on from. One of a tuning with other data, settings or division into passes is removed."""
    directory = output / "checkpoint"
    mark = directory / "fingerprint"
    last = directory / "last.ckpt"
    if last.is_file() and mark.is_file() and mark.read_text() == fingerprint:
        return str(last)
    if first_rank:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        mark.write_text(fingerprint)
    return None
