"""What the memory store keeps, and the one way to change it.

Law: ``settle`` works on a copy of the session's shelf and puts it in place at the end, so that a refused commit
leaves nothing.  Only frozen values lie on the shelves.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from attrs import define, evolve, field

from agentcore.approval import Approval
from agentcore.books import Delivery, EventId, UsageRecorded
from agentcore.changes import Blob, Changes, Conversation, Logged, Receipt, ReceiptKey
from agentcore.errors import KeyInFlight, OverLimit, SessionNotFound, TaskNotFound
from agentcore.events import TextKind, TextSaid, ToolUse, bounds_attempt
from agentcore.follow import Entry
from agentcore.ids import (
    ApprovalId,
    ChangeId,
    EngineName,
    InstanceId,
    NodeId,
    SessionId,
    TaskId,
    TenantId,
)
from agentcore.instances import Instance
from agentcore.limits import AGAIN_S, OVER, Own
from agentcore.messages import (
    Message,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    ToolUsePart,
    joined,
)
from agentcore.ports import Fenced, Lease, Stale
from agentcore.replying import reply_in
from agentcore.session import Session
from agentcore.task import Task, TaskQueued, TaskRequeued, TaskStatus
from agentcore.turn import Turn
from agentcore.usage import OpenCall, Usage

LIVE_AT_MOST = 1  # tasks of a session that have begun and not ended


@define
class Hold:
    """Who drives a task."""

    epoch: int = 0
    node: NodeId | None = None
    expires_at: datetime | None = None
    change: ChangeId | None = None


@define
class Shelf:
    """Everything of one session."""

    session: Session
    tasks: dict[TaskId, Task] = field(factory=dict)
    holds: dict[TaskId, Hold] = field(factory=dict)
    log: list[Entry] = field(factory=list)
    messages: list[Message] = field(factory=list)
    approvals: dict[ApprovalId, Approval] = field(factory=dict)
    conversations: dict[EngineName, Conversation] = field(factory=dict)
    position: int = 0
    bound: int = 0

    def copy(self) -> "Shelf":
        """Copy what a commit changes."""
        holds = {task_id: evolve(hold) for task_id, hold in self.holds.items()}
        return evolve(
            self,
            tasks=dict(self.tasks),
            holds=holds,
            log=list(self.log),
            messages=list(self.messages),
            approvals=dict(self.approvals),
            conversations=dict(self.conversations),
        )

    def history(self, limit: int) -> list[Message]:
        """Return the last messages, back to a user's."""
        first = max(0, len(self.messages) - limit)
        while first and self.messages[first].role is not Role.USER:
            first -= 1
        return [self._marked(message) for message in self.messages[first:]]

    def _marked(self, message: Message) -> Message:
        task = self.tasks.get(message.task_id)
        return evolve(message, attachments_refused=task is not None and task.attachments_refused)


@define
class Slot:
    """A reserved or answered Idempotency-Key."""

    key: ReceiptKey
    locked_until: datetime
    begun_at: datetime
    receipt: Receipt | None = None


@define
class Parcel:
    """An event in the outbox."""

    delivery: Delivery
    due_at: datetime | None  #: None: it is not tried any more.


