"""Time that passes only when nothing else is left to do.

Law: an event loop on virtual time is asyncio's own, with two public seams replaced: its clock, and the selector that
would wait.  Where it would wait for a timer, the clock jumps to it; so a minute costs nothing, and the same program
takes the same steps each time.  Nothing real may be waited for: no sockets, no threads.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import anyio
from attrs import define

T = TypeVar("T")
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class Deadlock(Exception):
    """Everybody waits, and not for time."""


class _Jumping(selectors.SelectSelector):
    """A selector that lets time jump instead of waiting."""

    seconds: float = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Look without waiting; a wait becomes a jump."""
        found = super().select(0)
        if not found:
            if timeout is None:
                raise Deadlock("Nothing is scheduled, and nothing will ever happen.")
            self.seconds += max(0.0, timeout)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on virtual time."""

    def __init__(self) -> None:
        """Begin at zero seconds."""
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        """Return virtual seconds."""
        return self.jumping.seconds


@define(eq=False)
class VirtualClock:
    """The clock of a node, in virtual time; ``ahead_s`` is how wrong its time of day is."""

    loop: VirtualLoop
    ahead_s: float = 0.0

    def now(self) -> datetime:
        """Return the time of day: aware, UTC."""
        return BEGINNING + timedelta(seconds=self.loop.time() + self.ahead_s)

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return self.loop.time()


def run_virtually(work: Callable[[VirtualLoop], Awaitable[T]]) -> T:
    """Run *work* in a loop of its own, on virtual time."""
    loop = VirtualLoop()
    return anyio.run(work, loop, backend_options={"loop_factory": lambda: loop})
