"""Hazards S: state machine and races, from outside, on both stores."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from tests.support.server import FINAL, Json, Served, text_of, until_final

from agentcore.errors import StoreUnavailable
from agentcore.task import StopCode
from agentcore.testing.making import an_id

pytestmark = pytest.mark.anyio


async def finals(served: Served, session_id: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in await served.log(session_id):
        if event["type"] in FINAL:
            found.setdefault(event["taskId"], []).append(event["type"])
    return found


async def all_at_once(number: int, work: Callable[[], Any]) -> list[Any]:
    results: list[Any] = []

    async def one() -> None:
        results.append(await work())

    async with anyio.create_task_group() as tasks:
        for _ in range(number):
            tasks.start_soon(one)
    return results


@pytest.mark.parametrize("script", ["[[words:50]] [[slow:0.01]]", "[[hang]]", "[[hang]] [[stubborn:0.1]]"])
async def test_S1_cancel_is_final(served: Served, script: str) -> None:
    task = await served.post(script)
    await served.said(task["taskId"], "")
    answer = await served.call("DELETE", f"/tasks/{task['taskId']}")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["message"] == "Task cancelled"
    await anyio.sleep(0.1)
    assert (await served.task(task["taskId"]))["status"] == "cancelled"
    log = await served.log(task["sessionId"])
    assert log[-1]["type"] == "cancelled"
    assert log[-1]["code"] == "USER_CANCEL"
    assert list((await finals(served, task["sessionId"])).values()) == [["cancelled"]]


async def test_S1_races_of_delete_with_completion(served: Served) -> None:
    async def race() -> None:
        task = await served.post("[[words:3]]")
        answer = await served.call("DELETE", f"/tasks/{task['taskId']}")
        assert answer.status_code == 200
        row = await served.ended(task["taskId"])
        (ends,) = (await finals(served, task["sessionId"])).values()
        assert ends == [{"completed": "completed", "cancelled": "cancelled"}[row["status"]]]
        assert answer.json()["status"] == row["status"]
        assert (await served.log(task["sessionId"]))[-1]["type"] in FINAL

    for _ in range(10):
        await all_at_once(10, race)


async def test_S2_session_survives_cancel(served: Served) -> None:
    task = await served.post("first [[hang]]")
    await served.said(task["taskId"], "You")
    await served.call("DELETE", f"/tasks/{task['taskId']}")
    again = await served.post("second [[say:ok]]", task["sessionId"])
    assert (again["sessionId"], again["sessionCreated"]) == (task["sessionId"], False)
    await served.ended(again["taskId"])
    texts = [message.text for message in served.engine.requests[-1].messages]
    assert texts[0] == "first [[hang]]"
    assert texts[1].endswith("\n[中断]")


@pytest.mark.parametrize("policy", ["interrupt", "enqueue", "reject"])
async def test_S3_one_live_task(served: Served, policy: str) -> None:
    first = await served.done("hello")
    session_id = first["sessionId"]

    async def post() -> Json:
        body = {"prompt": "[[words:3]]", "sessionId": session_id, "onBusy": policy}
        answer = await served.call("POST", "/tasks", body)
        found: Json = {"status_code": answer.status_code} | answer.json()
        return found

    answers = await all_at_once(50, post)
    accepted = [answer for answer in answers if answer["status_code"] == 201]
    assert {answer["code"] for answer in answers if answer["status_code"] != 201} <= {"session_busy"}
    for answer in accepted:
        await served.ended(answer["taskId"], 30)
    ends = await finals(served, session_id)
    assert all(len(found) == 1 for found in ends.values())
    assert set(ends) == {answer["taskId"] for answer in accepted} | {first["id"]}
    live: set[str] = set()
    for event in await served.log(session_id):
        if event["type"] == "task_info" and event["status"] == "running":
            live.add(event["taskId"])
        if event["type"] in FINAL:
            live.discard(event["taskId"])
        assert len(live) <= 1
    if policy == "enqueue":
        assert len(accepted) == 50
        assert all(found == ["completed"] for found in ends.values())
    last = (await served.get(f"/sessions/{session_id}/tasks"))["items"][-1]
    assert last["status"] == "completed"


async def test_S4_parallel_injects(served: Served) -> None:
    task = await served.post("[[hang]]")

    async def inject() -> tuple[int, Json]:
        answer = await served.call("POST", f"/tasks/{task['taskId']}/inject", {"message": "[[words:2]]"})
        return answer.status_code, answer.json()

    answers = await all_at_once(20, inject)
    assert {status for status, _ in answers} <= {201, 409}
    accepted = [body["taskId"] for status, body in answers if status == 201]
    assert accepted
    assert {body["code"] for status, body in answers if status == 409} <= {"task_not_live"}
    for task_id in accepted:
        await served.ended(task_id)
    assert all(len(found) == 1 for found in (await finals(served, task["sessionId"])).values())


@pytest.mark.parametrize("policy", ["interrupt", "enqueue", "reject"])
async def test_S5_waiting_task_is_live(served: Served, policy: str) -> None:
    waiting = await served.post('[[ask:rm:{"path": "x"}]]')
    await served.until(waiting["taskId"], {"awaiting_approval"})
    body = {"prompt": "next [[say:ok]]", "sessionId": waiting["sessionId"], "onBusy": policy}
    answer = await served.call("POST", "/tasks", body)
    if policy == "reject":
        assert (answer.status_code, answer.json()["liveTaskId"]) == (409, waiting["taskId"])
        return
    if policy == "enqueue":
        assert answer.json()["status"] == "queued"
        await anyio.sleep(0.1)
        assert (await served.task(answer.json()["taskId"]))["status"] == "queued"
        return
    await served.ended(answer.json()["taskId"])
    old = await served.ended(waiting["taskId"])
    assert (old["status"], old["stopCode"]) == ("cancelled", "SUPERSEDED")
    late = await served.call("POST", f"/tasks/{waiting['taskId']}/approve", {"approved": True})
    assert (late.status_code, late.json()["code"]) == (409, "approval_conflict")
    assert not [event for event in await served.log(waiting["sessionId"]) if event["type"] == "tool_use"]


@pytest.mark.parametrize(("script", "status"), [("x", "completed"), ("[[raise]]", "failed"), ("[[hang]]", "cancelled")])
async def test_S6_inject_final_task_refused(served: Served, script: str, status: str) -> None:
    old = await served.post(script)
    if status == "cancelled":
        await served.call("DELETE", f"/tasks/{old['taskId']}")
    assert (await served.ended(old["taskId"]))["status"] == status
    newer = await served.post("[[hang]]", old["sessionId"])
    before = await served.task(newer["taskId"])
    answer = await served.call("POST", f"/tasks/{old['taskId']}/inject", {"message": "too late"})
    assert (answer.status_code, answer.json()["code"]) == (409, "task_not_live")
    assert (await served.task(newer["taskId"]))["status"] == before["status"]
    assert len((await served.get(f"/sessions/{old['sessionId']}/tasks"))["items"]) == 2


async def test_S7_delete_failed_task_is_noop(served: Served) -> None:
    failed = await served.done("[[raise]]")
    newer = await served.post("[[words:20]] [[slow:0.01]]", failed["sessionId"])
    answer = await served.call("DELETE", f"/tasks/{failed['id']}")
    assert (answer.status_code, answer.json()["message"]) == (200, "Task already finished")
    assert answer.json()["status"] == "failed"
    assert (await served.ended(newer["taskId"]))["status"] == "completed"


async def test_S8_late_stop_hits_only_its_run(served: Served) -> None:
    first = await served.done("one")
    second = await served.post("[[words:20]] [[slow:0.01]]", first["sessionId"])
    for _ in range(5):
        await served.call("DELETE", f"/tasks/{first['id']}")
    assert (await served.ended(second["taskId"]))["status"] == "completed"


async def test_S9_stop_reaches_the_tasks_engine(served: Served) -> None:
    first = await served.done("hello")
    for how in ("delete", "inject", "approve"):
        script = '[[ask:rm:{"a": 1}]]' if how == "approve" else "[[hang]]"
        task = await served.post(script, first["sessionId"], engineType="other")
        await served.call("POST", "/engines/switch", {"engineType": "other"})
        await served.until(task["taskId"], {"running", "awaiting_approval"})
        if how == "delete":
            await served.said(task["taskId"], "You")
            await served.call("DELETE", f"/tasks/{task['taskId']}")
            assert served.other.runs[-1].was_stopped
        elif how == "inject":
            answer = await served.call("POST", f"/tasks/{task['taskId']}/inject", {"message": "rather [[say:ok]]"})
            successor = await served.ended(answer.json()["taskId"])
            assert successor["engineType"] == "other"
        else:
            await served.until(task["taskId"], {"awaiting_approval"})
            await served.call("POST", f"/tasks/{task['taskId']}/approve", {"approved": True})
            assert (await served.ended(task["taskId"]))["status"] == "completed"
    assert [run.request.session_id for run in served.engine.runs] == [first["sessionId"]]


async def test_S10_switch_is_per_tenant(served: Served) -> None:
    a, b = served.as_tenant("a"), served.as_tenant("b")
    running = await a.post("[[hang]]")
    assert (await a.call("POST", "/engines/switch", {"engineType": "other"})).status_code == 201
    assert (await b.done("x"))["engineType"] == "scripted"
    assert (await a.done("x"))["engineType"] == "other"
    assert (await a.task(running["taskId"]))["engineType"] == "scripted"
    assert (await a.call("POST", "/engines/switch", {"engineType": "none"})).json()["code"] == "unknown_engine"


async def test_S11_engine_ignores_stop(served: Served) -> None:
    task = await served.post("[[hang]] [[stubborn:0.6]]")
    await served.said(task["taskId"], "You")
    answer = await served.call("DELETE", f"/tasks/{task['taskId']}?wait=0.05")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
    assert (await served.task(task["taskId"]))["status"] == "cancelling"
    assert (await served.ended(task["taskId"]))["status"] == "cancelled"
    assert served.engine.runs[0].is_over


async def test_S12_slow_stop_never_overlaps(served: Served) -> None:
    first = await served.post("[[hang]] [[stubborn:0.5]]")
    await served.said(first["taskId"], "You")
    second = await served.post("next [[say:ok]]", first["sessionId"])
    assert second["status"] == "queued"
    await served.ended(second["taskId"])
    log = [event for event in await served.log(first["sessionId"]) if event.get("taskId")]
    end = next(i for i, event in enumerate(log) if event["taskId"] == first["taskId"] and event["type"] == "cancelled")
    begin = next(i for i, e in enumerate(log) if e["taskId"] == second["taskId"] and e.get("status") == "running")
    assert end < begin


async def test_S13_history_order_after_cancel(served: Served) -> None:
    first = await served.post("one [[hang]]")
    await served.said(first["taskId"], "You")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(served.call, "DELETE", f"/tasks/{first['taskId']}")
        second = await served.post("two [[say:ok]]", first["sessionId"])
    await served.ended(second["taskId"])
    messages = await served.messages(first["sessionId"])
    assert [(m["role"], m["interrupted"]) for m in messages] == [
        ("user", False),
        ("assistant", True),
        ("user", False),
        ("assistant", False),
    ]
    shown = [message.text for message in served.engine.requests[-1].messages]
    assert shown[0] == "one [[hang]]"
    assert shown[2].startswith("two")


async def test_S14_rename_and_close_survive(served: Served) -> None:
    task = await served.post("[[words:20]] [[slow:0.01]]")
    await served.said(task["taskId"], "w")
    await served.call("PATCH", f"/sessions/{task['sessionId']}", {"title": "mine"})
    await served.ended(task["taskId"])
    assert (await served.get(f"/sessions/{task['sessionId']}"))["title"] == "mine"
    running = await served.post("[[hang]]", task["sessionId"])
    assert (await served.call("DELETE", f"/sessions/{task['sessionId']}")).status_code == 200
    ended = await served.ended(running["taskId"])
    assert (ended["status"], ended["stopCode"]) == ("cancelled", "SESSION_CLOSED")
    assert (await served.get(f"/sessions/{task['sessionId']}"))["status"] == "closed"


async def test_S15_no_approval_after_completed(served: Served) -> None:
    task = await served.post("done [[late]]")
    assert (await served.ended(task["taskId"]))["status"] == "completed"
    await anyio.sleep(0.3)
    assert (await served.task(task["taskId"]))["status"] == "completed"
    assert (await served.log(task["sessionId"]))[-1]["type"] == "completed"


async def test_S16_engine_eof_fails_task(served: Served) -> None:
    task = await served.done("[[say:half an answer]] [[drop]]")
    assert (task["status"], task["error"]["code"]) == ("failed", "ENGINE_EOF")
    assert (await served.messages(task["sessionId"]))[-1]["content"][0]["text"] == "half an answer"


async def test_S17_commit_failure_at_completion(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    store, failures = served.runtime.store, 3
    commit = type(store).commit

    async def failing(self: Any, changes: Any, lease: Any = None) -> Any:
        nonlocal failures
        if lease is not None and changes.tasks and failures:
            failures -= 1
            if failures == 1:  # this one is stored, and its answer is lost
                await commit(self, changes, lease)
            raise StoreUnavailable("gone")
        return await commit(self, changes, lease)

    monkeypatch.setattr(type(store), "commit", failing)
    task = await served.done("hello")
    assert task["status"] == "completed"
    assert failures < 3
    assert list((await finals(served, task["sessionId"])).values()) == [["completed"]]
    assert [m["role"] for m in await served.messages(task["sessionId"])] == ["user", "assistant"]


async def test_S18_error_session_is_reused(served: Served) -> None:
    failed = await served.done("one [[fail:ENGINE_OVERLOADED]]")
    assert failed["error"]["code"] == "ENGINE_OVERLOADED"
    assert (await served.get(f"/sessions/{failed['sessionId']}"))["status"] == "error"
    again = await served.post("two [[say:ok]]", failed["sessionId"])
    assert again["sessionCreated"] is False
    await served.ended(again["taskId"])
    assert (await served.get(f"/sessions/{failed['sessionId']}"))["status"] == "active"
    assert len(served.engine.requests[-1].messages) == 3


async def test_S19_unknown_session_creates_and_says_so(served: Served) -> None:
    foreign = await served.as_tenant("b").done("theirs")
    before = await served.as_tenant("b").log(foreign["sessionId"])
    for session_id in (an_id(), foreign["sessionId"], "no uuid", "new", "../x"):
        answer = await served.post("mine", session_id)
        assert answer["sessionCreated"] is True
        assert answer["sessionId"] != session_id
    assert await served.as_tenant("b").log(foreign["sessionId"]) == before
    closed = await served.done("x")
    await served.call("DELETE", f"/sessions/{closed['sessionId']}")
    refused = await served.call("POST", "/tasks", {"prompt": "x", "sessionId": closed["sessionId"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "session_closed")
    assert len((await served.get(f"/sessions/{closed['sessionId']}/tasks"))["items"]) == 1


async def test_S21_submit_is_all_or_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*_: object) -> Any:
        raise StoreUnavailable("The database cannot be reached now; try again in a moment.")

    with monkeypatch.context() as broken:
        broken.setattr(type(served.runtime.store), "commit", failing)
        broken.setattr(type(served.runtime.house.leases), "submit", failing)
        answer = await served.call("POST", "/tasks", {"prompt": "x"})
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert answer.headers["Retry-After"]
    assert (await served.get("/sessions"))["items"] == []
    assert not served.engine.requests
    assert (await served.done("x"))["status"] == "completed"


async def test_S23_reject_when_stop_is_slow(served: Served) -> None:
    task = await served.post('[[stubborn:0.2]] [[ask:rm:{"path": "x"}]]')
    await served.until(task["taskId"], {"awaiting_approval"})
    answer = await served.call("POST", f"/tasks/{task['taskId']}/approve", {"approved": False})
    assert (answer.status_code, answer.json()["message"]) == (201, "Command rejected")
    ended = await served.ended(task["taskId"])
    assert (ended["status"], ended["stopCode"]) == ("cancelled", StopCode.USER_REJECT)
    again = await served.done("next [[say:ok]]", task["sessionId"])
    assert again["status"] == "completed"


async def test_S24_closed_stays_closed(served: Served) -> None:
    task = await served.post("[[hang]] [[stubborn:0.2]]")
    await served.said(task["taskId"], "You")
    await served.call("DELETE", f"/sessions/{task['sessionId']}")
    await served.call("DELETE", f"/tasks/{task['taskId']}")
    await served.ended(task["taskId"])
    assert (await served.get(f"/sessions/{task['sessionId']}"))["status"] == "closed"
    erased = await served.call("DELETE", f"/sessions/{task['sessionId']}?erase=true")
    assert erased.status_code == 200
    assert (await served.call("GET", f"/sessions/{task['sessionId']}")).status_code == 404


async def test_S25_clock_skew_is_harmless(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    clock = served.runtime.house.clock
    real = type(clock).now
    session_id: str | None = None
    for hours in (1, -1, 0):
        monkeypatch.setattr(type(clock), "now", lambda self, h=hours: real(self) + timedelta(hours=h))
        task = await served.done(f"at {hours}", session_id)
        session_id = task["sessionId"]
        assert task["status"] == "completed"
    assert session_id is not None
    log = await served.log(session_id)
    seqs = [event["seq"] for event in log]
    assert seqs == sorted(seqs)
    texts = [m["content"][0]["text"] for m in await served.messages(session_id) if m["role"] == "user"]
    assert texts == ["at 1", "at -1", "at 0"]


async def test_a_live_stream_shows_all_of_it(served: Served) -> None:
    task = await served.post("[[words:100]] [[slow:0.001]]")
    async with served.socket(task["sessionId"]) as socket:
        frames = await until_final(socket, task["taskId"])
    assert text_of(frames, task["taskId"]) == "".join(f"w{i} " for i in range(100))
