"""Two nodes on one store, and a bus between them: what one cannot do now, the other begins at once, unasked by time."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.support.node import ME, NEVER, Node, settled

from agentcore.admission import OnBusy
from agentcore.asking import Accepted, Ask
from agentcore.follow import Live
from agentcore.ids import NodeId, SessionId, TenantId
from agentcore.node import drain, open_runtime
from agentcore.seal import Seal
from agentcore.task import OnCrash, TaskStatus
from agentcore.testing.making import TENANT, an_id, now
from agentcore.testing.puppet import Puppet
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import ManualClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def two_nodes(*, most: int = 1000) -> AsyncIterator[list[Node]]:
    clock, bus = ManualClock(now()), MemoryBus()
    store = MemoryStore(clock)
    leases = MemoryLeases(store.state, clock, ttl_s=1e5)
    async with AsyncExitStack() as stack:
        nodes: list[Node] = []
        for name in ("one", "two"):
            puppet = Puppet()
            runtime = await stack.enter_async_context(
                open_runtime(
                    store=store, leases=leases, bus=bus, engines=puppet, clock=clock, node=NodeId(name), new_id=an_id,
                    seal=Seal(b"k" * 32), periods=NEVER, drain_s=0.0, most_driven=most,
                )
            )  # fmt: skip
            nodes.append(Node(clock, store, leases, puppet, runtime))
        yield nodes
        for node in nodes:
            for runs in node.puppet.runs.values():
                for run in runs:
                    run.say(None)
        await settled()
        assert [node.runtime.counts.failed for node in nodes] == [0, 0]


def drives(node: Node) -> list[str]:
    return [reading.lease.task_id for _, reading in node.runtime.lanes.reading()]


async def test_what_a_full_node_accepts_is_begun_by_one_that_has_room() -> None:
    async with two_nodes(most=1) as (one, two):
        first, second, third = await one.ask(), await one.ask(), await one.ask()
        assert (drives(one), drives(two)) == ([first.task_id], [second.task_id])
        assert await one.status(third) is TaskStatus.QUEUED  # nobody has room


async def test_a_crowded_node_asks_nobody_else_about_what_is_no_work() -> None:
    async with two_nodes(most=1) as (one, two):
        for _ in range(3):
            await one.ask()
        idle = await two.queue()
        asked: list[str] = []

        def wake(_: TenantId, session_id: SessionId, /, *, waits: bool) -> None:
            if waits:
                asked.append(session_id)

        async def ask(_: TenantId, __: SessionId) -> tuple[Live, ...] | None:
            return None

        with one.runtime.house.bus.serve(ask, wake):
            await one.runtime.rename(ME, idle.id, "a title")
            await settled()
            assert asked == []
            last = await one.ask()
            assert asked == [last.session_id]


async def test_a_full_node_that_is_asked_does_not_take_what_waits_for_its_own() -> None:
    async with two_nodes(most=1) as (one, two):
        await two.ask()
        waiting = await one.queue()
        two.runtime.lanes.woken(waiting.tenant_id, waiting.id, waits=True)
        await settled()
        assert not two.runtime.house.gate.is_crowded


async def test_what_a_wake_begins_is_held_by_its_lane() -> None:
    """A task whose end is just being stored lets its lane go, and somebody else's wake waits at its door."""
    async with two_nodes(most=1) as (one, two):
        first = await one.ask()
        await two.ask()  # full: what it accepts now, it asks others to begin
        gate, slow = anyio.Event(), one.runtime.house.store

        class Slow:
            def __getattr__(self, name: str) -> Any:
                return getattr(slow, name)

            async def commit(self, *args: Any) -> Any:
                done = await slow.commit(*args)
                await gate.wait()
                return done

        one.runtime.house.store = Slow()
        one.run(first).say(None)
        await settled()
        following = await two.runtime.execute(ME, Ask(text="next"), session_id=first.session_id)
        await settled()
        one.runtime.house.store = slow
        gate.set()
        await settled()
        assert drives(one) == [following.task_id]
        await one.runtime.cancel(ME, following.task_id, 0)
        one.run(following).say(None)
        await settled()
        assert await one.status(following) is TaskStatus.CANCELLED


async def test_what_waits_in_line_behind_a_task_is_not_begun_elsewhere() -> None:
    """Nor is what somebody asks of a session that has nothing to begin."""
    async with two_nodes() as (one, two):
        first = await one.ask()
        await one.runtime.execute(ME, Ask(text="next"), session_id=first.session_id, on_busy=OnBusy.ENQUEUE)
        await two.runtime.rename(ME, first.session_id, "a title")
        await settled()
        assert drives(two) == []


@pytest.mark.parametrize("is_full", [False, True])
async def test_C5_what_a_leaving_node_hands_back_goes_on_elsewhere_at_once(*, is_full: bool) -> None:
    async with two_nodes(most=1) as (one, two):
        if is_full:
            await two.ask()
        begun = drives(two)
        ask = Ask(text="long", on_crash=OnCrash.RESUME)
        task: Accepted = await one.runtime.execute(ME, ask)
        await settled()
        assert drives(one) == [task.task_id]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drain, one.runtime.house, one.runtime.lanes, 0.0)
            await settled()
            one.run(task).say(None)  # its engine has stopped
            await settled()
        assert drives(one) == []
        assert drives(two) == (begun if is_full else [task.task_id])
        assert (await one.store.task(TENANT, task.task_id)).task.attempt == (1 if is_full else 2)
