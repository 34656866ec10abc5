"""Group commit of text.

Law: the text of all sessions that is due together is stored in one statement; there is one flusher a process, so
that rows are locked in one order.  What it refuses it refuses for one session and not for its neighbours.
"""

from collections.abc import Sequence

import anyio
import structlog
from attrs import define, field, frozen

from agentcore.changes import Changes
from agentcore.errors import AgentcoreError, StoreUnavailable
from agentcore.events import TextSaid
from agentcore.follow import Entry
from agentcore.ids import TaskId
from agentcore.ports import Committed, Fenced, Lease, Stale
from agentcore_adapters.postgres import statements as sql
from agentcore_adapters.postgres.connection import Database, Transaction

log = structlog.get_logger("agentcore.flusher")
SESSIONS = 500  # in one statement


@define(eq=False)
class Item:
    """The text of one session, and what became of it."""

    changes: Changes
    lease: Lease
    done: anyio.Event = field(factory=anyio.Event)
    committed: Committed | None = None
    error: AgentcoreError | None = None


@frozen
class Segment:
    """One piece of text, as a row of the statement's input."""

    item: Item
    event: TextSaid
    start: int
    attempt: int


@define(eq=False)
class Flusher:
    """Collects what comes while it stores what came before."""

    database: Database
    _waiting: list[Item] = field(factory=list)
    _called: anyio.Event = field(factory=anyio.Event)

    async def commit(self, changes: Changes, lease: Lease) -> Committed:
        """Store text under a lease; raises Fenced, Stale, StoreUnavailable."""
        item = Item(changes, lease)
        self._waiting.append(item)
        self._called.set()
        await item.done.wait()
        if item.error is not None:
            raise item.error
        return item.committed or Committed()

    async def run(self) -> None:
        """Store what waits, until cancelled."""
        while True:
            if not self._waiting:
                self._called = anyio.Event()
                await self._called.wait()
            items = self._next()
            try:
                await self._flush(items)
            except AgentcoreError as error:
                _fail(items, error)
            except Exception as error:  # noqa: BLE001 - the flusher serves the whole process and outlives any batch
                log.error("flush.failed", kind=type(error).__name__, sessions=len(items))
                _fail(items, StoreUnavailable("The database cannot be reached now; try again in a moment."))
            except BaseException:
                _fail(items, StoreUnavailable("The database cannot be reached now; try again in a moment."))
                raise

    def _next(self) -> list[Item]:
        """Take what is stored next: of each task one item, because rows come back by task."""
        first: dict[TaskId, Item] = {}
        for item in self._waiting:
            if len(first) < SESSIONS:
                first.setdefault(item.lease.task_id, item)
        items = list(first.values())
        chosen = set(map(id, items))
        self._waiting = [item for item in self._waiting if id(item) not in chosen]
        return items

    async def _flush(self, items: Sequence[Item]) -> None:
        segments = [segment for item in items for segment in _segments(item)]
        found = await self.database.write_all(lambda transaction: _store(transaction, segments))
        stored: dict[TaskId, list[tuple[int, int]]] = {}
        for row in found:
            stored.setdefault(TaskId(str(row["task_id"])), []).append((row["seq"], row["text_pos"]))
        missing = [item for item in items if item.lease.task_id not in stored]
        fences = await self._fences(missing) if missing else {}
        for item in items:
            places = sorted(stored.get(item.lease.task_id, ()))
            if places:
                item.committed = Committed(entries=_entries(item, places))
            elif fences.get(item.lease.task_id) == (item.lease.epoch, item.lease.node):
                item.error = Stale("The text does not begin where the log's text ends.")
            else:
                item.error = Fenced("The lease is no longer ours.")
            item.done.set()

    async def _fences(self, items: Sequence[Item]) -> dict[TaskId, tuple[int, str | None]]:
        tenants, tasks = [item.lease.tenant_id for item in items], [item.lease.task_id for item in items]
        (found,) = await self.database.read_all((sql.FENCES, (tenants, tasks)))
        return {TaskId(str(row["id"])): (row["lease_epoch"], row["lease_owner"]) for row in found}


async def _store(transaction: Transaction, segments: Sequence[Segment]) -> Sequence[dict[str, int]]:
    (found,) = await transaction.arrive(
        transaction.send(
            sql.FLUSH,
            [s.item.lease.tenant_id for s in segments],
            [s.item.lease.session_id for s in segments],
            [s.item.lease.task_id for s in segments],
            [s.item.lease.epoch for s in segments],
            [s.attempt for s in segments],
            [s.event.kind.value for s in segments],
            [s.start for s in segments],
            [s.event.text for s in segments],
            [s.item.changes.at for s in segments],
        )
    )
    return found


def _segments(item: Item) -> list[Segment]:
    segments: list[Segment] = []
    start = item.changes.text_start or 0
    for logged in item.changes.log:
        if isinstance(logged.event, TextSaid):
            segments.append(Segment(item, logged.event, start, logged.attempt))
            start += len(logged.event.text)
    return segments


def _entries(item: Item, places: Sequence[tuple[int, int]]) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            seq=seq,
            position=position,
            event=logged.event,
            at=item.changes.at,
            task_id=logged.task_id,
            attempt=logged.attempt,
        )
        for logged, (seq, position) in zip(item.changes.log, places, strict=True)
    )


def _fail(items: Sequence[Item], error: AgentcoreError) -> None:
    for item in items:
        if not item.done.is_set():
            item.error = error
            item.done.set()
