"""The outbox is emptied, whatever becomes of one event."""

from collections.abc import Sequence

import pytest
from attrs import define, field

from agentcore.books import Delivery, SinkFailed, Tried, UsageRecorded
from agentcore.errors import StoreUnavailable
from agentcore.ids import EngineName, SessionId, TaskId
from agentcore.relay import BATCH, HOLD_S, RETRY_S, Relay
from agentcore.testing.making import TENANT, now
from agentcore.usage import Outcome, Usage, UsageRecord

pytestmark = pytest.mark.anyio


@define(eq=False)
class Book:
    """An outbox of some events, which forgets that some were tried."""

    due: list[Delivery]
    forgets: set[str] = field(factory=set)
    tries: list[Tried] = field(factory=list)
    asked: list[tuple[int, float]] = field(factory=list)

    async def take_events(self, limit: int, hold_s: float) -> list[Delivery]:
        self.asked.append((limit, hold_s))
        taken, self.due = self.due[:limit], self.due[limit:]
        return taken

    async def tried(self, results: Sequence[Tried]) -> None:
        if any(result.event_id in self.forgets for result in results):
            raise StoreUnavailable("lost")
        self.tries += results


@define(eq=False)
class Receiver:
    """Refuses some events."""

    refuses: dict[str, Exception] = field(factory=dict)
    taken: list[str] = field(factory=list)

    async def publish(self, event: UsageRecorded) -> None:
        if event.id in self.refuses:
            raise self.refuses[event.id]
        self.taken.append(event.id)


def some(number: int, attempts: int = 0) -> list[Delivery]:
    events = [
        UsageRecorded(
            tenant_id=TENANT,
            session_id=SessionId("s"),
            task_id=TaskId(f"t{i}"),
            engine=EngineName("e"),
            record=UsageRecord(key="1", usage=Usage(model="m"), outcome=Outcome.COMPLETED),
            at=now(),
        )
        for i in range(number)
    ]
    return [Delivery(event=event, attempts=attempts) for event in events]


async def test_everything_that_is_due_is_sent() -> None:
    due = some(BATCH + 3)
    book, receiver = Book(list(due)), Receiver()
    await Relay(book, receiver).drain()  # type: ignore[arg-type]
    assert sorted(receiver.taken) == sorted(delivery.event.id for delivery in due)
    assert book.asked == [(BATCH, HOLD_S)] * 2
    assert {result.error for result in book.tries} == {None}
    assert await Relay(book, None).round() == 0  # type: ignore[arg-type]
    assert len(book.asked) == 2  # what nobody wants to hear is not taken


async def test_what_becomes_of_one_event_is_nothing_to_the_others() -> None:
    due = some(4)
    ids = [delivery.event.id for delivery in due]
    refuses: dict[str, Exception] = {ids[0]: SinkFailed("no", retry_after_s=1e6), ids[1]: ValueError("secret")}
    book, receiver = Book(list(due), forgets={ids[2]}), Receiver(refuses)
    assert await Relay(book, receiver).round() == 4  # type: ignore[arg-type]
    assert sorted(receiver.taken) == sorted(ids[2:])  # the third may be sent again: nobody knows that it arrived
    found = {result.event_id: result for result in book.tries}
    assert sorted(found) == sorted([ids[0], ids[1], ids[3]])
    assert (found[ids[0]].error, found[ids[0]].retry_in_s) == ("no", 1e6)
    assert "secret" not in str(found[ids[1]].error)
    assert 0.8 * RETRY_S[0] <= (found[ids[1]].retry_in_s or 0) <= 1.2 * RETRY_S[0]


async def test_what_is_refused_for_long_is_given_up() -> None:
    (delivery,) = some(1, attempts=len(RETRY_S))
    book = Book([delivery])
    await Relay(book, Receiver({delivery.event.id: SinkFailed("no")})).round()  # type: ignore[arg-type]
    assert [result.retry_in_s for result in book.tries] == [None]
