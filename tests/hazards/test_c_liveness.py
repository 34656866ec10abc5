"""Hazards C and S: whatever hangs, stops or goes away, each task ends once, with its text and its bill."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.support.server import QUICK, Served, serving

from agentcore.admission import OnBusy
from agentcore.asking import Ask
from agentcore.caller import Caller
from agentcore.changes import Changes
from agentcore.errors import StoreUnavailable
from agentcore.events import Finished
from agentcore.ids import NodeId, SessionId, TaskId
from agentcore.node import open_runtime
from agentcore.ports import Committed, Lease, Leases, Store, TaskView
from agentcore.runtime import Runtime
from agentcore.seal import Seal
from agentcore.task import OnCrash, TaskStatus
from agentcore.testing.making import TENANT, an_id
from agentcore.testing.scripted import ScriptedEngine, ScriptedEngines
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import SystemClock

pytestmark = pytest.mark.anyio
Stores = tuple[Store, Leases]
CALLER = Caller(tenant_id=TENANT, subject="somebody")


@asynccontextmanager
async def a_node(stores: Stores, engine: ScriptedEngine, name: str = "n1", **more: Any) -> AsyncIterator[Runtime]:
    store, leases = stores
    async with open_runtime(
        store=store,
        leases=leases,
        bus=MemoryBus(),
        engines=ScriptedEngines([engine]),
        clock=SystemClock(),
        node=NodeId(name),
        new_id=an_id,
        seal=Seal(b"k" * 32),
        periods=QUICK,
        **({"drain_s": 0.05} | more),
    ) as runtime:
        yield runtime


async def submit(runtime: Runtime, text: str, on_crash: OnCrash = OnCrash.FAIL, session: str | None = None) -> TaskId:
    ask = Ask(text=text, on_crash=on_crash)
    session_id = SessionId(session) if session else None
    return (await runtime.execute(CALLER, ask, session_id=session_id, on_busy=OnBusy.ENQUEUE)).task_id


async def until(store: Store, task_id: TaskId, test: Callable[[TaskView], bool]) -> TaskView:
    with anyio.fail_after(15):
        while not test(view := await store.task(TENANT, task_id)):
            await anyio.sleep(0.01)
    return view


async def said(runtime: Runtime, task_id: TaskId) -> None:
    """Wait until the engine of a task has said something."""
    with anyio.fail_after(15):
        while not any(r.turn.task.id == task_id and r.turn.end > r.turn.position for _, r in runtime.lanes.reading()):
            await anyio.sleep(0.005)


async def text_of(store: Store, task: TaskView) -> str:
    found = await store.messages(TENANT, task.task.session_id, (0, 0), 100)
    return "".join(m.text for m in found if m.task_id == task.task.id and m.role == "assistant")


# ------------------------------------------------------------------------------------------------------- stopping
async def test_S11_an_engine_is_asked_before_it_is_cancelled(stores: Stores) -> None:
    """In-band: it ends by itself within its grace, and says what it has cost."""
    engine = ScriptedEngine(abilities=evolve(ScriptedEngine().abilities, stop_grace_s=10.0))
    async with a_node(stores, engine) as runtime:
        task_id = await submit(runtime, "[[say:half]] [[hang]]")
        await said(runtime, task_id)
        view, _ = await runtime.cancel(CALLER, task_id, wait_s=10.0)
        assert (view.task.status, view.usage.output_tokens) == (TaskStatus.CANCELLED, 17)
        assert engine.runs[0].is_over


async def test_S11_an_engine_that_is_asked_in_vain_is_cancelled(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentcore.testing.scripted.ScriptedRun.interrupt", lambda _: None)
    engine = ScriptedEngine(abilities=evolve(ScriptedEngine().abilities, stop_grace_s=0.05))
    async with a_node(stores, engine) as runtime:
        task_id = await submit(runtime, "[[say:half]] [[hang]]")
        await said(runtime, task_id)
        view, _ = await runtime.cancel(CALLER, task_id, wait_s=10.0)
        assert view.task.status is TaskStatus.CANCELLED
        assert view.usage.fidelity == "estimated"


async def test_S11_an_engine_that_never_stops_is_left_behind(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing it says afterwards counts, and the session goes on."""
    monkeypatch.setattr("agentcore.reading.STUCK_S", 0.1)
    store, _ = stores
    engine = ScriptedEngine()
    async with a_node(stores, engine) as runtime:
        task_id = await submit(runtime, "[[say:half]] [[hang]] [[stubborn:1]]")
        await said(runtime, task_id)
        view, _ = await runtime.cancel(CALLER, task_id, wait_s=10.0)
        assert view.task.status is TaskStatus.CANCELLED
        assert (runtime.counts.stuck, engine.runs[0].is_over) == (1, False)
        after = await submit(runtime, "[[say:ok]]", session=view.task.session_id)
        done = await until(store, after, lambda view: view.task.is_final)
        assert done.task.status is TaskStatus.COMPLETED


