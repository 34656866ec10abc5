"""Leases over the memory store."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from anyio.lowlevel import checkpoint
from attrs import evolve, frozen

from agentcore.changes import Changes
from agentcore.follow import Entry
from agentcore.ids import NodeId, SessionId, TaskId, TenantId
from agentcore.limits import Room
from agentcore.ports import ANY, Also, AtLimit, Clock, Committed, Grant, Lease
from agentcore.task import Task
from agentcore_adapters.memory.state import Hold, Shelf, State, queue


@frozen
class MemoryLeases:
    """Keeps the promises of ``Leases`` for all nodes that share the state."""

    state: State
    clock: Clock
    ttl_s: float = 15.0

    async def take(
        self, tenant: TenantId, session_id: SessionId, node: NodeId, most: int | None = None
    ) -> Grant | None:
        """Take over a lost task, or begin the head of the queue."""
        await checkpoint()
        return self._take(tenant, session_id, node, most)

    async def submit(
        self, changes: Changes, node: NodeId, most: int | None = None, also: Also | None = None
    ) -> tuple[Committed, Grant | None]:
        """Queue a task, and begin it if nothing is in its way."""
        await checkpoint()
        place = (changes.tenant_id, changes.session_id)
        shelf = self.state.shelves.get(place)
        waits = bool(shelf and queue(shelf.tasks.values()))
        committed = Committed(entries=self.state.settle(changes, None))
        if waits or (most is not None and self.state.driven(changes.tenant_id) >= most):
            return committed, None
        grant = self._take(*place, node, most)
        if grant is None or also is None:
            return committed, grant
        limit = grant.turn.task.params.max_context_messages
        history = tuple(self.state.shelf(*place).history(limit))
        turn, added = also(grant.turn, history)
        self.state.settle(added, None)
        return committed, evolve(grant, turn=turn, history=history)

    def _take(self, tenant: TenantId, session_id: SessionId, node: NodeId, most: int | None) -> Grant | None:
        shelf = self.state.shelves.get((tenant, session_id))
        found = self._takeable(shelf, node) if shelf is not None else None
        if shelf is None or found is None:
            return None
        is_takeover = found.driven
        entries: tuple[Entry, ...] = ()
        if not is_takeover:
            if most is not None and self.state.driven(tenant) >= most:
                raise AtLimit("The tenant runs as many tasks as it may.")
            _, changes = self.state.turn(tenant, found.id).begin(self.clock.now())
            entries = self.state.settle(changes, None)
            shelf = self.state.shelves[tenant, session_id]
        hold = shelf.holds[found.id]
        hold.epoch += 1
        hold.node, hold.expires_at = node, self.clock.now() + timedelta(seconds=self.ttl_s)
        lease = Lease(
            tenant_id=tenant,
            session_id=session_id,
            task_id=found.id,
            node=node,
            epoch=hold.epoch,
            trusted_until=self._trusted_until(),
        )
        return Grant(lease=lease, turn=self.state.turn(tenant, found.id), is_takeover=is_takeover, entries=entries)

    async def renew(self, leases: Sequence[Lease]) -> Mapping[TaskId, tuple[Lease, int]]:
        """Renew what is still ours."""
        await checkpoint()
        renewed: dict[TaskId, tuple[Lease, int]] = {}
        for lease in leases:
            shelf = self.state.shelves.get((lease.tenant_id, lease.session_id))
            hold = shelf.holds.get(lease.task_id) if shelf else None
            if shelf is None or hold is None or hold.epoch != lease.epoch or hold.node != lease.node:
                continue
            hold.expires_at = self.clock.now() + timedelta(seconds=self.ttl_s)
            version = shelf.tasks[lease.task_id].version
            renewed[lease.task_id] = (_trusted(lease, self._trusted_until()), version)
        return renewed

    async def waiting(
        self, limit: int, room: Room = ANY, only: Collection[TenantId] | None = None
    ) -> list[tuple[TenantId, SessionId]]:
        """Return sessions where there is something to take; whoever runs the fewest comes first."""
        await checkpoint()
        lost: list[tuple[TenantId, SessionId]] = []
        queued: dict[TenantId, list[tuple[Task, SessionId]]] = {}
        for (tenant, session_id), shelf in self.state.shelves.items():
            head = self._takeable(shelf) if only is None or tenant in only else None
            if head is None:
                continue
            if head.driven:
                lost.append((tenant, session_id))
            else:
                queued.setdefault(tenant, []).append((head, session_id))
        ranked: list[tuple[int, datetime, TenantId, SessionId]] = []
        for tenant, heads in queued.items():
            running, most = self.state.driven(tenant), room.of(tenant)
            heads.sort(key=lambda pair: (-pair[0].priority, pair[0].created_at))
            fits = len(heads) if most is None else max(0, most - running)
            ranked += [
                (running + n, head.created_at, tenant, session_id) for n, (head, session_id) in enumerate(heads[:fits])
            ]
        return [*lost, *(place[2:] for place in sorted(ranked))][:limit]

    def _takeable(self, shelf: Shelf, node: NodeId | None = None) -> Task | None:
        waiting = queue(shelf.tasks.values())
        if not waiting:
            return None
        head = waiting[0]
        if head.driven:
            hold = shelf.holds[head.id]
            return head if self._is_lost(hold) or hold.node == node else None
        return head if head.status == "queued" else None  # else parked: it waits for a person

    def _is_lost(self, hold: Hold) -> bool:
        return hold.expires_at is not None and hold.expires_at <= self.clock.now()

    def _trusted_until(self) -> float:
        return self.clock.monotonic() + self.ttl_s * 2 / 3


def _trusted(lease: Lease, until: float) -> Lease:
    return Lease(
        tenant_id=lease.tenant_id,
        session_id=lease.session_id,
        task_id=lease.task_id,
        node=lease.node,
        epoch=lease.epoch,
        trusted_until=until,
    )
