"""What must be stored, all or nothing.

Law: a ``Changes`` is the only way anything is written.  Sessions and tasks in it stand one version ahead of what
is stored, which is how a store notices that the decision was made on an old reading.
"""

from collections.abc import Mapping
from datetime import datetime

from attrs import evolve, field, frozen

from agentcore.approval import Approval
from agentcore.events import Event, TextKind, TextSaid
from agentcore.ids import ChangeId, EngineName, MessageId, SessionId, TaskId, TenantId
from agentcore.messages import Message
from agentcore.session import Session
from agentcore.task import Task, TaskStatus
from agentcore.usage import OpenCall, UsageRecord


@frozen(kw_only=True)
class Said:
    """A piece of text and where it begins, in characters from the beginning of the session."""

    kind: TextKind
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)


@frozen(kw_only=True)
class Logged:
    """An event on its way into the log, with the messages that it announces."""

    event: Event
    task_id: TaskId | None = None
    attempt: int = 0
    messages: tuple[Message, ...] = ()


@frozen(kw_only=True)
class Blob:
    """The bytes of an attachment."""

    sha256: str
    media_type: str
    data: bytes = field(repr=False)


@frozen(kw_only=True)
class ReceiptKey:
    """Where the answer to a repeated request is kept."""

    tenant_id: TenantId
    subject: str
    route: str
    key: str
    request_sha256: str
    holder: str = ""  #: Of the reservation: unique for each request, the repeated one too.


@frozen(kw_only=True)
class Receipt:
    """The stored answer of an Idempotency-Key."""

    key: ReceiptKey
    status: int
    body: str = field(repr=False)


@frozen(kw_only=True)
class Ledger:
    """What a task's provider calls add to the books: calls begun, calls settled."""

    task_id: TaskId
    engine: EngineName
    begun: tuple[OpenCall, ...] = ()
    settled: tuple[UsageRecord, ...] = ()


@frozen(kw_only=True)
class Conversation:
    """An engine's own memory of a session: one per session and engine."""

    engine: EngineName
    reference: str  #: What the engine calls it.
    knows: MessageId  #: The last message of our history that it knows; what came later is still to be told.
    start: int = 0  #: The line of the transcript at which *lines* begin; later ones that are kept are replaced.
    lines: tuple[str, ...] = field(default=(), repr=False)


@frozen(kw_only=True)
class Changes:
    """One transaction."""

    tenant_id: TenantId
    session_id: SessionId
    at: datetime
    id: ChangeId | None = None  #: Kept with the driven task, so that a lost answer can be looked up.
    follows: ChangeId | None = None  #: What must be kept there now, else Stale; None: whatever is.
    session: Session | None = None
    tasks: tuple[Task, ...] = ()
    approvals: tuple[Approval, ...] = ()
    ledgers: tuple[Ledger, ...] = ()
    blobs: tuple[Blob, ...] = ()
    conversation: Conversation | None = None
    log: tuple[Logged, ...] = ()  #: Get seq and position in the commit; told after it.
    text_start: int | None = None  #: Position of the first text in ``log``; None if there is none.
    receipt: Receipt | None = None
    live: tuple[Said, ...] = ()  #: Told at once, never stored as such.
    idle: bool = False  #: Decided for a session without an open task: if it has one, this is Stale.
    most_open: int | None = None  #: Tasks of the tenant that may be open once this is stored, else OverLimit.

    @property
    def opened(self) -> int:
        """How many more tasks are open once this is stored: those queued, less those that end or are to stop."""
        return sum(task.version == 1 for task in self.tasks) - sum(
            task.is_final or task.status is TaskStatus.CANCELLING for task in self.tasks if task.version > 1
        )

    @property
    def is_durable(self) -> bool:
        """Whether there is anything to store."""
        return bool(
            self.session
            or self.tasks
            or self.log
            or self.ledgers
            or self.approvals
            or self.receipt
            or self.blobs
            or self.conversation
        )

    @property
    def is_ledger_only(self) -> bool:
        """Whether it only enters calls into the ledger: nobody is told of it, so it has no place in an order."""
        return bool(self.ledgers) and not evolve(self, ledgers=()).is_durable

    @property
    def is_text_only(self) -> bool:
        """Whether it only makes text durable, so that it can be stored together with that of other sessions."""
        return self.text_start is not None and not (
            self.session
            or self.tasks
            or self.approvals
            or self.ledgers
            or self.blobs
            or self.conversation
            or self.receipt
            or any(not _is_text(logged) for logged in self.log)
        )

    def plus(self, other: "Changes") -> "Changes":
        """Add what *other* changes, in this order, to the same session."""
        tasks: Mapping[TaskId, Task] = {task.id: task for task in (*self.tasks, *other.tasks)}
        return evolve(
            self,
            session=other.session or self.session,
            tasks=tuple(tasks.values()),
            approvals=self.approvals + other.approvals,
            ledgers=self.ledgers + other.ledgers,
            blobs=self.blobs + other.blobs,
            conversation=other.conversation or self.conversation,
            log=self.log + other.log,
            text_start=self.text_start if self.text_start is not None else other.text_start,
            receipt=other.receipt or self.receipt,
            live=self.live + other.live,
        )


def _is_text(logged: Logged) -> bool:
    return not logged.messages and isinstance(logged.event, TextSaid)
