"""`job=doctor`: what a run may need, what of it is here, and what mends the rest.

A part of the project brings its checks as a function of the configuration, named in `PARTS`; a check is needed where
the given configuration cannot run without it.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from netrc import NetrcParseError, netrc
from pathlib import Path
from urllib.parse import urlsplit

from agentx.config import Config, load
from agentx.errors import UserError
from agentx.jobs.assignments import active, assignments
from agentx.models.addresses import is_local, key_variable, read_key, server_urls, shown
from agentx.models.identity import is_served

LEAST_DISK, ENOUGH_DISK = 0.2, 5.0
"""GiB: below the first nothing can be kept; below the second an adapter or a model may not fit"""
VLLM_REMEDY = (
    "make vllm on a CPU, pip install -e '.[vllm]' with a GPU, then start run.py with that environment's python, e.g. "
    ".venv-vllm/bin/python"
)
SERVER_PATIENCE = 3.0
"""seconds for a server nearby to take a connection"""


@dataclass(frozen=True)
class Check:
    """One line of the table."""

    part: str
    works: bool
    detail: str
    remedy: str = ""
    """the one command or link that mends it"""
    needed: bool = False
    """whether the given configuration cannot do without"""


def run(config: Config) -> Path:
    """Print the table. Raises UserError (exit code 1) where something this configuration needs is missing."""
    from agentx.reports.tables import Table, print_table

    checks = [check for part in PARTS for check in load(part)(config)]
    rows = [
        [
            check.part,
            "ok" if check.works else "MISSING" if check.needed else "missing",
            check.detail,
            "" if check.works else check.remedy,
        ]
        for check in checks
    ]
    print_table(Table("What a run may need", ["part", "", "found", "what mends it"], rows, [_note(checks)]))
    lacking = [check for check in checks if check.needed and not check.works]
    if lacking:
        first = lacking[0]
        more = f" (and {len(lacking) - 1} more, see the table)" if len(lacking) > 1 else ""
        raise UserError(f"{first.part}: {first.detail}; {first.remedy}{more}")
    return config.paths.output


def _note(checks: list[Check]) -> str:
    number = sum(not check.works for check in checks)
    return f"{number} of {len(checks)} are missing; MISSING: the given configuration needs it"


def machine(config: Config) -> Iterator[Check]:
    """Devices and disk."""
    import torch

    wanted = config.trainer.accelerator in ("gpu", "cuda") or getattr(config.backend, "device", "auto") == "cuda"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield Check(
        "GPU", bool(names), ", ".join(names) or "none that torch sees", "trainer=cpu, or https://pytorch.org", wanted
    )
    yield from disk(config)


def disk(config: Config) -> Iterator[Check]:
    folder = config.paths.output.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    remedy = "paths.output=/a/larger/disk"
    if not os.access(folder, os.W_OK):
        yield Check("disk", False, f"{folder} cannot be written", remedy, True)
    else:
        yield Check("disk", free >= ENOUGH_DISK, f"{free:.1f} GiB free at {folder}", remedy, free < LEAST_DISK)


def back_ends(config: Config) -> Iterator[Check]:
    """What the models of the roles that the method asks are run with: packages, and the keys of those behind servers;
    whether a key is right is not asked."""
    given = assignments(config)
    played = {role: given[role] for role in active(config)}
    in_vllm = any(each.backend.name == "vllm" and each.model.kind == "local" for each in played.values())
    for name, package, command, needed in (
        ("vLLM", "vllm", VLLM_REMEDY, in_vllm),
        ("bitsandbytes", "bitsandbytes", "pip install bitsandbytes", config.tuning.name == "qlora"),
    ):
        found = find_spec(package) is not None
        yield Check(name, found, "installed" if found else "not installed in this environment", command, needed)
    for role, each in played.items():
        variable = key_variable(each.model, each.backend)
        if variable is None or (role != "policy" and each == played["policy"]):
            continue
        found, needed = bool(os.environ.get(variable, "").strip()), False
        if not found:
            try:
                read_key(each.model, each.backend)
            except UserError:
                needed = True
        detail = f"{variable}, for {each.model.name}, is {'set' if found else 'not set'}"
        yield Check(
            "API key" if role == "policy" else f"API key of the {role}", found, detail, f"export {variable}=…", needed
        )


def servers(config: Config) -> Iterator[Check]:
    """Whether somebody listens where a role's model is served on this machine or network."""
    given = assignments(config)
    served = [given[role] for role in active(config) if is_served(given[role].model, given[role].backend)]
    urls = [url for each in served for url in server_urls(each.model, each.backend)]
    for url in dict.fromkeys(filter(is_local, urls)):
        parts = urlsplit(url)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((str(parts.hostname), port), timeout=SERVER_PATIENCE).close()
            found = True
        except OSError:
            found = False
        remedy = "start it (job=serve prints how), or mend base_url"
        yield Check(f"server {shown(url)}", found, "listens" if found else "nobody listens there", remedy, True)


