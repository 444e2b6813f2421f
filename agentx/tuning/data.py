"""The plan of a tuning (which example goes into which forward pass of which device) and its DataModule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset, Sampler

from agentx.tuning.examples import Example, ExampleSet
from agentx.tuning.mixing import AGENT, Realised, draw, token_weights
from agentx.tuning.packing import Pass, collate, deal_rows, group_by_length, pack_rows, passes_needed, round_up
from agentx.tuning.settings import TuningSettings

HALF_PRECISION_MULTIPLE = 32
"""Rows are padded to a multiple of so many tokens in 16 bits: on a CPU oneDNN makes a kernel for each shape (a third of
the time went there), on a GPU tensor cores want it."""


class TuningPlan:
    """What each optimiser step learns from: a pure function of the data, λ, the seed and the settings.

    Step s takes the draws s·batch_size … (s+1)·batch_size - 1, whatever the number of devices; of these, rank r of w
    takes every w-th from the r-th. `weights` of the tokens are those of the whole step, so passes and ranks add up.

    Raises ValueError when λ draws from an empty set.
    """

    def __init__(self, agent: ExampleSet, general: ExampleSet, agent_ratio: float, settings: TuningSettings, seed: int):
        self.settings = settings
        self.agent_ratio = agent_ratio
        admitted = len(agent) * (agent_ratio > 0) + len(general) * (agent_ratio < 1)
        self.steps = settings.steps or max(1, round(settings.epochs * admitted / settings.batch_size))
        self.stream = draw(
            agent_ratio, (len(agent), len(general)), self.steps * settings.batch_size, seed, settings.mixing
        )
        self.examples: list[Example] = [*agent.examples, *general.examples]
        self.indices = self.stream.items + np.where(self.stream.origins == AGENT, 0, len(agent))
        self._multiple = 1 if settings.precision == "fp32" else HALF_PRECISION_MULTIPLE
        self._lengths = np.array([len(example) for example in self.examples], np.int64)
        self._trained = np.concatenate([agent.trained_tokens, general.trained_tokens])
        from_agent = (self.stream.origins == AGENT).reshape(self.steps, -1)
        trained = self._trained[self.indices].reshape(self.steps, -1)
        per_step = [
            from_agent.sum(1),
            (~from_agent).sum(1),
            (trained * from_agent).sum(1),
            (trained * ~from_agent).sum(1),
            self._lengths[self.indices].reshape(self.steps, -1).sum(1),
        ]
        self._totals = np.cumsum(np.stack(per_step, axis=1), axis=0)

    def realised(self, steps: int | None = None) -> Realised:
        """What the first `steps` steps drew (all of them by default), over all ranks."""
        steps = self.steps if steps is None else steps
        return Realised(*(int(total) for total in self._totals[steps - 1][:4])) if steps else Realised(0, 0, 0, 0)

    def tokens(self, steps: int) -> int:
        """Tokens of the first `steps` steps without padding, over all ranks."""
        return int(self._totals[steps - 1][4]) if steps else 0

    def passes(self, world_size: int = 1) -> int:
        """Forward passes per optimiser step on each rank. Raises ValueError when a rank would have an empty pass."""
        settings = self.settings
        if settings.accumulate is not None:
            needed = settings.accumulate
        elif settings.packing:
            capacity = settings.max_length
            rows = max(1, settings.tokens_per_pass // capacity)
            needed = max(-(-len(pack_rows(lengths, capacity)) // rows) for lengths in self._shares(world_size))
        else:
            shares = map(self._padded, self._shares(world_size))
            needed = max(passes_needed(lengths, settings.tokens_per_pass) for lengths in shares)
        if settings.batch_size < needed * world_size:
            raise ValueError(
                f"tuning.batch_size={settings.batch_size}: {world_size} devices with {needed} forward passes each need "
                f"at least {needed * world_size} conversations per step"
            )
        return needed

    def _shares(self, world_size: int) -> Iterator[list[int]]:
        """Lengths of what each rank gets in each step."""
        for step in range(self.steps):
            for rank in range(world_size):
                yield self._lengths[self.share(step, rank, world_size)].tolist()

    def _padded(self, lengths: list[int]) -> list[int]:
        return [round_up(length, self._multiple, self.settings.max_length) for length in lengths]

    def share(self, step: int, rank: int, world_size: int) -> np.ndarray:
        """Examples of one rank in one step, as indices into `examples`."""
        size = self.settings.batch_size
        return self.indices[step * size + rank : (step + 1) * size : world_size]

    def make_passes(self, step: int, rank: int, world_size: int, passes: int) -> list[Pass]:
        """The forward passes of one rank in one step."""
        size = self.settings.batch_size
        drawn = slice(step * size, (step + 1) * size)
        origins = self.stream.origins[drawn]
        trained = self._trained[self.indices[drawn]]
        weights = token_weights(origins, trained, self.agent_ratio, self.settings.mixing)[rank::world_size]
        from_agent = (origins == AGENT)[rank::world_size]
        examples = [self.examples[index] for index in self.share(step, rank, world_size)]
        lengths = [len(example) for example in examples]
        if self.settings.packing:
            rows_by_pass = deal_rows(pack_rows(lengths, self.settings.max_length), passes)
        else:
            budget = None if self.settings.accumulate else self.settings.tokens_per_pass
            rows_by_pass = [
                [[index] for index in group] for group in group_by_length(self._padded(lengths), passes, budget)
            ]
        padding = {"multiple": self._multiple, "limit": self.settings.max_length}
        return [collate(examples, rows, weights, from_agent, **padding) for rows in rows_by_pass]


class PassDataset(Dataset[Pass]):
    """Item i is forward pass i of this rank, step after step."""

    def __init__(self, plan: TuningPlan, rank: int, world_size: int, passes: int) -> None:
        self.plan, self.rank, self.world_size, self.passes = plan, rank, world_size, passes
        self._made: tuple[int, list[Pass]] = (-1, [])

    def __len__(self) -> int:
        return self.plan.steps * self.passes

    def __getitem__(self, index: int) -> Pass:
        step, number = divmod(index, self.passes)
        if self._made[0] != step:
            self._made = step, self.plan.make_passes(step, self.rank, self.world_size, self.passes)
        return self._made[1][number]


class _InOrder(Sampler[int]):
    """Passes in order from `start`; its length counts the earlier ones too, as Lightning does on resuming."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.end))

    def __len__(self) -> int:
        return self.end


class TuningData(pl.LightningDataModule):
    """Serves the plan's passes to the trainer, from the step at which it stands."""

    def __init__(self, plan: TuningPlan, workers: int = 0) -> None:
        super().__init__()
        self.plan = plan
        self.workers = workers

    def train_dataloader(self) -> DataLoader[Pass]:
        assert self.trainer is not None
        passes = self.trainer.accumulate_grad_batches
        dataset = PassDataset(self.plan, self.trainer.global_rank, self.trainer.world_size, passes)
        return DataLoader(
            dataset,
            sampler=_InOrder(self.trainer.global_step * passes, len(dataset)),
            batch_size=None,
            num_workers=self.workers,
        )
