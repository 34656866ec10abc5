"""What the chat shows of strangers' text, and how it cuts an answer into what is finished and what is not."""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import RenderableType

from agentcore_http.chat import kept, paint
from agentcore_http.chat.blocks import MOST, PARSER, Blocks
from agentcore_http.chat.safe import Pieces, exact, line, safe, strange
from agentcore_http.client import ApprovalRequired

# What terminals obey: colours, titles, links, clipboards, answers to questions, other screens, C1 forms of the same;
# and what makes a text look like another.
HOSTILE = [
    "\x1b[2J\x1b[H", "\x1b]0;owned\x07", "\x1b]8;;http://evil/\x1b\\click\x1b]8;;\x1b\\", "\x1b]52;c;cm0gLXJm\x07",
    "\x1b[6n", "\x1b[?1049h", "\x1bP+q544e\x1b\\", "\x1b_Gf=100;AAAA\x1b\\", "\x1b^x\x1b\\", "\x1bc", "\x1b(0",
    "\x9b31mred\x9c", "\x9d0;title\x9c", "\x90q\x9c", "a\rb", "\b\b\b", "\x07", "\x00", "\x7f", "\x0e\x0f", "\x0b\x0c",
    "abc\u202edcba", "\u2066x\u2069", "\u200e\u200f\u061c", "zero\u200bwidth", "\u2028\u2029\x85", "\ufeff\u00ad",
    "\U000e0041\U000e007f", "\ud800",
]  # fmt: skip
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
SHOWS: list[Callable[[str], RenderableType]] = [
    lambda text: paint.said(safe(text)),
    lambda text: paint.said(safe(f"# {text}\n\n- `{text}`\n\n[{text}](http://x/{text})\n\n```{text}\n{text}\n```\n")),
    paint.asked,
    paint.note,
    paint.thought,
    lambda text: paint.call(text, {text: [text]}),
    lambda text: paint.outcome(text, text, is_error=False),
    lambda text: paint.question(_asked(text)),
]


def _asked(text: str) -> ApprovalRequired:
    return ApprovalRequired(
        approval_id="a", tool_use_id="u", tool_name=text, input={text: text}, input_sha256=text, expires_at=text
    )


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_SEC20_no_escape_sequence_of_a_stranger_reaches_the_terminal(hostile: str) -> None:
    for shows in SHOWS:
        drawn = COLOURS.sub("", paint.drawn(shows(f"before{hostile}after"), 60))
        assert not OBEYED.search(drawn), shows
        assert "before" in drawn
    whole = Pieces()
    assert not OBEYED.search("".join(whole.feed(char) for char in hostile) + whole.rest())


@given(st.text())
def test_SEC20_whatever_is_said_is_safe_piece_by_piece(text: str) -> None:
    pieces = Pieces()
    told = "".join(pieces.feed(char) for char in text) + pieces.rest()
    assert not OBEYED.search(told)
    assert told == safe(text)
    assert "\n" not in line(text)


def test_SEC20_a_decision_is_shown_whole_and_what_looks_alike_is_named() -> None:
    given_: dict[str, object] = {
        "cmd": "rm -rf /home/\u0430dmin",
        "more": "x\u200dy\u202ez",
        "long": "\n".join("abc" * 30 for _ in range(50)),
    }
    drawn = COLOURS.sub("", paint.drawn(paint.question(_asked_for(given_)), 80))
    assert "\\u202e" in drawn
    assert "\\u200d" in drawn
    assert "U+0430 cyrillic small letter a" in drawn
    assert "f" * 64 in drawn.replace("│", "").replace(" ", "").replace("\n", "")
    assert drawn.count("abc") >= 1500 - 50  # some stand where a line ends
    assert strange({"a": "plain"}) == []
    assert exact({"b": 1, "a": 2}) == '{\n  "a": 2,\n  "b": 1\n}'


def _asked_for(given_: dict[str, object]) -> ApprovalRequired:
    return ApprovalRequired(
        approval_id="a", tool_use_id="u", tool_name="shell", input=given_, input_sha256="f" * 64, expires_at="t"
    )


def test_cards_are_folded_and_html_is_text() -> None:
    drawn = paint.drawn(paint.outcome("t", "\n".join(f"line {i}" for i in range(50)), is_error=True), 80)
    assert "line 7" in drawn
    assert "line 8" not in drawn
    assert "42 more lines" in drawn
    shown = paint.drawn(paint.said("a <script>x</script> [here](http://there/) ~~b~~"), 80)
    assert "<script>" in shown
    assert "http://there/" in shown
    assert "\x1b]" not in shown


ANSWERS = [
    ("# Title\n\nA paragraph\nof two lines.\n\n- one\n- two\n\n  more\n\n```py\na = 1\n\n\nb = 2\n```\n"
    "\n| a | b |\n|---|---|\n| 1 | 2 |\n\nend"),
    "one\n\n\n\ntwo\n===\n\n> q\n> r\n\n1. a\n2. b\n\n    code\n\n***\nlast\n",
]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_blocks_are_handed_out_once_and_whole(answer: str, size: int) -> None:
    blocks = Blocks()
    done = [blocks.feed(answer[i : i + size]) for i in range(0, len(answer), size)] + [blocks.flush()]
    assert "".join(done) == answer
    apart = "".join(MarkdownIt.render(PARSER, part) for part in done if part)
    assert apart == PARSER.render(answer)


def test_what_is_not_finished_is_bounded() -> None:
    blocks, done = Blocks(), ""
    for i in range(20_000):
        done += blocks.feed(f"line {i}\n" if i else "```py\n")
        assert len(blocks.pending) <= MOST + 100
    done += blocks.feed("```\nafter\n") + blocks.flush()
    assert done.replace("```\n```py\n", "").count("line") == 19_999
    assert all(token.type in {"fence", "paragraph_open", "paragraph_close", "inline"} for token in PARSER.parse(done))
    for _ in range(20):
        blocks.feed("x" * 1000)
        assert len(blocks.pending) <= MOST + 1000


def test_what_is_kept_is_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_state_dir", lambda name: str(tmp_path / name))
    before = os.umask(0)
    try:
        kept.remember("http://a", "1")
        kept.remember("http://b", "2")
        (tmp_path / "agentcore/chat-history").write_text("")
        (tmp_path / "agentcore/chat-history").chmod(0o644)
        kept.typed()
    finally:
        os.umask(before)
    assert (kept.last_session("http://a"), kept.last_session("http://b"), kept.last_session("c")) == ("1", "2", None)
    for path in (tmp_path / "agentcore").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "agentcore").stat().st_mode) == 0o700
    (tmp_path / "agentcore/chat-sessions.json").write_text("[1")
    assert kept.last_session("http://a") is None
