"""Real recordings, a real model and a whole server: what interrupts, and what does not."""

import resource
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx2
import pytest
from tests.support.server import Json, Served, receive, serving, until_final
from tests.support.sounds import FORMATS, NOBODY, SENTENCES, Studio, fetched, word_error_rate

from agentcore.limits import Limits
from agentcore.ports import Leases, Store
from agentcore_adapters.stt.faster_whisper import FasterWhisper
from agentcore_http.app import API

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.usefixtures("decoding")]
FEW = ("silence", "white_noise", "click", "chord", "string")


@pytest.fixture
async def heard(stores: tuple[Store, Leases], models: Path) -> AsyncIterator[Served]:
    listener = FasterWhisper(await fetched(models))
    async with serving(*stores, transcriber=listener, limits=Limits()) as served:
        try:
            yield served
        finally:
            await listener.close()


async def send(served: Served, path: str, recording: Path | bytes, name: str = "x.webm") -> httpx2.Response:
    content = recording if isinstance(recording, bytes) else recording.read_bytes()
    files = {"audio": (name, content, "audio/webm")}
    return await served.http.post(served.url + API + path, files=files, data={"language": "en"}, timeout=120)


async def test_what_is_no_speech_changes_nothing(heard: Served, sounds: Studio) -> None:
    task = await heard.post("[[say:so far]] [[hang]]")
    await heard.said(task["taskId"], "so far")
    path = f"/sessions/{task['sessionId']}/voice-message"
    speech = sounds.speech(ending="m4a")
    blip = sounds.changed(sounds.speech(), "blip", "trim", "0.3", "0.2", "pad", "1", "1")
    expected: list[tuple[Path | bytes, int, str]] = [
        *((sounds.nobody(name), 422, "speech_not_detected") for name in FEW),
        (blip, 422, "speech_not_detected"),
        (b"", 400, "audio_required"),
        (b"this is a text " * 100, 415, "unsupported_media"),
        (speech.read_bytes()[:2000], 415, "unsupported_media"),
    ]
    assert set(FEW) <= set(NOBODY)
    for recording, status, code in expected:
        response = await send(heard, path, recording)
        assert (response.status_code, response.json()["code"]) == (status, code), recording
    assert (await heard.task(task["taskId"]))["status"] == "running"
    assert [message["role"] for message in await heard.messages(task["sessionId"])] == ["user"]
    assert (await heard.get("/usage"))["total"]["audioSeconds"] == "0"
    assert len((await heard.get("/sessions"))["items"]) == 1


async def test_what_is_said_interrupts_and_is_answered(heard: Served, sounds: Studio) -> None:
    task = await heard.post("[[say:so far]] [[hang]]")
    await heard.said(task["taskId"], "so far")
    response = await send(heard, f"/sessions/{task['sessionId']}/voice-message", sounds.speech(SENTENCES[5], "webm"))
    assert response.status_code == 201, response.text
    answer: Json = response.json()
    assert word_error_rate([(SENTENCES[5], answer["transcript"])]) < 0.5  # how well it hears is told elsewhere
    old = await heard.ended(task["taskId"])
    assert (old["status"], old["stopCode"], answer["sessionCreated"]) == ("cancelled", "VOICE_INJECT", False)
    await heard.until(answer["taskId"], {"running"})  # it stands in the history from then on
    messages = await heard.messages(task["sessionId"])
    assert [(m["role"], m["content"][0]["text"]) for m in messages[1:3]] == [
        ("assistant", "so far"),
        ("user", answer["transcript"]),
    ]
    assert float((await heard.get("/usage"))["total"]["audioSeconds"]) > 1


async def test_many_recordings_at_once_keep_nobody_waiting(heard: Served, sounds: Studio) -> None:
    """Ten are heard one after the other, and another session's stream and its pings go on meanwhile."""
    recordings = [sounds.speech(SENTENCES[i % 3], ending) for i, ending in zip(range(10), [*FORMATS] * 2, strict=False)]
    texts: list[str] = []
    streamed: list[int] = []

    async def hear(recording: Path) -> None:
        response = await send(heard, "/transcribe", recording)
        assert response.status_code == 201, response.text
        texts.append(response.json()["text"])

    async def read() -> None:
        for _ in range(5):
            task = await heard.post("[[words:50]] [[slow:0.01]]")
            async with heard.socket(task["sessionId"]) as socket:
                await receive(socket)
                with anyio.fail_after(5):
                    await (await socket.ping())
                await until_final(socket, task["taskId"])
            streamed.append(len(texts))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with anyio.create_task_group() as tasks:
        for recording in recordings:
            tasks.start_soon(hear, recording)
        tasks.start_soon(read)
    assert len(texts) == len(recordings)
    assert all(texts)
    assert streamed[0] < len(recordings)  # the first stream was over before all was heard
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB: the model is in a child
