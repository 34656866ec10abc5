"""Who may speak to a server on loopback.

Law: a browser on the same machine runs other people's pages.  A page under another origin is refused whatever it
sends, and so is a request that names this server by a name that is not a loopback one, which is how a page gets
round the first rule (DNS rebinding).
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from anyio import move_on_after
from attrs import frozen
from litestar.config.cors import CORSConfig
from litestar.types import ASGIApp, Receive, Scope, Send

from agentcore.errors import AgentcoreError, OriginRefused, UnsupportedMedia
from agentcore_http.front import CODE
from agentcore_http.problems import problem
from agentcore_http.settings import LOOPBACK, Settings
from agentcore_http.wire import json

REFUSED = "Set AGENTCORE_ORIGINS to the origins and host names that may use this server."
WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HEARD_S, HEARD_BYTES = 1.0, 1024 * 1024


@frozen
class Doorman:
    """ASGI middleware: lets requests in, or answers them itself."""

    app: ASGIApp
    allowed: Collection[str]  #: Origins, or host names, besides loopback.
    any_host: bool = False  #: Who asks is proved, so it does not matter by which name.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the headers, nothing else."""
        if scope["type"] in {"http", "websocket"}:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            try:
                self.check(str(scope.get("method", "GET")), headers, scope["path"])
            except AgentcoreError as error:
                await refuse(scope, receive, send, error)
                return
        await self.app(scope, receive, send)

    def check(self, method: str, headers: dict[str, str], path: str = "") -> None:
        """Raise OriginRefused, or UnsupportedMedia for a body that a form could have sent."""
        host = headers.get("host", "")
        if not host or not (self.any_host or self._is_known(host)):
            raise OriginRefused(f"This server does not answer to that host name. {REFUSED}")
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(origin, host):
            raise OriginRefused(f"This origin may not use the server. {REFUSED}")
        is_foreign = origin is None and headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
        if is_foreign and not _follows_a_link(method, headers, path):
            raise OriginRefused(f"Requests from other sites are refused. {REFUSED}")
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method in WITH_BODY and has_body and kind not in {"application/json", "multipart/form-data"}:
            raise UnsupportedMedia("Send JSON with Content-Type: application/json.")

    def _is_known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:  # half a pair of brackets
            return False
        known = {urlsplit(entry if "//" in entry else f"//{entry}").hostname for entry in self.allowed}
        return name in LOOPBACK or name in known

    def _is_ours(self, origin: str, host: str) -> bool:
        return origin in self.allowed or origin in {f"http://{host}", f"https://{host}"}


def _follows_a_link(method: str, headers: dict[str, str], path: str) -> bool:
    """Whether a person comes from another site to the console, which holds nothing of anybody; in no frame."""
    wanted = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return method == "GET" and path == "/" and wanted == ("navigate", "document")


def cross_origin(settings: Settings) -> CORSConfig | None:
    """Return what pages of the allowed origins may do: what ours may, with a token and without cookies.

    In mode ``none`` they may do nothing, because there is no token that they could lack.
    """
    origins = [entry for entry in settings.origins or () if "//" in entry]
    if settings.auth in {None, "none"} or not origins:
        return None
    return CORSConfig(
        allow_origins=origins,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=[
            "authorization",
            "content-type",
            "idempotency-key",
            "last-event-id",
            "traceparent",
            "x-request-id",
        ],
        expose_headers=["idempotency-replayed", "retry-after", "www-authenticate", "x-request-id"],
        allow_credentials=False,
    )


async def refuse(scope: Scope, receive: Receive, send: Send, error: AgentcoreError) -> None:
    """Answer in the application's place; a WebSocket is not even opened."""
    if str(scope["type"]) == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4403, "reason": error.code})
        return
    await _hear_out(receive)
    status, body, headers = problem(error, scope["path"])
    scope[CODE] = body["code"]  # type: ignore[literal-required]  # a key of ours
    text = json.encode(body)
    length = str(len(text)).encode()
    raw = [(b"content-type", b"application/problem+json"), (b"content-length", length), (b"connection", b"close")]
    raw += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": text, "more_body": False})


async def _hear_out(receive: Receive) -> None:
    """Read on for a moment: what is not read when the connection is closed resets it, and the answer is lost."""
    heard = 0
    with move_on_after(HEARD_S):
        while heard < HEARD_BYTES:
            message = await receive()
            if message["type"] != "http.request":
                return
            heard += len(message["body"])
            if not message["more_body"]:
                return
