"""The training loop: plain PyTorch, resumable after a kill at any moment."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from agentx.errors import ConfigError
from agentx.pretraining.corpus import Batch
from agentx.pretraining.optimizer import make_optimizers
from agentx.pretraining.settings import PretrainSettings

log = logging.getLogger(__name__)

LOG_STEPS = 100
"""optimizer steps between two lines of the log"""
STOP_FILE = "stop"
"""a file of this name in the output directory ends training early, after the learning rate has fallen"""
FREE = {
    "name", "tokens", "minutes", "decay", "checkpoint_minutes", "export_minutes", "export", "threads", "device",
    "contamination_documents",
}  # fmt: skip
"""settings that may change when a run is resumed; the others made the weights and text so far"""


@dataclass
class Progress:
    """How far a run is. `seconds` counts training time over all resumptions."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    limit: float | None = None
    """training seconds at which the rate reaches 0, once a stop was asked for"""
    decay_seconds: float = 0.0
    """length of the fall that a stop asked for"""

    def remaining(self, settings: PretrainSettings) -> float:
        """Share of the training that is left, by the bound that is met first."""
        shares = [1 - self.tokens / settings.tokens]
        if settings.minutes is not None:
            shares.append(1 - self.seconds / (60 * settings.minutes))
        return max(0.0, min(shares))

    def rate(self, settings: PretrainSettings) -> float:
        """Share of the peak rate: linear rise, constant, linear fall to 0 (warmup-stable-decay, Hu et al. 2024)."""
        rise = min(1.0, (self.step + 1) / (settings.warmup_steps or 1))
        fall = min(1.0, self.remaining(settings) / settings.decay) if settings.decay else 1.0
        if self.limit is not None:
            fall = min(fall, max(0.0, self.limit - self.seconds) / self.decay_seconds)
        return rise * fall

    def finished(self, settings: PretrainSettings) -> bool:
        return self.remaining(settings) <= 0 or (self.limit is not None and self.seconds >= self.limit)

    def stop(self, settings: PretrainSettings, minutes: float | None) -> None:
        """Let the rate fall from now on, for `minutes` or as long as `decay` asks of a run of this length."""
        wanted = minutes * 60 if minutes is not None else self.seconds * settings.decay / max(1 - settings.decay, 0.1)
        self.decay_seconds = max(wanted, 1.0)
        self.limit = self.seconds + self.decay_seconds


