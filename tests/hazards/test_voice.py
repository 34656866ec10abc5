"""Hazards of voice: S20, T1, T7, H5, H6, I1, I9.  What is heard is the test's; real speech is in ``tests/stt``."""

import resource
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import structlog
from attrs import define, field
from tests.support.server import Json, Served, serving

from agentcore.errors import StoreUnavailable, SttUnavailable
from agentcore.ids import TaskId, TenantId
from agentcore.ports import Leases, Store
from agentcore.speech import Speech
from agentcore.testing.making import an_id
from agentcore_http.app import API

pytestmark = pytest.mark.anyio
SAID = "what was said [[say:ok]]"
Stores = tuple[Store, Leases]


@define(eq=False)
class Listener:
    """Hears what the test says, as long as it takes."""

    says: str = SAID
    seconds: float = 2.0
    fails: bool = False
    asked: list[tuple[Path, int, str | None]] = field(factory=list)
    gate: anyio.Event | None = None
    name: str = "listener"

    async def transcribe(self, recording: Path, language: str | None) -> Speech:
        self.asked.append((recording, recording.stat().st_size, language))
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise SttUnavailable("Nobody can listen now.")
        return Speech(text=self.says, language=language or "en", seconds=self.seconds, no_speech=0.1, model="w")

    async def close(self) -> None:
        """Has started nothing."""


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def voiced(stores: Stores, listener: Listener) -> AsyncIterator[Served]:
    async with serving(*stores, transcriber=listener) as served:
        yield served


async def send(served: Served, path: str, content: bytes = b"sound", **more: Any) -> httpx2.Response:
    data = {"language": more.pop("language")} if "language" in more else {}
    name = more.pop("name", "secret name.webm")
    headers = served.headers | more.pop("headers", {})
    files = {"audio": (name, content, "audio/webm")}
    return await served.http.post(served.url + API + path, files=files, data=data, headers=headers)


async def speak(served: Served, session_id: str, **more: Any) -> Json:
    response = await send(served, f"/sessions/{session_id}/voice-message", **more)
    assert response.status_code == 201, response.text
    answer: Json = response.json()
    return answer


async def all_of(served: Served, session_id: str) -> tuple[list[Json], list[Json]]:
    """Return what could change in a session; text becomes durable by itself."""
    log = [{**entry, "seq": 0, "cursor": ""} for entry in await served.log(session_id) if entry["type"] != "text"]
    return log, await served.messages(session_id)


async def test_what_is_heard_is_told(voiced: Served, listener: Listener) -> None:
    response = await send(voiced, "/transcribe", language="en")
    assert (response.status_code, response.json()) == (
        201,
        {"text": SAID, "language": "en", "durationSeconds": 2.0, "noSpeechProbability": 0.1},
    )
    listener.says = ""
    assert (await send(voiced, "/transcribe")).json()["text"] == ""


@pytest.mark.parametrize("session_id", ["new", "unknown"])
async def test_S20_voice_new_session(voiced: Served, session_id: str) -> None:
    answer = await speak(voiced, "new" if session_id == "new" else an_id())
    assert (answer["sessionCreated"], answer["transcript"]) == (True, SAID)
    task = await voiced.ended(answer["taskId"])
    assert task["status"] == "completed"
    session = await voiced.get(f"/sessions/{answer['sessionId']}")
    assert (session["voiceMode"], session["title"]) == (True, "")
    assert (await voiced.messages(answer["sessionId"]))[0]["content"][0]["text"] == SAID


