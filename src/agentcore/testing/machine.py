"""A Hypothesis machine that drives one session on two nodes over one store.

Subclass it and say how your world is made:

    class TestOnMine(SessionMachine.TestCase): ...
    SessionMachine.world = staticmethod(my_world)

``world`` is an async context manager that yields a ``World``: an empty store with its leases, and a way to make all
leases run out.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, ClassVar, TypeVar, cast

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import define, frozen
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agentcore.admission import OnBusy
from agentcore.approval import OnReject
from agentcore.asking import Ask
from agentcore.bus import Bus
from agentcore.caller import Caller
from agentcore.commands import Decide
from agentcore.errors import AgentcoreError, EngineFailed
from agentcore.events import (
    ApprovalRequired,
    BlockEnded,
    CallClosed,
    CallOpened,
    Finished,
    Suspended,
    TextDelta,
    TextSaid,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from agentcore.feed import Feed, Restarted
from agentcore.follow import Cursor, ResetReason, Shown
from agentcore.ids import ApprovalId, NodeId, SessionId, TaskId
from agentcore.node import open_runtime
from agentcore.ports import Clock, Leases, Store
from agentcore.pulse import Periods
from agentcore.runtime import Runtime
from agentcore.seal import Seal
from agentcore.task import ErrorCode, OnCrash
from agentcore.testing.checker import EVERYTHING, check_session
from agentcore.testing.making import TENANT, an_id, now
from agentcore.testing.nodes import Node, NodeClock, Wire
from agentcore.testing.puppet import Puppet
from agentcore.usage import Usage

T = TypeVar("T")
CALLER = Caller(tenant_id=TENANT, subject="somebody")
NEVER = Periods(tick=1e6, beat=1e6, heads=1e6, expire=1e6, sweep=1e6)  # the machine is the clockwork
QUIET_S = 0.001
PATIENCE_S = 10.0


@frozen(kw_only=True)
class World:
    """What a machine runs on."""

    store: Store
    leases: Leases
    bus: Callable[[], Bus]
    clock: Clock
    expire_all: Callable[[], Awaitable[None]]


@define(eq=False)
class Screen:
    """A client: what it has put together since its last reset."""

    cursor: Cursor = Cursor(0)
    text: str = ""
    base: int = 0
    resets: int = 0


class SessionMachine(RuleBasedStateMachine):
    """Random commands, engine events, crashes and reconnects on one session."""

    world: ClassVar[Callable[[], AbstractAsyncContextManager[World]]]

    def __init__(self) -> None:
        """Open the world with two nodes on it."""
        super().__init__()
        self.puppet = Puppet()
        self.session_id: SessionId | None = None
        self.tasks: list[TaskId] = []
        self.crashes = 0
        self.screen = Screen()
        self.nodes: list[Node] = []
        self._portal_context = start_blocking_portal()
        self.portal: BlockingPortal = self._portal_context.__enter__()
        self._world_context = self.portal.wrap_async_context_manager(type(self).world())
        self.here = self._world_context.__enter__()
        self.bus = self.here.bus()
        for number in (1, 2):
            self._open_node(number)

    def teardown(self) -> None:
        """Let everything end, judge it, and close."""
        try:
            self._call(self._end_everything())
        finally:
            for node in self.nodes:
                self.portal.call(node.stop.set)
                self._call(_wait(node.has_stopped))
            self._world_context.__exit__(None, None, None)
            self._portal_context.__exit__(None, None, None)

    # ------------------------------------------------------------------------------------------- what callers do
    @rule(
        node=st.integers(0, 1),
        on_busy=st.sampled_from(OnBusy),
        on_crash=st.sampled_from(OnCrash),
    )
    def submit(self, node: int, on_busy: OnBusy, on_crash: OnCrash) -> None:
        """Post a prompt."""
        ask = Ask(text="hello", on_crash=on_crash)
        runtime = self.nodes[node].runtime
        accepted = self._try(runtime.execute(CALLER, ask, session_id=self.session_id, on_busy=on_busy))
        if accepted is not None:
            self.session_id = accepted.session_id
            self.tasks.append(accepted.task_id)
        self._flow()

    @precondition(lambda self: self.tasks)
    @rule(node=st.integers(0, 1), which=st.integers(0, 3))
    def cancel(self, node: int, which: int) -> None:
        """Stop one of the last tasks."""
        task_id = self.tasks[-1 - which % len(self.tasks)]
        self._try(self.nodes[node].runtime.cancel(CALLER, task_id, 0.0))
        self._flow()

    @precondition(lambda self: self.tasks)
    @rule(node=st.integers(0, 1), which=st.integers(0, 3))
    def inject(self, node: int, which: int) -> None:
        """Inject into one of the last tasks."""
        task_id = self.tasks[-1 - which % len(self.tasks)]
        accepted = self._try(self.nodes[node].runtime.inject(CALLER, task_id, Ask(text="rather this")))
        if accepted is not None:
            self.tasks.append(accepted.task_id)
        self._flow()

    @precondition(lambda self: self.tasks)
    @rule(node=st.integers(0, 1), approved=st.booleans(), on_reject=st.sampled_from(OnReject))
    def decide(self, node: int, approved: bool, on_reject: OnReject) -> None:
        """Decide what waits."""
        decision = Decide(approved=approved, by="somebody", on_reject=on_reject)
        for task_id in self.tasks[-3:]:
            self._try(self.nodes[node].runtime.decide(CALLER, task_id, decision))
        self._flow()

    @precondition(lambda self: self.session_id)
    @rule(node=st.integers(0, 1))
    def rename(self, node: int) -> None:
        """Change the session meanwhile."""
        assert self.session_id is not None
        self._try(self.nodes[node].runtime.rename(CALLER, self.session_id, "another"))

    # ------------------------------------------------------------------------------------------- what engines say
    @rule(
        words=st.lists(st.text("ab 🙂", min_size=1, max_size=5), min_size=1, max_size=4),
        kind=st.sampled_from([TextDelta, TextDelta, TextDelta, ThinkingDelta]),
    )
    def talk(self, words: list[str], kind: type[TextDelta] | type[ThinkingDelta]) -> None:
        """Say some text."""
        for word in words:
            self._say(kind(word))

    @rule(number=st.integers(0, 5))
    def say_more(self, number: int) -> None:
        """Say something that is stored at once."""
        use = ToolUse(tool_use_id=an_id(), tool_name="t", input={"n": number})
        result = ToolResult(tool_use_id=use.tool_use_id, output="x\x00y")
        opened, closed = CallOpened(model="m", input_tokens=3), CallClosed(usage=Usage(model="m", output_tokens=4))
        for event in [(BlockEnded(),), (use, result), (opened,), (closed,), (opened, closed), (use,)][number]:
            self._say(event)

    @rule()
    def ask(self) -> None:
        """Want to act."""
        soon = now() + timedelta(hours=1)
        self._say(
            ApprovalRequired(
                approval_id=ApprovalId(an_id()), tool_use_id=an_id(), tool_name="rm", input={}, expires_at=soon
            )
        )

    @rule(how=st.sampled_from(["finish", "finish", "end", "suspend", "raise", "fail"]))
    def stop_talking(self, how: str) -> None:
        """End the stream, one way or another."""
        failed = EngineFailed(ErrorCode.ENGINE_OVERLOADED, "busy")
        words = {"finish": Finished(), "suspend": Suspended(), "end": None, "raise": RuntimeError("x"), "fail": failed}
        self._say(words[how])

    # ------------------------------------------------------------------------------------------- what time does
    @rule(node=st.integers(0, 1))
    def checkpoint(self, node: int) -> None:
        """Make tails durable."""
        for lane, _ in list(self.nodes[node].runtime.lanes.reading()):
            self._try(lane.checkpoint())
        self._flow()

    @rule(node=st.integers(0, 1))
    def beat_and_sweep(self, node: int) -> None:
        """Renew leases, look at logs, find work."""
        pulse = self.nodes[node].runtime.pulse
        for work in (pulse.beat, pulse.heads, pulse.expire, pulse.sweep, pulse.tick):
            self._try(work())
        self._flow()

    @rule(node=st.integers(0, 1))
    def crash(self, node: int) -> None:
        """Kill a node; another one takes its place, and time passes."""
        self.crashes += 1
        dead = self.nodes[node]
        self.portal.call(dead.kill)
        self._call(_wait(dead.has_stopped))
        self._open_node(len(self.nodes) + self.crashes, node)
        self._call(self.here.expire_all())
        self.beat_and_sweep(node)

    # ------------------------------------------------------------------------------------------- what readers see
    @precondition(lambda self: self.session_id)
    @rule(node=st.integers(0, 1))
    def reconnect(self, node: int) -> None:
        """Come back with the last cursor and read what there is."""
        self._call(self._read(self.nodes[node].runtime))

    @invariant()
    def the_store_is_sound(self) -> None:
        """Judge what is stored."""
        if self.session_id is not None:
            self._call(check_session(self.here.store, TENANT, self.session_id, is_settled=False))

    @invariant()
    def nothing_was_lost_on_the_way(self) -> None:
        """Judge the nodes that live."""
        for node in self.nodes:
            counts = node.runtime.counts
            assert (counts.lost, counts.failed) == (0, 0)

    # ------------------------------------------------------------------------------------------- how it is done
    def _call(self, work: Awaitable[T]) -> T:
        async def bounded() -> T:
            with anyio.fail_after(PATIENCE_S):
                return await work

        return self.portal.call(bounded)

    def _try(self, work: Awaitable[T]) -> T | None:
        """Do what a caller may be refused."""
        try:
            return self._call(work)
        except AgentcoreError:
            return None

    def _say(self, event: Any) -> None:  # noqa: ANN401 - an event, an exception, or None
        for run in self.puppet.running():
            self.portal.call(run.say, event)
        self._flow()

    def _flow(self) -> None:
        self._call(self._until_quiet())

    async def _until_quiet(self) -> None:
        quiet = 0
        while quiet < 3:
            await anyio.sleep(QUIET_S)
            is_quiet = all(node.runtime.lanes.is_quiet for node in self.nodes)
            said = [run for run in self.puppet.running() if run._waiting]  # noqa: SLF001 - our own puppet
            quiet = quiet + 1 if is_quiet and not said else 0

    def _open_node(self, number: int, place: int | None = None) -> None:
        node = self.portal.call(self._new_node)
        self.portal.start_task_soon(self._live, node, NodeId(f"node-{number}"))
        self._call(_wait(node.ready))
        if place is None:
            self.nodes.append(node)
        else:
            self.nodes[place] = node

    async def _new_node(self) -> Node:
        return Node(Wire(self.here.store), Wire(self.here.leases), NodeClock(self.here.clock))

    async def _live(self, node: Node, name: NodeId) -> None:
        try:
            async with open_runtime(
                store=cast("Store", node.store),
                leases=cast("Leases", node.leases),
                bus=self.bus,
                engines=self.puppet,
                clock=node.clock,
                node=name,
                new_id=an_id,
                seal=Seal(b"k" * 32),
                periods=NEVER,
                drain_s=0.0,
            ) as runtime:
                node.opened = runtime
                node.ready.set()
                await node.stop.wait()
        except (AgentcoreError, BaseExceptionGroup):
            if not node.store.is_cut:
                raise
        finally:
            node.has_stopped.set()

    async def _read(self, runtime: Runtime) -> None:
        assert self.session_id is not None
        feed: Feed = await runtime.views.subscribe(CALLER, self.session_id, self.screen.cursor)
        batches = feed.batches()
        async for batch in batches:
            if not batch:  # the head is reached
                break
            for frame in batch:
                self.screen.cursor = frame.cursor
                if isinstance(frame, Shown):
                    self.screen.text += frame.text
                elif isinstance(frame, Restarted):
                    assert frame.reason is not ResetReason.CURSOR_EXPIRED
                    self.screen.resets += 1
                    self.screen.text, self.screen.base = "", frame.snapshot.page.position
        await batches.aclose()
        assert self.screen.resets <= self.crashes, "I5: a reset without a crash"

    async def _end_everything(self) -> None:
        """Stop what is open and see that every task has ended, and that the screen shows the log."""
        if self.session_id is None:
            return
        runtime = self.nodes[0].runtime
        try:
            await runtime.close(CALLER, self.session_id, erase=False)
        except AgentcoreError:
            assert (await self.here.store.session(TENANT, self.session_id)).session.is_closed
        for _ in range(3):
            await self._until_quiet()
            await self.here.expire_all()
            for node in self.nodes:
                await node.runtime.pulse.beat()
                await node.runtime.pulse.expire()
                await node.runtime.pulse.sweep()
            await self._until_quiet()
        await check_session(self.here.store, TENANT, self.session_id, is_settled=True)
        await self._read(runtime)
        log = (await self.here.store.log(TENANT, self.session_id, 1, EVERYTHING)).entries
        said = "".join(entry.event.text for entry in log if isinstance(entry.event, TextSaid))
        assert self.screen.text == said[self.screen.base :], "I5: the screen is not the log"


async def _wait(event: anyio.Event) -> None:
    await event.wait()