class Averaged:
    """Exponential moving average of the weights: much of what a decayed rate gives, at any time of the run."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self.weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: LlamaForCausalLM, step: int) -> None:
        keep = min(0.999, (1 + step) / (10 + step))
        new: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(list(self.weights.values()), new, 1 - keep)


class Training:
    """Model, optimizers and progress of one run, saved together in `<output>/state.pt`."""

    def __init__(self, model: LlamaForCausalLM, settings: PretrainSettings, output: Path) -> None:
        self.model = model
        self.settings = settings
        self.output = output
        self.device = next(model.parameters()).device
        self.optimizers = make_optimizers(model, settings.learning_rate, settings.embedding_rate, settings.weight_decay)
        self.average = Averaged(model)
        self.progress = Progress()
        self.run_number = 1
        self.log_path = output / "training_log.jsonl"

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": self.average.weights,
            "progress": asdict(self.progress),
            "settings": asdict(self.settings),
        }
        partial = self.output / "state.pt.partial"
        torch.save(state, partial)
        os.replace(partial, self.output / "state.pt")

    def resume(self) -> bool:
        """Takes up `<output>/state.pt` where there is one. Raises ConfigError when it was made with other settings."""
        path = self.output / "state.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        now = asdict(self.settings)
        for field in fields(self.settings):
            old = state["settings"].get(field.name)
            if field.name not in FREE and old != now[field.name]:
                raise ConfigError(
                    f"job.{field.name}={now[field.name]}: the run in {self.output} was begun with {old}; "
                    "delete that directory to begin anew, or give the old value to go on"
                )
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.average.weights = state["average"]
        self.progress = Progress(**state["progress"])
        self._cut_log()
        return True

    def begin_log(self, earlier: Path | None) -> None:
        """An empty log; in one that goes on from a model (`earlier` is its log) the lines of every run bear its number,
        from 1."""
        self.log_path.unlink(missing_ok=True)
        lines = earlier.read_text().splitlines() if earlier is not None and earlier.exists() else []
        records = [json.loads(line) for line in lines]
        self.run_number = 1 + max((record.get("run", 1) for record in records), default=0)
        with self.log_path.open("a") as file:
            file.writelines(json.dumps({"run": 1, **record}) + "\n" for record in records)

    def _cut_log(self) -> None:
        """Drops the lines of steps that will be done again."""
        if self.log_path.exists():
            records = [json.loads(line) for line in self.log_path.read_text().splitlines()]
            self.run_number = max((record.get("run", 1) for record in records), default=1)
            kept = [r for r in records if r.get("run", 1) < self.run_number or r["step"] <= self.progress.step]
            self.log_path.write_text("".join(f"{json.dumps(record)}\n" for record in kept))

    def write_log(self, record: dict[str, Any]) -> None:
        run = {"run": self.run_number} if self.run_number > 1 else {}
        with self.log_path.open("a") as file:
            file.write(json.dumps({**run, **record}) + "\n")

    def step(self, batch: Batch) -> Tensor:
        """One optimizer step on the batch; returns its mean loss in nats a token, not yet waited for."""
        rate = self.progress.rate(self.settings)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["peak"]
        ids, labels = batch.ids.to(self.device), batch.labels.to(self.device)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            loss = self.model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update(self.model, self.progress.step)
        self.progress.step += 1
        self.progress.tokens += batch.tokens
        return loss.detach()

    def run(self, batches: Iterator[Batch], export: Callable[[], object]) -> None:
        """Trains until the settings' bound, a stop file, or an interruption. `export` is called at intervals."""
        settings, progress = self.settings, self.progress
        losses: list[Tensor] = []
        clock = saved = exported = logged = time.monotonic()
        logged_tokens = progress.tokens
        while not progress.finished(settings):
            losses.append(self.step(next(batches)))
            now = time.monotonic()
            progress.seconds += now - clock
            clock = now
            if progress.step % LOG_STEPS == 0:
                speed = (progress.tokens - logged_tokens) / (now - logged)
                self._report(float(torch.stack(losses).mean()), speed)
                losses, logged, logged_tokens = [], now, progress.tokens
                self._look_for_stop()
            if now - saved > 60 * settings.checkpoint_minutes:
                self.save()
                saved = now
            if now - exported > 60 * settings.export_minutes:
                export()
                exported = now
        self.save()

    def _report(self, loss: float, speed: float) -> None:
        settings, progress = self.settings, self.progress
        rate = progress.rate(settings) * settings.learning_rate
        left = (settings.tokens - progress.tokens) / speed
        if settings.minutes is not None:
            left = min(left, 60 * settings.minutes - progress.seconds)
        if progress.limit is not None:
            left = min(left, progress.limit - progress.seconds)
        self.write_log(
            {"step": progress.step, "tokens": progress.tokens, "seconds": round(progress.seconds, 1),
             "loss": round(loss, 4), "rate": rate, "tokens_per_second": round(speed)}
        )  # fmt: skip
        log.info(
            "pretrain: step %d, %.2f M tokens, loss %.3f, rate %.1e, %d tokens/s, %.0f min left",
            progress.step, progress.tokens / 1e6, loss, rate, speed, max(0.0, left) / 60,
        )  # fmt: skip

    def _look_for_stop(self) -> None:
        path = self.output / STOP_FILE
        if self.progress.limit is not None or not path.exists():
            return
        text = path.read_text().strip()
        minutes = float(text) if text.replace(".", "", 1).isdigit() else None
        self.progress.stop(self.settings, minutes)
        log.info("pretrain: %s found: the rate falls for %.1f min", path, self.progress.decay_seconds / 60)