@pytest.mark.parametrize("write", ["submit", "enter"])
async def test_S20_a_write_that_fails_leaves_nothing(
    voiced: Served, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    async def refuse(*_: object) -> None:
        raise StoreUnavailable("lost")

    with monkeypatch.context() as broken:
        house = voiced.runtime.house
        broken.setattr(type(house.leases if write == "submit" else house.store), write, refuse)
        response = await send(voiced, "/sessions/new/voice-message")
    assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
    assert (await voiced.get("/sessions"))["items"] == []


async def test_T1_voice_on_foreign_session(voiced: Served) -> None:
    theirs = await voiced.as_tenant("theirs").post("[[say:theirs]] [[hang]]")
    await voiced.as_tenant("theirs").said(theirs["taskId"], "theirs")
    before = await all_of(voiced.as_tenant("theirs"), theirs["sessionId"])
    answer = await speak(voiced.as_tenant("mine"), theirs["sessionId"])
    assert answer["sessionCreated"]
    assert answer["sessionId"] != theirs["sessionId"]
    assert await all_of(voiced.as_tenant("theirs"), theirs["sessionId"]) == before
    assert (await voiced.as_tenant("theirs").task(theirs["taskId"]))["status"] == "running"


async def test_T7_transcribe_is_metered(voiced: Served, listener: Listener) -> None:
    listener.seconds = 31.0
    for path in ("/transcribe", "/sessions/new/voice-message"):
        assert (await send(voiced, path)).status_code == 201
    total = (await voiced.get("/usage"))["total"]
    assert total["audioSeconds"] == "62"
    for path in ("/transcribe", "/sessions/new/voice-message"):
        refused = await send(voiced, path)
        assert (refused.status_code, refused.json()["code"]) == (429, "over_limit")
        assert int(refused.headers["retry-after"]) > 0
    assert len(listener.asked) == 2
    assert (await send(voiced.as_tenant("another"), "/transcribe")).status_code == 201
    events = (await voiced.get("/usage/events"))["items"]
    assert len([event for event in events if event["sessionId"] is None]) == 2


async def test_H5_voice_fields(voiced: Served) -> None:
    spoken = await speak(voiced, "new")
    typed = await voiced.done("typed first")
    await speak(voiced, typed["sessionId"])
    shown = {item["id"]: item for item in (await voiced.get("/sessions"))["items"]}
    assert [shown[spoken["sessionId"]][name] for name in ("voiceMode", "title")] == [True, ""]
    assert [shown[typed["sessionId"]][name] for name in ("voiceMode", "title")] == [False, "typed first"]


async def test_H6_voice_interrupts_only_on_speech(voiced: Served, listener: Listener) -> None:
    task = await voiced.post("[[say:so far]] [[hang]]", allowedTools=["a.b"])
    await voiced.said(task["taskId"], "so far")
    before = await all_of(voiced, task["sessionId"])
    path = f"/sessions/{task['sessionId']}/voice-message"
    listener.says = ""
    silent = await send(voiced, path)
    assert (silent.status_code, silent.json()["code"]) == (422, "speech_not_detected")
    listener.says, listener.fails = SAID, True
    broken = await send(voiced, path)
    assert (broken.status_code, broken.json()["code"]) == (503, "stt_unavailable")
    assert await all_of(voiced, task["sessionId"]) == before
    listener.fails, listener.gate = False, anyio.Event()
    answers: list[Json] = []

    async def slowly() -> None:
        answers.append(await speak(voiced, task["sessionId"]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slowly)
        while len(listener.asked) < 3:
            await anyio.sleep(0.01)
        assert await all_of(voiced, task["sessionId"]) == before
        assert (await voiced.task(task["taskId"]))["status"] == "running"
        listener.gate.set()
    old, new = await voiced.ended(task["taskId"]), await voiced.ended(answers[0]["taskId"])
    assert (old["status"], old["stopCode"], new["status"]) == ("cancelled", "VOICE_INJECT", "completed")
    ends = [entry for entry in await voiced.log(task["sessionId"]) if entry["type"] == "cancelled"]
    assert [(end["taskId"], end["code"], end["message"]) for end in ends] == [
        (task["taskId"], "VOICE_INJECT", "Interrupted by voice message")
    ]
    said = await voiced.messages(task["sessionId"])
    assert [(m["role"], m["content"][0]["text"], m.get("interrupted")) for m in said[1:3]] == [
        ("assistant", "so far", True),
        ("user", SAID, False),
    ]
    stored = await voiced.runtime.store.task(TenantId("default"), TaskId(answers[0]["taskId"]))
    assert stored.task.params.allowed_tools == ("a.b",)  # what follows inherits, and never widens


async def test_H6_a_task_that_ended_meanwhile_is_not_touched(voiced: Served, listener: Listener) -> None:
    task = await voiced.done("[[say:done]]")
    answer = await speak(voiced, task["sessionId"])
    assert not answer["sessionCreated"]
    await voiced.ended(answer["taskId"])
    assert not [entry for entry in await voiced.log(task["sessionId"]) if entry["type"] == "cancelled"]


async def test_what_waits_for_a_person_is_stopped_by_what_a_person_says(voiced: Served) -> None:
    task = await voiced.post("[[ask:rm:{}]] [[say:ok]]")
    await voiced.until(task["taskId"], {"awaiting_approval"})
    queued = await voiced.post("later", task["sessionId"], onBusy="enqueue")
    answer = await speak(voiced, task["sessionId"])
    assert (await voiced.ended(task["taskId"]))["stopCode"] == "VOICE_INJECT"
    spoken, later = await voiced.ended(answer["taskId"]), await voiced.ended(queued["taskId"])
    assert [spoken["status"], later["status"]] == ["completed", "completed"]
    log = await voiced.log(task["sessionId"])
    begun = [entry["taskId"] for entry in log if entry["type"] == "task_info" and entry["status"] == "running"]
    assert begun == [task["taskId"], spoken["id"], later["id"]]


async def test_a_repeated_voice_message_has_one_effect(voiced: Served, listener: Listener) -> None:
    headers = {"Idempotency-Key": "k"}
    first, again = [await speak(voiced, "new", headers=headers) for _ in range(2)]
    assert first == again
    assert len(listener.asked) == 1
    other = await send(voiced, "/sessions/new/voice-message", b"other sound", headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"files": {"audio": ("x", b"", "audio/webm")}}, 400, "audio_required"),
        ({"files": {"other": ("x", b"sound", "audio/webm")}}, 400, "audio_required"),
        ({"files": {"other": ("x", b"x" * 10_000, "audio/webm")}}, 400, "invalid_request"),
        ({"data": {"language": "en"}}, 415, "unsupported_media"),
        ({"json": {"audio": "x"}}, 400, "audio_required"),
        ({"files": [("audio", ("x", b"1", "a/b")), ("audio", ("y", b"2", "a/b"))]}, 400, "invalid_request"),
        ({"files": {"audio": ("x", b"1", "a/b")}, "data": {"language": "xx"}}, 400, "invalid_request"),
        ({"files": {"audio": ("x", b"1", "a/b")}, "data": {"language": "e" * 10_000}}, 400, "invalid_request"),
        ({"content": b"--b\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400, None),
        ({"content": b"", "headers": {"content-type": "multipart/form-data"}}, 400, "audio_required"),
    ],
)
async def test_I1_a_form_that_is_none_is_refused(
    voiced: Served, listener: Listener, body: dict[str, Any], status: int, code: str | None
) -> None:
    response = await voiced.http.post(voiced.url + API + "/transcribe", **body)
    assert response.status_code == status, response.text
    assert code is None or response.json()["code"] == code
    assert listener.asked == []


@pytest.mark.parametrize("declares", [True, False])
async def test_I1_upload_limits(voiced: Served, listener: Listener, declares: bool) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="x"\r\n\r\n'

    async def long() -> AsyncIterator[bytes]:
        yield head
        for _ in range(400):
            yield b"x" * (1 << 20)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    if declares:
        headers["content-length"] = str(len(head) + (400 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    response = await voiced.http.post(voiced.url + API + "/transcribe", content=long(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB, for both sides
    assert listener.asked == []


async def test_I9_language_and_name(voiced: Served, listener: Listener) -> None:
    for language, heard in (("", None), ("zh", "zh"), ("EN", "en")):
        assert (await send(voiced, "/transcribe", language=language)).status_code == 201
        assert listener.asked[-1][2] == heard
    assert (await send(voiced, "/transcribe")).status_code == 201
    assert listener.asked[-1][2] is None
    refused = await send(voiced, "/transcribe", language="xx-bad")
    assert (refused.status_code, refused.json()["field"]) == (400, "language")
    assert not any("secret" in str(path) or path.exists() for path, _, _ in listener.asked)


async def test_a_client_that_goes_away_while_it_sends_is_no_error_of_ours(voiced: Served, listener: Listener) -> None:
    port = int(voiced.url.rsplit(":", 1)[1])
    head = (
        f"POST {API}/transcribe HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="audio"; filename="x"\r\n\r\nsound'
    )
    with structlog.testing.capture_logs() as logged:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(head.encode())
            await anyio.sleep(0.2)
        assert (await send(voiced, "/transcribe")).status_code == 201
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
    assert len(listener.asked) == 1


async def test_nobody_listens_unless_it_is_set(served: Served) -> None:
    response = await send(served, "/transcribe")
    assert (response.status_code, response.json()["code"]) == (503, "stt_unavailable")
