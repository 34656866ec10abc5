"""Nodes that a test can kill."""

from datetime import datetime
from typing import Any

import anyio
from attrs import define, field

from agentcore.errors import StoreUnavailable
from agentcore.ports import Clock
from agentcore.runtime import Runtime


@define(eq=False)
class Wire:
    """A node's line to the store, which a crash cuts."""

    target: Any
    is_cut: bool = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - stands in for any port
        """Pass the call on, unless the line is cut."""
        method = getattr(self.target, name)

        async def call(*args: Any, **more: Any) -> Any:  # noqa: ANN401
            if self.is_cut:
                raise StoreUnavailable("The node is dead.")
            return await method(*args, **more)

        return call


@define(eq=False)
class NodeClock:
    """A node's clock; a dead node's lease is long over."""

    target: Clock
    ahead_s: float = 0.0

    def now(self) -> datetime:
        """Return the time of day."""
        return self.target.now()

    def monotonic(self) -> float:
        """Return seconds."""
        return self.target.monotonic() + self.ahead_s


@define(eq=False)
class Node:
    """One node, and how to kill it."""

    store: Wire
    leases: Wire
    clock: NodeClock
    opened: Runtime | None = None
    ready: anyio.Event = field(factory=anyio.Event)
    stop: anyio.Event = field(factory=anyio.Event)
    has_stopped: anyio.Event = field(factory=anyio.Event)

    @property
    def runtime(self) -> Runtime:
        """The node at work."""
        assert self.opened is not None
        return self.opened

    def kill(self) -> None:
        """Let it write nothing more, whatever it still tries."""
        self.store.is_cut = self.leases.is_cut = True
        self.clock.ahead_s = 1e6
        self.stop.set()