@define
class State:
    """All that is stored."""

    shelves: dict[tuple[TenantId, SessionId], Shelf] = field(factory=dict)
    where: dict[tuple[TenantId, TaskId], SessionId] = field(factory=dict)
    blobs: dict[tuple[TenantId, str], Blob] = field(factory=dict)
    calls: dict[tuple[TenantId, TaskId], list[OpenCall]] = field(factory=dict)
    ledger: dict[tuple[TenantId, TaskId], list[UsageRecorded]] = field(factory=dict)
    outbox: dict[EventId, Parcel] = field(factory=dict)
    slots: dict[tuple[str, ...], Slot] = field(factory=dict)
    engines: dict[TenantId, EngineName] = field(factory=dict)
    instances: dict[tuple[TenantId, InstanceId], Instance] = field(factory=dict)
    limits: dict[TenantId, Own] = field(factory=dict)

    def open_tasks(self, tenant: TenantId) -> int:
        """Count the tasks of a tenant that are not over, and not asked to stop."""
        return sum(not task.is_final and task.status is not TaskStatus.CANCELLING for task in self.tasks(tenant))

    def driven(self, tenant: TenantId) -> int:
        """Count the tasks of a tenant that some node drives."""
        return sum(task.driven for task in self.tasks(tenant))

    def tasks(self, tenant: TenantId) -> Iterator[Task]:
        """Yield the tasks of a tenant."""
        for (owner, _), shelf in self.shelves.items():
            if owner == tenant:
                yield from shelf.tasks.values()

    def shelf(self, tenant: TenantId, session_id: SessionId) -> Shelf:
        """Return a session's shelf, or raise SessionNotFound."""
        try:
            return self.shelves[tenant, session_id]
        except KeyError:
            raise SessionNotFound("There is no such session.") from None

    def shelf_of(self, tenant: TenantId, task_id: TaskId) -> Shelf:
        """Return the shelf a task lies on, or raise TaskNotFound."""
        try:
            return self.shelves[tenant, self.where[tenant, task_id]]
        except KeyError:
            raise TaskNotFound("There is no such task.") from None

    def settle(self, changes: Changes, lease: Lease | None) -> tuple[Entry, ...]:
        """Store *changes*, or raise Stale or Fenced and change nothing."""
        tenant = changes.tenant_id
        stored = self.shelves.get((tenant, changes.session_id))
        if stored is None:
            if changes.session is None or changes.session.version != 1:
                raise SessionNotFound("There is no such session.")
            shelf = Shelf(session=changes.session)
        else:
            shelf = stored.copy()
        if changes.session is not None:
            _check(stored.session.version if stored else 0, changes.session.version)
            shelf.session = changes.session
        if changes.idle and not all(task.is_final for task in shelf.tasks.values()):
            raise Stale("The session has an open task.")
        if lease is not None:
            self._check_lease(shelf, lease, changes)
        for task in changes.tasks:
            _put_task(shelf, task)
        begun = [task for task in shelf.tasks.values() if task.has_begun]
        if len(begun) > LIVE_AT_MOST:
            raise Stale("A session has at most one task that has begun.")
        for approval in changes.approvals:
            known = shelf.approvals.get(approval.id)
            if known is None or known.is_pending or (approval.used and not known.used):  # decided once, used once
                shelf.approvals[approval.id] = approval
        if changes.text_start is not None and changes.text_start != shelf.position:
            raise Stale("The text does not begin where the log's text ends.")
        if changes.receipt is not None:
            self.must_hold(changes.receipt.key)
        if changes.conversation is not None:
            _put_conversation(shelf, changes.conversation)
        if changes.most_open is not None and self.open_tasks(tenant) + changes.opened > changes.most_open:
            raise OverLimit(OVER.format(changes.most_open), AGAIN_S)
        entries = tuple(_append(shelf, logged, changes.at) for logged in changes.log)
        # Nothing can be refused from here on.
        self.shelves[tenant, changes.session_id] = shelf
        for task in changes.tasks:
            self.where[tenant, task.id] = changes.session_id
        for blob in changes.blobs:
            self.blobs.setdefault((tenant, blob.sha256), blob)
        self._enter(changes)
        if changes.receipt is not None:
            self.keep(changes.receipt)
        return entries

    def keep(self, receipt: Receipt) -> None:
        """Answer a reserved key, once; raises KeyInFlight if it is not its holder's any more."""
        self.must_hold(receipt.key).receipt = receipt

    def forget_receipts(self, tenant: TenantId, session_id: SessionId, tasks: Iterable[TaskId]) -> None:
        """Drop the answers that name a session, or were given about it or a task of it."""
        ids = {session_id, *tasks}
        for place, slot in list(self.slots.items()):
            if slot.key.tenant_id != tenant or slot.receipt is None:
                continue
            if session_id in slot.receipt.body or ids & set(slot.key.route.lower().split("/")):
                del self.slots[place]

    def must_hold(self, key: ReceiptKey) -> Slot:
        """Return the slot that *key* has reserved, or raise KeyInFlight."""
        slot = self.slots.get(slot_of(key))
        if slot is None or slot.receipt is not None or slot.key.holder != key.holder:
            raise KeyInFlight("Another request with this Idempotency-Key has taken its place.")
        return slot

    def turn(self, tenant: TenantId, task_id: TaskId) -> Turn:
        """Rebuild a turn from what is stored."""
        shelf = self.shelf_of(tenant, task_id)
        calls = self.calls.get((tenant, task_id), [])
        ledger = [row.record for row in self.ledger.get((tenant, task_id), [])]
        settled = {record.key for record in ledger}
        still_open = [call for call in calls if call.key not in settled]
        usage = Usage()
        for record in ledger:
            usage = usage.plus(record.usage)
        return Turn(
            session=shelf.session,
            task=shelf.tasks[task_id],
            position=shelf.position,
            approvals=tuple(approval for approval in shelf.approvals.values() if approval.task_id == task_id),
            said=said(shelf, task_id),
            call=still_open[-1] if still_open else None,
            calls=len(calls),
            messages=sum(message.task_id == task_id for message in shelf.messages),
            usage=usage,
            reply=reply_in(entry.event for entry in shelf.log if entry.task_id == task_id),
            billed=frozenset(r.provider_message_id for r in ledger if r.provider_message_id is not None),
        )

    def _check_lease(self, shelf: Shelf, lease: Lease, changes: Changes) -> None:
        hold = shelf.holds.get(lease.task_id)
        if hold is None or hold.epoch != lease.epoch or hold.node != lease.node:
            raise Fenced("The lease is no longer ours.")
        if changes.follows is not None and changes.follows != hold.change:
            raise Stale("The driver has stored more than it knows.")
        if changes.id is not None and changes.id == hold.change:
            raise Stale("It is stored already.")
        if changes.id is not None and not changes.is_text_only:
            hold.change = changes.id

    def _enter(self, changes: Changes) -> None:
        for ledger in changes.ledgers:
            key = (changes.tenant_id, ledger.task_id)
            calls, rows = self.calls.setdefault(key, []), self.ledger.setdefault(key, [])
            calls += [call for call in ledger.begun if call.key not in {known.key for known in calls}]
            for record in ledger.settled:
                known = [row.record for row in rows]
                provider_ids = {row.provider_message_id for row in known} - {None}
                if record.key in {row.key for row in known} or record.provider_message_id in provider_ids:
                    continue
                event = UsageRecorded(
                    tenant_id=changes.tenant_id,
                    session_id=changes.session_id,
                    task_id=ledger.task_id,
                    engine=ledger.engine,
                    record=record,
                    at=changes.at,
                )
                rows.append(event)
                self.outbox[event.id] = Parcel(Delivery(event=event), changes.at)


