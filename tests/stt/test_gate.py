"""Somebody who speaks is told from all kinds of nobody."""

import wave
from array import array
from pathlib import Path

import pytest
from tests.support.sounds import NOBODY, Studio

from agentcore_adapters.stt.gate import FRAME_BYTES, NEEDED, WITHIN, Gate, silero

FRAME = array("h", [1000] * 512).tobytes()


def heard(wav: Path, piece: int = 4000) -> bool:
    gate = Gate(silero())
    with wave.open(str(wav)) as file:
        while pcm := file.readframes(piece):
            gate.hear(pcm)
    return gate.is_speech


@pytest.mark.parametrize("name", NOBODY)
def test_nobody_is_not_heard(sounds: Studio, decoding: None, name: str) -> None:
    assert not heard(sounds.nobody(name))


@pytest.mark.parametrize(("text", "voice"), [("Yes.", "en-us"), ("Stop it.", "en-us"), ("请运行测试", "zh")])
def test_somebody_is_heard_even_in_one_word(sounds: Studio, decoding: None, text: str, voice: str) -> None:
    assert heard(sounds.speech(text, voice=voice))


@pytest.mark.parametrize("volume", ["1", "0.1", "0.03", "0.01"])
def test_somebody_is_heard_loud_and_quiet(sounds: Studio, decoding: None, volume: str) -> None:
    assert heard(sounds.changed(sounds.speech(), f"at_{volume}", "vol", volume))


def test_somebody_is_heard_over_light_noise(sounds: Studio, decoding: None) -> None:
    assert heard(sounds.over_noise(sounds.speech()))


@pytest.mark.parametrize("start", ["0.3", "0.8", "1.5"])
def test_a_blip_of_speech_is_nobody(sounds: Studio, decoding: None, start: str) -> None:
    assert not heard(sounds.changed(sounds.speech(), f"blip_{start}", "trim", start, "0.2", "pad", "1", "1"))


def test_pieces_of_any_size_are_heard_alike(sounds: Studio, decoding: None) -> None:
    assert heard(sounds.speech(), piece=37)


def test_mistakes_far_apart_are_no_voice() -> None:
    said = ([1.0] + [0.0] * (WITHIN // NEEDED + 1)) * 200
    voices = iter(said)
    gate = Gate(lambda frame: next(voices))
    gate.hear(FRAME * len(said))
    assert not gate.is_speech


def test_enough_frames_near_each_other_are_a_voice_and_then_nothing_is_asked() -> None:
    asked: list[int] = []

    def detector(frame: bytes) -> float:
        asked.append(len(frame))
        return 1.0

    gate = Gate(detector)
    gate.hear(FRAME * 100)
    assert gate.is_speech
    assert asked == [FRAME_BYTES] * NEEDED


def test_the_detector_is_not_asked_about_silence() -> None:
    gate = Gate(lambda frame: pytest.fail("asked"))
    gate.hear(bytes(FRAME_BYTES * 100))
    assert not gate.is_speech
