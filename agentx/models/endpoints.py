"""The servers behind one model: they share its calls, and what fails on the way is tried again.

The HTTP itself is the openai client's. Its own retries are turned off, because they know one server only and take a
200 with a broken body for an answer.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import httpx2
import openai

from agentx.models.addresses import NO_KEY, is_local, shown

log = logging.getLogger(__name__)

Reply = TypeVar("Reply")

FIRST_PAUSE = 0.5
"""seconds before the first further try, at most; doubled for each one after it"""
LONGEST_PAUSE = 30.0
LONGEST_RETRY_AFTER = 120.0
"""seconds; a server that asks for more is not waited for"""
FIRST_ASIDE = 5.0
"""seconds for which a server that fails is left alone while there are others; doubled each time"""
LONGEST_ASIDE = 60.0
FAULTS_IN_A_ROW = 3
"""as many faults other than a refused connection set a server aside"""
FASTCHAT_PASSING = frozenset(map(str, (42901, 42903, *range(50001, 50007))))
"""FastChat sends status 400 for these too: rate limit, engine overloaded, worker failed, out of memory or not there"""


class UnreadableAnswer(Exception):
    """Status 200 with a body that holds no reply."""


@dataclass(eq=False)
class Endpoint:
    """One server: its client, and what is known of its health."""

    url: str
    client: openai.AsyncOpenAI
    places: asyncio.Semaphore
    in_flight: int = 0
    """calls on their way or waiting for a connection"""
    answered: int = 0
    faults: int = 0
    """in a row"""
    times_aside: int = 0
    """in a row"""
    aside_until: float = 0.0

    def ready(self, now: float) -> bool:
        """A server that was set aside is tried with one call before others follow."""
        return now >= self.aside_until and not (self.times_aside and self.in_flight)


@dataclass
class Endpoints:
    """`call` sends through the ready server with the fewest calls in flight. `max_concurrency` bounds the connections
    to each, `timeout` a whole request in seconds, the wait for a free connection not included."""

    urls: Sequence[str]
    key: str | None
    max_concurrency: int
    timeout: float
    max_retries: int
    members: list[Endpoint] = field(init=False)

    def __post_init__(self) -> None:
        self.members = [
            Endpoint(url, self._client(url), asyncio.Semaphore(self.max_concurrency))
            for url in dict.fromkeys(self.urls)
        ]

    def _client(self, url: str) -> openai.AsyncOpenAI:
        timeout = httpx2.Timeout(self.timeout, pool=None)
        limits = httpx2.Limits(max_connections=self.max_concurrency, max_keepalive_connections=self.max_concurrency)
        # A proxy for the outside world, as clusters set one, would be in the way of a server nearby.
        http = openai.DefaultAsyncHttpxClient(limits=limits, timeout=timeout, trust_env=not is_local(url))
        return openai.AsyncOpenAI(
            api_key=self.key or NO_KEY, base_url=url, timeout=timeout, max_retries=0, http_client=http
        )

    async def call(self, send: Callable[[openai.AsyncOpenAI], Awaitable[Reply]]) -> Reply:
        """What `send` returns, from whichever server answers. A fault that may pass (`may_pass`) is tried again at most
        `max_retries` times, after the pause the server asks for, or growing random ones; at once where another server
        is ready. Raises the last fault."""
        endpoint: Endpoint | None = None
        for attempt in range(self.max_retries + 1):
            endpoint = self._choose(without=endpoint)
            try:
                return await self._send(endpoint, send)
            except Exception as error:
                if not may_pass(error) or attempt == self.max_retries:
                    raise
                wanted = retry_after(error)
                if wanted is not None and wanted > LONGEST_RETRY_AFTER and not self._others_ready(endpoint):
                    raise
                if not self._others_ready(endpoint):
                    growing = min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1.0)
                    await asyncio.sleep(wanted * random.uniform(1.0, 1.1) if wanted else growing)
        raise AssertionError("a call ends with an answer or a fault")

    async def _send(self, endpoint: Endpoint, send: Callable[[openai.AsyncOpenAI], Awaitable[Reply]]) -> Reply:
        endpoint.in_flight += 1
        try:
            async with endpoint.places:
                try:
                    async with asyncio.timeout(self.timeout):
                        reply = await send(endpoint.client)
                except Exception as error:
                    if may_pass(error):
                        self._note_fault(endpoint, error)
                    raise
        finally:
            endpoint.in_flight -= 1
        if endpoint.times_aside:
            log.info("%s answers again", shown(endpoint.url))
        endpoint.answered += 1
        endpoint.faults = endpoint.times_aside = 0
        return reply

    def _choose(self, without: Endpoint | None) -> Endpoint:
        now = time.monotonic()
        ready = [member for member in self.members if member.ready(now)]
        if not ready:
            return min(self.members, key=lambda member: member.aside_until)
        others = [member for member in ready if member is not without]
        return min(others or ready, key=lambda member: (member.in_flight, member.answered))

    def _others_ready(self, endpoint: Endpoint) -> bool:
        now = time.monotonic()
        return any(member.ready(now) for member in self.members if member is not endpoint)

    def _note_fault(self, endpoint: Endpoint, error: Exception) -> None:
        endpoint.faults += 1
        wanted = retry_after(error)
        failing = unreachable(error) or endpoint.faults >= FAULTS_IN_A_ROW or endpoint.times_aside > 0
        if len(self.members) == 1 or not (failing or wanted):
            return
        now = time.monotonic()
        if endpoint.aside_until > now:
            return
        seconds = wanted or 0.0
        if failing:
            seconds = max(seconds, min(LONGEST_ASIDE, FIRST_ASIDE * 2**endpoint.times_aside))
            log.warning("%s fails (%s): set aside for %.0f s", shown(endpoint.url), type(error).__name__, seconds)
            endpoint.times_aside += 1
            endpoint.faults = 0
        endpoint.aside_until = now + seconds

    async def close(self) -> None:
        for member in self.members:
            await member.client.close()


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later: rate limits, server faults, cut connections, broken bodies."""
    if out_of_credit(error):
        return False
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409, 429) or error.status_code >= 500 or error.code in FASTCHAT_PASSING
    return isinstance(error, openai.APIConnectionError | TimeoutError | UnreadableAnswer | httpx2.TransportError)


def out_of_credit(error: Exception) -> bool:
    """OpenAI says it with a 429, which waiting does not mend; others with 402; FastChat with a code of its own."""
    if not isinstance(error, openai.APIStatusError):
        return False
    return error.status_code == 402 or error.code in ("insufficient_quota", "billing_hard_limit_reached", "42902")


def unreachable(error: BaseException) -> bool:
    """Whether nobody answered at all."""
    return isinstance(error, openai.APIConnectionError) and isinstance(
        error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout
    )


def retry_after(error: Exception) -> float | None:
    """Seconds the server asks to wait (a number, or until an HTTP date); None where it says nothing usable."""
    if not isinstance(error, openai.APIStatusError):
        return None
    given = error.response.headers.get("retry-after")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(given).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
        seconds = max(0.0, seconds)
    return seconds if seconds >= 0 else None
