"""Whether the model that a run has chosen fits this machine's memory: to generate, and to be tuned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agentx.config import Config
from agentx.errors import UserError
from agentx.jobs.assignments import active, assignments
from agentx.jobs.needs import is_tuned
from agentx.models.identity import is_served

if TYPE_CHECKING:
    from agentx.jobs.doctor import Check

GIB = 2**30


def memory(config: Config) -> Iterator[Check]:
    """What policy, planner and judge take to generate, and what tuning takes, against what is free. A download that
    would tell is not made."""
    yield from generating(config)
    doctors = config.job.name == "doctor" and config.tuning.name != "none" and config.model.kind == "local"
    if is_tuned(config) or doctors:
        yield tuning(config)


def require_generating(config: Config) -> None:
    """Before the first episode, and before a tuning that would be for nothing. Raises UserError."""
    for check in generating(config):
        if not check.works:
            raise UserError(f"{check.part}: {check.detail}; {check.remedy}")


def generating(config: Config) -> Iterator[Check]:
    """One line for each model that generates in this process, each as if it were alone."""
    import torch

    from agentx.jobs.doctor import Check
    from agentx.models.loading import resolve_device
    from agentx.models.memory import generation

    given = assignments(config)
    shown = []
    for role in active(config):
        model, backend = given[role].model, given[role].backend
        if (model, backend) in shown or model.kind != "local" or is_served(model, backend):
            continue
        shown.append((model, backend))
        part = "memory to generate" if role == "policy" else f"memory to generate, {role}"
        gpu = torch.cuda.is_available() if backend.name == "vllm" else resolve_device(backend.device).type == "cuda"
        free, total = _memory(gpu)
        try:
            need = generation(model, backend, gpu=gpu)
        except UserError as error:
            yield Check(part, False, str(error), "model.source=/directory, or another model=", True)
            continue
        where = "GPU" if gpu else "memory"
        if need is None:
            yield Check(part, True, f"{_gib(free)} {where} free; the size of {model.name} is not known here")
            continue
        detail = f"{_gib(free)} {where} free; {model.name} takes {_gib(need.weights)} of weights"
        if need.reserved:
            detail += f", {_gib(need.reserved)} of keys and values"
        elif need.request is not None:
            detail += f", {_gib(need.request)} of keys and values for each full-length request"
        remedy = "a smaller model=, a lower model.context_length" + ("" if gpu else ", or a GPU")
        if need.share < 1:
            room = need.share * total
            detail += f", and vLLM is given {_gib(room)} (backend.gpu_memory_utilization)"
            if room > free:
                yield Check(part, False, detail, f"a lower backend.gpu_memory_utilization (now {need.share:g})", True)
                continue
            free = room
            remedy += ", or backend.tensor_parallel_size on several GPUs"
        yield Check(part, need.least <= free, detail, remedy, True)


def tuning(config: Config) -> Check:
    """The same estimate as before the tuning itself, for one device."""
    import torch

    from agentx.jobs.doctor import Check
    from agentx.models.memory import configuration
    from agentx.tuning.base import estimate_memory

    gpu = torch.cuda.is_available() and config.trainer.accelerator != "cpu"
    free = _memory(gpu)[0]
    try:
        known = configuration(config.model) is not None
    except UserError as error:
        return Check("memory to tune", False, str(error), "model.source=/directory, or another model=", True)
    if not known:
        detail = f"the configuration of {config.model.name} is not on this machine yet; checked before the tuning"
        return Check("memory to tune", True, detail)
    devices = config.trainer.devices if isinstance(config.trainer.devices, int) else 1
    need = estimate_memory(config.model, config.tuning, gpu, str(config.trainer.strategy), devices)
    detail = f"{_gib(free)} {'GPU' if gpu else 'memory'} free; {config.model.name} takes {need}"
    remedy = "tuning=qlora on a GPU, a smaller tuning.rank or model=, or trainer=fsdp"
    if need.certain <= free < need.total:
        return Check("memory to tune", False, detail, "tuning.gradient_checkpointing=true, a lower tuning.max_length")
    return Check("memory to tune", need.total <= free, detail, remedy, True)


def _memory(gpu: bool) -> tuple[float, float]:
    """Free and all, in bytes."""
    import psutil
    import torch

    from agentx.tuning.memory import free_memory

    device: Any = torch.device("cuda" if gpu else "cpu")
    total = torch.cuda.mem_get_info()[1] if gpu else psutil.virtual_memory().total
    return free_memory(device), float(total)


def _gib(number: float) -> str:
    return f"{number / GIB:.1f} GiB" if number >= 0.05 * GIB else f"{number / 2**20:.0f} MiB"