async def test_C9_delete_is_bounded(served: Served) -> None:
    """The engine does not stop within the wait: the stop is recorded, and confirmed later."""
    task = await served.post("[[say:half]] [[hang]] [[stubborn:1]]")
    await served.said(task["taskId"], "half")
    answer = await served.call("DELETE", f"/tasks/{task['taskId']}?wait=0.2")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
    assert not served.engine.runs[0].is_over
    ended = await served.ended(task["taskId"])
    assert (ended["status"], ended["stopCode"]) == ("cancelled", "USER_CANCEL")


async def test_C3_an_engine_that_falls_silent_is_stopped(stores: Stores) -> None:
    store, _ = stores
    async with a_node(stores, ScriptedEngine(), idle_s=0.2) as runtime:
        task_id = await submit(runtime, "[[say:half]] [[hang]]")
        view = await until(store, task_id, lambda view: view.task.is_final)
        assert (view.task.error_code, view.task.result) == ("DEADLINE", "The engine was silent for too long.")
        assert await text_of(store, view) == "half"
        waiting = await submit(runtime, "[[ask:rm:{}]] [[say:ok]]")
        view = await until(store, waiting, lambda view: bool(view.approvals))
        await anyio.sleep(0.5)  # a person may think for longer than an engine
        assert (await store.task(TENANT, waiting)).task.status is TaskStatus.AWAITING_APPROVAL


# ----------------------------------------------------------------------------------------------------- going away
@pytest.mark.parametrize(
    ("on_crash", "status", "texts"),
    [
        (OnCrash.FAIL, TaskStatus.CANCELLED, "half"),
        (OnCrash.RESUME, TaskStatus.COMPLETED, "halfwhole"),
        (OnCrash.RESTART_IF_PURE, TaskStatus.COMPLETED, "whole"),
    ],
)
async def test_C5_a_node_that_goes_away_hands_over(
    stores: Stores, on_crash: OnCrash, status: TaskStatus, texts: str
) -> None:
    store, _ = stores
    async with a_node(stores, ScriptedEngine()) as runtime:
        task_id = await submit(runtime, "[[say:half]] [[hang]]", on_crash)
        waiting = await submit(runtime, "[[ask:rm:{}]] [[say:ok]]", on_crash)
        await said(runtime, task_id)
        await until(store, waiting, lambda view: bool(view.approvals))
    view = await store.task(TENANT, task_id)
    assert not view.task.driven
    assert view.usage.output_tokens > 0
    parked = await store.task(TENANT, waiting)
    assert (parked.task.status, parked.task.driven, len(parked.approvals)) == (TaskStatus.AWAITING_APPROVAL, False, 1)
    engine = ScriptedEngine(script=lambda _: iter(whole()))
    async with a_node(stores, engine, "n2"):
        view = await until(store, task_id, lambda view: view.task.is_final)
    assert (view.task.status, view.task.crashes, await text_of(store, view)) == (status, 0, texts)
    assert view.task.stop_code == ("SHUTDOWN" if status is TaskStatus.CANCELLED else None)


async def test_C5_a_node_that_is_cancelled_hands_over_too(stores: Stores) -> None:
    """Whoever embeds the core goes away by being cancelled, and nobody waits for its leases."""
    store, _ = stores
    found: list[TaskId] = []

    async def live() -> None:
        async with a_node(stores, ScriptedEngine()) as runtime:
            found.append(await submit(runtime, "[[say:half]] [[hang]]"))
            await said(runtime, found[0])
            found.append(await submit(runtime, "[[ask:rm:{}]] [[say:ok]]"))
            await until(store, found[1], lambda view: bool(view.approvals))
            tasks.cancel_scope.cancel()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(live)
    view = await store.task(TENANT, found[0])
    assert (view.task.status, view.task.stop_code, view.task.driven) == (TaskStatus.CANCELLED, "SHUTDOWN", False)
    assert await text_of(store, view) == "half"
    parked = await store.task(TENANT, found[1])
    assert (parked.task.status, parked.task.driven) == (TaskStatus.AWAITING_APPROVAL, False)


def whole() -> list[Any]:
    from agentcore.events import CallClosed, CallOpened, TextDelta
    from agentcore.testing.scripted import USAGE

    return [CallOpened(model="m", input_tokens=1), TextDelta("whole"), CallClosed(usage=USAGE), Finished()]


