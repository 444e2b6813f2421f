"""Estimates of what a chosen model takes, against machines of several sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from agentx.config import Config, from_hydra
from agentx.errors import UserError
from agentx.jobs import memory_check

CONF = Path(__file__).resolve().parents[2] / "conf"
GIB = 2**30


def configured(*overrides: str) -> Config:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return from_hydra(compose("config", overrides=list(overrides)))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def with_memory(free: float, total: float | None = None, gpu: bool = False) -> None:
        monkeypatch.setattr(memory_check, "_memory", lambda _: (free * GIB, (total or free) * GIB))
        monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)

    return with_memory


def test_weights_that_do_not_fit_end_a_run_before_it_starts(machine: Callable[..., None]) -> None:
    """7 billion parameters in 32 bits, as a CPU holds them, are 26 GiB; in 16 on a GPU 13."""
    config = configured("model=llama2-7b", "tuning=none")
    machine(16)
    with pytest.raises(UserError, match=r"16.0 GiB memory free; llama2-7b takes 2\d.\d GiB of weights"):
        memory_check.require_generating(config)
    machine(16, gpu=True)
    memory_check.require_generating(config)


def test_vllm_takes_its_share_of_the_gpu_or_does_not_start(machine: Callable[..., None]) -> None:
    config = configured("model=llama2-7b", "tuning=none", "backend=vllm")
    machine(78, 80, gpu=True)
    (check,) = memory_check.generating(config)
    assert check.works and "vLLM is given 72.0 GiB" in check.detail
    machine(60, 80, gpu=True)
    (check,) = memory_check.generating(config)
    assert not check.works and "gpu_memory_utilization (now 0.9)" in check.remedy
    machine(14, 14, gpu=True)
    (check,) = memory_check.generating(config)
    assert not check.works
    machine(14)
    (check,) = memory_check.generating(configured("backend=vllm", "tuning=none"))
    assert check.works and "2.0 GiB of keys and values" in check.detail


def test_a_request_as_long_as_the_model_holds_must_fit(
    machine: Callable[..., None], random_llama: Callable[..., Path], tmp_path: Path
) -> None:
    """2 layers with 2 heads of 16 numbers, keys and values of 4 bytes: 512 bytes for each of the 256 tokens."""
    from agentx.models.memory import generation

    source = random_llama(tmp_path / "llama")
    config = configured("tuning=none", f"model.source={source}", "model.context_length=256")
    need = generation(config.model, config.backend, gpu=False)
    assert need is not None and need.request == 512 * 256
    machine(need.weights / GIB)
    (check,) = memory_check.generating(config)
    assert not check.works and "for each full-length request" in check.detail


def test_tuning_is_estimated_as_before_the_tuning_itself(machine: Callable[..., None]) -> None:
    from agentx.tuning.base import estimate_memory

    config = configured()
    need = estimate_memory(config.model, config.tuning, False, "auto", 1)
    for free, works, refused in (
        (need.total, True, False),
        (need.certain, False, False),
        (need.certain / 2, False, True),
    ):
        machine(free / GIB)
        check = memory_check.tuning(config)
        assert (check.works, check.needed and not check.works) == (works, refused) and str(need) in check.detail


def test_what_a_server_generates_takes_no_memory_here(machine: Callable[..., None]) -> None:
    machine(0)
    assert list(memory_check.memory(configured("model=gpt-4", "backend=openai", "tuning=none"))) == []


def test_a_model_that_is_not_here_is_an_error_that_names_it(machine: Callable[..., None], tmp_path: Path) -> None:
    machine(16)
    with pytest.raises(UserError, match="no/such"):
        memory_check.require_generating(configured("tuning=none", f"model.source={tmp_path}/no/such"))
