"""The clockwork of one node.

Law: everything that time brings about comes from here: leases are renewed, tails become durable, deadlines pass,
lost work is found.  Each round is a method that a test can call; a round that fails is tried again at the next.
"""

from collections.abc import Awaitable, Callable

import anyio
import structlog
from attrs import define

from agentcore.commands import Expire
from agentcore.errors import AgentcoreError, Unavailable
from agentcore.follow import Head
from agentcore.house import House
from agentcore.ids import SessionId, TenantId
from agentcore.lanes import Lanes
from agentcore.ports import ANY
from agentcore.relay import FORGOTTEN_AT_ONCE, Relay

log = structlog.get_logger("agentcore.pulse")
CHECKPOINT_S = 1.0  # text told live is durable after that long
SWEEP_LIMIT = 100
BREATH_S = 0.01  # between two looks for what comes next
KEYS_KEPT_S, BLOBS_KEPT_S = 24 * 3600.0, 3600.0


@define(kw_only=True)
class Periods:
    """How often, in seconds."""

    tick: float = 0.1
    beat: float = 3.0
    heads: float = 1.0
    expire: float = 2.0
    sweep: float = 2.0
    relay: float = 0.5
    forget: float = 3600.0
    limits: float = 5.0


@define(eq=False)
class Pulse:
    """Runs the rounds."""

    house: House
    lanes: Lanes
    periods: Periods
    relay: Relay

    async def run(self) -> None:
        """Go on until cancelled."""
        async with anyio.create_task_group() as tasks:
            for work, period in (
                (self.tick, self.periods.tick),
                (self.beat, self.periods.beat),
                (self.heads, self.periods.heads),
                (self.expire, self.periods.expire),
                (self.sweep, self.periods.sweep),
                (self.relay.drain, self.periods.relay),
                (self.forget, self.periods.forget),
                (self.house.quotas.refresh, self.periods.limits),
                (self.fill, BREATH_S),
            ):
                tasks.start_soon(self._every, period, work)

    async def _every(self, period: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await anyio.sleep(period)
            try:
                await work()
            except Unavailable as error:
                self.house.counts.unavailable += 1
                log.warning("pulse.unavailable", work=work.__name__, code=error.code)
            except AgentcoreError as error:
                log.error("pulse.failed", work=work.__name__, kind=type(error).__name__)

    async def tick(self) -> None:
        """Make old tails durable; let what is due happen; stop what is no longer ours."""
        now, monotonic = self.house.clock.now(), self.house.clock.monotonic()
        for lane, reading in self.lanes.reading():
            is_due = reading.look_at_the_clock(now, monotonic)
            if lane.is_busy:  # it settles something just now; the next tick comes soon
                continue
            since = reading.turn.tail_since
            if since is not None and (now - since).total_seconds() >= CHECKPOINT_S:
                self.house.spawn(lane.checkpoint)
            if is_due:
                self.house.spawn(lane.reconcile)

    async def beat(self) -> None:
        """Renew the leases of all that is driven here; stop what is fenced; look at what others have changed."""
        readings = list(self.lanes.reading())
        if not readings:
            return
        renewed = await self.house.leases.renew([reading.lease for _, reading in readings])
        for lane, reading in readings:
            if lane.reading is not reading or not reading.turn.task.driven:
                continue
            still_ours = renewed.get(reading.lease.task_id)
            if still_ours is None:
                log.warning("lease.fenced", task_id=reading.lease.task_id)
                self.house.counts.fenced += 1
                reading.lose()
                continue
            lease, version = still_ours
            reading.lease = lease
            if version != reading.turn.task.version:
                self.house.spawn(lane.reconcile)

    async def heads(self) -> None:
        """Tell subscribers here how far their logs go, in case they were not told."""
        listened = self.house.bus.listened()
        if not listened:
            return
        for session_id, head in (await self.house.store.heads(listened)).items():
            self.house.bus.tell(session_id, [Head(head)])

    async def expire(self) -> None:
        """Let the time of undriven tasks, and of the approvals they wait for, run out."""
        if self.house.is_draining:
            return
        for tenant, session_id, task_id in await self.house.store.expired(SWEEP_LIMIT):
            with self.lanes.at(tenant, session_id) as lane:
                await lane.obey(task_id, Expire())

    async def sweep(self) -> None:
        """Find work that nobody drives: queued tasks, and lost ones."""
        if self.house.is_draining:
            return
        waiting = await self.house.leases.waiting(SWEEP_LIMIT, self.house.quotas.room())
        self.house.counts.waiting = len(waiting)
        for tenant, session_id in waiting:
            self.house.spawn(self._call, tenant, session_id)

    async def fill(self) -> None:
        """Wait until a place is free that somebody waits for, and begin what comes next."""
        gate = self.house.gate
        for call in await gate.next_call():
            if self.house.is_draining:
                return
            # Of one tenant, whoever waits is looked for, whether or not it may: else nobody knew that none does.
            room, only = (ANY, {call.tenant}) if call.tenant is not None else (self.house.quotas.room(), None)
            places = min(call.places, SWEEP_LIMIT)
            found = await self.house.leases.waiting(places + 1, room, only)
            gate.answer(call, places, more=len(found) > places)
            for tenant, session_id in found[:places]:
                self.house.spawn(self._call, tenant, session_id)

    async def _call(self, tenant: TenantId, session_id: SessionId) -> None:
        with self.house.gate.call(session_id):
            await self.lanes.reconcile(tenant, session_id)

    async def forget(self) -> None:
        """Drop what nobody asks for any more."""
        await self.relay.forget()
        store = self.house.store
        for forget, older_than_s in ((store.forget_keys, KEYS_KEPT_S), (store.forget_blobs, BLOBS_KEPT_S)):
            while await forget(older_than_s, FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE:
                pass
