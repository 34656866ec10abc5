"""Hazards R, and what remote agents have to do with T, B, I, S: a bridge is believed by its proof, and once."""

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import msgspec
import pytest
from attrs import evolve
from tests.hazards.test_c_liveness import CALLER, Cut, Line, short_leases, until
from tests.support.bridge import COUNTS, SEAL, RemoteServed, SomeEngines, an_engine, serving_remote, stub_bridge
from tests.support.server import FINAL, QUICK, Json, serving

from agentcore.asking import Ask
from agentcore.books import GroupBy
from agentcore.changes import Changes
from agentcore.errors import StoreUnavailable
from agentcore.ids import InstanceId, NodeId, SessionId, TaskId, TenantId
from agentcore.instances import ENGINE
from agentcore.node import open_runtime
from agentcore.ports import Committed, Lease, Leases, Store
from agentcore.remote import Told
from agentcore.reply import Reply
from agentcore.runtime import Accepted, Runtime
from agentcore.task import ErrorCode, OnCrash, ReplyDelivered, TaskStatus
from agentcore.testing.making import an_id
from agentcore_adapters.engines.openclaw import OpenClaw
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.netguard import Guard, allow_list
from agentcore_http import wiring
from agentcore_http.settings import Settings, SettingsError, load
from agentcore_http.wiring import Place, memory_runtime

pytestmark = pytest.mark.anyio
Stores = tuple[Store, Leases]
RECEIVED = {"received": True}
GUARD = Guard(allow_list(["127.0.0.0/8"]))


@pytest.fixture
async def remote(stores: Stores) -> AsyncIterator[RemoteServed]:
    async with serving_remote(*stores) as found:
        yield found


async def everything(remote: RemoteServed, session_id: str) -> tuple[list[Json], list[Json]]:
    """Return all that could change in a session."""
    return await remote.served.log(session_id), await remote.served.messages(session_id)


def finals(log: list[Json]) -> list[str]:
    return [entry["type"] for entry in log if entry["type"] in FINAL]


