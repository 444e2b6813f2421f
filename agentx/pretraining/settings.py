"""Options of `job=pretrain`."""

from __future__ import annotations

from dataclasses import dataclass

from agentx.errors import ConfigError


@dataclass
class PretrainSettings:
    """How the tiny model is made from nothing. The defaults made the shipped checkpoint."""

    name: str = "pretrain"
    """which job"""
    seed: int = 1
    """draws weights and text"""
    tokens: int = 20_000_000
    """training tokens, padding not counted; training ends there or at `minutes`, whichever comes first"""
    minutes: float | None = None
    """training time, interruptions not counted; null: no limit. The learning rate reaches 0 at the end of it"""
    batch_tokens: int = 2048
    """tokens of one optimizer step"""
    learning_rate: float = 1e-2
    """peak rate of Muon, which trains the matrices inside the blocks"""
    embedding_rate: float = 3e-3
    """peak rate of AdamW, which trains embeddings and norms"""
    warmup_steps: int = 200
    """optimizer steps in which the rate rises from 0 to its peak"""
    decay: float = 0.2
    """last share of the training in which the rate falls to 0"""
    weight_decay: float = 0.01
    """pull of the matrices inside the blocks to 0"""
    hidden_size: int = 192
    """width of the model"""
    layers: int = 4
    """transformer blocks"""
    heads: int = 6
    """attention heads; divides `hidden_size`"""
    intermediate_size: int = 512
    """width of the feed-forward part"""
    context_length: int = 2048
    """positions the model is made for"""
    vocabulary: int = 1536
    """most entries of the tokenizer"""
    tokenizer_documents: int = 8000
    """documents the tokenizer is trained on"""
    narration: float = 0.6
    """share of documents that narrate household play"""
    drills: float = 0.1
    """share of documents that drill copying, once the start is over"""
    drills_at_start: float = 0.7
    """share of copying drills in the first documents; falls to `drills` within `drill_documents`"""
    drill_documents: int = 12_000
    """documents after which the share of drills has fallen"""
    checkpoint_minutes: float = 5.0
    """time between two resumable checkpoints"""
    export_minutes: float = 10.0
    """time between two exports of the model"""
    export: str | None = None
    """directory the finished model is also written to; null: only <output>/model"""
    threads: int | None = None
    """CPU threads; null: as PyTorch chooses"""
    device: str = "auto"
    """auto | cpu | cuda"""

    def __post_init__(self) -> None:
        for name in (
            "tokens", "batch_tokens", "hidden_size", "layers", "heads", "intermediate_size", "context_length",
            "tokenizer_documents",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ConfigError(f"job.{name}={getattr(self, name)}: must be at least 1")
        for name in ("warmup_steps", "drill_documents", "weight_decay"):
            if getattr(self, name) < 0:
                raise ConfigError(f"job.{name}={getattr(self, name)}: must not be negative")
        for name in ("decay", "narration", "drills", "drills_at_start"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"job.{name}={getattr(self, name)}: must lie in [0, 1]")
        if self.narration + self.drills > 1:
            raise ConfigError("job.narration + job.drills: must not exceed 1 (the rest is general skills)")
        for name in ("learning_rate", "embedding_rate", "checkpoint_minutes", "export_minutes"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"job.{name}={getattr(self, name)}: must be greater than 0")
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"job.minutes={self.minutes}: must be greater than 0, or null for no limit")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"job.threads={self.threads}: must be at least 1, or null")
        if self.hidden_size % self.heads or self.hidden_size // self.heads % 2:
            raise ConfigError(
                f"job.heads={self.heads}: must divide hidden_size={self.hidden_size} into heads of even width"
            )
        if self.batch_tokens < self.context_length:
            raise ConfigError(
                f"job.batch_tokens={self.batch_tokens}: must be at least context_length={self.context_length}"
            )
        if self.vocabulary < 300:
            raise ConfigError(f"job.vocabulary={self.vocabulary}: must be at least 300 (256 bytes come first)")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"job.device={self.device}: must be auto, cpu or cuda")
