"""Options and the shipped configurations."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from agentx.config import build
from agentx.errors import ConfigError
from agentx.tuning.settings import DataSettings, LoggerSettings, TrainerSettings, TuningSettings

CONF = Path(__file__).parents[2] / "conf"
GROUPS = {"tuning": TuningSettings, "data": DataSettings, "trainer": TrainerSettings, "logger": LoggerSettings}


def compose(path: Path) -> DictConfig:
    """The file on top of the neighbours it builds on, as Hydra would compose it."""
    tree = OmegaConf.load(path)
    assert isinstance(tree, DictConfig)
    merged = OmegaConf.create()
    for name in tree.pop("defaults", []):
        if name != "_self_":
            merged.merge_with(compose(path.with_name(f"{name}.yaml")))
    merged.merge_with(tree)
    return merged


@pytest.mark.parametrize(
    "path", sorted(p for group in GROUPS for p in (CONF / group).glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_shipped_file_fits_its_options(path: Path) -> None:
    group = path.parent.name
    values = OmegaConf.to_container(OmegaConf.create({"seed": 0, group: compose(path)}), resolve=True)[group]
    values = {name: ["x.jsonl"] if value == "???" else value for name, value in values.items()}
    settings = build(GROUPS[group], values, group)
    if group == "tuning":
        assert settings.name == path.stem.partition("_")[0]


def test_lora_yaml_shows_every_option() -> None:
    shown = set(compose(CONF / "tuning" / "lora.yaml"))
    assert shown == {field.name for field in fields(TuningSettings)}


def test_the_authors_values() -> None:
    values = compose(CONF / "tuning" / "lora_paper.yaml")
    expected = {"rank": 16, "alpha": 32, "dropout": 0.05, "learning_rate": 5e-5, "schedule": "cosine", "epochs": 3}
    expected |= {"warmup_ratio": 0.02, "weight_decay": 0.1, "batch_size": 32, "steps": None, "precision": "fp16"}
    assert {name: values[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (TuningSettings, {"rank": 0}, "tuning.rank=0: must be at least 1"),
        (TuningSettings, {"learning_rate": 0}, "tuning.learning_rate=0"),
        (TuningSettings, {"dropout": 1.0}, "tuning.dropout=1.0: must be from 0"),
        (TuningSettings, {"batch_size": 4, "accumulate": 8}, "tuning.accumulate=8: 4 conversations"),
        (TuningSettings, {"mixing": "loss_weight", "batch_size": 1}, "make it at least 2"),
        (TuningSettings, {"targets": " ,"}, "tuning.targets=' ,'"),
        (DataSettings, {"experts_size": 0}, "data.experts_size=0"),
        (DataSettings, {"agent": [""]}, "data.agent: holds an empty name"),
        (TrainerSettings, {"devices": 0}, "trainer.devices=0"),
        (TrainerSettings, {"threads": 0}, "trainer.threads=0"),
    ],
)
def test_a_wrong_value_is_named_as_the_user_types_it(kind: type, values: dict, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        kind(**values)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
