import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from agentx.config import build
from agentx.errors import ConfigError
from agentx.models.settings import BackendSettings, ModelSettings

CONF = Path(__file__).resolve().parents[2] / "conf"
FILES = sorted(path for group in ("model", "teacher", "backend") for path in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_configurations_are_valid(path: Path) -> None:
    group = path.parent.name
    values = OmegaConf.load(path)
    if path.stem == "custom":
        values.source = "someone/something"
    interpolated = OmegaConf.to_container(
        OmegaConf.merge({"model": {"prompt": "plain", "shots": 1}}, {group: values}), resolve=True
    )
    assert isinstance(interpolated, dict)
    settings = build(BackendSettings if group == "backend" else ModelSettings, interpolated[group], group)
    assert settings.name == path.stem


def test_every_model_of_the_paper_is_there() -> None:
    models = {path.stem for path in FILES if path.parent.name == "model"}
    assert models >= {
        "tiny",
        "llama2-7b",
        "agentlm-7b",
        "openchat-13b",
        "openchat-13b-super",
        "llama2-13b",
        "gpt-4",
        "gpt-3.5-turbo",
        "claude",
    }


def test_each_back_end_lists_what_it_heeds() -> None:
    fields = {field.name for field in dataclasses.fields(BackendSettings)}
    listed = {path.stem: set(OmegaConf.load(path)) for path in FILES if path.parent.name == "backend"}
    assert set().union(*listed.values()) == fields
    assert listed["openai"] & listed["transformers"] == {"name", "max_concurrency"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots": -1}, "model.shots=-1"),
        ({"max_tokens": 0}, "model.max_tokens=0"),
        ({"max_tokens": 64, "context_length": 64}, "no room for a prompt"),
        ({"kind": "api", "adapter": "x"}, "model.adapter=x"),
        ({"base_url": "localhost:8000"}, "model.base_url=localhost:8000"),
    ],
)
def test_models_that_make_no_sense(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelSettings("m", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["max_concurrency", "cache_tokens", "prefill_tokens", "threads", "timeout"])
def test_back_end_numbers_have_bounds(option: str) -> None:
    with pytest.raises(ConfigError, match=f"backend.{option}=0"):
        BackendSettings(**{option: 0})  # type: ignore[arg-type]


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        BackendSettings(base_url="https://me:hunter2@example.org/v1")
    assert "hunter2" not in str(caught.value)


def test_settings_import_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "openai", "numpy"}
    code = f"import sys, agentx.models.settings; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
