"""Requests to providers, sent by their SDKs as we write them.

Law: nothing leaves before ``posted`` is entered; what was got ready before that has no effect but the time it took.

Story: building a request takes an SDK longer than sending it.  So a call that is planned is built while the store is
busy with its announcement: the SDK's ``post`` runs in the background up to the door, which is a hook of its transport
just before the connection, and the door is opened when the call is made.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from anyio import CancelScope
from attrs import define, field

from agentcore.engine import Plan
from agentcore.events import CallOpened

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

HEADERS = {"Content-Type": "application/json", "X-Stainless-Raw-Response": "stream"}
DOOR: ContextVar[asyncio.Event | None] = ContextVar("door", default=None)


class Body(Protocol):
    """A response whose body comes piece by piece."""

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Yield what has come."""


async def _wait_at_the_door(_: object) -> None:
    if (door := DOOR.get()) is not None:
        await door.wait()


HOOKS: dict[str, list[Any]] = {"request": [_wait_at_the_door]}  #: What an SDK's HTTP client must have.


@define
class Posting:
    """A request with the SDK's authentication, retries and errors, whose body is sent as it is.

    The SDKs' own methods rebuild every message of the history to check it, which takes ten times as long as the rest.
    """

    client: "AsyncOpenAI | AsyncAnthropic" = field(eq=False, repr=False)
    path: str
    body: dict[str, Any]
    _door: asyncio.Event = field(factory=asyncio.Event, eq=False, repr=False)
    _ready: "asyncio.Task[Any] | None" = field(default=None, eq=False, repr=False)

    def planned(self, opened: CallOpened) -> Plan:
        """Return the plan whose call it is."""
        return Plan(opened=opened, prepared=self, begin=self.begin, leave_off=self.abandon)

    def begin(self) -> None:
        """Build it in the background, and hold it at the door."""
        self.abandon()
        self._door = asyncio.Event()
        self._ready = asyncio.create_task(self._post(self._door))
        self._ready.add_done_callback(_look_at)

    def abandon(self) -> None:
        """Leave off what was begun and not posted."""
        if self._ready is not None:
            self._ready.cancel()
            self._ready = None

    @asynccontextmanager
    async def posted(self) -> AsyncIterator[Body]:
        """Send it, and yield the answer as it comes."""
        ready, self._ready = self._ready, None
        self._door.set()
        response: Any = await (_answer(ready) if ready is not None else self._post(None))
        try:
            yield response
        finally:
            with CancelScope(shield=True):  # the connection is closed, or lies ready for the next, come what may
                await response.close()

    async def _post(self, door: asyncio.Event | None) -> Any:  # noqa: ANN401 - each SDK has a type of its own
        if door is not None:
            DOOR.set(door)  # for this task alone
        content = msgspec.json.encode(self.body)
        return await self.client.post(self.path, cast_to=object, content=content, options={"headers": HEADERS})


async def _answer(ready: "asyncio.Task[Any]") -> Any:  # noqa: ANN401 - as above
    """Wait for the answer; who is cancelled gives up the call, too."""
    try:
        return await ready
    except asyncio.CancelledError:
        with CancelScope(shield=True):  # it may have come at that very moment
            ready.cancel()
            await asyncio.wait([ready])
            if not ready.cancelled() and ready.exception() is None:
                await ready.result().close()
        raise


def _look_at(ready: "asyncio.Task[Any]") -> None:
    """Look at how it ended, as asyncio wants of what nobody waited for."""
    if not ready.cancelled():
        ready.exception()
