"""The LightningModule: one optimiser step of tuning, exact under accumulation, several devices and resuming."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DeepSpeedStrategy, ModelParallelStrategy
from torch import Tensor, nn

from agentx.tuning.data import TuningPlan
from agentx.tuning.loss import split_head, step_loss, trained_nll
from agentx.tuning.packing import Pass
from agentx.tuning.settings import TuningSettings
from agentx.tuning.sharding import shard


class TuningModule(pl.LightningModule):
    """Tunes `model`'s trainable weights along a plan.

    The loss of an optimiser step is the sum over its trained tokens of weight times negative log-likelihood, where the
    weights add up to 1 over all passes and devices. Every pass seeds its own random numbers from its place in the
    plan, so that a resumed tuning goes on as if it had never stopped.
    """

    def __init__(self, model: nn.Module, plan: TuningPlan, settings: TuningSettings, seed: int) -> None:
        super().__init__()
        self.model = model
        self.plan = plan
        self.settings = settings
        self.seed = seed
        self.history: list[dict[str, float]] = []
        """one entry a step: step, loss, loss_agent, loss_general (per trained token; NaN where there was none)"""
        self.strict_loading = False
        decoder, self._head = split_head(model)
        self._decoder = (decoder,)  # in a tuple: its weights are registered once, as the model's
        self._sums: Tensor | None = None
        self._clock = (0, 0.0)
        self._configured = False

    def configure_model(self) -> None:
        """Fuse adapters, spread the weights where the trainer wants it, and compile; called on every device."""
        if self._configured:
            return
        self._configured = True
        # DeepSpeed gathers a module's weights when the module is called, which fused adapters are not.
        if self.settings.name == "lora" and not isinstance(self.trainer.strategy, DeepSpeedStrategy):
            from agentx.tuning.fused import fuse_adapters

            fuse_adapters(self.model)
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            if self.settings.name == "full":
                # The head is trained as well, so it must be part of what is spread and called.
                self._decoder, self._head = (self.model,), None
            shard(self._decoder[0], self.device_mesh["data_parallel"])  # type: ignore[index]
        if self.settings.compile:
            self._decoder[0].compile(dynamic=True)

    def on_train_start(self) -> None:
        self._clock = (self.global_step, time.perf_counter())

    def on_train_batch_start(self, batch: Pass, batch_idx: int) -> None:
        if self.settings.dropout:
            words = np.random.SeedSequence([self.seed, batch_idx, self.global_rank]).generate_state(1)
            torch.manual_seed(int(words[0]))

    def training_step(self, batch: Pass, batch_idx: int) -> Tensor:
        nll = trained_nll(self._decoder[0], batch, self._head, self.settings.loss_chunk)
        loss = step_loss(nll, batch)
        passes = self.trainer.accumulate_grad_batches
        self._account(loss.detach(), nll.detach(), batch)
        if (batch_idx + 1) % passes == 0:
            self._finish_step(batch_idx // passes + 1)
        # Lightning averages over passes and devices; the weights already make their sum the step's loss.
        return loss * (passes * self.trainer.world_size)

    def _account(self, loss: Tensor, nll: Tensor, batch: Pass) -> None:
        from_agent = batch.agent[:, 1:][batch.weights[:, 1:] > 0]
        agent = (nll * from_agent).sum()
        sums = torch.stack([loss, agent, nll.sum() - agent, from_agent.sum(), (~from_agent).sum()])
        self._sums = sums if self._sums is None else self._sums + sums

    def _finish_step(self, step: int) -> None:
        assert self._sums is not None
        sums = self.trainer.strategy.reduce(self._sums, reduce_op="sum")
        self._sums = None
        loss, agent, general, agent_tokens, general_tokens = sums.tolist()
        entry = {
            "step": step,
            "loss": loss,
            "loss_agent": agent / agent_tokens if agent_tokens else math.nan,
            "loss_general": general / general_tokens if general_tokens else math.nan,
        }
        self.history.append(entry)
        if step % self.settings.log_every == 0 or step == self.plan.steps:
            self._log(step, entry)

    def _log(self, step: int, entry: dict[str, float]) -> None:
        since, now = self._clock[0], time.perf_counter()
        seconds = max(now - self._clock[1], 1e-9)
        before, after = self.plan.realised(since), self.plan.realised(step)
        trained = after.agent_tokens + after.general_tokens - before.agent_tokens - before.general_tokens
        values = {
            **{f"tuning/{name}": value for name, value in entry.items() if name != "step" and not math.isnan(value)},
            "tuning/learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
            "tuning/tokens_per_second": (self.plan.tokens(step) - self.plan.tokens(since)) / seconds,
            "tuning/trained_tokens_per_second": trained / seconds,
            "tuning/lambda_examples": after.ratio_examples,
            "tuning/lambda_tokens": after.ratio_tokens,
        }
        self._clock = (step, now)
        if self.trainer.is_global_zero:
            for logger in self.trainer.loggers:
                logger.log_metrics(values, step=step)

    def configure_optimizers(self) -> Any:
        trainable = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        groups = [
            {"params": [p for p in trainable if p.ndim > 1], "weight_decay": self.settings.weight_decay},
            {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=self.settings.learning_rate,
            # Lightning cannot clip gradients for a fused optimiser under mixed precision.
            fused=self.settings.precision == "fp32" and not isinstance(self.trainer.strategy, ModelParallelStrategy),
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _learning_rate_factor(self, step: int) -> float:
        """Linear warm-up, then half a cosine to zero, or constant."""
        warmup = math.ceil(self.settings.warmup_ratio * self.plan.steps)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if self.settings.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.plan.steps - warmup)))

    def trained_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """The part of this module's state dict that tuning changes."""
        trainable = {f"model.{name}" for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        return {name: value for name, value in state.items() if name in trainable}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["state_dict"] = self.trained_state(checkpoint["state_dict"])
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint["history"])
