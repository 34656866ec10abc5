"""A real model on this machine, and what its child may do to us."""

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.support.sounds import FORMATS, SENTENCES, Studio, fetched, word_error_rate, words

from agentcore.errors import SttUnavailable
from agentcore.speech import Speech
from agentcore_adapters.stt import faster_whisper, transcriber
from agentcore_adapters.stt.decode import Decoded, decoded
from agentcore_adapters.stt.faster_whisper import FasterWhisper

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("decoding")]


@pytest.fixture
async def weights(models: Path) -> Path:
    """Where the weights are, as a folder of data."""
    return await fetched(models)


@pytest.fixture
async def listener(weights: Path) -> AsyncIterator[FasterWhisper]:
    made = FasterWhisper(weights)
    yield made
    await made.close()


def pid_of(listener: FasterWhisper) -> int:
    assert listener._worker is not None
    return listener._worker.child.pid


@pytest.mark.slow
@pytest.mark.parametrize("ending", FORMATS)
async def test_sentences_are_understood_in_each_format(listener: FasterWhisper, sounds: Studio, ending: str) -> None:
    pairs = []
    for sentence in SENTENCES[::2]:
        said = await listener.transcribe(sounds.speech(sentence, ending), "en")
        assert said.model == "whisper-base"
        assert said.no_speech < 0.3
        pairs.append((sentence, said.text))
    assert word_error_rate(pairs) < 0.1, pairs


@pytest.mark.slow
async def test_the_language_is_detected(listener: FasterWhisper, sounds: Studio) -> None:
    said = await listener.transcribe(sounds.speech("Buenos días, quiero saber qué tiempo hace hoy.", voice="es"), None)
    assert said.language == "es"
    assert "tiempo" in said.text.lower()


@pytest.mark.slow
async def test_nobody_costs_nothing(listener: FasterWhisper, sounds: Studio) -> None:
    said = await listener.transcribe(sounds.nobody("pink_noise"), None)
    assert (said.text, said.model, said.no_speech) == ("", "", 1.0)
    assert listener._worker is None


@pytest.mark.slow
async def test_several_at_once_get_their_own_answers_and_the_loop_is_free(
    listener: FasterWhisper, sounds: Studio
) -> None:
    await listener.start()
    found: dict[str, Speech] = {}
    longest = 0.0

    async def hear(sentence: str) -> None:
        found[sentence] = await listener.transcribe(sounds.speech(sentence), "en")

    recordings = SENTENCES[:5]
    for sentence in recordings:
        sounds.speech(sentence)
    async with anyio.create_task_group() as tasks:
        for sentence in recordings:
            tasks.start_soon(hear, sentence)
        while len(found) < len(recordings):
            before = time.monotonic()
            await anyio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)
    assert word_error_rate([(sentence, said.text) for sentence, said in found.items()]) < 0.1
    assert longest < 1.0


@pytest.mark.slow
async def test_a_child_that_dies_fails_one_recording_and_the_next_is_heard(
    listener: FasterWhisper, sounds: Studio
) -> None:
    await listener.start()
    first = pid_of(listener)
    os.kill(first, signal.SIGSTOP)  # so that it is hearing when it dies
    failures: list[SttUnavailable] = []

    async def hear() -> None:
        try:
            await listener.transcribe(sounds.speech(), "en")
        except SttUnavailable as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hear)
        while listener._worker is None or listener._worker.owes is None:
            await anyio.sleep(0.01)
        os.kill(first, signal.SIGKILL)
    assert len(failures) == 1
    said = await listener.transcribe(sounds.speech(), "en")
    assert "tests" in words(said.text) or "test" in words(said.text)
    assert pid_of(listener) != first


@pytest.mark.slow
async def test_a_child_that_died_between_two_recordings_is_not_noticed(listener: FasterWhisper, sounds: Studio) -> None:
    await listener.start()
    first = pid_of(listener)
    os.kill(first, signal.SIGKILL)
    assert listener._worker is not None
    await listener._worker.child.wait()
    assert (await listener.transcribe(sounds.speech(), "en")).text


