"""From the outbox to the receiver.

Law: an event leaves the outbox only after its receiver has said that it has it; so it may arrive twice, under the
same id, and never not at all.  What is not taken is tried again, ever more rarely, and at last kept for a person.
"""

from collections.abc import Sequence
from zlib import crc32

import anyio
import structlog
from attrs import define

from agentcore.books import Books, Delivery, Sink, SinkFailed, Tried
from agentcore.errors import Unavailable

log = structlog.get_logger("agentcore.relay")
BATCH = 32
AT_ONCE = 16  # events on their way at a time
TRY_S = 15.0  # for one try
HOLD_S = 45.0  # longer than a whole batch of tries takes: BATCH / AT_ONCE * TRY_S
# Source: the schedule that Standard Webhooks recommends; the first try is at once.
RETRY_S = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
JITTER = 0.2
KEPT_S = 7 * 24 * 3600.0  # what is older leaves the outbox; the ledger keeps it
FORGOTTEN_AT_ONCE = 1000  # more would hold locks for long


@define(eq=False)
class Relay:
    """Publishes what the outbox holds."""

    books: Books
    sink: Sink | None  #: None: nobody wants to hear; events wait until they are forgotten.
    retries_s: Sequence[float] = RETRY_S  #: How long to wait before each further try.
    try_s: float = TRY_S
    due: int = 0  #: Events of the last round: one as large as a batch means that there are more.
    published: int = 0
    failed: int = 0  #: Tries that failed.
    dead: int = 0  #: Events that were given up.

    async def drain(self) -> None:
        """Try what is due until nothing is."""
        while await self.round() == BATCH:
            pass

    async def round(self) -> int:
        """Try what is due, once; return how many events there were."""
        due = await self.books.take_events(BATCH, HOLD_S) if self.sink is not None else []
        self.due = len(due)
        limiter = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for delivery in due:
                tasks.start_soon(self._try, delivery, limiter)
        return len(due)

    async def forget(self) -> None:
        """Drop what is old."""
        while await self.books.forget_events(KEPT_S, FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE:
            pass

    async def _try(self, delivery: Delivery, limiter: anyio.CapacityLimiter) -> None:
        async with limiter:
            tried = await self._publish(delivery)
            try:
                await self.books.tried([tried])
            except Unavailable:  # nobody else gets it for a while, and then it is published again
                log.warning("usage_event.unmarked", event_id=delivery.event.id)

    async def _publish(self, delivery: Delivery) -> Tried:
        event = delivery.event
        assert self.sink is not None
        try:
            with anyio.fail_after(self.try_s):
                await self.sink.publish(event)
        except TimeoutError:
            return self._failed(delivery, SinkFailed("The receiver did not answer in time."))
        except SinkFailed as error:
            return self._failed(delivery, error)
        except Exception as error:  # noqa: BLE001 - a sink may raise anything; the others' events go on
            log.error("sink.raised", kind=type(error).__name__)
            return self._failed(delivery, SinkFailed("The event could not be sent."))
        self.published += 1
        return Tried(tenant_id=event.tenant_id, event_id=event.id)

    def _failed(self, delivery: Delivery, error: SinkFailed) -> Tried:
        self.failed += 1
        event, retries = delivery.event, self.retries_s
        retry: float | None = None
        if delivery.attempts < len(retries):
            spread = 1 + JITTER * (2 * crc32(f"{event.id} {delivery.attempts}".encode()) / 2**32 - 1)
            pause = retries[delivery.attempts] * spread
            retry = max(pause, error.retry_after_s or 0.0)
        else:
            self.dead += 1
            log.error("usage_event.dead", event_id=event.id, task_id=event.task_id)
        return Tried(tenant_id=event.tenant_id, event_id=event.id, error=str(error), retry_in_s=retry)
