"""What Whisper invents on silence is not what somebody has said."""

import pytest

from agentcore_adapters.stt.phantoms import spoken

PHANTOMS = [
    "Thank you for watching",
    "Thanks for watching!",
    " Subtitles by the Amara.org community",
    "you",
    "字幕由Amara.org社区提供",
    "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
    "请不吝点赞、订阅、转发、打赏支持明镜与点点栏目。",
    "ご視聴ありがとうございました。",
    "MBC 뉴스 이덕영입니다.",
]


@pytest.mark.parametrize("text", PHANTOMS)
@pytest.mark.parametrize(("no_speech", "logprob"), [(0.5, -0.3), (0.05, -0.9), (None, None)])
def test_a_phantom_phrase_on_weak_evidence_is_nobody(text: str, no_speech: float | None, logprob: float | None) -> None:
    assert spoken(text, no_speech, logprob) == ""


@pytest.mark.parametrize("text", PHANTOMS)
def test_such_a_phrase_on_good_evidence_was_said(text: str) -> None:
    assert spoken(text, 0.02, -0.2) == text.strip()


@pytest.mark.parametrize(
    "text", ["Thank you for watching the build; now run it.", "you should run the tests", "run it"]
)
def test_only_a_whole_transcript_is_compared(text: str) -> None:
    assert spoken(text, 0.5, -0.8) == text


@pytest.mark.parametrize(("no_speech", "logprob"), [(0.7, -1.2), (0.7, None), (0.95, -0.2)])
def test_on_doubt_nobody_has_spoken(no_speech: float, logprob: float | None) -> None:
    assert spoken("run the tests", no_speech, logprob) == ""


@pytest.mark.parametrize("text", ["", "  ", "...", "♪ ♪", "…!?"])
def test_signs_alone_are_nothing(text: str) -> None:
    assert spoken(text, 0.0, 0.0) == ""