def slot_of(key: ReceiptKey) -> tuple[str, ...]:
    """Return what an Idempotency-Key is unique within."""
    return (key.tenant_id, key.subject, key.route, key.key)


def said(shelf: Shelf, task_id: TaskId) -> tuple[Part, ...]:
    """Return what a task has said, durable and in no message yet."""
    after = max((m.seq for m in shelf.messages if m.task_id == task_id and m.role is not Role.USER), default=0)
    parts: list[Part] = []
    for entry in shelf.log:
        if entry.seq <= after or entry.task_id != task_id:
            continue
        match entry.event:
            case TextSaid(kind=kind, text=text):
                parts.append(TextPart(text) if kind is TextKind.TEXT else ThinkingPart(text))
            case ToolUse() as use:
                parts.append(ToolUsePart(tool_use_id=use.tool_use_id, tool_name=use.tool_name, input=use.input))
            case TaskRequeued(restart=True):
                parts = []
    return joined(parts)


def queue(tasks: Iterable[Task]) -> list[Task]:
    """Return unfinished tasks in the order in which they come to run: begun, then by priority and number."""
    return sorted((t for t in tasks if not t.is_final), key=lambda t: (not t.has_begun, -t.priority, t.number))


def _check(stored: int, new: int) -> None:
    if new != stored + 1:
        raise Stale("The decision was made on an old reading.")


def _put_task(shelf: Shelf, task: Task) -> None:
    stored = shelf.tasks.get(task.id)
    _check(stored.version if stored else 0, task.version)
    if stored is not None and stored.is_final:
        raise Stale("A task that is over does not change.")
    hold = shelf.holds.setdefault(task.id, Hold())
    if not task.driven:
        hold.node, hold.expires_at = None, None
    shelf.tasks[task.id] = evolve(task, number=stored.number) if stored is not None else task


def _put_conversation(shelf: Shelf, new: Conversation) -> None:
    kept = shelf.conversations.get(new.engine)
    lines = (kept.lines if kept else ())[: new.start] + new.lines
    shelf.conversations[new.engine] = evolve(new, start=0, lines=lines)


def _append(shelf: Shelf, logged: Logged, at: datetime) -> Entry:
    seq = len(shelf.log) + 1
    if isinstance(logged.event, TextSaid):
        shelf.position += len(logged.event.text)
    entry = Entry(
        seq=seq,
        position=shelf.position,
        event=logged.event,
        at=at,
        task_id=logged.task_id,
        attempt=logged.attempt,
    )
    shelf.log.append(entry)
    if bounds_attempt(logged.event, logged.attempt):
        shelf.bound = seq
    shelf.messages += [evolve(message, seq=seq, n=n) for n, message in enumerate(logged.messages)]
    if isinstance(logged.event, TaskQueued) and logged.task_id is not None:
        shelf.tasks[logged.task_id] = evolve(shelf.tasks[logged.task_id], number=seq)
    return entry