@pytest.mark.slow
async def test_the_answer_to_somebody_who_has_gone_goes_to_nobody(listener: FasterWhisper, sounds: Studio) -> None:
    await listener.start()
    first = pid_of(listener)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.transcribe, sounds.speech(SENTENCES[1]), "en")
        while listener._worker is None or listener._worker.owes is None:
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert listener._worker is not None
    assert listener._worker.owes is not None
    said = await listener.transcribe(sounds.speech(SENTENCES[2]), "en")
    assert word_error_rate([(SENTENCES[2], said.text)]) < 0.2
    assert pid_of(listener) == first


@pytest.mark.slow
async def test_a_recording_that_takes_too_long_ends_the_child(weights: Path, sounds: Studio) -> None:
    listener = FasterWhisper(weights, patience_s=-3.0)
    await listener.start()
    os.kill(pid_of(listener), signal.SIGSTOP)
    with anyio.fail_after(30), pytest.raises(SttUnavailable, match="took too long"):
        await listener.transcribe(sounds.speech(), "en")
    assert listener._worker is None
    await listener.close()


@pytest.mark.slow
async def test_a_queue_that_is_full_says_so(weights: Path, sounds: Studio) -> None:
    listener = FasterWhisper(weights, waiting_most=0)
    await listener.start()
    child = pid_of(listener)
    os.kill(child, signal.SIGSTOP)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.transcribe, sounds.speech(), "en")
        while listener._worker is None or listener._worker.owes is None:
            await anyio.sleep(0.01)
        with pytest.raises(SttUnavailable, match="Too many"):
            await listener.transcribe(sounds.speech(), "en")
        tasks.cancel_scope.cancel()
    await listener.close()


@pytest.mark.slow
async def test_closing_ends_the_child_and_nothing_starts_again(listener: FasterWhisper, sounds: Studio) -> None:
    await listener.start()
    child = pid_of(listener)
    await listener.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    with pytest.raises(SttUnavailable):
        await listener.transcribe(sounds.speech(), "en")


@pytest.mark.slow
async def test_who_is_being_heard_when_it_closes_is_told(listener: FasterWhisper, sounds: Studio) -> None:
    await listener.start()
    os.kill(pid_of(listener), signal.SIGSTOP)
    told: list[SttUnavailable] = []

    async def hear() -> None:
        try:
            await listener.transcribe(sounds.speech(), "en")
        except SttUnavailable as error:
            told.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hear)
        tasks.start_soon(hear)
        while listener._worker is None or listener._worker.owes is None:
            await anyio.sleep(0.01)
        with anyio.fail_after(10):
            await listener.close()
    assert len(told) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["silence", "quiet_noise", "rough_sweep", "pink_noise"])
async def test_the_model_behind_the_gate_hears_nobody_either(
    listener: FasterWhisper, sounds: Studio, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    @asynccontextmanager
    async def open_gate(recording: Path, **more: Any) -> AsyncIterator[Decoded]:
        async with decoded(recording) as found:
            yield evolve(found, is_speech=True)

    monkeypatch.setattr(faster_whisper, "decoded", open_gate)
    said = await listener.transcribe(sounds.nobody(name), None)
    assert (said.text, said.model) == ("", "whisper-base")


async def test_a_folder_without_a_model_is_said_so_without_its_path(tmp_path: Path, sounds: Studio) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.bin").write_bytes(b"nothing")
    listener = FasterWhisper(tmp_path, str(tmp_path / "broken"))
    with anyio.fail_after(60), pytest.raises(SttUnavailable) as failed:
        await listener.transcribe(sounds.speech(), "en")
    assert str(tmp_path) not in str(failed.value)
    assert listener.model_name == "broken"
    await listener.close()


async def test_weights_that_cannot_be_fetched_are_said_so(
    tmp_path: Path, sounds: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(data_dir: Path, *, say: object) -> Path:
        raise SttUnavailable("The speech model could not be fetched (it was not there); name the folder of one.")

    monkeypatch.setattr(faster_whisper, "fetch_whisper", unreachable)
    listener = transcriber("faster_whisper", data_dir=tmp_path)
    with pytest.raises(SttUnavailable, match="fetched"):
        await listener.transcribe(sounds.speech(), "en")
    await listener.close()
