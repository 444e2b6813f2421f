"""The review page's server: four addresses, JSON in and out. Whatever a model wrote travels as JSON text only."""

from __future__ import annotations

import json
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentx.errors import UserError
from agentx.review.session import Review

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LARGEST_BODY = 4_000_000
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
KINDS = {"review.html": "text/html", "review.js": "text/javascript", "review.css": "text/css"}


def make_app(review: Review, token: str | None) -> Starlette:
    """The page and its addresses. With a `token` every request needs it; without one only requests that name this
    machine's own addresses as host are answered, so that no other web page can reach the review through a name of
    its own."""

    def guarded(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> Response:
            given = request.query_params.get("token", "") or request.headers.get("x-token", "")
            if token is not None and not secrets.compare_digest(given.encode(), token.encode()):
                return JSONResponse({"error": "this link lacks the token that was printed at the start"}, 403)
            try:
                return await answer(request)
            except UserError as error:
                return JSONResponse({"error": str(error)}, 400)

        return checked

    async def shown(request: Request) -> Response:
        position = _integer(request.query_params.get("position", ""))
        return JSONResponse(review.shown(position, request.query_params.get("reviewer", "")))

    async def progress(request: Request) -> Response:
        return JSONResponse(
            {**review.progress(request.query_params.get("reviewer", "")), "comparing": review.comparing}
        )

    async def decide(request: Request) -> Response:
        # A form on another web page cannot send this type without asking first, which no answer here allows.
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return JSONResponse({"error": "expected JSON"}, 415)
        body = await _body(request)
        reviewer = str(body.get("reviewer", ""))
        review.decide(
            _integer(body.get("position")),
            reviewer,
            str(body.get("choice", "")),
            str(body.get("comment", "")),
            body.get("edits"),
            _seconds(body.get("seconds")),
        )
        return JSONResponse(review.progress(reviewer))

    routes = [
        Route("/", _static("review.html")),
        Route("/review.js", _static("review.js")),
        Route("/review.css", _static("review.css")),
        Route("/item", guarded(shown)),
        Route("/progress", guarded(progress)),
        Route("/decision", guarded(decide), methods=["POST"]),
    ]
    middleware = []
    if token is None:
        middleware.append(Middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"]))
    return Starlette(routes=routes, middleware=middleware)


def _static(name: str) -> Callable[[Request], Awaitable[Response]]:
    content = (files("agentx.review") / "page" / name).read_bytes()
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

    async def answer(request: Request) -> Response:
        return Response(content, media_type=KINDS[name], headers=headers)

    return answer


async def _body(request: Request) -> dict[str, Any]:
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > LARGEST_BODY:
            raise UserError("the decision is too large")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError("the decision is no JSON") from error
    if not isinstance(body, dict):
        raise UserError("the decision must be an object")
    return body


def _integer(value: object) -> int:
    try:
        return int(str(value))
    except ValueError as error:
        raise UserError(f"position {str(value)[:20]!r} is no number") from error


def _seconds(value: object) -> float:
    return min(max(float(value), 0.0), 86_400.0) if isinstance(value, int | float) else 0.0


def listen(host: str, port: int) -> socket.socket:
    """A socket at the address. Raises UserError when it is taken or not this machine's."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise UserError(
            f"job.host={host} job.port={port}: cannot listen there ({error.strerror}); job.port=0 takes a free port"
        ) from error


def serve(app: Starlette, bound: socket.socket) -> None:
    """Answers until Ctrl-C, or SIGTERM."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    try:
        server.run(sockets=[bound])
    except KeyboardInterrupt:
        log.info("review: stopped")
