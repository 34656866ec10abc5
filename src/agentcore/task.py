"""What may follow what in the life of a task.

Law: every rule about order lives here, most of it in ``TRANSITIONS``.  This file knows no engine, no store and
no clock: what happened, and when, is told to it.  The database's guard and the state diagram in the docs are
printed from the table.

Story: a task is queued, is started by the node that drives it, may wait for a decision (with its driver, or
parked without one), may be asked to stop, and ends once.  A stop that was accepted wins: a late completion has
no row.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, assert_never

from attrs import evolve, frozen

from agentcore.errors import TaskConflict
from agentcore.ids import ApprovalId, EngineName, InstanceId, SessionId, TaskId, TenantId
from agentcore.messages import Part
from agentcore.reply import Reply


class TaskStatus(StrEnum):
    """Where a task is."""

    QUEUED = "queued"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


QUEUED, RUNNING, AWAITING, CANCELLING, COMPLETED, FAILED, CANCELLED = TaskStatus
LIVE = frozenset({RUNNING, AWAITING, CANCELLING})
FINAL = frozenset({COMPLETED, FAILED, CANCELLED})


class StopCode(StrEnum):
    """Why a task was cancelled."""

    USER_CANCEL = "USER_CANCEL"
    USER_INJECT = "USER_INJECT"
    USER_REJECT = "USER_REJECT"
    VOICE_INJECT = "VOICE_INJECT"
    SUPERSEDED = "SUPERSEDED"
    SESSION_CLOSED = "SESSION_CLOSED"
    BUDGET = "BUDGET"
    APPROVAL_EXPIRED = "APPROVAL_EXPIRED"
    SHUTDOWN = "SHUTDOWN"


class ErrorCode(StrEnum):
    """Why a task failed."""

    EXECUTION_ERROR = "EXECUTION_ERROR"
    ENGINE_EOF = "ENGINE_EOF"
    ENGINE_UNAVAILABLE = "ENGINE_UNAVAILABLE"
    ENGINE_OVERLOADED = "ENGINE_OVERLOADED"
    ENGINE_AUTH = "ENGINE_AUTH"
    MAX_TURNS = "MAX_TURNS"
    DEADLINE = "DEADLINE"
    NODE_LOST = "NODE_LOST"
    CRASH_LOOP = "CRASH_LOOP"
    BRIDGE_ERROR = "BRIDGE_ERROR"
    BRIDGE_TIMEOUT = "BRIDGE_TIMEOUT"
    CONTEXT_TOO_LARGE = "CONTEXT_TOO_LARGE"


class OnCrash(StrEnum):
    """What becomes of a running task whose node is lost."""

    FAIL = "fail"
    RESUME = "resume"  #: Run again with the text said so far in the history.
    RESTART_IF_PURE = "restart_if_pure"  #: Run again from nothing, if no tool has acted.


class Decision(StrEnum):
    """What became of an approval."""

    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"  #: Its task was stopped for another reason.


# ------------------------------------------------------------------------------------------------- what can happen
@frozen
class TaskQueued:
    """A prompt was accepted; its task waits for its turn."""


@frozen
class TaskStarted:
    """A node has taken the task and runs its engine."""

    attempt: int  #: 1 for the first.


@frozen(kw_only=True)
class ApprovalRequested:
    """The engine wants to act and waits for a decision."""

    approval_id: ApprovalId
    tool_use_id: str
    tool_name: str
    input: dict[str, Any]
    input_sha256: str
    expires_at: datetime


@frozen(kw_only=True)
class ApprovalResolved:
    """A person, or the clock, has decided an approval."""

    approval_id: ApprovalId
    decision: Decision
    by: str | None  #: Subject of who decided; None for the clock and for a stop.


@frozen
class TaskParked:
    """The engine has ended its stream while a decision is pending; nobody drives the task."""


@frozen
class TaskResumed:
    """All is decided and the engine goes on in its open stream."""


@frozen(kw_only=True)
class TaskRequeued:
    """The task goes back to the head of its session's queue: decided while parked, or its node was lost."""

    restart: bool = False  #: The text of the lost attempt is discarded.
    crashed: bool = False  #: Its node was lost, which happens to a task at most three times.


@frozen(kw_only=True)
class ReplyDelivered:
    """A remote agent has answered; the task's driver concludes."""

    reply: Reply
    receipt: str  #: Id of the webhook that brought it, else of the task: the event is its receipt.


@frozen(kw_only=True)
class CancelRequested:
    """Somebody asked the task to stop; its driver will end it."""

    code: StopCode


@frozen(kw_only=True)
class TaskCompleted:
    """The engine has answered."""

    summary: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None
    model: str = ""


@frozen(kw_only=True)
class TaskFailed:
    """The task could not be carried out."""

    code: ErrorCode
    message: str
    attachments_refused: bool = False


@frozen(kw_only=True)
class TaskCancelled:
    """The task was stopped, and its engine has stopped."""

    code: StopCode
    message: str


TaskEnd = TaskCompleted | TaskFailed | TaskCancelled
TaskEvent = (
    TaskStarted
    | ApprovalRequested
    | ApprovalResolved
    | TaskParked
    | TaskResumed
    | TaskRequeued
    | ReplyDelivered
    | CancelRequested
    | TaskEnd
)

