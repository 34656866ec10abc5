"""One node, from its first breath to its last.

Law: a node that goes away begins nothing more, lets what is live end for a while, and stops the rest in order;
only then is anything under it closed.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio import CancelScope, move_on_after

from agentcore.books import Sink
from agentcore.commands import Cancel
from agentcore.house import House
from agentcore.ids import NodeId
from agentcore.lanes import Lanes
from agentcore.ports import Bus, Clock, Engines, Leases, Store
from agentcore.prompts import PromptBuilder
from agentcore.pulse import Periods, Pulse
from agentcore.relay import Relay
from agentcore.runtime import Runtime
from agentcore.seal import Seal
from agentcore.task import StopCode
from agentcore.views import Views

POLL_S = 0.02


@asynccontextmanager
async def open_runtime(
    *,
    store: Store,
    leases: Leases,
    bus: Bus,
    engines: Engines,
    clock: Clock,
    node: NodeId,
    new_id: Callable[[], str],
    seal: Seal,
    prompts: PromptBuilder | None = None,
    periods: Periods | None = None,
    sink: Sink | None = None,
    drain_s: float = 5.0,
) -> AsyncIterator[Runtime]:
    """Run one node: its lanes, its pulse and its use cases; at the end, what is live is let end or stopped.

    *sink*: where usage events go; *drain_s*: seconds that live tasks have when the node goes away.
    """
    async with anyio.create_task_group() as tasks:
        house = House(
            store=store, leases=leases, bus=bus, engines=engines, clock=clock, node=node, new_id=new_id, tasks=tasks
        )
        lanes = Lanes(house)
        pulse = Pulse(house, lanes, periods or Periods(), Relay(store, sink))
        views = Views(house)
        prompts = prompts or PromptBuilder()
        runtime = Runtime(house=house, lanes=lanes, pulse=pulse, views=views, prompts=prompts, seal=seal)
        with bus.serve(lanes.tail, lanes.woken):
            house.spawn(pulse.run)
            try:
                yield runtime
            finally:
                with CancelScope(shield=True):
                    await drain(house, lanes, drain_s)
                tasks.cancel_scope.cancel()


async def drain(house: House, lanes: Lanes, patience_s: float) -> None:
    """Begin nothing more; let what is live end within *patience_s*, then stop the rest."""
    house.is_draining = True
    await _until_idle(lanes, patience_s)
    for lane, reading in list(lanes.reading()):
        with lane, move_on_after(patience_s + 1):
            await lane.obey(reading.lease.task_id, Cancel(code=StopCode.SHUTDOWN))
    await _until_idle(lanes, patience_s + 1)


async def _until_idle(lanes: Lanes, patience_s: float) -> None:
    with move_on_after(patience_s):
        while any(True for _ in lanes.reading()):
            await anyio.sleep(POLL_S)
