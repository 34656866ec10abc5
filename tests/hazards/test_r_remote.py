"""Hazards R, T and C of remote agents: where they live, whose they are, and that their tasks always end."""

from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.hazards.test_c_liveness import CALLER
from tests.hazards.test_r_crashes import on_a_node
from tests.support.bridge import (
    RECEIVED,
    SEAL,
    RemoteServed,
    SomeEngines,
    an_engine,
    everything,
    finals,
    stub_bridge,
)
from tests.support.server import Json, serving

from agentcore.ports import Leases, Store
from agentcore.testing.making import an_id
from agentcore_adapters.netguard import Guard, allow_list
from agentcore_http import wiring
from agentcore_http.settings import Settings, SettingsError, load
from agentcore_http.wiring import Place, memory_runtime

pytestmark = pytest.mark.anyio
Stores = tuple[Store, Leases]


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


async def test_R2_a_bridge_that_is_not_there_costs_nothing(remote: RemoteServed) -> None:
    gone = await remote.add(hostPort=1)
    task = (await remote.served.call("POST", f"/instances/{gone['id']}/tasks", {"prompt": "hello"})).json()
    ended = await remote.served.ended(task["taskId"])
    assert (ended["error"]["code"], ended["usage"]["inputTokens"]) == ("BRIDGE_ERROR", 0)


async def test_R4_lost_callback_fails(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello", deadlineSeconds=1.5)
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


@pytest.mark.parametrize("missing", ["public_url", "bridge_allow"])
async def test_C10_bad_settings_refused(missing: str, tmp_path: Any) -> None:
    """An instance task without a public address: a problem that names the setting, and nothing is dispatched."""
    all_there = Settings(
        data_dir=tmp_path, secret_key="k", public_url="http://127.0.0.1:1", bridge_allow=("127.0.0.1",)
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
    with pytest.raises(SettingsError, match="AGENTCORE_BRIDGE_ALLOW"):
        load({"AGENTCORE_BRIDGE_ALLOW": f"bridge.example,{word}"})


def test_C10_all_that_bridges_need_is_set() -> None:
    settings = load(
        {"AGENTCORE_BRIDGE_ALLOW": "http://10.0.0.5:8080, b.example", "AGENTCORE_PUBLIC_URL": "https://a.b/"}
    )
    bridges = wiring.bridges(settings, SEAL)
    assert bridges is not None
    assert bridges.callback_url == "https://a.b/api/v1/agent/instances/openclaw-app-callback"
