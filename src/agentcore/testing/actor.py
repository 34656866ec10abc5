"""An engine that behaves as chance has it, and keeps a record of what it did.

Law: its record is what a provider would have in its books: a call is *sent* when the engine is asked for what comes
after ``CallOpened``, and text is *heard* when the engine is asked for what comes after it.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random

import anyio
from attrs import define, field

from agentcore.approval import Approval
from agentcore.engine import Abilities, EngineRequest, EngineState, Foresight, Plan
from agentcore.errors import EngineFailed, UnknownEngine
from agentcore.events import (
    ApprovalRequired,
    BlockEnded,
    CallClosed,
    CallOpened,
    EngineEvent,
    Finished,
    Suspended,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from agentcore.ids import ApprovalId, EngineName, TaskId, TenantId
from agentcore.ports import Clock
from agentcore.task import Decision, ErrorCode, TaskParams
from agentcore.usage import Usage

NAME = EngineName("actor")
OPENED = CallOpened(model="actor-1", input_tokens=10)
WORDS = ("well ", "so ", "then ", "🙂", "e\u0301", "\n", "and ", "but ")
LONG = "x" * 1500


@define
class Record:
    """What an engine has done for one task."""

    opened: int = 0  #: Calls announced, or planned to be.
    sent: int = 0  #: Calls really made: each is in the provider's books.
    heard: dict[int, str] = field(factory=dict)  #: Text that was taken in, by attempt.
    running: int = 0  #: Runs that are not over.
    most_running: int = 0
    left_at: datetime | None = None  #: When the last run was over.
    tools: dict[str, int] = field(factory=dict)  #: How often each call of a tool was made.
    approved: set[str] = field(factory=set)  #: Calls that a person has allowed.


@define(eq=False)
class ActorRun:
    """One answer."""

    engine: "Actor"
    request: EngineRequest
    random: Random
    decided: dict[str, Approval] = field(factory=dict)
    changed: anyio.Event = field(factory=anyio.Event)

    def __aiter__(self) -> AsyncIterator[EngineEvent]:
        """Say what chance wants."""
        return self._say()

    def answer(self, decided: Sequence[Approval]) -> None:
        """Hear what was decided."""
        self.decided |= {approval.tool_use_id: approval for approval in decided}
        self.changed.set()

    def interrupt(self) -> None:
        """Not asked: it has no grace."""

    @property
    def record(self) -> Record:
        """What is kept of the task."""
        return self.engine.record_of(self.request.task_id)

    async def _say(self) -> AsyncGenerator[EngineEvent, None]:
        for approval in self.request.decisions:
            self.decided[approval.tool_use_id] = approval
        for approval in self.request.decisions:
            if self._is_allowed(approval.tool_use_id) and not self.record.tools.get(approval.tool_use_id):
                async for event in self._tool(approval.tool_use_id):
                    yield event
        for turn in range(self.random.randint(1, 3)):
            plan = self.request.plan if not turn else None
            self.record.opened += plan is None  # what was planned is counted already
            yield plan.opened if plan is not None else OPENED
            self.record.sent += 1
            message_id = f"{self.request.task_id}:{self.request.attempt}:{turn}"
            async for event in self._speak():
                yield event
            usage = Usage(model="actor-1", input_tokens=11, output_tokens=7)
            if self.random.random() < 0.9:
                yield CallClosed(usage=usage, provider_message_id=message_id)
            if self.random.random() < 0.3:
                async for event in self._act(f"{message_id}:tool"):
                    yield event
        async for event in self._finish():
            yield event

    async def _speak(self) -> AsyncIterator[EngineEvent]:
        for _ in range(self.random.randint(1, 8)):
            await anyio.sleep(self.random.choice([0.0, 0.01, 0.4, 3.0]))
            if self.random.random() < 0.15:
                yield ThinkingDelta(self.random.choice(WORDS))
                continue
            text = LONG if self.random.random() < 0.05 else self.random.choice(WORDS)
            yield TextDelta(text)
            self.record.heard[self.request.attempt] = self.record.heard.get(self.request.attempt, "") + text
        if self.random.random() < 0.5:
            yield BlockEnded()

    async def _act(self, use_id: str) -> AsyncIterator[EngineEvent]:
        if self.random.random() < 0.5:
            async for event in self._tool(use_id):
                yield event
            return
        expires_at = self.engine.clock.now() + timedelta(seconds=self.random.choice([5.0, 60.0, 600.0]))
        approval_id = ApprovalId(str(self.engine.new_id()))
        yield ApprovalRequired(
            approval_id=approval_id, tool_use_id=use_id, tool_name="rm", input={"path": use_id}, expires_at=expires_at
        )
        if self.random.random() < 0.4:  # it can suspend: the stream ends, and the decision begins another attempt
            yield Suspended()
            raise _Suspended
        while use_id not in self.decided:
            self.changed = anyio.Event()
            await self.changed.wait()
        if self._is_allowed(use_id):
            async for event in self._tool(use_id):
                yield event

    def _is_allowed(self, use_id: str) -> bool:
        decided = self.decided.get(use_id)
        return decided is not None and decided.decision is Decision.APPROVED

    async def _tool(self, use_id: str) -> AsyncIterator[EngineEvent]:
        yield ToolUse(tool_use_id=use_id, tool_name="rm", input={"path": use_id})
        self.record.tools[use_id] = self.record.tools.get(use_id, 0) + 1  # here it acts: the call is on record
        if use_id in self.decided:
            self.record.approved.add(use_id)
        await anyio.sleep(self.random.choice([0.0, 2.0]))
        yield ToolResult(tool_use_id=use_id, output="done")

    async def _finish(self) -> AsyncIterator[EngineEvent]:
        chance = self.random.random()
        if chance < 0.80:
            yield Finished()
            if self.random.random() < 0.2:
                yield TextDelta("nobody should hear this")
        elif chance < 0.85:
            raise EngineFailed(ErrorCode.ENGINE_OVERLOADED, "busy")
        elif chance < 0.90:
            raise RuntimeError("it broke")
        elif chance < 0.95:
            await anyio.sleep_forever()


class _Suspended(Exception):
    """The stream ends here, and the task is parked."""


@define(eq=False)
class Actor:
    """The engine, which is its own catalogue, too; one for all nodes."""

    seed: int
    clock: Clock
    random: Random  #: For ids.
    name: EngineName = NAME
    abilities: Abilities = Abilities(tools=True, approvals=True)
    records: dict[TaskId, Record] = field(factory=dict)

    def new_id(self) -> str:
        """Make an id."""
        return an_id(self.random)

    def record_of(self, task_id: TaskId) -> Record:
        """Return the record of a task."""
        return self.records.setdefault(task_id, Record())

    @asynccontextmanager
    async def run(self, request: EngineRequest) -> AsyncIterator["ActorRun"]:
        """Begin a run; it may be slow to stop."""
        record = self.record_of(request.task_id)
        random = Random(f"{self.seed} {request.messages[-1].text} {request.attempt}")  # noqa: S311 - a simulation
        record.running += 1
        record.most_running = max(record.most_running, record.running)
        try:
            yield ActorRun(self, request, random)
        except _Suspended:
            return
        finally:
            if random.random() < 0.2:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(random.choice([0.5, 5.0, 20.0]))
            record.running -= 1
            record.left_at = self.clock.now()

    async def foresee(self, tenant: TenantId, params: TaskParams) -> Foresight | None:  # noqa: ARG002 - a promise
        """Plan some runs, and others not."""

        def plan(request: EngineRequest) -> Plan | None:
            if Random(f"{self.seed} {request.messages[-1].text}").random() < 0.3:  # noqa: S311 - a simulation
                return None
            self.record_of(request.task_id).opened += 1
            return Plan(opened=OPENED, prepared=None)

        return plan

    def named(self, name: EngineName) -> "Actor":
        """Return itself."""
        if name != self.name:
            raise UnknownEngine("There is only an actor.")
        return self

    def states(self) -> Sequence[EngineState]:
        """Return itself."""
        return [EngineState(name=self.name, abilities=self.abilities, is_available=True)]

    def default(self) -> EngineName:
        """Return its name."""
        return self.name


def an_id(random: Random) -> str:
    """Make a UUID of chance that can be repeated."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
