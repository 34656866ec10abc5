"""The store of one process."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from anyio.lowlevel import checkpoint
from attrs import evolve, field, frozen

from agentcore.approval import Approval
from agentcore.books import UsageRecorded
from agentcore.changes import Blob, Changes, Conversation, Receipt, ReceiptKey
from agentcore.errors import InstanceNotFound, KeyInFlight, KeyReused
from agentcore.follow import Page
from agentcore.ids import ChangeId, EngineName, InstanceId, SessionId, TaskId, TenantId
from agentcore.instances import Instance
from agentcore.limits import Own
from agentcore.messages import FilePart, Message
from agentcore.ports import RESERVED_S, Clock, Committed, Lease, SessionView, Snapshot, Stale, TaskView
from agentcore.session import Session
from agentcore.task import Task, TaskStatus
from agentcore.turn import Turn
from agentcore_adapters.memory.books import MemoryBooks
from agentcore_adapters.memory.state import Shelf, Slot, State, queue, said, slot_of

KEPT = timedelta(hours=24)


@frozen
class MemoryStore(MemoryBooks):
    """Keeps the promises of ``Store`` as long as the process lives."""

    clock: Clock
    state: State = field(factory=State)

    async def commit(self, changes: Changes, lease: Lease | None = None) -> Committed:
        """Store *changes*, all or nothing."""
        await checkpoint()
        entries = self.state.settle(changes, lease)
        is_idle = any(task.is_final for task in changes.tasks) and not self._is_open(changes)
        return Committed(entries=entries, is_idle=is_idle)

    async def session(self, tenant: TenantId, session_id: SessionId) -> SessionView:
        """Return a session."""
        await checkpoint()
        return _view(self.state.shelf(tenant, session_id))

    async def sessions(
        self, tenant: TenantId, before: tuple[datetime, str] | None, limit: int, *, owner: str | None = None
    ) -> list[SessionView]:
        """Return sessions, newest first."""
        await checkpoint()
        shelves = [shelf for (holder, _), shelf in self.state.shelves.items() if holder == tenant]
        shelves = [shelf for shelf in shelves if owner in {None, shelf.session.owner}]
        shelves.sort(key=_age, reverse=True)
        return [_view(shelf) for shelf in shelves if before is None or _age(shelf) < before][:limit]

    async def task(self, tenant: TenantId, task_id: TaskId) -> TaskView:
        """Return a task."""
        await checkpoint()
        return self._task_view(tenant, task_id)

    async def tasks(self, tenant: TenantId, session_id: SessionId, after: int, limit: int) -> list[TaskView]:
        """Return the tasks of a session by number."""
        await checkpoint()
        tasks = sorted(self.state.shelf(tenant, session_id).tasks.values(), key=lambda task: task.number)
        return [self._task_view(tenant, task.id) for task in tasks if task.number > after][:limit]

    async def records(self, tenant: TenantId, task_ids: Sequence[TaskId]) -> tuple[list[Approval], list[UsageRecorded]]:
        """Return the approvals of tasks, and their rows of the ledger."""
        await checkpoint()
        shelves = [shelf for (holder, _), shelf in self.state.shelves.items() if holder == tenant]
        approvals = [a for shelf in shelves for a in shelf.approvals.values() if a.task_id in task_ids]
        ledger = [row for task_id in task_ids for row in self.state.ledger.get((tenant, task_id), [])]
        return sorted(approvals, key=lambda a: (a.created_at, a.id)), sorted(ledger, key=lambda r: (r.at, r.record.key))

    async def turn(self, tenant: TenantId, task_id: TaskId) -> Turn:
        """Return a task with all that deciding needs."""
        await checkpoint()
        return self.state.turn(tenant, task_id)

    async def last_change(self, tenant: TenantId, task_id: TaskId) -> ChangeId | None:
        """Return the id of the last change stored under a lease of the task."""
        await checkpoint()
        shelf = self.state.shelves.get((tenant, self.state.where.get((tenant, task_id), SessionId(""))))
        hold = shelf.holds.get(task_id) if shelf else None
        return hold.change if hold else None

    async def open_turns(self, tenant: TenantId, session_id: SessionId) -> tuple[Session, list[Turn]]:
        """Return a session and its unfinished tasks."""
        await checkpoint()
        shelf = self.state.shelf(tenant, session_id)
        return shelf.session, [self.state.turn(tenant, task.id) for task in queue(shelf.tasks.values())]

    async def history(self, tenant: TenantId, session_id: SessionId, limit: int) -> list[Message]:
        """Return the last messages, back to a user's."""
        await checkpoint()
        return self.state.shelf(tenant, session_id).history(limit)

    async def messages(
        self, tenant: TenantId, session_id: SessionId, after: tuple[int, int], limit: int
    ) -> list[Message]:
        """Return messages in history order."""
        await checkpoint()
        shelf = self.state.shelf(tenant, session_id)
        return [message for message in shelf.messages if (message.seq, message.n) > after][:limit]

    async def conversation(self, tenant: TenantId, session_id: SessionId, engine: EngineName) -> Conversation | None:
        """Return an engine's own conversation."""
        await checkpoint()
        shelf = self.state.shelves.get((tenant, session_id))
        return shelf.conversations.get(engine) if shelf else None

    async def blobs(self, tenant: TenantId, hashes: Sequence[str]) -> dict[str, Blob]:
        """Return the blobs there are."""
        await checkpoint()
        found = {sha256: self.state.blobs.get((tenant, sha256)) for sha256 in hashes}
        return {sha256: blob for sha256, blob in found.items() if blob is not None}

    async def log(self, tenant: TenantId, session_id: SessionId, since: int, limit: int) -> Page:
        """Return a stretch of the log."""
        await checkpoint()
        shelf = self.state.shelf(tenant, session_id)
        first = max(0, since - 1)
        return evolve(_page(shelf), entries=tuple(shelf.log[first : first + limit]))

    async def snapshot(self, tenant: TenantId, session_id: SessionId) -> Snapshot:
        """Return a session as one reading."""
        await checkpoint()
        shelf = self.state.shelf(tenant, session_id)
        waiting = queue(shelf.tasks.values())
        task = waiting[0] if waiting else None
        return Snapshot(
            view=_view(shelf),
            task=self._task_view(tenant, task.id) if task else None,
            said=said(shelf, task.id) if task else (),
            page=_page(shelf),
        )

    async def heads(self, sessions: Sequence[tuple[TenantId, SessionId]]) -> dict[SessionId, int]:
        """Return the last seq of each log."""
        await checkpoint()
        shelves = {key: self.state.shelves.get(key) for key in sessions}
        return {key[1]: len(shelf.log) for key, shelf in shelves.items() if shelf is not None}

    async def expired(self, limit: int) -> list[tuple[TenantId, SessionId, TaskId]]:
        """Return undriven tasks whose time is up."""
        await checkpoint()
        now = self.clock.now()
        return [
            (tenant, session_id, task.id)
            for (tenant, session_id), shelf in self.state.shelves.items()
            for task in shelf.tasks.values()
            if not task.is_final and not task.driven and (task.deadline <= now or _approval_expired(shelf, task, now))
        ][:limit]

    async def begin(self, key: ReceiptKey) -> Receipt | None:
        """Reserve a key, or return its answer."""
        await checkpoint()
        now, place = self.clock.now(), slot_of(key)
        slot = self.state.slots.get(place)
        if slot is None or slot.begun_at + KEPT <= now or (slot.receipt is None and slot.locked_until <= now):
            self.state.slots[place] = Slot(key=key, locked_until=now + timedelta(seconds=RESERVED_S), begun_at=now)
            return None
        if slot.key.request_sha256 != key.request_sha256:
            raise KeyReused("This Idempotency-Key was used for another request.")
        if slot.receipt is None:
            raise KeyInFlight("A request with this Idempotency-Key is still being carried out.")
        return evolve(slot.receipt, key=key)

    async def release(self, key: ReceiptKey) -> None:
        """Give up a reservation."""
        await checkpoint()
        slot = self.state.slots.get(slot_of(key))
        if slot is not None and slot.receipt is None and slot.key.holder == key.holder:
            del self.state.slots[slot_of(key)]

    async def keep(self, receipt: Receipt) -> None:
        """Store the answer of a reserved key."""
        await checkpoint()
        self.state.keep(receipt)

    async def forget_keys(self, older_than_s: float, limit: int) -> int:
        """Drop what is old."""
        await checkpoint()
        limit_at = self.clock.now() - timedelta(seconds=older_than_s)
        old = [place for place, slot in self.state.slots.items() if slot.begun_at < limit_at][:limit]
        for place in old:
            del self.state.slots[place]
        return len(old)

    async def forget_blobs(self, older_than_s: float, limit: int) -> int:  # noqa: ARG002 - the port's
        """Drop nothing: here an attachment goes with the last session that refers to it, in the same step."""
        await checkpoint()
        return 0

    async def default_engine(self, tenant: TenantId) -> EngineName | None:
        """Return the engine that the tenant has chosen."""
        await checkpoint()
        return self.state.engines.get(tenant)

    async def set_default_engine(self, tenant: TenantId, engine: EngineName) -> None:
        """Store the tenant's choice."""
        await checkpoint()
        self.state.engines[tenant] = engine

    async def limits(self) -> dict[TenantId, Own]:
        """Return the limits that tenants have of their own."""
        await checkpoint()
        return dict(self.state.limits)

    async def set_limits(self, tenant: TenantId, own: Own) -> None:
        """Store a tenant's own limits."""
        await checkpoint()
        self.state.limits.pop(tenant, None)
        if own:
            self.state.limits[tenant] = dict(own)

    async def stored_bytes(self, tenant: TenantId) -> int:
        """Count the bytes of a tenant's attachments."""
        await checkpoint()
        return sum(len(blob.data) for (owner, _), blob in self.state.blobs.items() if owner == tenant)

    async def keep_instance(self, instance: Instance) -> None:
        """Store an instance."""
        await checkpoint()
        place = (instance.tenant_id, instance.id)
        stored = self.state.instances.get(place)
        if instance.version != (stored.version if stored else 0) + 1:
            raise Stale("The instance has moved on.")
        self.state.instances[place] = instance

    async def instance(self, tenant: TenantId, instance_id: InstanceId) -> Instance:
        """Return an instance."""
        await checkpoint()
        try:
            return self.state.instances[tenant, instance_id]
        except KeyError:
            raise InstanceNotFound("There is no such instance.") from None

    async def instances(self, tenant: TenantId, owner: str | None, limit: int) -> list[Instance]:
        """Return the instances of an owner, newest first."""
        await checkpoint()
        found = [i for i in self.state.instances.values() if i.tenant_id == tenant and owner in {None, i.owner}]
        return sorted(found, key=lambda i: (i.created_at, i.id), reverse=True)[:limit]

    async def drop_instance(self, tenant: TenantId, instance_id: InstanceId) -> None:
        """Remove an instance."""
        await checkpoint()
        self.state.instances.pop((tenant, instance_id), None)

    async def sessions_with(
        self, tenant: TenantId, owner: str, instance_id: InstanceId, limit: int
    ) -> list[SessionView]:
        """Return the sessions of an owner with an instance, newest first."""
        await checkpoint()
        shelves = [shelf for (holder, _), shelf in self.state.shelves.items() if holder == tenant]
        shelves = [s for s in shelves if (s.session.instance, s.session.owner) == (instance_id, owner)]
        return [_view(shelf) for shelf in sorted(shelves, key=_age, reverse=True)[:limit]]

    async def erase(self, tenant: TenantId, session_id: SessionId) -> None:
        """Remove a session with all its content; the ledger stays."""
        await checkpoint()
        shelf = self.state.shelf(tenant, session_id)
        if queue(shelf.tasks.values()):
            raise Stale("A task of the session is still open.")
        del self.state.shelves[tenant, session_id]
        others = [other for (owner, _), other in self.state.shelves.items() if owner == tenant]
        for sha256 in _attached(shelf) - {sha256 for other in others for sha256 in _attached(other)}:
            del self.state.blobs[tenant, sha256]
        for task_id in shelf.tasks:
            del self.state.where[tenant, task_id]
            self.state.calls.pop((tenant, task_id), None)
        self.state.forget_receipts(tenant, session_id, shelf.tasks)

    async def forget_tenant(self, tenant: TenantId) -> None:
        """Remove what a tenant without sessions has."""
        await checkpoint()
        if any(holder == tenant for holder, _ in self.state.shelves):
            raise Stale("The tenant still has a session.")
        self.state.engines.pop(tenant, None)
        kept: tuple[dict[Any, Any], ...] = (self.state.instances, self.state.slots, self.state.blobs)
        for things in kept:
            for key in [key for key in things if key[0] == tenant]:
                del things[key]

    async def ping(self) -> None:
        """Answer."""
        await checkpoint()

    def _is_open(self, changes: Changes) -> bool:
        return bool(queue(self.state.shelf(changes.tenant_id, changes.session_id).tasks.values()))

    def _task_view(self, tenant: TenantId, task_id: TaskId) -> TaskView:
        turn = self.state.turn(tenant, task_id)
        return TaskView(task=turn.task, owner=turn.session.owner, approvals=turn.pending, usage=turn.usage)


def _view(shelf: Shelf) -> SessionView:
    waiting = queue(shelf.tasks.values())
    live = next((task.status for task in waiting if task.is_live), None)
    return SessionView(session=shelf.session, activity=live or (TaskStatus.QUEUED if waiting else None))


def _attached(shelf: Shelf) -> set[str]:
    return {part.sha256 for task in shelf.tasks.values() for part in task.prompt if isinstance(part, FilePart)}


def _page(shelf: Shelf) -> Page:
    is_driven = any(hold.node is not None for hold in shelf.holds.values())
    return Page(entries=(), head=len(shelf.log), position=shelf.position, bound=shelf.bound, is_driven=is_driven)


def _age(shelf: Shelf) -> tuple[datetime, str]:
    return (shelf.session.created_at, shelf.session.id)


def _approval_expired(shelf: Shelf, task: Task, now: datetime) -> bool:
    return any(a.is_pending and a.task_id == task.id and a.expires_at <= now for a in shelf.approvals.values())