TRANSITIONS: Mapping[TaskStatus, Mapping[type[TaskEvent], TaskStatus]] = {
    QUEUED: {
        TaskStarted: RUNNING,
        ReplyDelivered: QUEUED,  # only if it has begun: it waits for a driver to conclude
        TaskFailed: FAILED,
        TaskCancelled: CANCELLED,
    },
    RUNNING: {
        ReplyDelivered: RUNNING,
        ApprovalRequested: AWAITING,
        CancelRequested: CANCELLING,
        TaskRequeued: QUEUED,
        TaskCompleted: COMPLETED,
        TaskFailed: FAILED,
    },
    AWAITING: {
        ApprovalRequested: AWAITING,
        ApprovalResolved: AWAITING,
        TaskParked: AWAITING,
        TaskResumed: RUNNING,
        CancelRequested: CANCELLING,  # only if driven: an engine must stop first
        TaskRequeued: QUEUED,
        TaskCancelled: CANCELLED,  # only if parked
        TaskFailed: FAILED,
    },
    CANCELLING: {TaskCancelled: CANCELLED},  # a late completion has no row, so it cannot win
    COMPLETED: {},
    FAILED: {},
    CANCELLED: {},
}

NEEDS_DRIVER = frozenset({CancelRequested, TaskParked, TaskResumed, ApprovalRequested})
NEEDS_NO_DRIVER: Mapping[TaskStatus, frozenset[type[TaskEvent]]] = {
    QUEUED: frozenset({TaskStarted}),
    AWAITING: frozenset({TaskCancelled}),
}
LETS_GO = frozenset({TaskParked, TaskRequeued, TaskCompleted, TaskFailed, TaskCancelled})
CRASHES_ALLOWED = 3


# ------------------------------------------------------------------------------------------------------- the task
@frozen(kw_only=True)
class TaskParams:
    """What was asked, resolved once at submission, so that nothing changes under a running task."""

    system_prompt: str
    max_turns: int = 10
    max_context_messages: int = 20
    allowed_tools: tuple[str, ...] | None = None  #: None: the tenant's default; empty: no tools.
    voice_mode: bool = False
    model: str | None = None  #: None: the engine's default.
    on_crash: OnCrash = OnCrash.FAIL
    max_output_tokens: int | None = None  #: When they are used up, nothing more is asked of a provider.
    max_cost_usd: Decimal | None = None  #: The same.
    instance: InstanceId | None = None  #: The remote agent that answers; None: an engine of this server.
    requester: str | None = None  #: Subject of who asked; None: not noted, as before this was: the session's owner.


@frozen(kw_only=True)
class Task:
    """One prompt being answered."""

    id: TaskId
    tenant_id: TenantId
    session_id: SessionId
    engine: EngineName
    params: TaskParams
    prompt: tuple[Part, ...]  #: Enters the history when the task starts.
    deadline: datetime
    created_at: datetime
    number: int = 0  #: seq of its TaskQueued: the order of the queue. Given by the store.
    priority: int = 0  #: 1 goes before what was waiting.
    status: TaskStatus = QUEUED
    version: int = 1  #: +1 with each row of the table.
    attempt: int = 0
    crashes: int = 0
    driven: bool = False  #: A node holds its lease; which, only the store knows.
    stop_code: StopCode | None = None
    error_code: ErrorCode | None = None
    result: str | None = None  #: Summary, or the message of the failure.
    attachments_refused: bool = False
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in FINAL

    @property
    def is_live(self) -> bool:
        """Whether it is running, waiting for a decision, or stopping."""
        return self.status in LIVE

    @property
    def is_remote(self) -> bool:
        """Whether a remote agent answers, so that nothing of its work lives in the node that drives it."""
        return self.params.instance is not None

    @property
    def has_begun(self) -> bool:
        """Whether it occupies its session: begun and not ended."""
        return self.started_at is not None and not self.is_final

    def after(self, event: TaskEvent, at: datetime) -> "Task":
        """Return the task as *event*, which happened *at*, leaves it.

        Raises TaskConflict if the table has no row for it, and then nothing has changed.
        """
        status = TRANSITIONS[self.status].get(type(event))
        if status is None or (self._is_undriven_only(event) if self.driven else type(event) in NEEDS_DRIVER):
            driven = "driven" if self.driven else "undriven"
            raise TaskConflict(f"{type(event).__name__} cannot follow on a {driven} task that is {self.status}.")
        task = evolve(
            self,
            status=status,
            version=self.version + 1,
            driven=type(event) is TaskStarted or (self.driven and type(event) not in LETS_GO),
        )
        match event:
            case TaskStarted():
                return evolve(task, attempt=event.attempt, started_at=self.started_at or at)
            case CancelRequested():
                return evolve(task, stop_code=event.code)
            case TaskCompleted():
                return evolve(task, result=event.summary, completed_at=at)
            case TaskFailed():
                refused = event.attachments_refused
                return evolve(
                    task, error_code=event.code, result=event.message, completed_at=at, attachments_refused=refused
                )
            case TaskCancelled():
                return evolve(task, stop_code=event.code, completed_at=at)
            case TaskRequeued():
                return evolve(task, crashes=self.crashes + event.crashed)
            case ApprovalRequested() | ApprovalResolved() | TaskParked() | TaskResumed() | ReplyDelivered():
                return task
            case _:
                assert_never(event)

    def _is_undriven_only(self, event: TaskEvent) -> bool:
        return type(event) in NEEDS_NO_DRIVER.get(self.status, frozenset())
