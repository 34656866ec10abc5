"""What the core needs of the world, as promises.

Law: a docstring here is a contract; ``agentcore.testing`` proves it for every adapter.  Another tenant's row is a
missing row, everywhere.  Every method may raise StoreUnavailable where it talks to a store.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from agentcore.approval import Approval
from agentcore.books import Books, UsageRecorded
from agentcore.changes import Blob, Changes, Conversation, Receipt, ReceiptKey
from agentcore.errors import AgentcoreError
from agentcore.follow import Entry, Page
from agentcore.ids import ChangeId, EngineName, InstanceId, NodeId, SessionId, TaskId, TenantId
from agentcore.instances import Instance
from agentcore.limits import Own, Room
from agentcore.messages import Message, Part
from agentcore.session import Session
from agentcore.task import Task, TaskStatus
from agentcore.turn import Turn
from agentcore.usage import Usage

ANY = Room()
RESERVED_S = 15.0  # as long as a lost node's tasks are kept for it: its keys are let go when they are


class Stale(AgentcoreError):
    """The decision was made on an old reading; read again and decide again."""


class AtLimit(AgentcoreError):
    """The tenant runs as many tasks as it may; what waits is begun when one has ended."""


class Fenced(AgentcoreError):
    """The lease is no longer ours; write nothing more under it."""


@frozen(kw_only=True)
class Lease:
    """A node's right to drive one task, for a time."""

    tenant_id: TenantId
    session_id: SessionId
    task_id: TaskId
    node: NodeId
    epoch: int  #: +1 at each take and each letting go.
    trusted_until: float  #: Monotonic seconds after which the holder stops without asking.


@frozen(kw_only=True)
class Committed:
    """What a commit has put into the log."""

    entries: tuple[Entry, ...] = ()
    is_idle: bool = False  #: A task has ended, and no other of its session is open: known, if it is said.


@frozen(kw_only=True)
class Grant:
    """A task to drive."""

    lease: Lease
    turn: Turn
    is_takeover: bool  #: Its driver is lost: recover it; else it was begun just now.
    entries: tuple[Entry, ...] = ()  #: What beginning it has logged, to be told.
    history: tuple[Message, ...] | None = None  #: What ``history`` says for it, if that was read along.


@frozen(kw_only=True)
class SessionView:
    """A session and what it is doing."""

    session: Session
    activity: TaskStatus | None  #: Status of its live task, else QUEUED if one waits; None: idle.


@frozen(kw_only=True)
class TaskView:
    """A task, what it waits for and what it has cost so far."""

    task: Task
    owner: str  #: Of its session.
    approvals: tuple[Approval, ...] = ()  #: Pending ones.
    usage: Usage = Usage()


@frozen(kw_only=True)
class Snapshot:
    """A session as one reading of the store."""

    view: SessionView
    task: TaskView | None  #: Begun and not ended, else the last of the queue's order that is open, else None.
    said: tuple[Part, ...]  #: Text of that task that is durable and in no message yet.
    page: Page  #: Without entries: where the log stands.


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime:
        """Return the time of day: aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never jump."""


