"""Who drives what, by the database's clock."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from agentcore.follow import Entry
from agentcore.ids import NodeId, SessionId, TaskId, TenantId
from agentcore.ports import Grant, Lease
from agentcore.turn import Turn
from agentcore_adapters.postgres import rows, writer
from agentcore_adapters.postgres import statements as sql
from agentcore_adapters.postgres.connection import Database, Transaction, row_of
from agentcore_adapters.postgres.reads import turn_of, turn_statements

TTL_S = 15.0


@frozen
class PostgresLeases:
    """Leases as columns of the task."""

    database: Database
    beats: Database  #: Of its own, so that a renewal waits for nobody else's work.
    ttl_s: float = TTL_S

    async def take(self, tenant: TenantId, session_id: SessionId, node: NodeId) -> Grant | None:
        """Take over a lost task, or begin the head of the queue."""
        sent = time.monotonic()

        async def work(transaction: Transaction) -> tuple[Turn, int, bool, tuple[Entry, ...]] | None:
            return await self._take(transaction, tenant, session_id, node)

        found = await self.database.write(tenant, work)
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

    async def _take(
        self, transaction: Transaction, tenant: TenantId, session_id: SessionId, node: NodeId
    ) -> tuple[Turn, int, bool, tuple[Entry, ...]] | None:
        free, head = await transaction.arrive(
            await transaction.send(sql.TRY_SESSION, tenant, session_id),
            await transaction.send(sql.HEAD_TASK, tenant, session_id),
        )
        chosen = row_of(head)
        if not free or chosen is None:
            return None
        task_id = str(chosen["id"])
        session, locked, *read = await transaction.arrive(
            await transaction.send(sql.SESSION, tenant, session_id),
            await transaction.send(sql.LOCK_TASK, tenant, task_id),
            *[await transaction.send(text, *values) for text, values in turn_statements(tenant, session_id, [task_id])],
        )
        row = row_of(locked)
        if row is None or row["completed_at"] is not None:
            return None
        turn = turn_of(rows.session(session[0]), rows.task(row), read)
        if row["lease_owner"] == node or (row["lease_owner"] is not None and row["is_lost"]):
            (taken,) = await transaction.arrive(
                await transaction.send(sql.TAKE_OVER, node, self.ttl_s, tenant, task_id)
            )
            return turn, taken[0]["lease_epoch"], True, ()
        if row["lease_owner"] is not None or row["status"] != "queued":
            return None  # somebody drives it, or it is parked and waits for a person
        turn, changes = turn.begin(chosen["now"])
        entries = await writer.write(transaction, changes, None, take=(node, self.ttl_s))
        (epoch,) = await transaction.arrive(await transaction.send(sql.EPOCH, tenant, task_id))
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
                await transaction.send(sql.RENEW, *wanted, node, self.ttl_s),
                await transaction.send(sql.STILL_MINE, *wanted, node),
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

    async def waiting(self, limit: int) -> list[tuple[TenantId, SessionId]]:
        """Return sessions where there is something to take."""
        (found,) = await self.database.read_all((sql.WAITING, (limit,)))
        return [(TenantId(row["tenant_id"]), SessionId(str(row["session_id"]))) for row in found]

    def _trusted_until(self, sent: float) -> float:
        return sent + self.ttl_s * 2 / 3
