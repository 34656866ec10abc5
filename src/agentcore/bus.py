"""What nodes say to each other.

Law: the bus makes things quick and nothing else.  Whatever it does with a message, the log is read and the row is
looked at: what comes from it has no authority.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from attrs import frozen

from agentcore.follow import Entry, Head, Heard, Live
from agentcore.ids import SessionId, TenantId


class Ear(Protocol):
    """A reader's bounded buffer of what was told."""

    async def hear(self) -> list[Heard]:
        """Wait until something was told and return all there is; Missed stands for what ran over."""


Ask = Callable[[TenantId, SessionId], Awaitable[tuple[Live, ...] | None]]


class Woken(Protocol):
    """Who is asked to look."""

    def __call__(self, tenant_id: TenantId, session_id: SessionId, /, *, waits: bool) -> None:
        """Look at a session, if it is driven here; if it *waits*, also if there is room to begin it here."""


@frozen(kw_only=True)
class BusState:
    """How a bus does; counts since it was opened."""

    is_connected: bool = True
    sent: int = 0  #: Messages to other nodes.
    heard: int = 0  #: Messages of other nodes.
    dropped: int = 0  #: Told while nobody could be reached, or faster than it could be sent.
    refused: int = 0  #: Messages that are not of our nodes, or cannot be read.


class Bus(Protocol):
    """What was told and asked between nodes.  It may lose, repeat, delay, reorder: that costs latency only."""

    def tell(self, session_id: SessionId, said: Sequence[Entry | Live | Head]) -> None:
        """Tell whoever listens; never waits.  A Head is for those who listen here."""

    def wake(self, tenant_id: TenantId, session_id: SessionId, *, waits: bool = False) -> None:
        """Ask whoever drives the session's task to look at it; never waits.

        *waits*: nobody drives it and it cannot be begun here, so whoever has room is asked.
        """

    def listen(self, tenant_id: TenantId, session_id: SessionId) -> AbstractContextManager[Ear]:
        """Listen to a session from now on."""

    def listened(self) -> Sequence[tuple[TenantId, SessionId]]:
        """Return the sessions that somebody here listens to."""

    async def tail(self, tenant_id: TenantId, session_id: SessionId) -> tuple[Live, ...] | None:
        """Ask the driver for the text that is told and not durable; None if nobody answers in time."""

    def serve(self, ask: Ask, woken: Woken) -> AbstractContextManager[None]:
        """Answer such questions (None: not driven here), and hear such wakes, from now on."""

    def state(self) -> BusState:
        """Say how it does."""