# ------------------------------------------------------------------------------------------------- the main road
async def test_a_reply_completes_its_task(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello", deadlineSeconds=60)
    assert asked["prompt"] == "hello"
    assert asked["sessionKey"] == f"it0:{task['sessionId']}"
    assert asked["callbackUrl"].endswith("/api/v1/agent/instances/openclaw-app-callback")
    assert {"sessionId", "taskId", "signature"} == set(asked["callbackData"])
    assert (await remote.answer(asked, result="hi there")).json() == RECEIVED
    ended = await remote.served.ended(task["taskId"])
    assert (ended["status"], ended["result"], ended["engineType"]) == ("completed", "hi there", "openclaw")
    log, messages = await everything(remote, task["sessionId"])
    assert [entry["type"] for entry in log if entry["type"] != "task_info"] == [
        "session_info", "user_message", "text", "usage", "completed",
    ]  # fmt: skip
    assert [(m["role"], m["content"][0]["text"]) for m in messages] == [("user", "hello"), ("assistant", "hi there")]
    session = await remote.served.get(f"/sessions/{task['sessionId']}")
    assert (session["agentInstanceId"], session["title"], session["activity"]) == (remote.instance, "hello", "idle")


async def test_a_conversation_goes_on_with_the_same_agent_or_with_an_engine_of_ours(remote: RemoteServed) -> None:
    first = await remote.done("one", result="1")
    for path, body in (
        (f"/instances/{remote.instance}/tasks", {"prompt": "two", "sessionId": first["sessionId"]}),
        ("/tasks", {"prompt": "three", "sessionId": first["sessionId"]}),
    ):
        task = (await remote.served.call("POST", path, body)).json()
        assert (task["sessionId"], task["sessionCreated"]) == (first["sessionId"], False)
        await remote.answer(await remote.bridge.until_asked(task["taskId"]), result="x")
        assert (await remote.served.ended(task["taskId"]))["status"] == "completed"
    await remote.served.done("[[say:ok]]", first["sessionId"], engineType="scripted")
    assert [m.text for m in remote.served.engine.requests[-1].messages if m.role == "assistant"] == ["1", "x", "x"]


async def test_what_is_no_instances_session_is_a_new_one(remote: RemoteServed) -> None:
    """Reading 10: another instance's session, or one of none."""
    other = await remote.add()
    task = (await remote.served.call("POST", f"/instances/{other['id']}/tasks", {"prompt": "x"})).json()
    plain = await remote.served.done("[[say:x]]")
    for session_id in (task["sessionId"], plain["sessionId"], an_id(), "nonsense"):
        answer = await remote.post("hello", session_id)
        assert answer["sessionCreated"]
        assert answer["sessionId"] != session_id


async def test_the_engine_is_reached_through_an_instance_only(remote: RemoteServed) -> None:
    answer = await remote.served.call("POST", "/tasks", {"prompt": "x", "engineType": "openclaw"})
    assert (answer.status_code, answer.json()["field"]) == (400, "engineType")
    answer = await remote.served.call("POST", "/engines/switch", {"engineType": "openclaw"})
    assert answer.status_code == 400
    assert remote.bridge.connections == 0


async def test_an_instance_can_be_changed_and_removed(remote: RemoteServed) -> None:
    path = f"/instances/{remote.instance}"
    shown = await remote.served.get(path)
    assert (shown["serverHost"], shown["hostPort"], shown["status"], shown["userId"]) == (
        "127.0.0.1", remote.bridge.port, "running", "anonymous",
    )  # fmt: skip
    task = await remote.done("x", result="y")
    for status in ("stopped", "error"):
        changed = await remote.served.call("PATCH", path, {"status": status, "name": "n"})
        assert (changed.json()["status"], changed.json()["name"]) == (status, "n")
        for where in (f"{path}/tasks", "/tasks"):
            body = {"prompt": "x", "sessionId": task["sessionId"]}
            refused = await remote.served.call("POST", where, body)
            assert (refused.status_code, refused.json()["code"]) == (400, "instance_not_running")
    nowhere = (await remote.served.call("POST", "/instances", {"name": "n"})).json()
    refused = await remote.served.call("POST", f"/instances/{nowhere['id']}/tasks", {"prompt": "x"})
    assert (refused.status_code, refused.json()["code"]) == (400, "instance_not_running")
    assert (await remote.served.call("POST", "/instances", {"id": remote.instance, "name": "n"})).status_code == 409
    assert (await remote.served.call("PATCH", path, {"serverHost": "10.0.0.1"})).json()["code"] == "host_not_allowed"
    listed = (await remote.served.call("GET", "/instances")).json()
    assert [item["id"] for item in listed] == [nowhere["id"], remote.instance]
    assert (await remote.served.call("DELETE", path)).status_code == 200
    assert (await remote.served.call("GET", path)).json()["code"] == "instance_not_found"
    assert (await remote.served.call("DELETE", path)).status_code == 404
    assert (await remote.served.get(f"/sessions/{task['sessionId']}"))["id"] == task["sessionId"]


# ----------------------------------------------------------------------------------------------------------- rows
@pytest.mark.parametrize(
    "host", ["10.0.0.5", "169.254.169.254", "127.1", "localhost.", "[::1]", "a@b", "other.example"]
)
async def test_R1_hosts_must_be_allowed(remote: RemoteServed, host: str) -> None:
    body = {"name": "x", "serverHost": host, "hostPort": 80}
    answer = await remote.served.call("POST", "/instances", body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        400,
        "host_not_allowed",
        "serverHost",
    )


async def test_R1_a_name_that_moves_to_a_private_address_is_not_followed(stores: Stores) -> None:
    async def moved(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    guard = Guard(allow_list(["bridge.example"]), moved)
    async with stub_bridge() as bridge:
        async with serving(*stores, engines=SomeEngines([an_engine(guard)]), hosts=guard) as served:
            remote = RemoteServed(served, bridge, an_engine(guard))
            remote.instance = (await remote.add("bridge.example"))["id"]
            task = await remote.post("hello")
            ended = await served.ended(task["taskId"])
            assert (ended["status"], ended["error"]["code"]) == ("failed", "BRIDGE_ERROR")
            assert bridge.connections == 0


async def test_R1_the_checked_address_is_the_one_connected_to_and_the_name_is_its_host(stores: Stores) -> None:
    """One look-up, pinned; a redirect is an error and is not followed."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    guard = Guard(allow_list(["bridge.example", "127.0.0.1"]), resolve)
    engine = an_engine(guard)
    async with stub_bridge() as bridge:
        async with serving(*stores, engines=SomeEngines([engine]), hosts=guard) as served:
            remote = RemoteServed(served, bridge, engine)
            remote.instance = (await remote.add("Bridge.Example"))["id"]
            task, _ = await remote.asked("hello")
            assert asked == ["bridge.example"]
            await served.call("DELETE", f"/tasks/{task['taskId']}")
            bridge.troubles = ["302"]
            ended = await served.ended((await remote.post("again"))["taskId"])
            assert ended["error"]["code"] == "BRIDGE_ERROR"
            assert len(bridge.asked) == 2
        await engine.close()


@pytest.mark.parametrize("trouble", ["500", "hang", "reset", "garbage", "404"])
async def test_R2_bridge_errors_end_the_task(remote: RemoteServed, trouble: str) -> None:
    remote.bridge.troubles = [trouble] * 9
    task = await remote.post("hello")
    ended = await remote.served.ended(task["taskId"], within_s=10)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "BRIDGE_ERROR")
    assert len(remote.bridge.asked) == (1 if trouble == "404" else 3)
    assert len(remote.bridge.keys) == 1
    log, _ = await everything(remote, task["sessionId"])
    assert finals(log) == ["error"]
    assert "127.0.0.1" not in str(log) + str(ended)
    assert str(remote.bridge.port) not in str(log[-1])


async def test_R2_a_bridge_that_recovers_is_asked_again(remote: RemoteServed) -> None:
    remote.bridge.troubles = ["503", "reset"]
    task = await remote.post("hello")
    asked = await remote.bridge.until_asked(task["taskId"], times=3)
    await remote.answer(asked, result="late but here")
    assert (await remote.served.ended(task["taskId"]))["result"] == "late but here"


async def test_R2_what_is_longer_than_a_bridge_may_say_is_not_read(remote: RemoteServed) -> None:
    remote.bridge.troubles = ["endless"]
    task, asked = await remote.asked("hello")
    await remote.answer(asked, result="x")
    assert (await remote.served.ended(task["taskId"]))["status"] == "completed"


async def test_R2_a_bridge_that_is_not_there_costs_nothing(stores: Stores) -> None:
    async with serving_remote(*stores) as remote:
        gone = await remote.add(hostPort=1)
        body = {"prompt": "hello"}
        task = (await remote.served.call("POST", f"/instances/{gone['id']}/tasks", body)).json()
        ended = await remote.served.ended(task["taskId"])
        assert (ended["error"]["code"], ended["usage"]["inputTokens"]) == ("BRIDGE_ERROR", 0)


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
    async with short_leases(database, 0.6) as stores, stub_bridge() as bridge:
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
            other = an_engine(GUARD)
            if when == "replied":  # while nobody drives it, and nobody is woken
                async with a_node(stores, other, "n3") as third:
                    assert await delivered(third, asked, "stored")
            async with a_node(stores, other, "n2") as second:
                if when != "replied":
                    with anyio.fail_after(10):
                        while not any(r.turn.task.id == task_id for _, r in second.lanes.reading()):
                            await anyio.sleep(0.01)
                    asked = await bridge.until_asked(task_id, len(bridge.asked) + (when != "before"))
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
    async with short_leases(database, 0.6) as stores, stub_bridge() as bridge:
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


async def test_R4_lost_callback_fails(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello", deadlineSeconds=0.5)
    ended = await remote.served.ended(task["taskId"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "BRIDGE_TIMEOUT")
    assert (await remote.answer(asked, result="late")).json() == RECEIVED
    assert len(await remote.served.messages(task["sessionId"])) == 1


async def test_R4_a_bridge_whose_own_time_is_up_says_so(remote: RemoteServed) -> None:
    ended = await remote.done("hello", ok=False, isTimeout=True, error="at http://10.9.8.7/secret")
    assert (ended["status"], ended["error"]["code"]) == ("failed", "BRIDGE_TIMEOUT")
    failed = await remote.done("hello", ok=False, error="at http://10.9.8.7/secret")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "BRIDGE_ERROR")
    assert "10.9.8.7" not in str(await everything(remote, ended["sessionId"])) + str(ended) + str(failed)


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


async def test_R5_bridge_task_can_be_stopped(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    answer = await remote.served.call("DELETE", f"/tasks/{task['taskId']}")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    before = await everything(remote, task["sessionId"])
    assert (await remote.answer(asked, result="late")).json() == RECEIVED
    assert await everything(remote, task["sessionId"]) == before

    task, asked = await remote.asked("hello", task["sessionId"])
    injected = await remote.served.call("POST", f"/tasks/{task['taskId']}/inject", {"message": "stop that"})
    assert injected.status_code == 201
    asked = await remote.bridge.until_asked(injected.json()["taskId"])
    assert asked["prompt"] == "stop that"
    await remote.answer(asked, result="stopped")
    assert (await remote.served.ended(injected.json()["taskId"]))["result"] == "stopped"
    assert (await remote.served.task(task["taskId"]))["stopCode"] == "USER_INJECT"


async def test_R5_a_bridge_that_takes_cancellations_is_told(remote: RemoteServed) -> None:
    remote.bridge.says = {"cancel": True}
    task, _ = await remote.asked("hello")
    with anyio.fail_after(10):
        while (await remote.served.task(task["taskId"]))["status"] != "cancelled":
            await remote.served.call("DELETE", f"/tasks/{task['taskId']}")
    await remote.bridge.until_withdrawn(task["taskId"])


async def test_R6_one_live_task_for_instances(remote: RemoteServed) -> None:
    session_id = (await remote.done("first", result="x"))["sessionId"]
    answers: list[Json] = []

    async def one(number: int) -> None:
        answers.append(await remote.post(f"p{number}", session_id))

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(one, number)
    statuses = [(await remote.served.task(answer["taskId"]))["status"] for answer in answers]
    with anyio.fail_after(10):
        while sorted(statuses) != ["cancelled"] * 7 + ["running"]:
            statuses = [(await remote.served.task(answer["taskId"]))["status"] for answer in answers]
    busy = await remote.served.call(
        "POST", f"/instances/{remote.instance}/tasks", {"prompt": "x", "sessionId": session_id, "onBusy": "reject"}
    )
    assert (busy.status_code, busy.json()["code"]) == (409, "session_busy")


async def test_R7_late_and_repeated_callback(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    answers: list[httpx2.Response] = []

    async def one(number: int) -> None:
        answers.append(await remote.answer(asked, result=f"answer {number}"))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, number)
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, '{"received":true}')}
    ended = await remote.served.ended(task["taskId"])
    before = await everything(remote, task["sessionId"])
    assert finals(before[0]) == ["completed"]
    assert [m["role"] for m in before[1]] == ["user", "assistant"]
    assert (await remote.answer(asked, result="another")).json() == RECEIVED
    assert (await remote.answer(asked, ok=False)).json() == RECEIVED
    assert await everything(remote, task["sessionId"]) == before
    assert (await remote.served.task(task["taskId"])) == ended


async def test_R8_empty_result_completes(remote: RemoteServed) -> None:
    for more in ({"result": ""}, {"result": None}, {}):
        ended = await remote.done("hello", **more)
        assert (ended["status"], ended["result"]) == ("completed", "")
        log, messages = await everything(remote, ended["sessionId"])
        assert [m["role"] for m in messages] == ["user"]
        assert log[-1]["summary"] == ""


@pytest.mark.parametrize("method", ["task", "turn", "commit"])
async def test_R9_callback_is_atomic(remote: RemoteServed, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """The database fails under the callback: nothing is stored and nothing told, and the retry gives one message."""
    task, asked = await remote.asked("hello")
    before = await everything(remote, task["sessionId"])
    store = remote.served.runtime.store

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("The database is away.")

    with monkeypatch.context() as patch:
        patch.setattr(type(store), method, away)
        answer = await remote.answer(asked, result="x")
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert await everything(remote, task["sessionId"]) == before
    assert (await remote.answer(asked, result="x")).json() == RECEIVED
    assert (await remote.served.ended(task["taskId"]))["status"] == "completed"
    log, messages = await everything(remote, task["sessionId"])
    assert finals(log) == ["completed"]
    assert len(messages) == 2


async def test_R9_a_callback_whose_commit_was_answered_late_counts_once(
    remote: RemoteServed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stored, and nobody heard so: the bridge is told to come again, and finds it done."""
    task, asked = await remote.asked("hello")
    store = remote.served.runtime.store
    commit, lost = type(store).commit, [True]

    async def unheard(self: Store, changes: Changes, lease: Lease | None = None) -> Committed:
        committed = await commit(self, changes, lease)
        if lost and any(isinstance(logged.event, ReplyDelivered) for logged in changes.log):
            lost.clear()
            raise StoreUnavailable("The answer was lost.")
        return committed

    monkeypatch.setattr(type(store), "commit", unheard)
    assert (await remote.answer(asked, result="x")).status_code == 503
    assert (await remote.answer(asked, result="y")).json() == RECEIVED
    assert (await remote.served.ended(task["taskId"]))["result"] == "x"
    log, messages = await everything(remote, task["sessionId"])
    assert (finals(log), len(messages)) == (["completed"], 2)


def signed(asked: Json, body: bytes, key: bytes, at: float | None = None) -> dict[str, str]:
    """Make the headers of Standard Webhooks."""
    stamp = str(int(at if at is not None else time.time()))
    mac = hmac.new(key, f"msg-1.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": "msg-1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,bm9wZQ== v1,{base64.b64encode(mac).decode()}",
    }


async def unchanged(remote: RemoteServed, task: Json, asked: Json, data: object, **more: Any) -> None:
    """A callback with *data* is refused, and is the same refusal whatever is wrong."""
    before = await everything(remote, task["sessionId"])
    answer = await remote.served.http.post(asked["callbackUrl"], json={"ok": True, "result": "!", **more} | (
        {"callbackData": data} if data is not None else {}))  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (401, "callback_unverified")
    assert await everything(remote, task["sessionId"]) == before


async def test_R10_callback_session_must_match(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    other, _ = await remote.asked("other")
    data = asked["callbackData"]
    await unchanged(remote, task, asked, data | {"sessionId": other["sessionId"]})
    await unchanged(remote, other, asked, data | {"sessionId": other["sessionId"]})


async def test_T5_callback_needs_signature(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    other, others = await remote.asked("other")
    data, signature = asked["callbackData"], asked["callbackData"]["signature"]
    foreign = SEAL.signature(TenantId("tenant-b"), SessionId(data["sessionId"]), TaskId(data["taskId"]))
    missing = an_id()
    altered = signature[:-1] + ("0" if signature[-1] != "0" else "1")
    for wrong in (
        None,
        {key: value for key, value in data.items() if key != "signature"},
        *(data | {"signature": text} for text in ("", "v1..", "v1.%%.x", "\u00e9", altered, foreign, signature + "=")),
        data | {"signature": others["callbackData"]["signature"]},
        data | {"taskId": other["taskId"]},
        {"sessionId": data["sessionId"], "taskId": missing,
         "signature": SEAL.signature(TenantId("default"), SessionId(data["sessionId"]), TaskId(missing))},
    ):  # fmt: skip
        await unchanged(remote, task, asked, wrong)
    plain = await remote.served.done("[[say:x]]")  # a task of our own engines, signed by us or not
    ids = (SessionId(plain["sessionId"]), TaskId(plain["id"]))
    forged = {"sessionId": ids[0], "taskId": ids[1], "signature": SEAL.signature(TenantId("default"), *ids)}
    await unchanged(remote, plain, asked, forged)


async def test_T5_headers_of_standard_webhooks_must_be_right_if_they_are_there(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    url, http = asked["callbackUrl"], remote.served.http
    secret = (await remote.served.get(f"/instances/{remote.instance}/secret"))["secret"]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert 24 <= len(key) <= 64
    assert key == SEAL.webhook_key(TenantId("default"), InstanceId(remote.instance))
    body = msgspec.json.encode({"ok": True, "result": "signed", "callbackData": asked["callbackData"]})
    good = signed(asked, body, key)
    before = await everything(remote, task["sessionId"])
    for wrong in (
        good | {"webhook-id": "msg-2"},
        good | {"webhook-signature": "v1,bm9wZQ=="},
        good | {"webhook-timestamp": "soon"},
        {name: value for name, value in good.items() if name != "webhook-signature"},
        signed(asked, body, b"x" * 32),
        signed(asked, body + b" ", key),
        signed(asked, body, key, time.time() - 400),
        signed(asked, body, key, time.time() + 400),
    ):
        answer = await http.post(url, content=body, headers=wrong)
        assert (answer.status_code, answer.json()["code"]) == (401, "callback_unverified"), wrong
    assert await everything(remote, task["sessionId"]) == before
    assert (await http.post(url, content=body, headers=good)).json() == RECEIVED
    assert (await remote.served.ended(task["taskId"]))["result"] == "signed"
    assert (await http.post(url, content=body, headers=good)).json() == RECEIVED


async def test_I11_callback_bad_body(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    before = await everything(remote, task["sessionId"])
    url, headers = asked["callbackUrl"], {"content-type": "application/json"}
    for body in ("", "[]", "null", '"text"', "{", '{"callbackData": null}', '{"callbackData": {"taskId": 5}}'):
        answer = await remote.served.http.post(url, content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "callback_unverified"), body
    for more in ({"ok": "yes"}, {"ok": None}, {"result": 5}, {"usage": {"inputTokens": -1, "outputTokens": 0}}):
        answer = await remote.answer(asked, **more)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), more
    assert (await remote.answer(asked, result="x" * 300_000)).status_code == 413
    assert await everything(remote, task["sessionId"]) == before


async def test_B5_bridge_is_billed(remote: RemoteServed) -> None:
    """From the callback if it has counts, else by estimate; once, however often it calls back."""
    task, asked = await remote.asked("hello")
    for _ in range(3):
        await remote.answer(asked, result="twelve chars")
    ended = await remote.served.ended(task["taskId"])
    assert (ended["usage"]["fidelity"], ended["usage"]["outputTokens"]) == ("estimated", 4)
    assert ended["usage"]["inputTokens"] > 0
    counted = await remote.done("hello", result="x", usage=COUNTS)
    assert (counted["usage"]["fidelity"], counted["usage"]["inputTokens"], counted["usage"]["outputTokens"]) == (
        "exact", 11, 7,
    )  # fmt: skip
    assert (counted["usage"]["model"], counted["usage"]["costUsd"]) == ("claw-1", None)
    refused = await remote.done("hello", ok=False, usage=COUNTS)
    assert refused["usage"]["fidelity"] == "exact"
    stopped, _ = await remote.asked("hello")
    await remote.served.call("DELETE", f"/tasks/{stopped['taskId']}")
    report = await remote.served.get("/usage?groupBy=engine")
    assert [(item["key"], item["calls"], item["tasks"]) for item in report["items"]] == [("openclaw", 4, 4)]


async def test_T4_foreign_instance_404(remote: RemoteServed) -> None:
    routes = [
        ("GET", "/instances/{}", None),
        ("PATCH", "/instances/{}", {"name": "mine"}),
        ("DELETE", "/instances/{}", None),
        ("GET", "/instances/{}/sessions", None),
        ("GET", "/instances/{}/secret", None),
        ("POST", "/instances/{}/tasks", {"prompt": "hello"}),
    ]
    before = await remote.served.get(f"/instances/{remote.instance}")
    for headers in ({"X-Tenant-Id": "tenant-b"}, {"X-User-Id": "somebody-else"}):
        for method, path, body in routes:
            foreign = await remote.served.call(method, path.format(remote.instance), body, **headers)
            missing = await remote.served.call(method, path.format(an_id()), body, **headers)
            assert (foreign.status_code, foreign.json()["code"]) == (404, "instance_not_found")
            assert {**foreign.json(), "instance": ""} == {**missing.json(), "instance": ""}
        assert (await remote.served.call("GET", "/instances", **headers)).json() == []
        assert (await remote.served.call("GET", "/sessions", **headers)).json()["items"] == []
    assert await remote.served.get(f"/instances/{remote.instance}") == before
    assert remote.bridge.connections == 0


async def test_T4_another_owner_cannot_speak_in_a_session_with_it(remote: RemoteServed) -> None:
    task = await remote.done("hello", result="x")
    body = {"prompt": "mine now", "sessionId": task["sessionId"]}
    answer = await remote.served.call("POST", "/tasks", body, X_User_Id="somebody-else")
    assert (answer.status_code, answer.json()["code"]) == (404, "instance_not_found")


async def test_T10_instance_sessions_bounded(remote: RemoteServed) -> None:
    mine = [(await remote.post(f"p{number}"))["sessionId"] for number in range(12)]
    theirs = (await remote.served.call("POST", "/instances", {"name": "n"}, X_User_Id="other")).json()
    found = (await remote.served.call("GET", f"/instances/{remote.instance}/sessions")).json()
    assert [item["id"] for item in found] == mine[::-1]
    assert set(found[0]) == {"id", "title", "status", "createdAt", "updatedAt"}
    short = await remote.served.call("GET", f"/instances/{remote.instance}/sessions?limit=5")
    assert [item["id"] for item in short.json()] == mine[::-1][:5]
    assert (await remote.served.call("GET", f"/instances/{remote.instance}/sessions?limit=201")).status_code == 400
    empty = await remote.served.call("GET", f"/instances/{theirs['id']}/sessions", X_User_Id="other")
    assert empty.json() == []
    paged: list[str] = []
    cursor = ""
    while cursor is not None:
        page = await remote.served.get(f"/sessions?limit=5&cursor={cursor}")
        paged += [item["id"] for item in page["items"]]
        cursor = page["nextCursor"]
    assert sorted(paged) == sorted(mine)


async def test_S24_a_callback_does_not_reopen_a_session(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    await remote.served.call("DELETE", f"/sessions/{task['sessionId']}")
    assert (await remote.served.ended(task["taskId"]))["stopCode"] == "SESSION_CLOSED"
    assert (await remote.answer(asked, result="late")).json() == RECEIVED
    assert (await remote.served.get(f"/sessions/{task['sessionId']}"))["status"] == "closed"
    await remote.served.call("DELETE", f"/sessions/{task['sessionId']}?erase=true")
    assert (await remote.answer(asked, result="late")).status_code == 401


@pytest.mark.parametrize("missing", ["public_url", "instance_hosts"])
async def test_C10_bad_settings_refused(missing: str, tmp_path: Any) -> None:
    """An instance task without a public address: a problem that names the setting, and nothing is dispatched."""
    all_there = Settings(
        data_dir=tmp_path, secret_key="k", public_url="http://127.0.0.1:1", instance_hosts=("127.0.0.1",)
    )
    settings: Settings = evolve(all_there, **{missing: None})
    async with stub_bridge() as bridge:
        async with memory_runtime(settings, Place()) as runtime:
            state = next(s for s in runtime.house.engines.states() if s.name == "openclaw")
            assert not state.is_available
            assert f"AGENTCORE_{missing.upper()}" in (state.reason or "")
            with pytest.raises(Exception, match=f"AGENTCORE_{missing.upper()}") as refused:
                await on_a_node(runtime, bridge.port)
            assert getattr(refused.value, "code", "") in {"engine_unavailable", "host_not_allowed"}
            assert await runtime.store.sessions(CALLER.tenant_id, None, 10) == []
        assert bridge.connections == 0


@pytest.mark.parametrize("word", ["10.0.0.0/33", "a b", "ftp://x", "127.1", "0x7f000001", "http://x:99999", "x."])
def test_C10_a_malformed_allow_list_stops_the_start(word: str) -> None:
    with pytest.raises(SettingsError, match="AGENTCORE_INSTANCE_HOSTS"):
        load({"AGENTCORE_INSTANCE_HOSTS": f"bridge.example,{word}"})


def test_C10_all_that_bridges_need_is_set() -> None:
    settings = load(
        {"AGENTCORE_INSTANCE_HOSTS": "http://10.0.0.5:8080, b.example", "AGENTCORE_PUBLIC_URL": "https://a.b/"}
    )
    bridges = wiring.bridges(settings, SEAL)
    assert bridges is not None
    assert bridges.callback_url == "https://a.b/api/v1/agent/instances/openclaw-app-callback"
