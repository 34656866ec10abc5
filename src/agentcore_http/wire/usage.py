"""What the server answers about usage; decimals are strings."""

from collections.abc import Sequence
from decimal import Decimal

from agentcore.books import Delivery, Totals, UsageReport
from agentcore_http.wire.json import timestamp
from agentcore_http.wire.shapes import Answer


class TotalsAnswer(Answer):
    """Usage, added up."""

    key: str | None
    tasks: int
    calls: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    audio_seconds: str
    cost_usd: str | None


class ReportAnswer(Answer):
    """GET /usage."""

    items: list[TotalsAnswer]
    total: TotalsAnswer


class DeliveryAnswer(Answer):
    """A usage event and what became of it."""

    event_id: str
    task_id: str
    session_id: str | None
    call: str
    state: str
    attempts: int
    error: str | None
    created_at: str


class DeliveriesAnswer(Answer):
    """GET /usage/events."""

    items: list[DeliveryAnswer]


class RedeliveredAnswer(Answer):
    """An event will be sent again."""

    event_id: str
    message: str = "Event will be sent again"


def report(found: UsageReport) -> ReportAnswer:
    """Write a report."""
    return ReportAnswer(items=[_totals(item) for item in found.items], total=_totals(found.total, None))


def deliveries(found: Sequence[Delivery]) -> DeliveriesAnswer:
    """Write a list of events."""
    return DeliveriesAnswer(items=[_delivery(delivery) for delivery in found])


def _delivery(delivery: Delivery) -> DeliveryAnswer:
    event = delivery.event
    return DeliveryAnswer(
        event_id=event.id,
        task_id=event.task_id,
        session_id=event.session_id,
        call=event.record.key,
        state=delivery.state.value,
        attempts=delivery.attempts,
        error=delivery.error,
        created_at=timestamp(event.at),
    )


def _totals(totals: Totals, key: str | None = "") -> TotalsAnswer:
    return TotalsAnswer(
        key=None if key is None else totals.key,
        tasks=totals.tasks,
        calls=totals.calls,
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        total_tokens=totals.total_tokens,
        audio_seconds=f"{totals.audio_s.normalize():f}",
        cost_usd=_decimal(totals.cost_usd),
    )


def _decimal(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"