@pytest.mark.parametrize(
    ("on_crash", "status", "texts"),
    [
        (OnCrash.FAIL, TaskStatus.FAILED, "half"),
        (OnCrash.RESUME, TaskStatus.COMPLETED, "halfwhole"),
        (OnCrash.RESTART_IF_PURE, TaskStatus.COMPLETED, "whole"),
    ],
)
async def test_C1_no_task_runs_for_ever(
    database: str | None, on_crash: OnCrash, status: TaskStatus, texts: str
) -> None:
    """A node is cut off from its store; another one finds its task when the lease has run out."""
    async with short_leases(database, 0.6) as stores:
        store, leases = stores
        line = Line()
        first = ScriptedEngine()
        async with a_node((Cut(store, line), Cut(leases, line)), first) as runtime:
            task_id = await submit(runtime, "[[say:half]] [[hang]]", on_crash)
            await said(runtime, task_id)
            ((lane, _),) = runtime.lanes.reading()
            await lane.checkpoint()
            line.is_cut = True
            async with a_node(stores, ScriptedEngine(script=lambda _: iter(whole())), "n2"):
                view = await until(store, task_id, lambda view: view.task.is_final)
            assert runtime.counts.lost == 1
            assert first.runs[0].is_over
        assert (view.task.status, view.task.crashes, await text_of(store, view)) == (
            status, int(status is TaskStatus.COMPLETED), texts,
        )  # fmt: skip
        assert (view.usage.fidelity, view.usage.output_tokens > 0) == ("estimated", True)


async def test_C2_what_was_told_in_an_outage_is_not_lost(database: str | None) -> None:
    """The store is away for longer than the lease lasts, and nobody else has taken the task."""
    async with short_leases(database, 0.6) as stores:
        store, leases = stores
        line = Line()
        async with a_node((Cut(store, line), Cut(leases, line)), ScriptedEngine(), idle_s=60.0) as runtime:
            task_id = await submit(runtime, "[[say:half]] [[hang]]")
            finishing = await submit(runtime, "[[words:30]] [[slow:0.01]]")
            await said(runtime, task_id)
            await said(runtime, finishing)
            line.is_cut = True
            with anyio.fail_after(10):
                while runtime.counts.lost < 2:
                    await anyio.sleep(0.01)
            with pytest.raises(StoreUnavailable):
                await submit(runtime, "[[say:no]]")
            line.is_cut = False
            view = await until(store, task_id, lambda view: view.task.is_final)
            assert (view.task.error_code, await text_of(store, view)) == ("NODE_LOST", "half")
            view = await until(store, finishing, lambda view: view.task.is_final)
            assert view.task.status in {TaskStatus.COMPLETED, TaskStatus.FAILED}
            assert runtime.counts.failed == 0
            done = await until(store, await submit(runtime, "[[say:ok]]"), lambda view: view.task.is_final)
            assert done.task.status is TaskStatus.COMPLETED


async def test_C2_a_lane_that_waits_for_the_database_says_so(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentcore.lane.LOCK_S", 0.05)
    task = await served.post("[[hang]]")
    await served.said(task["taskId"], "You")
    ((lane, _),) = served.runtime.lanes.reading()
    async with lane._lock:
        answer = await served.call("POST", "/tasks", {"prompt": "x", "sessionId": task["sessionId"]})
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert int(answer.headers["retry-after"]) >= 1


async def test_B7_a_task_whose_answer_was_lost_is_not_made_twice(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit got through and its answer did not: the caller, who sent no key, is told what is true."""
    store, leases = stores
    commit, submit, is_lost = type(store).commit, type(leases).submit, False

    def lose() -> None:
        nonlocal is_lost
        if not is_lost:
            is_lost = True
            raise StoreUnavailable("The answer was lost.")

    async def lossy(self: Any, changes: Changes, lease: Lease | None = None) -> Committed:
        committed = await commit(self, changes, lease)
        if lease is None:
            lose()
        return committed

    async def lossy_too(self: Any, *what: Any) -> Any:
        done = await submit(self, *what)
        lose()
        return done

    monkeypatch.setattr(type(store), "commit", lossy)
    monkeypatch.setattr(type(leases), "submit", lossy_too)
    async with serving(store, leases) as served:
        task = await served.post("[[say:x]]")
        assert (await served.ended(task["taskId"]))["status"] == "completed"
        assert len((await served.get("/sessions"))["items"]) == 1
        waiting = await served.post("[[ask:rm:{}]] [[say:ok]]")
        await served.until(waiting["taskId"], {"awaiting_approval"})
        is_lost = False
        answer = await served.call("POST", f"/tasks/{waiting['taskId']}/approve", {"approved": True})
        assert answer.status_code == 201
        assert (await served.ended(waiting["taskId"]))["status"] == "completed"


# --------------------------------------------------------------------------------------------------------- helpers
class Line:
    """A line that can be cut."""

    is_cut = False


class Cut:
    """A port at the end of a line."""

    def __init__(self, target: Any, line: Line) -> None:
        self._target, self._line = target, line

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        async def call(*args: Any, **more: Any) -> Any:
            if self._line.is_cut:
                raise StoreUnavailable("The line is cut.")
            return await method(*args, **more)

        return call


@asynccontextmanager
async def short_leases(database: str | None, ttl_s: float) -> AsyncIterator[Stores]:
    from agentcore_adapters.memory.leases import MemoryLeases
    from agentcore_adapters.memory.store import MemoryStore
    from agentcore_adapters.postgres.store import postgres_store

    if database is None:
        clock = SystemClock()
        store = MemoryStore(clock)
        yield store, MemoryLeases(store.state, clock, ttl_s)
        return
    async with postgres_store(database, lease_ttl_s=ttl_s) as found:
        yield found
