"""Where a model behind a server is reached, and which key it takes."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from agentx.errors import ConfigError, UserError
from agentx.models.settings import BackendSettings, ModelSettings

OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"
"""what a client that insists on a key is given where a server wants none"""


def server_urls(model: ModelSettings, backend: BackendSettings) -> list[str]:
    """The servers that share the model's calls: backend.base_url, else model.base_url, else OpenAI's own.

    Raises ConfigError for a local model without an address.
    """
    own = backend.base_url if backend.name == "openai" else None
    urls = [own] if isinstance(own, str) else list(own or [])
    if not urls and model.base_url:
        urls = [model.base_url]
    if not urls and model.kind == "local":
        raise ConfigError(f"backend.base_url: needs the address of the server that serves {model.name}")
    return urls or [os.environ.get("OPENAI_BASE_URL") or OPENAI]


def is_local(url: str) -> bool:
    """Whether the address is this machine's or one of its network's: no stranger is paid or trusted there."""
    host = (urlsplit(url).hostname or "").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal"))
    return address.is_loopback or address.is_private or address.is_link_local or address.is_unspecified


def shown(url: str) -> str:
    """The address for messages, without what might be secret in it."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}".rstrip("/")


def key_variable(model: ModelSettings, backend: BackendSettings) -> str | None:
    """The environment variable that holds the model's key; None where none is wanted."""
    given = backend.api_key_env if backend.name == "openai" else None
    return given or (model.api_key_env if model.kind == "api" else None)


def read_key(model: ModelSettings, backend: BackendSettings) -> str | None:
    """The model's key, or None for a server that needs none. Raises UserError where a needed one is not set."""
    variable = key_variable(model, backend)
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if key:
        return key
    demanded = backend.name == "openai" and backend.api_key_env is not None
    if not demanded and all(map(is_local, server_urls(model, backend))):
        return None
    raise UserError(
        f"{model.name}: needs an API key in the environment variable {variable}, which is not set; set it, or give "
        "the address of a server of your own, which needs none (backend.base_url=http://localhost:8000/v1)"
    )
