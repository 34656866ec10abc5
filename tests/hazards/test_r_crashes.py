"""Hazard R3: nothing of a remote agent's task lives in the node that waits for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.hazards.test_c_liveness import CALLER, Cut, Line, short_leases, until
from tests.support.bridge import (
    GUARD,
    SEAL,
    SomeEngines,
    an_engine,
    stub_bridge,
)
from tests.support.server import QUICK, Json

from agentcore.asking import Accepted, Ask
from agentcore.books import GroupBy
from agentcore.ids import NodeId, SessionId, TaskId
from agentcore.instances import ENGINE
from agentcore.node import open_runtime
from agentcore.ports import Leases, Store
from agentcore.remote import Told
from agentcore.reply import Reply
from agentcore.runtime import Runtime
from agentcore.task import ErrorCode, OnCrash, TaskStatus
from agentcore.testing.making import an_id
from agentcore_adapters.engines.openclaw import OpenClaw
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import SystemClock

pytestmark = pytest.mark.anyio
Stores = tuple[Store, Leases]


@asynccontextmanager
async def a_node(
    stores: tuple[Any, Any], engine: OpenClaw, name: str = "n1", *, drain_s: float = 0.05, idle_s: float = 300.0
) -> AsyncIterator[Runtime]:
    store, leases = stores
    async with open_runtime(
        store=store,
        leases=leases,
        bus=MemoryBus(),
        engines=SomeEngines([engine]),
        clock=SystemClock(),
        node=NodeId(name),
        new_id=an_id,
        seal=SEAL,
        periods=QUICK,
        hosts=GUARD,
        drain_s=drain_s,
        idle_s=idle_s,
    ) as runtime:
        yield runtime


async def on_a_node(runtime: Runtime, port: int, on_crash: OnCrash | None = None) -> Accepted:
    """Send a prompt to an instance at *port*."""
    instance = await runtime.remote.add(CALLER, Told(host="127.0.0.1", port=port))
    return await runtime.execute(CALLER, Ask(text="hello", engine=ENGINE, instance=instance.id, on_crash=on_crash))


async def delivered(runtime: Runtime, asked: Json, text: str) -> bool:
    data = asked["callbackData"]
    proof = (SessionId(data["sessionId"]), TaskId(data["taskId"]), data["signature"])
    return await runtime.remote.deliver(*proof, None, lambda: Reply(ok=True, text=text))


@pytest.mark.parametrize("when", ["before", "during", "waiting", "replied"])
async def test_R3_dispatch_survives_crash(database: str | None, when: str) -> None:
    """The node is cut off before, during and after the send: another one asks under the same key, and concludes."""
    async with short_leases(database, 2.0) as stores, stub_bridge() as bridge:
        store, leases = stores
        line, engine = Line(), an_engine(GUARD)
        if when == "before":
            bridge.troubles = ["reset", "reset", "hang"]
            engine.retries_s = (0.0, 0.0, 0.0)
        elif when == "during":
            bridge.troubles = ["hang"]
            engine.try_s = 30.0
        async with a_node((Cut(store, line), Cut(leases, line)), engine) as runtime:
            task_id = (await on_a_node(runtime, bridge.port)).task_id
            asked = await bridge.until_asked(task_id)
            line.is_cut = True
            asked_before = len(bridge.asked)
            other = an_engine(GUARD)
            if when == "replied":  # while nobody drives it, and nobody is woken
                async with a_node(stores, other, "n3") as third:
                    assert await delivered(third, asked, "stored")
            async with a_node(stores, other, "n2") as second:
                if when != "replied":
                    with anyio.fail_after(10):
                        while not any(r.turn.task.id == task_id for _, r in second.lanes.reading()):
                            await anyio.sleep(0.01)
                    asked = await bridge.until_asked(task_id, asked_before + 1)
                    assert await delivered(second, asked, "stored")
                view = await until(store, task_id, lambda view: view.task.is_final)
            await other.close()
        await engine.close()
        assert (view.task.status, view.task.result) == (TaskStatus.COMPLETED, "stored")
        assert bridge.keys == {task_id}
        report = await store.usage(CALLER.tenant_id, None, None, GroupBy.ENGINE)
        assert report.total.calls == 1


async def test_R3_a_reply_for_a_task_that_waits_for_a_driver_is_kept(stores: Stores) -> None:
    """Its node went away in order; the reply comes before another one has taken it, and nothing is dispatched again."""
    store, _ = stores
    async with stub_bridge() as bridge:
        engine = an_engine(GUARD)
        async with a_node(stores, engine) as runtime:
            task_id = (await on_a_node(runtime, bridge.port)).task_id
            asked = await bridge.until_asked(task_id)
        assert (await store.task(CALLER.tenant_id, task_id)).task.status is TaskStatus.QUEUED
        async with a_node(stores, engine, "n2", drain_s=0.0) as runtime:
            runtime.house.is_draining = True  # it takes nothing, and hears callbacks all the same
            assert await delivered(runtime, asked, "kept")
            assert not await delivered(runtime, asked, "again")
        async with a_node(stores, engine, "n3"):
            view = await until(store, task_id, lambda view: view.task.is_final)
        assert (view.task.status, view.task.result) == (TaskStatus.COMPLETED, "kept")
        assert len(bridge.asked) == 1
        await engine.close()


async def test_R3_a_reply_that_comes_to_another_node_is_concluded_where_the_task_is_driven(stores: Stores) -> None:
    """Nobody is woken, because these nodes share no bus: the beat sees it."""
    store, _ = stores
    async with stub_bridge() as bridge:
        engine, other = an_engine(GUARD), an_engine(GUARD)
        async with a_node(stores, engine) as first, a_node(stores, other, "n2") as second:
            task_id = (await on_a_node(first, bridge.port)).task_id
            assert await delivered(second, await bridge.until_asked(task_id), "elsewhere")
            view = await until(store, task_id, lambda view: view.task.is_final)
            assert (view.task.result, view.task.attempt, view.task.crashes) == ("elsewhere", 1, 0)
        await engine.close()


async def test_R3_who_asked_to_fail_fails(database: str | None) -> None:
    async with short_leases(database, 2.0) as stores, stub_bridge() as bridge:
        store, leases = stores
        line, engine = Line(), an_engine(GUARD)
        async with a_node((Cut(store, line), Cut(leases, line)), engine) as runtime:
            task_id = (await on_a_node(runtime, bridge.port, OnCrash.FAIL)).task_id
            await bridge.until_asked(task_id)
            line.is_cut = True
            async with a_node(stores, engine, "n2"):
                view = await until(store, task_id, lambda view: view.task.is_final)
        assert view.task.error_code is ErrorCode.NODE_LOST
        await engine.close()


async def test_R4_an_agent_may_be_silent_for_longer_than_an_engine(stores: Stores) -> None:
    store, _ = stores
    async with stub_bridge() as bridge:
        engine = an_engine(GUARD)
        async with a_node(stores, engine, idle_s=0.1) as runtime:
            task_id = (await on_a_node(runtime, bridge.port)).task_id
            asked = await bridge.until_asked(task_id)
            await anyio.sleep(0.4)  # the clock looks every 20 ms
            assert await delivered(runtime, asked, "thought long")
            view = await until(store, task_id, lambda view: view.task.is_final)
            assert view.task.result == "thought long"
        await engine.close()
