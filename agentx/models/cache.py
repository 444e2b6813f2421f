"""The call cache: replies on disk, so that a call that was made once need not be made again.

SQLite in WAL mode, from the standard library: several processes read and write at once, and a process killed at any
moment leaves a file that opens. diskcache was looked at and not taken: no release since 2023, and it unpickles what
it reads, so that whoever can write to the cache can run code. Here a value is JSON with its own digest. WAL needs the
processes to be on one machine.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agentx.conversation import Message
from agentx.errors import UserError
from agentx.models.chat import ChatModel, Completion, Request, Sampling

log = logging.getLogger(__name__)

FORMAT = 1
"""part of every key: replies kept by another version of this module are not found"""
WAIT = 30.0
"""seconds for other processes to finish writing"""
_TABLE = "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, reply TEXT NOT NULL, digest BLOB NOT NULL)"


class CallCache:
    """Replies by key, in the file `path` (made when missing). With `writes` false nothing is ever added.

    What cannot be read is a miss and said once; so is what cannot be written. Raises UserError where the file cannot be
    opened.
    """

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path = path
        self.hits = self.misses = 0
        self._warned: set[str] = set()
        self._database: sqlite3.Connection | None = None
        self._writes = writes
        if not writes and not path.exists():
            log.warning("cache=read: there is no cache at %s yet; cache=write makes one", path)
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
            if writes:
                self._database.execute("PRAGMA journal_mode=WAL")
                # Kill -9 loses nothing; a power cut may lose the newest replies, never the file.
                self._database.execute("PRAGMA synchronous=NORMAL")
                self._database.execute(_TABLE)
        except sqlite3.OperationalError as error:
            raise UserError(
                f"cache.directory={path.parent}: cannot be used ({error}); set it to another one"
            ) from error
        except OSError as error:
            raise UserError(f"cache.directory={path.parent}: cannot be made ({error.strerror})") from error
        except sqlite3.DatabaseError as error:
            self._give_up(error)

    def get(self, key: bytes) -> Completion | None:
        """The reply kept under `key`, marked as such; None where there is none or it is damaged."""
        found = self._look_up(key)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def _look_up(self, key: bytes) -> Completion | None:
        if self._database is None:
            return None
        try:
            row = self._database.execute("SELECT reply, digest FROM replies WHERE key = ?", (key,)).fetchone()
        except sqlite3.OperationalError as error:
            self._warn(f"cannot be read ({error}): calls are made")
            return None
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            self._give_up(error)
            return None
        return None if row is None else self._decode(key, *row)

    def _decode(self, key: bytes, reply: Any, digest: Any) -> Completion | None:
        try:
            if not isinstance(reply, str) or _digest(reply) != digest:
                raise ValueError("its digest differs")
            record = json.loads(reply)
            return replace(Completion(**record), from_cache=True, seconds=0.0)
        except (ValueError, TypeError, RecursionError) as error:
            log.warning("%s: entry %s is damaged (%s): the call is made again", self.path, key.hex()[:12], error)
            return None

    def put(self, key: bytes, completion: Completion) -> None:
        """Keep a reply. The newest counts: it differs from an earlier one only where the back end does not repeat."""
        if self._database is None or not self._writes:
            return
        record = asdict(completion)
        del record["from_cache"], record["seconds"]
        reply = json.dumps(record)
        try:
            self._database.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", (key, reply, _digest(reply)))
        except sqlite3.OperationalError as error:
            self._warn(f"cannot be written ({error}): replies are not kept")
        except sqlite3.DatabaseError as error:
            self._give_up(error)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _give_up(self, error: Exception) -> None:
        self._warn(f"is damaged ({error}) and is not used; delete it to begin a new one")
        self.close()

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            log.warning("call cache %s %s", self.path, message)


class CachedModel:
    """A ChatModel that asks `model` only for what is not in the cache. `identity` is everything besides the prompt, the
    sampling and the seed that decides a reply: weights, adapter, back end. With `keep_empty` false a reply without a
    word is not kept: it may be the server's trouble, and is asked for again."""

    def __init__(
        self, model: ChatModel, cache: CallCache, identity: Mapping[str, Any], keep_empty: bool = True
    ) -> None:
        self.name, self.context_length = model.name, model.context_length
        self._model, self._cache = model, cache
        self._identity = dict(identity)
        self._keep_empty = keep_empty
        self._renderer = getattr(getattr(model, "wrapped", model), "renderer", None)

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        key = self.key(messages, sampling, request)
        found = self._cache.get(key)
        if found is not None:
            return found
        completion = await self._model.generate(messages, sampling, request)
        if self._keep_empty or completion.text.strip():
            self._cache.put(key, completion)
        return completion

    def key(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> bytes:
        """By the prompt's tokens where this process renders it, else by the messages as they are sent."""
        prompt: Any = [[message.role, message.content] for message in messages]
        if self._renderer is not None:
            prompt = self._renderer.prompt(messages)
        described = [FORMAT, self._identity, prompt, asdict(sampling), request.seed]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).digest()

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._model.count_tokens(messages)

    async def close(self) -> None:
        calls = self._cache.hits + self._cache.misses
        if calls:
            log.info(
                "call cache: %d of %d calls of %s answered from it (%.0f %%)",
                self._cache.hits,
                calls,
                self.name,
                100 * self._cache.hits / calls,
            )
        self._cache.close()
        await self._model.close()


def _digest(reply: str) -> bytes:
    return hashlib.sha256(reply.encode()).digest()[:16]
