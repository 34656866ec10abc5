"""What every request meets first, and every answer last.

Law: one place gives each answer its request id and its security headers, whoever made the answer; writes one line a
request, without what was asked; and lets whoever counts or traces know.  Nothing is buffered: what the application
sends is sent on as it comes.

Of a request the line and the figures name the route's template, never the path; a query is not looked at.
"""

import re
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import structlog
from attrs import field, frozen
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from agentcore_http.redaction import failure

log = structlog.get_logger("agentcore.http")
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}", re.ASCII)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
EVENT_STREAM = b"text/event-stream"
CODE, TENANT = "agentcore.code", "agentcore.tenant"  # of the scope: the code of a problem, and whose request it was

# Source: OWASP REST Security Cheat Sheet.  A route that says something else about itself is left to it.
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


@frozen(kw_only=True)
class Answered:
    """A request that is over."""

    kind: str  #: ``http``, ``sse`` or ``websocket``.
    method: str
    route: str  #: The template, such as ``/tasks/{task_id}``; ``none`` if there is no such route.
    status: int  #: 0: the client went away before there was one; of a WebSocket: 101, or the code that refused it.
    seconds: float
    code: str | None  #: Of the problem that was answered.


Done = Callable[[Answered], None]
Trace = Callable[[str, Iterable[tuple[bytes, bytes]]], AbstractContextManager[Done]]


@frozen(kw_only=True)
class Watchers:
    """Who else wants to know of requests."""

    opened: Callable[[str, int], None] | None = None  #: Of a stream: its kind, and 1 when it opens, -1 when it ends.
    answered: Done | None = None
    trace: Trace | None = None  #: Of a method and headers: what surrounds the work, and is told how it ended.


@frozen
class Front:
    """ASGI middleware around the whole application."""

    app: ASGIApp
    watchers: Watchers = field(factory=Watchers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()
        method = str(scope.get("method", "GET"))
        trace = self.watchers.trace
        around = trace(method, scope["headers"]) if trace and "method" in scope else nullcontext(None)
        with bound_contextvars(request_id=request_id.decode()), around as done:
            await self._answer(scope, receive, send, request_id, method, done)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, request_id: bytes, method: str, done: Done | None
    ) -> None:
        began, status, kind = time.perf_counter(), 0, str(scope["type"])
        opened = self.watchers.opened

        has_left = False

        async def sending(message: Message) -> None:
            nonlocal status, kind, has_left
            match message["type"]:
                case "http.response.start":
                    status = message["status"]
                    headers = list(message["headers"])
                    said = dict(headers)
                    headers += [header for header in HEADERS if header[0] not in said]
                    headers.append((b"x-request-id", request_id))
                    message["headers"] = headers
                    if said.get(b"content-type", b"").startswith(EVENT_STREAM):
                        kind = "sse"
                        if opened is not None:
                            opened(kind, 1)
                case "websocket.accept":
                    status = 101
                    message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
                    if opened is not None:
                        opened(kind, 1)
                case "websocket.close":
                    status = int(message.get("code") or 1000)
                case _:
                    pass
            try:
                await send(message)
            except OSError:  # ASGI 2.4: the client is gone
                has_left = True
                raise

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if not has_left:
                log.error("request.raised", error=failure(error))
            raise
        finally:
            if opened is not None and (kind == "sse" or (kind == "websocket" and status)):
                opened(kind, -1)
            template = scope.get("path_template")
            answered = Answered(
                kind=kind,
                method=method if method in METHODS else "OTHER",
                route=str(template) if template else "none",
                status=status,
                seconds=time.perf_counter() - began,
                code=scope.get(CODE),  # type: ignore[arg-type]  # a key of ours
            )
            self._tell(answered, scope.get(TENANT), done)

    def _tell(self, answered: Answered, tenant: object, done: Done | None) -> None:
        if done is not None:
            done(answered)
        if self.watchers.answered is not None:
            self.watchers.answered(answered)
        log.info(
            "request",
            method=answered.method,
            route=answered.route,
            status=answered.status,
            ms=round(answered.seconds * 1000, 1),
            **({"tenant": tenant} if tenant else {}),
            **({"code": answered.code} if answered.code else {}),
        )
