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
    start: str | None = None
    """directory of a model made by this job to go on from, with its weights and tokenizer; null: from nothing"""
    tokens: int = 20_000_000
    """training tokens, padding not counted; training ends there or at `minutes`, whichever comes first"""
    minutes: float | None = None
    """training time, interruptions not counted; null: no limit. The learning rate reaches 0 at the end of it"""
    batch_tokens: int = 2048
    """tokens of one optimizer step"""
    learning_rate: float = 2e-3
    """peak rate of Muon, which trains the matrices inside the blocks"""
    embedding_rate: float = 1e-3
    """peak rate of AdamW, which trains embeddings and norms"""
    warmup_steps: int = 200
    """optimizer steps in which the rate rises from 0 to its peak"""
    decay: float = 0.3
    """last share of the training in which the rate falls to 0"""
    weight_decay: float = 0.01
    """pull of the matrices inside the blocks to 0"""
    hidden_size: int = 192
    """width of the model"""
    layers: int = 4
    """transformer blocks"""
    heads: int = 3
    """attention heads; divides `hidden_size`"""
    rope_theta: float = 1e6
    """base of the rotary embedding: the larger, the more dimensions compare tokens at any distance"""
    copying_heads: bool = True
    """begin with heads that copy, written over the random weights; false: random weights alone"""
    intermediate_size: int = 512
    """width of the feed-forward part"""
    context_length: int = 2048
    """positions the model is made for"""
    vocabulary: int = 2048
    """most entries of the tokenizer"""
    tokenizer_documents: int = 8000
    """documents the tokenizer is trained on"""
    narration: float = 0.2
    """share of documents that narrate household play"""
    plays: float = 0.15
    """share of documents that narrate play of the database, shell, shop and web page tasks"""
    renamed: float = 0.65
    """share of those in which names are exchanged for drawn ones"""
    plays_recorded: int = 800
    """episodes of each of those tasks that are recorded, to be told in ever new layouts"""
    drills: float = 0.08
    """share of documents that drill copying, once the start is over"""
    drills_at_start: float = 0.3
    """share of copying drills in the first documents; falls to `drills` within `drill_documents`"""
    drill_documents: int = 8_000
    """documents after which the share of drills has fallen"""
    contamination_documents: int = 20_000
    """documents at the beginning of the text in which evaluated samples are looked for at the end; 0: not looked for"""
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
            "tokenizer_documents", "plays_recorded",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ConfigError(f"job.{name}={getattr(self, name)}: must be at least 1")
        for name in ("warmup_steps", "drill_documents", "weight_decay", "contamination_documents"):
            if getattr(self, name) < 0:
                raise ConfigError(f"job.{name}={getattr(self, name)}: must not be negative")
        for name in ("decay", "narration", "plays", "renamed", "drills", "drills_at_start"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"job.{name}={getattr(self, name)}: must lie in [0, 1]")
        if self.narration + self.plays + self.drills > 1:
            raise ConfigError("job.narration + job.plays + job.drills: must not exceed 1 (the rest is general skills)")
        for name in ("learning_rate", "embedding_rate", "rope_theta", "checkpoint_minutes", "export_minutes"):
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
        if self.copying_heads and (self.heads < 3 or self.layers < 2):
            raise ConfigError("job.copying_heads=true: needs job.heads of at least 3 and job.layers of at least 2")
        if self.batch_tokens < self.context_length:
            raise ConfigError(
                f"job.batch_tokens={self.batch_tokens}: must be at least context_length={self.context_length}"
            )
        if self.vocabulary < 300:
            raise ConfigError(f"job.vocabulary={self.vocabulary}: must be at least 300 (256 bytes come first)")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"job.device={self.device}: must be auto, cpu or cuda")
