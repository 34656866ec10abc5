"""Hazards E: events and delivery, over all three transports."""

import random

import anyio
import httpx2
import msgspec
import pytest
from tests.support.server import FINAL, Json, Served, receive, text_of, until_final
from websockets.exceptions import ConnectionClosed

from agentcore.testing.scripted import CANARY
from agentcore_http.app import API

pytestmark = pytest.mark.anyio
LONG = "[[words:400]] [[slow:0.002]]"
WHOLE = "".join(f"w{i} " for i in range(400))


async def read_socket(served: Served, session_id: str, after: str | None, frames: int) -> list[Json]:
    found: list[Json] = []
    async with served.socket(session_id, after) as socket:
        while len(found) < frames and not (found and found[-1]["type"] in FINAL):
            found.append(await receive(socket))
    return found


async def read_sse(served: Served, session_id: str, after: str | None, frames: int) -> list[Json]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
    found: list[Json] = []
    async with served.http.stream("GET", f"{served.url}{API}/sessions/{session_id}/events", headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found.append(msgspec.json.decode(line[6:]))
            if len(found) == frames or (found and found[-1]["type"] in FINAL):
                break
    return found


async def read_poll(served: Served, session_id: str, after: str | None, frames: int) -> list[Json]:
    page = await served.get(f"/sessions/{session_id}/events?wait=2&limit={frames}&after={after or ''}")
    found: list[Json] = page["items"]
    assert not found or found[-1]["cursor"] == page["nextCursor"]
    return found


@pytest.mark.parametrize("read", [read_socket, read_sse, read_poll])
async def test_E1_a_stream_cut_fifty_times_is_whole(served: Served, read: object) -> None:
    assert callable(read)
    dice = random.Random(7)
    task = await served.post(LONG)
    text, cursor, cuts, is_over = "", None, 0, False
    with anyio.fail_after(30):
        while not is_over:
            for frame in await read(served, task["sessionId"], cursor, dice.randint(2, 9)):
                assert frame["type"] != "stream_reset"
                cursor = frame["cursor"]
                text += frame["content"] if frame["type"] == "text" else ""
                if frame["type"] in FINAL:
                    is_over = True
                    break
            cuts += 1
    assert cuts > 10
    assert text == WHOLE
    assert (await served.messages(task["sessionId"]))[-1]["content"] == [{"type": "text", "text": WHOLE}]


async def test_E1_late_subscriber_misses_nothing(served: Served) -> None:
    task = await served.post(LONG)
    await anyio.sleep(0.3)
    async with served.socket(task["sessionId"]) as socket:
        frames = await until_final(socket, task["taskId"])
    assert text_of(frames) == WHOLE
    assert frames[0]["type"] == "subscribed"
    assert [frame["type"] for frame in frames[1:5]] == ["session_info", "task_info", "task_info", "user_message"]
    assert text_of(await served.log(task["sessionId"])) == WHOLE


async def test_E2_every_frame_names_its_task(served: Served) -> None:
    task = await served.post("[[words:20]] [[slow:0.005]]")
    async with served.socket(task["sessionId"]) as socket:
        answer = await served.call("POST", f"/tasks/{task['taskId']}/inject", {"message": "[[say:other]]"})
        frames = await until_final(socket, answer.json()["taskId"])
    for frame in frames:
        assert {"type", "cursor", "sessionId", "ts"} <= set(frame)
        if frame["type"] in {"text", "task_info", "usage", "user_message"} | FINAL:
            assert frame["taskId"] in {task["taskId"], answer.json()["taskId"]}
    assert text_of(frames, answer.json()["taskId"]) == "other"


async def test_E3_completed_means_readable(served: Served) -> None:
    for _ in range(20):
        task = await served.post("[[say:hi]]")
        async with served.socket(task["sessionId"]) as socket:
            await until_final(socket, task["taskId"])
        view = await served.task(task["taskId"])
        assert (view["status"], view["usage"]["inputTokens"]) == ("completed", 23)
        assert [m["role"] for m in await served.messages(task["sessionId"])] == ["user", "assistant"]


async def test_E4_implicit_interrupt_is_told(served: Served) -> None:
    first = await served.post("[[hang]]")
    second = await served.post("[[say:ok]]", first["sessionId"])
    async with served.socket(first["sessionId"]) as socket:
        frames = await until_final(socket, second["taskId"])
    cancelled = [frame for frame in frames if frame["type"] == "cancelled"]
    assert [(frame["taskId"], frame["code"]) for frame in cancelled] == [(first["taskId"], "SUPERSEDED")]
    running = next(f for f in frames if f.get("taskId") == second["taskId"] and f.get("status") == "running")
    assert frames.index(cancelled[0]) < frames.index(running)


async def test_E5_nothing_after_terminal(served: Served) -> None:
    task = await served.post("[[words:300]] [[slow:0.002]] [[stubborn:0.2]]")
    async with served.socket(task["sessionId"]) as socket:
        await served.call("DELETE", f"/tasks/{task['taskId']}")
        await until_final(socket, task["taskId"])
        with anyio.move_on_after(0.3):
            frame = await receive(socket)
            assert frame["type"] == "heartbeat"


async def test_E6_second_terminal_dropped(served: Served) -> None:
    task = await served.done("[[say:half]] [[err_mid]] [[late]]")
    assert task["error"]["code"] == "ENGINE_OVERLOADED"
    await anyio.sleep(0.2)
    assert [e["type"] for e in await served.log(task["sessionId"]) if e["type"] in FINAL] == ["error"]


async def test_E8_slow_reader_is_bounded(served: Served) -> None:
    task = await served.post("[[words:30000]]")
    async with served.socket(task["sessionId"]) as socket:
        await served.ended(task["taskId"], 30)
        frames = await until_final(socket, task["taskId"])
    assert text_of(frames) == "".join(f"w{i} " for i in range(30000))


async def test_E9_voice_filter_per_subscriber(served: Served) -> None:
    task = await served.post('[[think]] [[tool:t:{"a": 1}]] [[say:spoken]]', voiceMode=True)
    await served.ended(task["taskId"])
    hidden = {"thinking", "tool_use", "tool_result"}
    assert not hidden & {event["type"] for event in await served.log(task["sessionId"])}
    everything = await served.log(task["sessionId"], "&include=all")
    assert hidden <= {event["type"] for event in everything}
    assert [event["seq"] for event in everything] == list(range(1, len(everything) + 1))
    async with served.socket(task["sessionId"]) as socket:
        assert text_of(await until_final(socket, task["taskId"])) == "spoken"


async def test_E10_no_internals_in_errors(served: Served) -> None:
    task = await served.done("[[raise]]")
    shown = str(task) + str(await served.log(task["sessionId"])) + str(await served.messages(task["sessionId"]))
    assert task["error"]["code"] == "EXECUTION_ERROR"
    assert CANARY not in shown


async def test_E11_state_is_readable(served: Served) -> None:
    task = await served.post('[[think]] [[tool:t:{"a": 1}]] [[say:the answer]]')
    async with served.socket(task["sessionId"]) as socket:
        frames = await until_final(socket, task["taskId"])
    parts = [part for message in await served.messages(task["sessionId"]) for part in message["content"]]
    assert "".join(part["text"] for part in parts[1:] if part["type"] == "text") == text_of(frames)
    assert [part["type"] for part in parts] == ["text", "thinking", "tool_use", "tool_result", "text"]
    assert (await served.get(f"/sessions/{task['sessionId']}/tasks"))["items"][0]["id"] == task["taskId"]


async def test_a_cursor_from_elsewhere_is_one_reset_or_a_refusal(served: Served) -> None:
    task = await served.done("[[say:x]]")
    async with served.socket(task["sessionId"], "99999.3") as socket:
        assert [(await receive(socket))["type"] for _ in range(2)] == ["subscribed", "stream_reset"]
    bad = await served.call("GET", f"/sessions/{task['sessionId']}/events?after=nonsense")
    assert (bad.status_code, bad.json()["field"]) == (400, "after")
    for session_id, code in (("00000000-0000-0000-0000-000000000000", 4404), ("nonsense", 4404)):
        async with served.socket(session_id) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await receive(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


async def test_commands_over_the_socket_are_answered(served: Served) -> None:
    first = await served.done("[[say:x]]")
    async with served.socket(first["sessionId"], "latest") as socket:
        for frame in (
            {"type": "ping", "id": "1"},
            {"type": "prompt", "id": "2", "prompt": "[[hang]]"},
            {"type": "cancel", "id": "3", "taskId": first["id"]},
            {"type": "nonsense", "id": "4"},
            {"type": "approve", "id": "5", "taskId": first["id"], "approved": "false"},
        ):
            await socket.send(msgspec.json.encode(frame).decode())
        await socket.send("{")
        answers: dict[object, Json] = {}
        with anyio.fail_after(10):
            while len(answers) < 6:
                frame_ = await receive(socket)
                if frame_["type"] in {"ack", "problem"}:
                    answers[frame_["id"]] = frame_
    assert [answers[str(i)]["type"] for i in (1, 2, 3)] == ["ack"] * 3
    assert {answers[i]["status"] for i in ("4", "5", None)} == {400}


async def test_a_foreign_page_and_a_foreign_name_are_refused(served: Served) -> None:
    body = {"prompt": "x"}
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await served.http.post(f"{served.url}{API}/tasks", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")
    form = await served.http.post(f"{served.url}{API}/tasks", content="{}", headers={"Content-Type": "text/plain"})
    assert form.status_code == 415
    assert (await served.get("/sessions"))["items"] == []
    assert isinstance(form, httpx2.Response)
