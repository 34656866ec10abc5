"""Making sessions, tasks and turns for tests, by the domain's own decisions."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from attrs import define, evolve

from agentcore.admission import OnBusy, Prompt, admit
from agentcore.changes import Changes, ReceiptKey
from agentcore.commands import Command
from agentcore.events import ApprovalRequired, EngineEvent
from agentcore.ids import ApprovalId, ChangeId, EngineName, NodeId, SessionId, TaskId, TenantId
from agentcore.messages import TextPart
from agentcore.obey import obey
from agentcore.ports import Committed, Grant, Lease, Leases, Store
from agentcore.receive import receive
from agentcore.session import Session
from agentcore.task import OnCrash, Task, TaskParams
from agentcore.turn import Turn

ENGINE = EngineName("scripted")
TENANT = TenantId("tenant-a")
OTHER = TenantId("tenant-b")
NODE = NodeId("node-1")


def an_id() -> str:
    """Make an id."""
    return str(uuid4())


def now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


def a_session(tenant: TenantId = TENANT, *, voice_mode: bool = False, at: datetime | None = None) -> Session:
    """Make a session that is not stored."""
    at = at or now()
    return Session(
        id=SessionId(an_id()),
        tenant_id=tenant,
        owner="somebody",
        engine=ENGINE,
        title="",
        voice_mode=voice_mode,
        created_at=at,
        updated_at=at,
        version=0,
    )


def a_prompt(text: str = "hello", *, deadline_s: float = 3600.0, on_crash: OnCrash = OnCrash.FAIL) -> Prompt:
    """Make a prompt."""
    return Prompt(
        task_id=TaskId(an_id()),
        engine=ENGINE,
        parts=(TextPart(text),),
        params=TaskParams(system_prompt="be brief", on_crash=on_crash),
        deadline_s=deadline_s,
    )


def a_key(key: str = "key", request: str = "00", tenant: TenantId = TENANT, holder: str = "one") -> ReceiptKey:
    """Make the key of a request."""
    return ReceiptKey(
        tenant_id=tenant, subject="somebody", route="POST /x", key=key, request_sha256=request, holder=holder
    )


def an_approval(*, expires_in_s: float = 3600.0, tool_use_id: str = "1") -> ApprovalRequired:
    """Let an engine ask for a decision."""
    return ApprovalRequired(
        approval_id=ApprovalId(an_id()),
        tool_use_id=tool_use_id,
        tool_name="rm",
        input={"path": "/"},
        expires_at=now() + timedelta(seconds=expires_in_s),
    )


@define
class Talk:
    """One session of one store, moved by the domain's decisions as a lane would move it."""

    store: Store
    leases: Leases
    session: Session
    node: NodeId = NODE

    @property
    def place(self) -> tuple[TenantId, SessionId]:
        """Where it is."""
        return (self.session.tenant_id, self.session.id)

    async def admit(
        self,
        prompt: Prompt | None = None,
        on_busy: OnBusy = OnBusy.ENQUEUE,
        also: Callable[[Changes], Changes] = lambda changes: changes,
    ) -> Task:
        """Put a prompt into the session; *also* may add to what is stored with it."""
        task, changes = await self.decided(prompt, on_busy)
        changes = also(changes)
        await self.store.commit(changes)
        return task

    async def decided(self, prompt: Prompt | None = None, on_busy: OnBusy = OnBusy.ENQUEUE) -> tuple[Task, Changes]:
        """Decide about a prompt, and store nothing."""
        turns: Sequence[Turn] = ()
        if self.session.version:
            self.session, turns = await self.store.open_turns(*self.place)
        task, changes = admit(self.session, turns, prompt or a_prompt(), on_busy, now())
        self.session = changes.session or self.session
        return task, changes

    async def take(self) -> Grant:
        """Take what there is to drive."""
        grant = await self.leases.take(*self.place, self.node)
        assert grant is not None
        return grant

    async def say(self, turn: Turn, lease: Lease, *events: EngineEvent) -> tuple[Turn, list[Committed]]:
        """Let the engine speak."""
        committed: list[Committed] = []
        for event in events:
            turn, changes = receive(turn, event, now())
            if changes.is_durable:
                committed.append(await self.store.commit(evolve(changes, id=ChangeId(an_id())), lease))
        return turn, committed

    async def ask(self, task_id: TaskId, command: Command) -> Turn:
        """Ask something of a task, as a caller does."""
        turn, changes = obey(await self.store.turn(self.session.tenant_id, task_id), command, now())
        if changes.is_durable:
            await self.store.commit(changes)
        return turn


def a_talk(store: Store, leases: Leases, tenant: TenantId = TENANT) -> Talk:
    """Begin a session."""
    return Talk(store, leases, a_session(tenant))
