"""Options of tuning: the method, the data, the devices and the loggers. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agentx.errors import ConfigError

NOT_DECISIVE = ("accumulate", "tokens_per_pass", "loss_chunk", "compile", "log_every", "checkpoint_every")
"""Options of tuning that change no more than rounding and which units dropout hits."""


@dataclass
class TuningSettings:
    """How a model is tuned. `batch_size` alone decides what a step learns from; `accumulate`,
    `tokens_per_pass` and `packing` decide only how it is cut into forward passes, with the same gradients."""

    name: Literal["lora", "qlora", "full", "none"] = "lora"
    """lora: adapters on the weights as they are; qlora: on weights held in 4 bits (NF4); full: all weights; none."""
    rank: int = 16
    """Rank of the adapters (r)."""
    alpha: float = 32.0
    """Adapters are scaled by alpha / rank (alpha / sqrt(rank) with use_rslora)."""
    dropout: float = 0.05
    """Dropout on the adapters' input."""
    targets: str = "auto"
    """Modules that get an adapter: auto (the model's own lora_targets, else all-linear), all-linear, or names
    separated by commas."""
    use_dora: bool = False
    """Weight-decomposed LoRA."""
    use_rslora: bool = False
    """Rank-stabilised scaling."""
    learning_rate: float = 5e-5
    """Peak, reached after the warm-up."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """What the learning rate does after the warm-up."""
    warmup_ratio: float = 0.02
    """Share of the steps over which the learning rate rises from zero."""
    weight_decay: float = 0.1
    """AdamW's, on matrices only."""
    epochs: float = 3.0
    """Length of the tuning where `steps` is null. One epoch draws as many examples as there are in the sets
    that λ lets in."""
    steps: int | None = None
    """Length of the tuning in optimiser steps; null: by `epochs`."""
    batch_size: int = 32
    """Conversations per optimiser step, over all devices and forward passes."""
    accumulate: int | None = None
    """Forward passes per optimiser step on each device; null: as few as `tokens_per_pass` allows."""
    tokens_per_pass: int = 4096
    """Tokens in one forward pass, padding included, where `accumulate` is null; a longer conversation goes alone."""
    max_length: int = 2048
    """Longest conversation in tokens, as rendered."""
    overlong: Literal["split", "drop"] = "split"
    """Longer conversations: split at turns, the task statement before each piece; or left out. Both are counted."""
    packing: bool = False
    """Several conversations in a row of max_length tokens, none seeing another; worth it on a GPU."""
    mixing: Literal["sampling", "loss_weight"] = "sampling"
    """λ as the probability that a draw is agent data, or as the weight of the agent data's loss (Eq. 1 literally)."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the arithmetic; adapters and optimiser stay in 32 bits."""
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2", "flex_attention"] = "auto"
    """Implementation of attention; auto: the model library's choice."""
    gradient_clip: float = 1.0
    """Largest norm of a step's gradient; 0: not clipped."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    compile: bool = False
    """Compile the decoder with torch.compile: minutes at the start, faster steps on a GPU."""
    loss_chunk: int = 4096
    """Trained tokens whose logits are held at once; 0: all."""
    log_every: int = 5
    """Steps between two entries in the logger."""
    checkpoint_every: int = 50
    """Steps between two checkpoints, from which an interrupted tuning goes on; 0: none."""

    def __post_init__(self) -> None:
        for option, least in (
            ("rank", 1),
            ("batch_size", 1),
            ("accumulate", 1),
            ("steps", 1),
            ("tokens_per_pass", 1),
            ("max_length", 2),
            ("loss_chunk", 0),
            ("log_every", 1),
            ("checkpoint_every", 0),
            ("weight_decay", 0),
            ("gradient_clip", 0),
        ):
            value = getattr(self, option)
            if value is not None and value < least:
                raise ConfigError(f"tuning.{option}={value}: must be at least {least}")
        for option in ("alpha", "learning_rate", "epochs"):
            if not getattr(self, option) > 0:
                raise ConfigError(f"tuning.{option}={getattr(self, option)}: must be above 0")
        for option in ("dropout", "warmup_ratio"):
            if not 0 <= getattr(self, option) < 1:
                raise ConfigError(f"tuning.{option}={getattr(self, option)}: must be from 0 up to, but not, 1")
        if self.accumulate is not None and self.accumulate > self.batch_size:
            raise ConfigError(
                f"tuning.accumulate={self.accumulate}: {self.batch_size} conversations (tuning.batch_size) cannot fill "
                "that many passes; lower it or raise batch_size"
            )
        if self.mixing == "loss_weight" and self.batch_size < 2:
            raise ConfigError(
                f"tuning.batch_size={self.batch_size}: tuning.mixing=loss_weight needs agent and general data in every "
                "step; make it at least 2"
            )
        if not self.targets.strip(" ,"):
            raise ConfigError(f"tuning.targets={self.targets!r}: name modules, or use auto or all-linear")


@dataclass
class DataSettings:
    """What a model is tuned on. A set is one of those generated here (`experts`, `constructed`, `skills`), a known set
    (agentx/tuning/known_sets.yaml), the path of a JSON, JSONL or Parquet file or of a directory of them, or a set of
    the Hub, owner/name[/config][:split]."""

    name: str | None = None
    """What tables call this mix; null: the names of its sets."""
    agent: list[str] = field(default_factory=lambda: ["experts"])
    """Agent data, drawn with probability λ. `experts`: trajectories of the task's scripted expert; `experts:household`:
    of another task's, with its shipped options; `constructed`: what job=construct has kept."""
    general: list[str] = field(default_factory=lambda: ["skills"])
    """General data, drawn otherwise. `skills`: generated questions and answers."""
    experts_size: int = 1000
    """Episodes in the set `experts`."""
    skills_size: int = 1000
    """Conversations in the set `skills`."""
    size: int = 100
    """Trajectories that job=construct begins."""
    limit: int | None = None
    """At most so many conversations of each set, taken at random by `seed`; null: all."""
    on_error: Literal["stop", "skip"] = "stop"
    """A broken record ends the run with its file, line and reason, or is left out and counted."""
    seed: int = 0
    """Of the generated sets and of the order in which examples are drawn."""

    def __post_init__(self) -> None:
        for option in ("experts_size", "skills_size", "size"):
            if getattr(self, option) < 1:
                raise ConfigError(f"data.{option}={getattr(self, option)}: must be at least 1")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"data.limit={self.limit}: must be at least 1, or null for all")
        if self.name is not None and not self.name.strip():
            raise ConfigError("data.name: is empty; give a name, or null")
        if self.seed < 0:
            raise ConfigError(f"data.seed={self.seed}: must be at least 0")
        for option in ("agent", "general"):
            if any(not name.strip() for name in getattr(self, option)):
                raise ConfigError(f"data.{option}: holds an empty name; name a set or a file")