class Store(Books, Protocol):
    """The truth."""

    async def commit(self, changes: Changes, lease: Lease | None = None) -> Committed:
        """Store *changes*, all or nothing, and return what was logged, in order.

        Versions: a session or task of version 1 is inserted (a session's tenant, too), any other must be one
        version ahead of what is stored, else Stale.  With *lease*, its epoch must be the task's, else Fenced, and
        what *changes* ``follows`` must be its last change, else Stale; so is what is its last change already.
        Text must begin where the log's text ends, else Stale.  A task that lets its driver go loses its lease
        and its epoch rises.  Entries get the next seqs without gaps, in commit order; a new task's ``number`` is
        the seq of its TaskQueued; messages get the seq of the entry that announces them and are numbered within
        it.  With ``most_open``, at most so many of the tenant's tasks are open afterwards (not over, and not asked to
        stop), however many commits are under way at the time, else OverLimit.  Ledger rows whose key, or provider
        message id, is there already are left out; each that is not puts
        its event into the outbox.  A receipt fills the key that ``begin`` reserved; if another holder has it by
        now, or it is answered, nothing is stored: KeyInFlight.  Blobs are kept once per tenant and hash.
        """

    async def session(self, tenant: TenantId, session_id: SessionId) -> SessionView:
        """Return a session, or raise SessionNotFound."""

    async def sessions(
        self, tenant: TenantId, before: tuple[datetime, str] | None, limit: int, *, owner: str | None = None
    ) -> list[SessionView]:
        """Return at most *limit* sessions of *owner*, newest first, created before (time, id) *before*.

        None: of all owners.
        """

    async def task(self, tenant: TenantId, task_id: TaskId) -> TaskView:
        """Return a task, or raise TaskNotFound."""

    async def tasks(self, tenant: TenantId, session_id: SessionId, after: int, limit: int) -> list[TaskView]:
        """Return tasks in the order of their numbers, from beyond number *after*."""

    async def turn(self, tenant: TenantId, task_id: TaskId) -> Turn:
        """Return a task with all that deciding needs, without a tail, or raise TaskNotFound."""

    async def records(self, tenant: TenantId, task_ids: Sequence[TaskId]) -> tuple[list[Approval], list[UsageRecorded]]:
        """Return all approvals of tasks, decided or not, and their rows of the ledger, both oldest first."""

    async def last_change(self, tenant: TenantId, task_id: TaskId) -> ChangeId | None:
        """Return the id of the last Changes stored under a lease of the task, those apart that only add text.

        It waits for a commit of that task that is under way, so that the answer is final.
        """

    async def open_turns(self, tenant: TenantId, session_id: SessionId) -> tuple[Session, list[Turn]]:
        """Return a session and its unfinished tasks: begun first, then by priority and number.

        Raises SessionNotFound.
        """

    async def history(self, tenant: TenantId, session_id: SessionId, limit: int) -> list[Message]:
        """Return the last messages in history order: at least *limit*, and back to a user's message, if there are.

        ``attachments_refused`` is set on messages with attachments that their task's provider would not take.
        """

    async def messages(
        self, tenant: TenantId, session_id: SessionId, after: tuple[int, int], limit: int
    ) -> list[Message]:
        """Return messages in history order from beyond (seq, n) *after*."""

    async def conversation(self, tenant: TenantId, session_id: SessionId, engine: EngineName) -> Conversation | None:
        """Return the conversation that *engine* keeps of the session, with its whole transcript, if it has one.

        It is what the last ``Changes.conversation`` has made of it, and goes with the session when that is erased.
        """

    async def blobs(self, tenant: TenantId, hashes: Sequence[str]) -> dict[str, Blob]:
        """Return the blobs there are, by hash."""

    async def log(self, tenant: TenantId, session_id: SessionId, since: int, limit: int) -> Page:
        """Return at most *limit* entries from seq *since* on (included), in one snapshot with where the log stands.

        Raises SessionNotFound.
        """

    async def snapshot(self, tenant: TenantId, session_id: SessionId) -> Snapshot:
        """Return a session as one reading; raises SessionNotFound."""

    async def heads(self, sessions: Sequence[tuple[TenantId, SessionId]]) -> dict[SessionId, int]:
        """Return the last seq of each log."""

    async def expired(self, limit: int) -> list[tuple[TenantId, SessionId, TaskId]]:
        """Return undriven, unfinished tasks whose deadline, or whose pending approval, has expired."""

    async def begin(self, key: ReceiptKey) -> Receipt | None:
        """Reserve *key* for its holder, for RESERVED_S, or return the answer stored under it.

        What is taken over while its holder lives is done once all the same: only one of them can store its answer.

        Raises KeyInFlight while another request holds it, KeyReused if it was used for another request.
        Kept for 24 h.
        """

    async def release(self, key: ReceiptKey) -> None:
        """Give up a reservation: nothing was done."""

    async def keep(self, receipt: Receipt) -> None:
        """Store the answer of a reserved key whose effect is no commit of its own."""

    async def forget_keys(self, older_than_s: float, limit: int) -> int:
        """Drop at most *limit* Idempotency-Keys that were reserved that long ago, with their answers; count them."""

    async def forget_blobs(self, older_than_s: float, limit: int) -> int:
        """Drop at most *limit* attachments that are that old and that no session refers to; count them."""

    async def default_engine(self, tenant: TenantId) -> EngineName | None:
        """Return the engine that the tenant has chosen, if it has."""

    async def set_default_engine(self, tenant: TenantId, engine: EngineName) -> None:
        """Store the tenant's choice."""

    async def limits(self) -> dict[TenantId, Own]:
        """Return the limits that tenants have of their own, of all tenants that have any."""

    async def set_limits(self, tenant: TenantId, own: Own) -> None:
        """Store the limits that a tenant has of its own, in place of those it had; none: those of all."""

    async def stored_bytes(self, tenant: TenantId) -> int:
        """Return how many bytes of attachments are kept for a tenant."""

    async def keep_instance(self, instance: Instance) -> None:
        """Store *instance*: version 1 is inserted, any other must be one ahead of what is stored, else Stale."""

    async def instance(self, tenant: TenantId, instance_id: InstanceId) -> Instance:
        """Return an instance, whoever owns it, or raise InstanceNotFound."""

    async def instances(self, tenant: TenantId, owner: str | None, limit: int) -> list[Instance]:
        """Return at most *limit* instances of *owner*, None: of all, newest first."""

    async def drop_instance(self, tenant: TenantId, instance_id: InstanceId) -> None:
        """Remove an instance, if it is there; its sessions stay."""

    async def sessions_with(
        self, tenant: TenantId, owner: str, instance_id: InstanceId, limit: int
    ) -> list[SessionView]:
        """Return at most *limit* sessions that *owner* has with an instance, newest first."""

    async def erase(self, tenant: TenantId, session_id: SessionId) -> None:
        """Remove a session without open tasks, with all that mentions it; the ledger keeps its numbers.

        So are answers kept for an Idempotency-Key that name it, or were given at the path of it or of a task of it.

        Raises SessionNotFound, or Stale while a task is open.
        """

    async def forget_tenant(self, tenant: TenantId) -> None:
        """Remove what a tenant has besides sessions: instances, kept answers, attachments, its choice of engine.

        The ledger keeps its numbers.  Raises Stale while there is a session.
        """

    async def ping(self) -> None:
        """Return if the store answers, and is what this release needs; raises StoreUnavailable, SchemaOutdated."""


