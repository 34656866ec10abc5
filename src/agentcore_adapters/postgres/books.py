"""The ledger read back, and the outbox."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

from attrs import frozen

from agentcore.books import Delivery, DeliveryState, EventId, GroupBy, Totals, Tried, UsageRecorded, UsageReport
from agentcore.ids import TaskId, TenantId
from agentcore_adapters.postgres import book_statements as sql
from agentcore_adapters.postgres import rows, writer
from agentcore_adapters.postgres.connection import Database, Transaction
from agentcore_adapters.postgres.statements import PUT_TENANT


@frozen
class PostgresBooks:
    """Keeps the promises of ``Books``."""

    database: Database

    async def usage(
        self, tenant: TenantId, since: datetime | None, until: datetime | None, group_by: GroupBy
    ) -> UsageReport:
        """Add up rows of the ledger."""
        statement = sql.USAGE.replace("{key}", sql.GROUPS[group_by.value])
        (found,) = await self.database.read(tenant, (statement, (tenant, since, since, until, until)))
        items = [rows.totals(row) for row in found if not row["is_total"]]
        total = [rows.totals(row) for row in found if row["is_total"]]
        return UsageReport(items=items, total=total[0] if total else Totals(key=""))

    async def ledger(
        self, tenant: TenantId, after: tuple[datetime, TaskId, str] | None, limit: int
    ) -> list[UsageRecorded]:
        """Return rows in the order of time."""
        at, task_id, key = after or (None, None, None)
        (found,) = await self.database.read(tenant, (sql.LEDGER_PAGE, (tenant, at, at, task_id, key, limit)))
        return [rows.recorded(row) for row in found]

    async def enter(self, event: UsageRecorded) -> None:
        """Add a row that belongs to no task."""

        async def work(transaction: Transaction) -> None:
            transaction.send(PUT_TENANT, event.tenant_id)
            writer.enter(transaction, event)

        await self.database.write(event.tenant_id, work)

    async def take_events(self, limit: int, hold_s: float) -> list[Delivery]:
        """Take what is due."""

        async def work(transaction: Transaction) -> list[dict[str, Any]]:
            (taken,) = await transaction.arrive(transaction.send(sql.TAKE_EVENTS, hold_s, limit))
            if not taken:
                return []
            ids = [row["id"] for row in taken]
            (found,) = await transaction.arrive(transaction.send(sql.EVENTS_OF, ids))
            return found

        return [rows.delivery(row) for row in await self.database.write_all(work)]

    async def tried(self, results: Sequence[Tried]) -> None:
        """Store what became of tries."""

        async def work(transaction: Transaction) -> None:
            for result in results:
                place = (result.tenant_id, result.event_id)
                if result.error is None:
                    transaction.send(sql.DELIVERED, *place)
                else:
                    transaction.send(sql.NOT_DELIVERED, result.error, result.retry_in_s, *place)

        await self.database.write_all(work)

    async def deliveries(self, tenant: TenantId, state: DeliveryState | None, limit: int) -> list[Delivery]:
        """Return the newest events."""
        wanted = state.value if state is not None else None
        (found,) = await self.database.read(tenant, (sql.DELIVERIES, (tenant, wanted, wanted, limit)))
        return [rows.delivery(row) for row in found]

    async def redeliver(self, tenant: TenantId, event: EventId) -> bool:
        """Make a dead event due again."""

        async def work(transaction: Transaction) -> bool:
            (found,) = await transaction.arrive(transaction.send(sql.REDELIVER, tenant, event))
            return bool(found)

        return await self.database.write(tenant, work)

    async def forget_events(self, older_than_s: float, limit: int) -> int:
        """Drop what is old."""
        return await self._forget(sql.FORGET_EVENTS, older_than_s, limit)

    async def _forget(self, statement: LiteralString, older_than_s: float, limit: int) -> int:
        async def work(transaction: Transaction) -> int:
            (found,) = await transaction.arrive(transaction.send(statement, older_than_s, limit))
            return len(found)

        return await self.database.write_all(work)