@dataclass
class PreviewSettings:
    """`job=data`: look at the tuning data before anything is trained."""

    name: str = "data"
    example: int = 0
    """Which conversation of each side is shown as it will be trained; counted from 0."""
    near_duplicate: float | None = 0.8
    """Share of five-word sequences two conversations must have in common to count as near duplicates; null: not looked
    for, which saves time on large sets."""
    ngram: int = 13
    """Words in a row that an evaluation sample and training data must have in common to count as overlap."""
    contamination: bool = True
    """Look for the task's evaluation samples among the training data."""

    def __post_init__(self) -> None:
        if self.example < 0:
            raise ConfigError(f"job.example={self.example}: must be at least 0")
        if self.near_duplicate is not None and not 0.3 <= self.near_duplicate <= 1:
            raise ConfigError(f"job.near_duplicate={self.near_duplicate}: must be from 0.3 to 1, or null")
        if self.ngram < 3:
            raise ConfigError(f"job.ngram={self.ngram}: must be at least 3")


@dataclass
class MergeSettings:
    """`job=merge`: the adapter merged into its base, as one plain model."""

    name: str = "merge"
    output: Path | None = None
    """Directory of the merged model; null: `merged` beside the adapter."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of its weights; auto: as they were tuned."""


@dataclass
class TrainerSettings:
    """The devices, for tuning and for evaluation; the names are Lightning's."""

    accelerator: Literal["auto", "cpu", "gpu", "mps", "tpu"] = "cpu"
    """What computes."""
    devices: int | Literal["auto"] = 1
    """Devices, or processes on a CPU, on each node."""
    strategy: str = "auto"
    """How several devices share the work: auto, ddp, ddp_spawn …; fsdp: each holds a part of the weights;
    deepspeed_stage_2, deepspeed_stage_3: the same through DeepSpeed."""
    num_nodes: int = 1
    """Machines."""
    workers: int = 0
    """Processes that prepare batches on each device; 0: the training process does it."""
    threads: int | None = None
    """CPU threads of tensor operations; null: torch's default."""

    def __post_init__(self) -> None:
        if isinstance(self.devices, int) and self.devices < 1:
            raise ConfigError(f"trainer.devices={self.devices}: must be at least 1, or auto")
        for option, least in (("num_nodes", 1), ("workers", 0), ("threads", 1)):
            value = getattr(self, option)
            if value is not None and value < least:
                raise ConfigError(f"trainer.{option}={value}: must be at least {least}")


LoggerName = Literal["csv", "wandb", "tensorboard", "mlflow", "none"]


@dataclass
class LoggerSettings:
    """Where curves go."""

    name: LoggerName = "csv"
    """csv: metrics.csv in the cell; the others need their packages."""
    also: list[LoggerName] = field(default_factory=list)
    """further ones at the same time"""
    project: str = "agentx"
    """W&B project, MLflow experiment."""
    group: str | None = None
    """W&B group, e.g. of a sweep."""
    mode: Literal["online", "offline"] = "online"
    """W&B: offline writes to disk only; upload with `wandb sync`."""
    tags: list[str] = field(default_factory=list)
    """W&B tags."""
    tracking_uri: str | None = None
    """MLflow: its server or directory; null: the folder mlruns in the cell."""

    def uses(self, name: str) -> bool:
        return name in (self.name, *self.also)
