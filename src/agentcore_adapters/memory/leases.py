"""Leases over the memory store."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from anyio.lowlevel import checkpoint
from attrs import frozen

from agentcore.follow import Entry
from agentcore.ids import NodeId, SessionId, TaskId, TenantId
from agentcore.ports import Clock, Grant, Lease
from agentcore.task import Task
from agentcore_adapters.memory.state import Hold, Shelf, State, queue


@frozen
class MemoryLeases:
    """Keeps the promises of ``Leases`` for all nodes that share the state."""

    state: State
    clock: Clock
    ttl_s: float = 15.0

    async def take(self, tenant: TenantId, session_id: SessionId, node: NodeId) -> Grant | None:
        """Take over a lost task, or begin the head of the queue."""
        await checkpoint()
        shelf = self.state.shelves.get((tenant, session_id))
        found = self._takeable(shelf, node) if shelf is not None else None
        if shelf is None or found is None:
            return None
        is_takeover = found.driven
        entries: tuple[Entry, ...] = ()
        if not is_takeover:
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

    async def waiting(self, limit: int) -> list[tuple[TenantId, SessionId]]:
        """Return sessions where there is something to take; tenants take turns."""
        await checkpoint()
        turns: dict[TenantId, list[tuple[TenantId, SessionId]]] = {}
        for key, shelf in self.state.shelves.items():
            if self._takeable(shelf) is not None:
                turns.setdefault(key[0], []).append(key)
        rounds = max(map(len, turns.values()), default=0)
        return [keys[i] for i in range(rounds) for keys in turns.values() if i < len(keys)][:limit]

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
