"""Faults planted on purpose: each takes one guard away, and the simulation must notice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import anyio
from anyio import CancelScope
from attrs import evolve

from agentcore.changes import Changes, Receipt, ReceiptKey
from agentcore.follow import Entry
from agentcore.ids import NodeId
from agentcore.lane import Lane
from agentcore.ports import Committed, Grant, Lease
from agentcore.reading import Reading
from agentcore.task import Task, TaskStatus
from agentcore_adapters.memory import leases, state
from agentcore_adapters.memory.state import Shelf, State, queue
from agentcore_adapters.memory.store import MemoryStore


class NoLock:
    """A lock that keeps nobody out."""

    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...
    async def acquire(self) -> None: ...
    def release(self) -> None: ...
    def locked(self) -> bool:
        return False


class Unshielded(CancelScope):
    """A scope that shields nothing."""

    def __new__(cls, *args: Any, **_: Any) -> CancelScope:  # type: ignore[misc]
        return CancelScope(*args)


@contextmanager
def no_version_check() -> Iterator[None]:
    """Two decisions on one reading: the last one wins."""
    with patch.object(state, "_check", lambda *_: None):
        yield


@contextmanager
def no_epoch_check() -> Iterator[None]:
    """A node that has lost its lease writes on."""
    with patch.object(State, "_check_lease", lambda *_: None):
        yield


@contextmanager
def unshielded_commit() -> Iterator[None]:
    """A caller that goes away takes its half-done commit along."""
    with patch("agentcore.lane.CancelScope", Unshielded):
        yield


@contextmanager
def told_before_commit() -> Iterator[None]:
    """Events are told as soon as they are decided."""
    commit = Reading._commit

    async def hasty(self: Reading, changes: Changes) -> Committed:
        page = await self.house.store.log(self.lease.tenant_id, self.session_id, 1, 0)
        seq, position = page.head, page.position
        entries = []
        for logged in changes.log:
            seq += 1
            position += len(getattr(logged.event, "text", "")) if changes.text_start is not None else 0
            entries.append(
                Entry(
                    seq=seq,
                    position=position,
                    event=logged.event,
                    at=changes.at,
                    task_id=logged.task_id,
                    attempt=logged.attempt,
                )
            )
        self.house.bus.tell(self.session_id, entries)
        return await commit(self, changes)

    with patch.object(Reading, "_commit", hasty):
        yield


@contextmanager
def no_lane_lock() -> Iterator[None]:
    """What happens to one session happens all at once."""
    init: Callable[..., None] = Lane.__init__

    def unlocked(self: Lane, *args: Any, **more: Any) -> None:
        init(self, *args, **more)
        self._lock = NoLock()  # type: ignore[assignment]

    with patch.object(Lane, "__init__", unlocked):
        yield


@contextmanager
def no_unique_live_task() -> Iterator[None]:
    """A session begins its next task while another one has begun."""

    def takeable(self: leases.MemoryLeases, shelf: Shelf, node: NodeId | None = None) -> Task | None:
        waiting = queue(shelf.tasks.values())
        lost = [task for task in waiting if task.driven and self._is_lost(shelf.holds[task.id])]
        queued = [task for task in waiting if task.status is TaskStatus.QUEUED]
        return next(iter(lost + queued), None)

    with patch.object(leases.MemoryLeases, "_takeable", takeable), patch.object(state, "LIVE_AT_MOST", 100):
        yield


@contextmanager
def no_unique_key() -> Iterator[None]:
    """An Idempotency-Key is reserved by everybody who asks."""

    async def begin(self: MemoryStore, key: ReceiptKey) -> Receipt | None:
        await anyio.lowlevel.checkpoint()
        return None

    async def commit(self: MemoryStore, changes: Changes, lease: Lease | None = None) -> Committed:
        await anyio.lowlevel.checkpoint()
        return Committed(entries=self.state.settle(evolve(changes, receipt=None), lease))

    submit = leases.MemoryLeases.submit

    async def submitted(self: leases.MemoryLeases, changes: Changes, *more: Any) -> tuple[Committed, Grant | None]:
        return await submit(self, evolve(changes, receipt=None), *more)

    with (
        patch.object(MemoryStore, "begin", begin),
        patch.object(MemoryStore, "commit", commit),
        patch.object(leases.MemoryLeases, "submit", submitted),
    ):
        yield


@contextmanager
def no_self_stop() -> Iterator[None]:
    """A node that cannot renew its lease goes on telling."""
    with patch.object(Reading, "distrust", lambda _: None):
        yield


@contextmanager
def late_completion_wins() -> Iterator[None]:
    """An answer that comes after an accepted stop completes the task."""
    from agentcore import ending, receive
    from agentcore.task import CANCELLING, COMPLETED, TRANSITIONS, TaskCompleted

    over = receive._over

    def late(turn: Any, event: Any, at: Any) -> Any:
        if turn.task.status is TaskStatus.CANCELLING and isinstance(event, TaskCompleted):
            return ending.end(turn, event, at)
        return over(turn, event, at)

    table = {was: dict(row) for was, row in TRANSITIONS.items()}
    table[CANCELLING][TaskCompleted] = COMPLETED
    with patch.object(receive, "_over", late), patch("agentcore.task.TRANSITIONS", table):
        yield


@contextmanager
def blind_repeat() -> Iterator[None]:
    """A commit whose answer was lost is done again without looking."""

    async def forgetful(self: object, tenant: object, task_id: object) -> None:
        await anyio.lowlevel.checkpoint()

    def unknowing(self: State, shelf: Shelf, lease: Lease, changes: Changes) -> None:
        check(self, shelf, lease, evolve(changes, follows=None))

    check = State._check_lease
    with patch.object(MemoryStore, "last_change", forgetful), patch.object(State, "_check_lease", unknowing):
        yield


PLANTED = (
    no_version_check,
    no_epoch_check,
    unshielded_commit,
    told_before_commit,
    no_lane_lock,
    no_unique_live_task,
    no_unique_key,
    late_completion_wins,
    blind_repeat,
    no_self_stop,
)
