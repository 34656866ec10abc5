"""One node, from its first breath to its last.

Law: a node that goes away begins nothing more, lets what is live end for a while, and hands the rest back in order:
to any node if the task allows it, else it is cancelled; only then is anything under it closed.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio import CancelScope, move_on_after

from agentcore.books import Sink
from agentcore.bus import Bus
from agentcore.engine import Engines
from agentcore.gate import MOST, Gate
from agentcore.house import House
from agentcore.ids import NodeId, TenantId
from agentcore.lanes import Lanes
from agentcore.limits import Limits, Own
from agentcore.observe import Observer, Observers
from agentcore.policy import Policy
from agentcore.ports import Clock, Hosts, Leases, Store
from agentcore.prompts import PromptBuilder
from agentcore.pulse import Periods, Pulse
from agentcore.quotas import Quotas
from agentcore.relay import Relay
from agentcore.remote import Nowhere, Remote
from agentcore.runtime import Runtime
from agentcore.seal import Seal
from agentcore.speech import Transcriber
from agentcore.task import OnCrash, TaskStatus
from agentcore.views import Views
from agentcore.voice import Voice

POLL_S = 0.02
STOP_S = 5.0  # for engines to stop, and for their tasks to be handed back


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
    policy: Policy | None = None,
    periods: Periods | None = None,
    sink: Sink | None = None,
    hosts: Hosts | None = None,
    transcriber: Transcriber | None = None,
    limits: Limits | None = None,
    tenants: Mapping[TenantId, Own] | None = None,
    most_driven: int = MOST,
    drain_s: float = 5.0,
    idle_s: float = 300.0,
    observers: Sequence[Observer] = (),
) -> AsyncIterator[Runtime]:
    """Run one node: its lanes, its pulse and its use cases; at the end, what is live is let end or stopped.

    *policy*: which tools a request may ask for; *sink*: where usage events go; *hosts*: where remote agents may live,
    None: nowhere; *transcriber*: who listens to recordings; *limits*: of all tenants, *tenants*: of some, as the
    settings say; *most_driven*: tasks that this node drives at a time; *drain_s*: seconds that live tasks have when the
    node goes away; *idle_s*: seconds of silence after which an engine is stopped;
    *observers*: who hears of what is committed.
    """
    async with anyio.create_task_group() as tasks:
        house = House(
            store=store,
            leases=leases,
            bus=bus,
            engines=engines,
            clock=clock,
            node=node,
            new_id=new_id,
            tasks=tasks,
            gate=Gate(most_driven),
            quotas=Quotas(store, clock, limits or Limits(), tenants or {}),
            idle_s=idle_s,
            observers=Observers(tuple(observers)),
        )
        await house.quotas.open()
        lanes = Lanes(house)
        pulse = Pulse(house, lanes, periods or Periods(), Relay(store, sink))
        views = Views(house)
        prompts = prompts or PromptBuilder()
        runtime = Runtime(
            house=house,
            lanes=lanes,
            pulse=pulse,
            views=views,
            remote=Remote(house=house, lanes=lanes, seal=seal, hosts=hosts or Nowhere()),
            voice=Voice(store=store, clock=clock, new_id=new_id, quotas=house.quotas, transcriber=transcriber),
            prompts=prompts,
            seal=seal,
            policy=policy or Policy(),
        )
        with bus.serve(lanes.tail, lanes.woken):
            house.spawn(pulse.run)
            try:
                yield runtime
            finally:
                try:
                    with CancelScope(shield=True):
                        await drain(house, lanes, drain_s)
                finally:
                    house.stop()


async def drain(house: House, lanes: Lanes, patience_s: float) -> None:
    """Begin nothing more; let what is live end within *patience_s*, then hand the rest back, or stop it."""
    house.is_draining = True
    for lane, reading in list(lanes.reading()):
        task = reading.turn.task
        is_elsewhere = task.is_remote and task.params.on_crash is OnCrash.RESUME
        if task.status is TaskStatus.AWAITING_APPROVAL or is_elsewhere:  # it may wait for long: so it waits anywhere
            lane.let_go()
    await _until_idle(lanes, patience_s)
    for lane, _ in list(lanes.reading()):
        lane.let_go()
    await _until_idle(lanes, STOP_S)


async def _until_idle(lanes: Lanes, patience_s: float) -> None:
    """Wait for what can still be stored under a lease that is trusted; the rest is found by whoever sweeps."""
    with move_on_after(patience_s):
        while any(not (reading.is_muted or reading.is_lost) for _, reading in lanes.reading()):
            await anyio.sleep(POLL_S)
