"""What the shell of one node shares.

Law: everything of the node that touches the world is named here once; ``runtime`` puts it together and nobody
else does.  Work that runs on its own is supervised: one task's failure never leaves its own scope, and it goes on
until it is ``stop``-ped: a node that is cancelled still has to hand back what it drives.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVarTuple

import structlog
from anyio import CancelScope
from anyio.abc import TaskGroup
from attrs import Factory, define, field

from agentcore.bus import Bus
from agentcore.engine import Engines
from agentcore.errors import Unavailable
from agentcore.gate import Gate
from agentcore.ids import NodeId
from agentcore.lines import Lines
from agentcore.observe import Observers
from agentcore.ports import Clock, Leases, Store
from agentcore.quotas import Quotas

log = structlog.get_logger("agentcore.house")
Ts = TypeVarTuple("Ts")
ADMITTED_AT_ONCE = 4  # prompts of one tenant; the others wait, so that there is always room for those of others


@define
class Counts:
    """What should stay zero, or nearly; tests and metrics read it."""

    lost: int = 0  #: Readings stopped because their lease could not be renewed in time.
    late: int = 0  #: Engine events after the end of their task, and callbacks that came late or again.
    refused: int = 0  #: Engine events for which the table has no row.
    failed: int = 0  #: Supervised work that raised.
    recovered: int = 0  #: Tasks taken over from a node that was lost.
    stuck: int = 0  #: Engines left behind because they did not stop.
    fenced: int = 0  #: Readings stopped because another node had taken their task.
    unavailable: int = 0  #: Times that work of the node found no store.
    waiting: int = 0  #: Sessions with work that nobody drove, when this node last looked; it looks at a bounded number.


@define(eq=False, kw_only=True)
class House:
    """One node's ports, its name, and its way to start work."""

    store: Store
    leases: Leases
    bus: Bus
    engines: Engines
    clock: Clock
    node: NodeId
    new_id: Callable[[], str]
    tasks: TaskGroup
    counts: Counts = field(factory=Counts)
    observers: Observers = field(factory=Observers)
    gate: Gate = field(factory=Gate)
    lines: Lines = field(factory=lambda: Lines(ADMITTED_AT_ONCE))  #: Of prompts that are to be stored.
    quotas: Quotas = field(default=Factory(lambda house: Quotas(house.store, house.clock), takes_self=True))
    idle_s: float = 300.0  #: An engine that says nothing for so long is stopped.
    is_leaving: bool = False  #: It was told to go, and works on for now; nobody should send it more.
    is_draining: bool = False
    _scopes: set[CancelScope] | None = field(factory=set)  # of what runs; None: all was stopped

    def spawn(self, work: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Start *work* on its own."""
        self.tasks.start_soon(self._supervised, work, args)

    def stop(self) -> None:
        """Cancel all work, and let none begin."""
        scopes, self._scopes = self._scopes or (), None
        for scope in scopes:
            scope.cancel()

    async def _supervised(self, work: Callable[[*Ts], Awaitable[None]], args: tuple[*Ts]) -> None:
        if self._scopes is None:
            return
        structlog.contextvars.clear_contextvars()  # it is no longer the request that gave rise to it
        with CancelScope(shield=True) as scope:
            self._scopes.add(scope)
            try:
                await self._done(work, args)
            finally:
                if self._scopes is not None:
                    self._scopes.discard(scope)

    async def _done(self, work: Callable[[*Ts], Awaitable[None]], args: tuple[*Ts]) -> None:
        try:
            await work(*args)
        except Unavailable as error:  # what is left to do is found by the next look
            self.counts.unavailable += 1
            log.warning("work.postponed", work=getattr(work, "__qualname__", "?"), code=error.code)
        except Exception as error:  # noqa: BLE001 - whatever it was, it must not take the node's other tasks with it
            self.counts.failed += 1
            log.error("work.failed", work=getattr(work, "__qualname__", "?"), kind=type(error).__name__)