# What else is stored with the beginning of a task: asked about the turn that has begun, and what it is shown.
Also = Callable[[Turn, Sequence[Message]], tuple[Turn, Changes]]


class Leases(Protocol):
    """Who drives what; times by the store's clock."""

    async def take(
        self, tenant: TenantId, session_id: SessionId, node: NodeId, most: int | None = None
    ) -> Grant | None:
        """Take over a task of the session whose driver's lease has run out, else begin the head of its queue.

        A node asks for what it does not drive: a task that is its own all the same was given in an answer that got
        lost, and is taken over, too.

        The head is the task that has begun before and was queued again, else the highest priority, else the
        lowest number; it is begun (``Turn.begin``) only if no other task of the session has begun.  A row that
        somebody holds is skipped: None.  Two nodes never both get one.  With *most*, a task is begun only while fewer
        of the tenant's are driven, on all nodes together and however many are begun at the time, else AtLimit; what is
        driven already is taken over all the same.
        """

    async def submit(
        self, changes: Changes, node: NodeId, most: int | None = None, also: Also | None = None
    ) -> tuple[Committed, Grant | None]:
        """Store *changes*, which queue one new task, and begin that at once if nothing is in its way.

        As ``commit`` and then ``take`` do, in one transaction; raises what ``commit`` raises.  None: the task waits,
        because its session has another open one, or its tenant runs *most* or might, others being begun just now.

        What *also* adds to the ledger is stored in the same transaction, and the turn that it makes is granted; it is
        asked only if the task is begun, with what ``history`` says for it, under the store's locks and so often as the
        transaction is tried: so it does nothing, and at once.
        """

    async def renew(self, leases: Sequence[Lease]) -> Mapping[TaskId, tuple[Lease, int]]:
        """Renew *leases*; return those still ours with the task's version.  What is missing is fenced."""

    async def waiting(
        self, limit: int, room: Room = ANY, only: Collection[TenantId] | None = None
    ) -> list[tuple[TenantId, SessionId]]:
        """Return sessions where ``take`` would give something, of all tenants or *only* of some.

        Lost tasks come first.  Of what is queued, as many sessions of a tenant as *room* has for it; within a tenant
        by priority and age, and first whose tenant runs the fewest, counting those before it in this answer: so one
        that has many waiting does not come before one that has few.
        """


class Hosts(Protocol):
    """Where remote agents may live."""

    def admit(self, host: str, port: int) -> str:
        """Return *host* as it is kept; raises HostNotAllowed.  Nothing is looked up and nobody is asked."""
