"""What was used, and how others hear of it.

Law: the ledger has one row for each provider call, whatever became of it, and the outbox one event for each row,
both written by the commit that settles the call.  An event is published at least once under an id that never
changes, so that whoever counts it by its id counts it once.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType, Protocol
from uuid import NAMESPACE_OID, uuid5

from attrs import frozen

from agentcore.errors import AgentcoreError
from agentcore.ids import EngineName, SessionId, TaskId, TenantId
from agentcore.usage import UsageRecord

EventId = NewType("EventId", str)


class GroupBy(StrEnum):
    """What usage is added up by."""

    DAY = "day"  #: UTC.
    MODEL = "model"
    SESSION = "session"
    ENGINE = "engine"


@frozen(kw_only=True)
class Totals:
    """Rows of the ledger, added up."""

    key: str  #: Of the group; empty for all together.
    tasks: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    audio_s: Decimal = Decimal(0)
    cost_usd: Decimal | None = None  #: Of the calls that have a price; None if none has.

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@frozen(kw_only=True)
class UsageReport:
    """What a tenant has used."""

    items: Sequence[Totals]
    total: Totals


@frozen(kw_only=True)
class UsageRecorded:
    """One row of the ledger, as others are told of it."""

    tenant_id: TenantId
    session_id: SessionId | None  #: None: a recording was listened to, for no task yet; ``task_id`` is its own then.
    task_id: TaskId
    engine: EngineName
    record: UsageRecord
    at: datetime

    @property
    def id(self) -> EventId:
        """The same on every node and at every try."""
        return event_id(self.tenant_id, self.task_id, self.record.key)


def event_id(tenant: TenantId, task_id: TaskId, key: str) -> EventId:
    """Return the id of the event of one row of the ledger."""
    return EventId(str(uuid5(NAMESPACE_OID, f"usage.recorded {tenant} {task_id} {key}")))


class DeliveryState(StrEnum):
    """What became of an event."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"  #: Given up; ``redeliver`` tries again.


@frozen(kw_only=True)
class Delivery:
    """An event on its way."""

    event: UsageRecorded
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0  #: Tries that failed.
    error: str | None = None  #: What the last failed try said, without addresses.


@frozen(kw_only=True)
class Tried:
    """What became of one try."""

    tenant_id: TenantId
    event_id: EventId
    error: str | None = None  #: None: delivered.
    retry_in_s: float | None = None  #: None, with an error: given up.


class Books(Protocol):
    """The ledger read back, and the outbox.  Times by the store's clock."""

    async def usage(
        self, tenant: TenantId, since: datetime | None, until: datetime | None, group_by: GroupBy
    ) -> UsageReport:
        """Add up the rows with *since* <= time < *until*, groups in the order of their keys.

        A task counts once in each group in which it has a row, and once in the total; a recording is no task, and its
        session is the empty key.
        """

    async def ledger(
        self, tenant: TenantId, after: tuple[datetime, TaskId, str] | None, limit: int
    ) -> list[UsageRecorded]:
        """Return at most *limit* rows in the order of time, task and key, from beyond *after*."""

    async def enter(self, event: UsageRecorded) -> None:
        """Add a row that belongs to no task, with its event; one that is there already stays as it is."""

    async def take_events(self, limit: int, hold_s: float) -> list[Delivery]:
        """Return at most *limit* pending events that are due, oldest first; nobody else gets them for *hold_s*."""

    async def tried(self, results: Sequence[Tried]) -> None:
        """Store what became of tries: an event that is delivered stays so, whatever a later result says."""

    async def deliveries(self, tenant: TenantId, state: DeliveryState | None, limit: int) -> list[Delivery]:
        """Return the newest events of a tenant, in one state or in all."""

    async def redeliver(self, tenant: TenantId, event: EventId) -> bool:
        """Make an event that was given up due again; say whether there was one."""

    async def forget_events(self, older_than_s: float, limit: int) -> int:
        """Drop at most *limit* events that are that old, given up or delivered or never asked for; count them."""


class SinkFailed(AgentcoreError):
    """The receiver of usage events did not take one."""

    code = "sink_failed"

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        """Say why in *reason*, without addresses; *retry_after_s*: what the receiver asked for."""
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Sink(Protocol):
    """Where usage events go."""

    async def publish(self, event: UsageRecorded) -> None:
        """Return once the receiver has the event; raises SinkFailed.  Repeating it is harmless."""
