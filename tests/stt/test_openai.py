"""The transcriber ``openai`` through the real SDK, against a provider that speaks its wire."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from attrs import evolve
from tests.support.sounds import FORMATS, NOBODY, Studio

from agentcore.errors import SttUnavailable, UnsupportedMedia
from agentcore_adapters.stt import transcriber
from agentcore_adapters.stt.languages import code_of
from agentcore_adapters.stt.openai import OpenAiTranscriber
from agentcore_adapters.testing.hearing import Hearing
from agentcore_adapters.testing.provider import StubProvider

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("decoding")]


@pytest.fixture
async def listener(provider: StubProvider) -> AsyncIterator[OpenAiTranscriber]:
    made = OpenAiTranscriber("sk-secret", provider.url + "/v1", timeout_s=20.0, max_retries=0)
    yield made
    await made.close()


@pytest.mark.parametrize("ending", FORMATS)
async def test_the_provider_sees_the_recording_under_a_name_of_ours(
    listener: OpenAiTranscriber, provider: StubProvider, sounds: Studio, tmp_path: Path, ending: str
) -> None:
    theirs = tmp_path / "my secret diary.bin"
    theirs.write_bytes(sounds.speech(ending=ending).read_bytes())
    said = await listener.transcribe(theirs, "de")
    assert (said.text, said.model, said.no_speech) == ("hello there", "whisper-1", 0.01)
    assert said.seconds == pytest.approx(3.6, abs=0.3)
    (sent,) = provider.heard
    assert sent.file_name == f"recording.{ending}"
    assert sent.content == theirs.read_bytes()
    assert sent.fields == {"model": "whisper-1", "response_format": "verbose_json", "language": "de"}


async def test_a_language_is_detected_unless_one_is_named(
    listener: OpenAiTranscriber, provider: StubProvider, sounds: Studio
) -> None:
    said = await listener.transcribe(sounds.speech(), None)
    assert "language" not in provider.heard[0].fields
    assert said.language == "en"


@pytest.mark.parametrize(
    ("given", "code"),
    [("english", "en"), ("Chinese", "zh"), ("zh", "zh"), ("yue", "yue"), ("klingon", None), (None, None), ("", None)],
)
async def test_languages_have_codes(given: str | None, code: str | None) -> None:
    assert code_of(given) == code


@pytest.mark.parametrize("name", [name for name in NOBODY if name != "long_noise"])
async def test_the_provider_is_not_asked_about_nobody(
    listener: OpenAiTranscriber, provider: StubProvider, sounds: Studio, name: str
) -> None:
    said = await listener.transcribe(sounds.nobody(name), None)
    assert (said.text, said.model, said.no_speech) == ("", "", 1.0)
    assert said.seconds > 0.5 or name == "click"
    assert provider.heard == []


async def test_the_provider_is_not_asked_about_what_is_no_recording(
    listener: OpenAiTranscriber, provider: StubProvider, tmp_path: Path
) -> None:
    (tmp_path / "text.webm").write_text("I am text, whatever I am called.")
    with pytest.raises(UnsupportedMedia):
        await listener.transcribe(tmp_path / "text.webm", None)
    assert provider.heard == []


@pytest.mark.parametrize("text", ["Thank you for watching!", "you", "字幕由Amara.org社区提供"])
async def test_a_phantom_phrase_on_weak_evidence_is_nobody_and_was_asked_for(
    listener: OpenAiTranscriber, provider: StubProvider, sounds: Studio, text: str
) -> None:
    provider.hearing = Hearing(text=text, no_speech_prob=0.55)
    said = await listener.transcribe(sounds.speech(), None)
    assert (said.text, said.model) == ("", "whisper-1")
    provider.hearing = Hearing(text=text, no_speech_prob=0.02)
    assert (await listener.transcribe(sounds.speech(), None)).text == text


async def test_an_answer_without_segments_is_taken(
    listener: OpenAiTranscriber, provider: StubProvider, sounds: Studio
) -> None:
    provider.hearing = Hearing(no_speech_prob=None)
    assert (await listener.transcribe(sounds.speech(), "en")).text == "hello there"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503])
async def test_a_refusal_means_that_nobody_can_listen(
    listener: OpenAiTranscriber, provider: StubProvider, sounds: Studio, status: int
) -> None:
    provider.hearing = Hearing(status=status)
    with pytest.raises(SttUnavailable) as failed:
        await listener.transcribe(sounds.speech(), None)
    assert not {"secret", "127.0.0.1", "recording.wav"} & set(str(failed.value).replace(",", " ").split())
    assert "secret" not in str(failed.value)
    assert failed.value.__cause__ is None


async def test_an_odd_answer_is_none(listener: OpenAiTranscriber, provider: StubProvider, sounds: Studio) -> None:
    provider.hearing = Hearing(is_odd=True)
    with pytest.raises(SttUnavailable):
        await listener.transcribe(sounds.speech(), None)


async def test_a_provider_that_hangs_is_given_up(provider: StubProvider, sounds: Studio) -> None:
    provider.hearing = Hearing(hangs=True)
    listener = OpenAiTranscriber("key", provider.url + "/v1", timeout_s=0.5, max_retries=1)
    with anyio.fail_after(20), pytest.raises(SttUnavailable):
        await listener.transcribe(sounds.speech(), None)
    await listener.close()


async def test_a_provider_that_is_not_there_is_said_so(sounds: Studio) -> None:
    listener = OpenAiTranscriber("key", "http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(SttUnavailable) as failed:
        await listener.transcribe(sounds.speech(), None)
    assert "127.0.0.1" not in str(failed.value)
    await listener.close()


async def test_being_cancelled_stops_asking(provider: StubProvider, sounds: Studio) -> None:
    provider.hearing = Hearing(hangs=True)
    listener = OpenAiTranscriber("key", provider.url + "/v1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.transcribe, sounds.speech(), None)
        with anyio.fail_after(20):
            while not provider.heard:
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
    await listener.close()


async def test_the_factory_makes_it(tmp_path: Path) -> None:
    made = transcriber("openai", api_key="sk-secret", base_url="http://127.0.0.1:1/v1", model="m", data_dir=tmp_path)
    assert isinstance(made, OpenAiTranscriber)
    assert (made.name, made.model, evolve(made).base_url) == ("openai", "m", "http://127.0.0.1:1/v1")
    assert "sk-secret" not in repr(made)