def tasks(config: Config) -> Iterator[Check]:
    """Sandboxes, the database server, spaCy's model, official data."""
    from agentx.tasks.database.availability import database_engines
    from agentx.tasks.operating_system.availability import sandbox_kinds

    for kind in sandbox_kinds():
        needed = config.task.name == "operating_system" and config.task.sandbox == kind.name
        yield Check(f"sandbox {kind.name}", kind.works, kind.detail, kind.remedy, needed)
    is_database = config.task.name == "database"
    for engine in database_engines(config.task.dsn if is_database else None):
        needed = is_database and config.task.engine == engine.name
        yield Check(f"database {engine.name}", engine.works, engine.detail, engine.remedy, needed)
    found = find_spec("en_core_web_lg") is not None
    detail = "installed" if found else "not installed: WebShop's rewards match types approximately"
    yield Check("spaCy's en_core_web_lg", found, detail, "python -m spacy download en_core_web_lg")
    official = getattr(config.task, "source", "") == "official"
    for name, link, users in OFFICIAL:
        folder: Path | None = getattr(config.paths, name)
        found = folder is not None and folder.is_dir()
        detail = str(folder) if found else "not given" if folder is None else f"{folder}: no such directory"
        needed = official and config.task.name in users
        yield Check(f"official data, paths.{name}", found, detail, f"paths.{name}=…, from {link}", needed)


OFFICIAL = (
    ("agentbench", "https://github.com/THUDM/AgentBench", ("operating_system", "database")),
    ("alfworld", "https://github.com/alfworld/alfworld", ("household",)),
    ("webshop", "https://github.com/princeton-nlp/WebShop", ("webshop",)),
    ("mind2web", "https://github.com/OSU-NLP-Group/Mind2Web", ("mind2web",)),
)
"""option of paths, where the data come from, tasks that cannot do without them"""


def logging_in(config: Config) -> Iterator[Check]:
    """Whether W&B knows who this is; the key itself is neither shown nor sent."""
    offline = os.environ.get("WANDB_MODE") in ("offline", "disabled") or config.logger.mode == "offline"
    known = bool(os.environ.get("WANDB_API_KEY")) or _in_netrc("api.wandb.ai")
    detail = "logged in" if known else "offline" if offline else "not logged in"
    wanted = config.logger.uses("wandb") and not offline
    yield Check("W&B login", known or offline, detail, "wandb login, or WANDB_MODE=offline", wanted)


def _in_netrc(host: str) -> bool:
    try:
        return netrc().authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False


PARTS: tuple[str, ...] = (
    "agentx.jobs.doctor:machine",
    "agentx.jobs.memory_check:memory",
    "agentx.jobs.doctor:back_ends",
    "agentx.jobs.doctor:servers",
    "agentx.jobs.doctor:tasks",
    "agentx.jobs.doctor:logging_in",
)
"""module:function of each part's checks; the function takes the configuration and gives `Check`s"""
QUICK: tuple[Callable[[Config], Iterator[Check]], ...] = (disk, logging_in)


def before_a_run(config: Config) -> None:
    """The checks that cost a run nothing and spare it a late failure. Raises UserError for the first that fails."""
    for part in QUICK:
        _refuse(part(config))


def before_calls(config: Config) -> None:
    """Those of policy, planner and judge, for a cell that still has episodes to play: they may be first asked hours
    later, after a tuning. A server may well be started meanwhile. Raises UserError for the first that fails."""
    _refuse(back_ends(config))


def _refuse(checks: Iterator[Check]) -> None:
    for check in checks:
        if check.needed and not check.works:
            raise UserError(f"{check.part}: {check.detail}; {check.remedy}")
