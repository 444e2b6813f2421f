"""LoRA adapters: put on a model, saved in peft's format with their provenance."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agentx.errors import ConfigError, UserError
from agentx.models.loading import ADAPTER_CARD
from agentx.models.settings import ModelSettings
from agentx.tuning.settings import TuningSettings


@dataclass
class AdapterCard:
    """What an adapter was made from and how: the content of agentx.json beside it."""

    model: str
    """short name of the base model"""
    source: str
    """directory or Hub id of its weights"""
    weights: str
    """digest of them"""
    template: str
    """name of the chat template it was tuned with"""
    template_sha256: str
    agent_ratio: float
    """λ"""
    seed: int
    settings: dict[str, Any]
    data: dict[str, Any]
    """for agent and general: digest of the conversations, their sources and counts"""
    fingerprint: str
    """digest of everything above that decides the outcome"""
    kind: str = "adapter"
    """adapter, or model where all weights were tuned"""
    realised: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path) -> AdapterCard:
        """Raises UserError when the directory holds no card of this form."""
        path = directory / ADAPTER_CARD
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{name: record[name] for name in cls.__dataclass_fields__})
        except FileNotFoundError as error:
            raise UserError(f"{directory}: holds no {ADAPTER_CARD}, so its making is unknown; tune it again") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: is not a card this version can read ({error}); tune the adapter again") from error


def served(model: ModelSettings, directory: Path) -> tuple[ModelSettings, Path | None]:
    """What to open to use the outcome of a tuning of `model`: the model with the adapter in `directory`, or, where all
    weights were tuned, the model that `directory` holds and no adapter."""
    if AdapterCard.read(directory).kind == "model":
        return replace(model, source=str(directory), dtype="float32"), None
    return model, directory


def attach(model: Any, settings: TuningSettings, targets: list[str] | None, seed: int) -> Any:
    """`model` ready for tuning: with fresh adapters (lora, qlora) or all its weights free (full).

    `targets` are the model's own, for tuning.targets=auto. Raises ConfigError when a target matches nothing.
    """
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if settings.name == "full":
        return model.requires_grad_(True).train()
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    wanted = _targets(settings.targets, targets)
    if not isinstance(wanted, str):
        _check_targets(model, wanted)
    if settings.name == "qlora":
        model = prepare_model_for_kbit_training(
            model,
            use_gradient_checkpointing=settings.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
        )
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=wanted,
        use_dora=settings.use_dora,
        use_rslora=settings.use_rslora,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(model, config).train()


def _targets(option: str, of_model: list[str] | None) -> str | list[str]:
    if option == "auto":
        return of_model or "all-linear"
    return option if option == "all-linear" else [name.strip() for name in option.split(",") if name.strip()]


def _check_targets(model: nn.Module, targets: list[str]) -> None:
    names = [name for name, _ in model.named_modules()]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            modules = model.named_modules()
            linear = {name.rpartition(".")[2] for name, module in modules if isinstance(module, nn.Linear)}
            raise ConfigError(
                f"tuning.targets={target}: no module of the model has that name; its linear layers are "
                f"{', '.join(sorted(linear))}"
            )


def save(model: Any, state: dict[str, torch.Tensor], directory: Path, card: AdapterCard, tokenizer: Any = None) -> None:
    """Write adapter (or tuned model, with its tokenizer) and card; the directory appears whole or not at all.

    `state` maps the trained weights' names in `model` to their values.
    """
    card.versions = {name: version(name) for name in ("torch", "transformers", "peft", "pytorch-lightning")}
    with whole_directory(directory) as partial:
        if card.kind == "adapter":
            model.save_pretrained(partial, state_dict=state, safe_serialization=True)
            (partial / "README.md").unlink(missing_ok=True)
        else:
            model.save_pretrained(partial, state_dict=state or None)
            tokenizer.save_pretrained(partial)
        (partial / ADAPTER_CARD).write_text(json.dumps(asdict(card), indent=1) + "\n", encoding="utf-8")


@contextmanager
def whole_directory(directory: Path) -> Iterator[Path]:
    """A directory to write into that takes the place of `directory` at the end, if nothing was raised."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        yield partial
        for path in partial.rglob("*"):
            if path.is_file():
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        partial.chmod(0o755)
        if directory.exists():
            shutil.rmtree(directory)
        partial.rename(directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
