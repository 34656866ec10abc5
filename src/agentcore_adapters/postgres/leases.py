"""Who drives what, by the database's clock."""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from agentcore.changes import Changes
from agentcore.errors import OverLimit
from agentcore.follow import Entry
from agentcore.ids import NodeId, SessionId, TaskId, TenantId
from agentcore.limits import Room
from agentcore.lines import Lines
from agentcore.ports import ANY, Also, AtLimit, Committed, Grant, Lease
from agentcore.turn import Turn
from agentcore_adapters.postgres import rows, writer
from agentcore_adapters.postgres import statements as sql
from agentcore_adapters.postgres.connection import Database, Transaction, row_of
from agentcore_adapters.postgres.lines import count, counted
from agentcore_adapters.postgres.reads import turn_of, turn_statements

TTL_S = 15.0
_Taken = tuple[Turn, int, bool, tuple[Entry, ...]]


@frozen
class PostgresLeases:
    """Leases as columns of the task."""

    database: Database
    beats: Database  #: Of its own, so that a renewal waits for nobody else's work.
    ttl_s: float = TTL_S
    lines: Lines = field(factory=Lines)  #: Of tenants that are near their limit of running tasks.

    async def take(
        self, tenant: TenantId, session_id: SessionId, node: NodeId, most: int | None = None
    ) -> Grant | None:
        """Take over a lost task, or begin the head of the queue."""

        async def take(alone: bool) -> tuple[float, _Taken | None]:  # noqa: FBT001 - it is what it is told
            async def work(transaction: Transaction) -> _Taken | None:
                return await self._take(transaction, tenant, session_id, node, most, alone=alone)

            sent = time.monotonic()  # once it is our turn: a lease is trusted from when it was asked for
            return sent, await self.database.write(tenant, work)

        try:
            sent, found = await counted(self.lines, tenant, most, take)
        except OverLimit:
            raise AtLimit("Too many tasks of the tenant are to be begun; this one waits.") from None
        if found is None:
            return None
        turn, epoch, is_takeover, entries = found
        lease = Lease(
            tenant_id=tenant,
            session_id=session_id,
            task_id=turn.task.id,
            node=node,
            epoch=epoch,
            trusted_until=self._trusted_until(sent),
        )
        return Grant(lease=lease, turn=turn, is_takeover=is_takeover, entries=entries)

    async def submit(
        self, changes: Changes, node: NodeId, most: int | None = None, also: Also | None = None
    ) -> tuple[Committed, Grant | None]:
        """Queue a task, and begin it if nothing is in its way: two round trips."""

        async def submit(alone: bool) -> tuple[float, tuple[Entry, ...], writer.Begun | None]:  # noqa: FBT001
            async def work(transaction: Transaction) -> tuple[tuple[Entry, ...], writer.Begun | None]:
                return await writer.submit(transaction, changes, (node, self.ttl_s), most, also, alone=alone)

            sent = time.monotonic()
            return sent, *await self.database.write(changes.tenant_id, work)

        sent, entries, begun = await counted(self.lines, changes.tenant_id, changes.most_open, submit)
        if begun is None:
            return Committed(entries=entries), None
        lease = Lease(
            tenant_id=changes.tenant_id,
            session_id=changes.session_id,
            task_id=begun.turn.task.id,
            node=node,
            epoch=1,  # of a task that was just made
            trusted_until=self._trusted_until(sent),
        )
        grant = Grant(lease=lease, turn=begun.turn, is_takeover=False, entries=begun.entries, history=begun.history)
        return Committed(entries=entries), grant

    async def _take(
        self,
        transaction: Transaction,
        tenant: TenantId,
        session_id: SessionId,
        node: NodeId,
        most: int | None,
        *,
        alone: bool,
    ) -> "_Taken | None":
        counting = None
        if most is not None:
            counting = count(transaction, sql.RUNNING, tenant, most, alone=alone)
        free, head = await transaction.arrive(
            transaction.send(sql.TRY_SESSION, tenant, session_id),
            transaction.send(sql.HEAD_TASK, tenant, session_id),
        )
        chosen = row_of(head)
        if not free or chosen is None:
            return None
        task_id = str(chosen["id"])
        session, locked, *read = await transaction.arrive(
            transaction.send(sql.SESSION, tenant, session_id),
            transaction.send(sql.LOCK_TASK, tenant, task_id),
            *[transaction.send(text, *values) for text, values in turn_statements(tenant, session_id, [task_id])],
        )
        row = row_of(locked)
        if row is None or row["completed_at"] is not None:
            return None
        turn = turn_of(rows.session(session[0]), rows.task(row), read)
        if row["lease_owner"] == node or (row["lease_owner"] is not None and row["is_lost"]):
            (taken,) = await transaction.arrive(transaction.send(sql.TAKE_OVER, node, self.ttl_s, tenant, task_id))
            return turn, taken[0]["lease_epoch"], True, ()
        if row["lease_owner"] is not None or row["status"] != "queued":
            return None  # somebody drives it, or it is parked and waits for a person
        if counting is not None and most is not None and not counting.must_fit(1, most, alone=alone):
            raise AtLimit("The tenant runs as many tasks as it may.")
        turn, changes = turn.begin(chosen["now"])
        entries, _ = await writer.write(transaction, changes, None, take=(node, self.ttl_s))
        (epoch,) = await transaction.arrive(transaction.send(sql.EPOCH, tenant, task_id))
        return turn, epoch[0]["lease_epoch"], False, entries

    async def renew(self, leases: Sequence[Lease]) -> Mapping[TaskId, tuple[Lease, int]]:
        """Renew what is still ours; a row that somebody holds just now is ours until the next beat."""
        sent = time.monotonic()
        known = {lease.task_id: lease for lease in leases}
        wanted = (
            [lease.tenant_id for lease in leases],
            [lease.task_id for lease in leases],
            [lease.epoch for lease in leases],
        )
        node = leases[0].node if leases else ""

        async def work(transaction: Transaction) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
            renewed, mine = await transaction.arrive(
                transaction.send(sql.RENEW, *wanted, node, self.ttl_s),
                transaction.send(sql.STILL_MINE, *wanted, node),
            )
            return renewed, mine

        renewed, mine = await self.beats.write_all(work)
        fresh = {TaskId(str(row["id"])): row["version"] for row in renewed}
        answer: dict[TaskId, tuple[Lease, int]] = {}
        for row in mine:
            lease = known[TaskId(str(row["id"]))]
            if lease.task_id in fresh:
                lease = evolve(lease, trusted_until=self._trusted_until(sent))
            answer[lease.task_id] = (lease, row["version"])
        return answer

    async def waiting(
        self, limit: int, room: Room = ANY, only: Collection[TenantId] | None = None
    ) -> list[tuple[TenantId, SessionId]]:
        """Return sessions where there is something to take."""
        wanted = None if only is None else list(only)
        own = (list(room.tenants), list(room.tenants.values()))
        (found,) = await self.database.read_all((sql.WAITING, (wanted, wanted, *own, room.most, limit)))
        return [(TenantId(row["tenant_id"]), SessionId(str(row["session_id"]))) for row in found]

    def _trusted_until(self, sent: float) -> float:
        return sent + self.ttl_s * 2 / 3
