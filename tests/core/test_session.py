"""Titles and the states of a session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcore.errors import SessionClosed
from agentcore.session import TITLE_GRAPHEMES, SessionStatus, title_of
from agentcore.testing.making import a_session, now


@pytest.mark.parametrize(
    ("last", "is_kept"),
    [("👍🏽", True), ("👨‍👩‍👧‍👦", True), ("🇩🇪", True), ("é", True), ("நி", True), ("✈️", True)],
)
def test_a_grapheme_at_the_edge_is_whole(last: str, is_kept: bool) -> None:
    title = title_of("x" * (TITLE_GRAPHEMES - 1) + last + "more")
    assert title == "x" * (TITLE_GRAPHEMES - 1) + last


def test_a_title_is_one_trimmed_line() -> None:
    assert title_of("  what\n\tis  this?  ") == "what is this?"
    assert title_of("word " * 30) == ("word " * 8).strip()
    assert title_of("🇩🇪🇫🇷" * 30) == "🇩🇪🇫🇷" * 20


@given(st.text())
def test_any_text_makes_a_title(text: str) -> None:
    title = title_of(text)
    assert "\n" not in title
    assert title == title.strip()


def test_nothing_that_a_task_does_reopens_a_closed_session() -> None:
    closed = a_session().closed(now())
    for status in SessionStatus:
        assert closed.touched(now(), status).is_closed
    with pytest.raises(SessionClosed):
        closed.closed(now())


def test_an_error_gates_nothing() -> None:
    failed = a_session().touched(now(), SessionStatus.ERROR)
    assert not failed.is_closed
    assert failed.touched(now(), SessionStatus.ACTIVE).status is SessionStatus.ACTIVE


def test_what_stands_beside_a_flag_is_not_of_it() -> None:
    assert title_of("🇩" + "x" * 50) == "🇩" + "x" * (TITLE_GRAPHEMES - 1)
    assert title_of("x" * TITLE_GRAPHEMES + "🇩🇪") == "x" * TITLE_GRAPHEMES
    england = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
    assert title_of(england * 50) == england * TITLE_GRAPHEMES
