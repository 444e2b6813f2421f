"""`job=serve`: the vLLM server command for a model and its adapters, printed and, with `job.run=true`, run."""

from __future__ import annotations

import shlex
import signal
from pathlib import Path
from types import FrameType

from hydra.core.hydra_config import HydraConfig

from agentx.config import Config
from agentx.errors import ConfigError, UserError
from agentx.jobs.settings import ServeSettings
from agentx.models.server import ServerCommand, ServerProcess, server_command, server_python
from agentx.models.vllm_backend import HOW_TO_INSTALL
from agentx.models.vllm_options import has_gpu

ENDING = (signal.SIGINT, signal.SIGTERM)


def run(config: Config) -> None:
    """Returns when the server has ended. Raises UserError."""
    settings: ServeSettings = config.job
    if config.model.kind != "local":
        raise ConfigError(f"model={config.model.name}: has no weights here to serve")
    model, adapters = config.model, {name: Path(path) for name, path in settings.adapters.items()}
    if config.tuning.name != "none":
        from agentx.jobs.tune import ensure_adapter, plan_adapter
        from agentx.tuning.adapters import served

        model, tuned = served(model, ensure_adapter(config, plan_adapter(config), may_train=False).path)
        if tuned is not None:
            adapters["tuned"] = tuned
    if config.model.adapter is not None:
        adapters[Path(config.model.adapter).name] = Path(config.model.adapter)
    python = settings.python or server_python()
    if python is None and settings.run:
        raise UserError(HOW_TO_INSTALL)
    command = server_command(
        model,
        config.backend,
        adapters,
        python=python or "python",
        host=settings.host,
        port=settings.port,
        gpu=has_gpu(),
        key_variable=settings.api_key_env,
        extra=settings.extra,
    )
    print(f"server  {command}")
    for name in adapters or [None]:
        print(f"use     {use(config, command, name)}")
    if settings.run:
        keep_running(command, settings.wait)


def use(config: Config, command: ServerCommand, adapter: str | None) -> str:
    """The command that evaluates through the server."""
    chosen = [
        word
        for word in HydraConfig.get().overrides.task
        if word.lstrip("+").startswith(("model=", "model."))
        and not word.startswith(("model.adapter=", "model.api_name="))
    ]
    words = ["python", "run.py", *chosen, "tuning=none", "backend=openai", f"backend.base_url={command.url}"]
    words += ["backend.render=local", "backend.choices=structured_outputs"]
    if command.key_variable is not None:
        words.append(f"backend.api_key_env={command.key_variable}")
    if adapter is not None:
        words.append(f"model.api_name={adapter}")
    return shlex.join(words)


def keep_running(command: ServerCommand, wait: float) -> None:
    """Run the server until it ends or this process is told to. Raises UserError where it fails."""
    asked_to_end = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal asked_to_end
        asked_to_end = True
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in ENDING}
    server = ServerProcess(command)
    try:
        server.wait_until_healthy(wait)
        print(f"ready   {command.url}", flush=True)
        status = server.wait()
    except KeyboardInterrupt:
        status = 0
    finally:
        server.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
    if status and not asked_to_end:
        raise UserError(f"vLLM ended with status {status}; see above")
