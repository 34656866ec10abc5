"""The ledger and the outbox of one process."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from anyio.lowlevel import checkpoint
from attrs import evolve, frozen

from agentcore.books import Delivery, DeliveryState, EventId, GroupBy, Totals, Tried, UsageRecorded, UsageReport
from agentcore.ids import TaskId, TenantId
from agentcore.ports import Clock
from agentcore_adapters.memory.state import Parcel, State


@frozen
class MemoryBooks:
    """Keeps the promises of ``Books`` as long as the process lives."""

    clock: Clock
    state: State

    async def usage(
        self, tenant: TenantId, since: datetime | None, until: datetime | None, group_by: GroupBy
    ) -> UsageReport:
        """Add up rows of the ledger."""
        await checkpoint()
        rows = [
            row
            for (owner, _), ledger in self.state.ledger.items()
            for row in ledger
            if owner == tenant and (since is None or row.at >= since) and (until is None or row.at < until)
        ]
        groups: dict[str, list[UsageRecorded]] = {}
        for row in rows:
            groups.setdefault(_key(row, group_by), []).append(row)
        return UsageReport(items=[_totals(key, groups[key]) for key in sorted(groups)], total=_totals("", rows))

    async def enter(self, event: UsageRecorded) -> None:
        """Add a row that belongs to no task."""
        await checkpoint()
        rows = self.state.ledger.setdefault((event.tenant_id, event.task_id), [])
        if all(row.record.key != event.record.key for row in rows):
            rows.append(event)
            self.state.outbox[event.id] = Parcel(Delivery(event=event), self.clock.now())

    async def ledger(
        self, tenant: TenantId, after: tuple[datetime, TaskId, str] | None, limit: int
    ) -> list[UsageRecorded]:
        """Return rows in the order of time."""
        await checkpoint()
        rows = [row for (holder, _), rows in self.state.ledger.items() if holder == tenant for row in rows]
        rows = sorted(rows, key=_place)
        return [row for row in rows if after is None or _place(row) > after][:limit]

    async def take_events(self, limit: int, hold_s: float) -> list[Delivery]:
        """Take what is due."""
        await checkpoint()
        now = self.clock.now()
        due = [parcel for parcel in self.state.outbox.values() if parcel.due_at is not None and parcel.due_at <= now]
        due = sorted(due, key=lambda parcel: parcel.due_at or now)[:limit]
        for parcel in due:
            parcel.due_at = now + timedelta(seconds=hold_s)
        return [parcel.delivery for parcel in due]

    async def tried(self, results: Sequence[Tried]) -> None:
        """Store what became of tries."""
        await checkpoint()
        for result in results:
            parcel = self.state.outbox.get(result.event_id)
            if parcel is not None and parcel.delivery.state is not DeliveryState.DELIVERED:
                self._settle(parcel, result)

    async def deliveries(self, tenant: TenantId, state: DeliveryState | None, limit: int) -> list[Delivery]:
        """Return the newest events."""
        await checkpoint()
        found = [parcel.delivery for parcel in self.state.outbox.values()]
        found = [d for d in found if d.event.tenant_id == tenant and state in {None, d.state}]
        return sorted(found, key=lambda delivery: delivery.event.at, reverse=True)[:limit]

    async def redeliver(self, tenant: TenantId, event: EventId) -> bool:
        """Make a dead event due again."""
        await checkpoint()
        parcel = self.state.outbox.get(event)
        if parcel is None or parcel.delivery.event.tenant_id != tenant:
            return False
        if parcel.delivery.state is not DeliveryState.DEAD:
            return False
        parcel.delivery = evolve(parcel.delivery, state=DeliveryState.PENDING, attempts=0)
        parcel.due_at = self.clock.now()
        return True

    async def forget_events(self, older_than_s: float, limit: int) -> int:
        """Drop what is old."""
        await checkpoint()
        limit_at = self.clock.now() - timedelta(seconds=older_than_s)
        old = [key for key, parcel in self.state.outbox.items() if parcel.delivery.event.at < limit_at][:limit]
        for key in old:
            del self.state.outbox[key]
        return len(old)

    def _settle(self, parcel: Parcel, result: Tried) -> None:
        if result.error is None:
            parcel.delivery = evolve(parcel.delivery, state=DeliveryState.DELIVERED, error=None)
            parcel.due_at = None
            return
        attempts = parcel.delivery.attempts + 1
        is_dead = result.retry_in_s is None
        state = DeliveryState.DEAD if is_dead else DeliveryState.PENDING
        parcel.delivery = evolve(parcel.delivery, state=state, attempts=attempts, error=result.error)
        parcel.due_at = None if is_dead else self.clock.now() + timedelta(seconds=result.retry_in_s or 0.0)


def _place(row: UsageRecorded) -> tuple[datetime, TaskId, str]:
    return (row.at, row.task_id, row.record.key)


def _key(row: UsageRecorded, group_by: GroupBy) -> str:
    match group_by:
        case GroupBy.DAY:
            return row.at.date().isoformat()
        case GroupBy.MODEL:
            return row.record.usage.model
        case GroupBy.SESSION:
            return row.session_id or ""
        case GroupBy.ENGINE:
            return row.engine


def _totals(key: str, rows: Sequence[UsageRecorded]) -> Totals:
    costs = [row.record.usage.cost_usd for row in rows if row.record.usage.cost_usd is not None]
    return Totals(
        key=key,
        tasks=len({row.task_id for row in rows if row.session_id is not None}),
        calls=len(rows),
        input_tokens=sum(row.record.usage.input_tokens for row in rows),
        output_tokens=sum(row.record.usage.output_tokens for row in rows),
        audio_s=sum((row.record.usage.audio_s for row in rows), Decimal(0)),
        cost_usd=sum(costs, Decimal(0)) if costs else None,
    )
