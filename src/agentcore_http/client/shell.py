"""What both clients are made of, whichever way they wait.

Law: a client holds nothing but its connections.  A method is a request of ``calls``, sent; its signature and its
docstring are that request's.
"""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import httpx2
from attrs import frozen

from agentcore_http.client.call import Call, Pages
from agentcore_http.client.errors import ApiError, Unreachable, error_of, not_understood
from agentcore_http.client.patience import Patience
from agentcore_http.client.values import Event

P = ParamSpec("P")
T = TypeVar("T")
Lost = Callable[[ApiError, float], None]  #: Told why a stream broke and in how many seconds it is tried again.
Said = Callable[[Event], None]
API = "/api/v1/agent"


@frozen(kw_only=True)
class Timeouts:
    """How long a client waits, in seconds."""

    connect_s: float = 10.0  #: For a connection, and for what is sent to go.
    read_s: float = 60.0  #: For an answer.
    idle_s: float = 45.0  #: For anything on a stream, which is silent for 15 s at most: after that it is dead.

    def of(self, call: Call[T]) -> httpx2.Timeout:
        """Return those of a request."""
        read_s = self.read_s + call.wait_s if call.idle_s is None else call.idle_s
        return httpx2.Timeout(self.connect_s, read=read_s)


USUAL = Timeouts()
STREAMS = ("text/event-stream", "application/x-ndjson")


@frozen(kw_only=True)
class Options:
    """What a client was made with."""

    url: str
    tenant: str | None
    user: str | None
    timeouts: Timeouts
    patience: Patience

    @property
    def base(self) -> str:
        """Where the API is."""
        return self.url.rstrip("/") + API

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        names = {"X-Tenant-Id": self.tenant, "X-User-Id": self.user}
        return {name: value for name, value in names.items() if value}


def request_of(
    http: httpx2.Client | httpx2.AsyncClient, call: Call[T], token: str | None, timeouts: Timeouts
) -> httpx2.Request:
    """Write a request."""
    headers = dict(call.headers) | ({} if token is None else {"Authorization": f"Bearer {token}"})
    return http.build_request(
        call.method, call.path, params=dict(call.params) or None, headers=headers, content=call.content,
        files=dict(call.files) if call.files else None, data=dict(call.form) if call.form else None,
        timeout=timeouts.of(call),
    )  # fmt: skip


def refusal(response: httpx2.Response) -> ApiError:
    """Read what has been read of a refusal."""
    return error_of(response.status_code, response.content, response.headers)


def check_stream(response: httpx2.Response) -> None:
    """Raise ApiError if what comes is no stream of ours, but some page."""
    if not response.headers.get("content-type", "").startswith(STREAMS):
        raise not_understood(response.status_code)


def lost(error: httpx2.HTTPError) -> Unreachable:
    """Say what happened to a connection, without an address."""
    return Unreachable(f"The server cannot be reached, or does not answer ({type(error).__name__}).")


class Waits(Protocol):
    """A client that is awaited."""

    async def send(self, call: Call[T]) -> T:
        """Send a request until it is answered."""

    def listed(self, pages: Pages[T]) -> AsyncIterator[T]:
        """Yield what is on all pages."""


class Blocks(Protocol):
    """A client that blocks."""

    def send(self, call: Call[T]) -> T:
        """Send a request until it is answered."""

    def listed(self, pages: Pages[T]) -> Iterator[T]:
        """Yield what is on all pages."""


def awaited(describe: Callable[P, Call[T]]) -> Callable[Concatenate[Waits, P], Coroutine[Any, Any, T]]:
    """Make the method that sends what *describe* describes."""

    @functools.wraps(describe)
    async def method(self: Waits, /, *args: P.args, **named: P.kwargs) -> T:
        return await self.send(describe(*args, **named))

    return method


def blocking(describe: Callable[P, Call[T]]) -> Callable[Concatenate[Blocks, P], T]:
    """Make the method that sends what *describe* describes."""

    @functools.wraps(describe)
    def method(self: Blocks, /, *args: P.args, **named: P.kwargs) -> T:
        return self.send(describe(*args, **named))

    return method


def awaited_pages(describe: Callable[P, Pages[T]]) -> Callable[Concatenate[Waits, P], AsyncIterator[T]]:
    """Make the method that yields what is on the pages."""

    @functools.wraps(describe)
    def method(self: Waits, /, *args: P.args, **named: P.kwargs) -> AsyncIterator[T]:
        return self.listed(describe(*args, **named))

    return method


def blocking_pages(describe: Callable[P, Pages[T]]) -> Callable[Concatenate[Blocks, P], Iterator[T]]:
    """Make the method that yields what is on the pages."""

    @functools.wraps(describe)
    def method(self: Blocks, /, *args: P.args, **named: P.kwargs) -> Iterator[T]:
        return self.listed(describe(*args, **named))

    return method
