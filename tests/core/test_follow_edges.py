"""One reader of one session: each thing that a follower looks at, alone."""

import pytest

from agentcore.events import Event, OAuthPrompted, TextKind, TextSaid
from agentcore.follow import Cursor, Entry, Follower, Head, Heard, Live, Missed, Need, Page, Reset, ResetReason, Shown
from agentcore.ids import TaskId
from agentcore.task import ErrorCode, TaskFailed, TaskRequeued, TaskStarted
from agentcore.testing.making import now

AT, TASK = now(), TaskId("t")
STRANGER = OAuthPrompted(provider="p", url="u")
LOST = TaskFailed(code=ErrorCode.NODE_LOST, message="lost")
EXPIRED, TAIL_LOST = Reset(ResetReason.CURSOR_EXPIRED), Reset(ResetReason.TAIL_LOST)


def an_entry(seq: int, event: Event = STRANGER, position: int = 5) -> Entry:
    return Entry(seq=seq, position=position, event=event, at=AT, task_id=TASK, attempt=1)


def a_page(*entries: Entry, head: int = 3, position: int = 5, oldest: int = 1, is_driven: bool = True) -> Page:
    return Page(entries=entries, head=head, position=position, bound=1, oldest=oldest, is_driven=is_driven)


def a_live(text: str, start: int, since: int = 1, after: int = 3) -> Live:
    return Live(task_id=TASK, since=since, after=after, kind=TextKind.TEXT, text=text, start=start, at=AT)


def a_follower(shown: int = 5) -> Follower:
    return Follower(seq=3, position=5, shown=shown, since=1)


def texts(steps: object) -> list[object]:
    assert isinstance(steps, tuple | list)
    return [step.text if isinstance(step, Shown) else step for step in steps]


def test_a_cursor_is_written_as_it_is_read() -> None:
    assert [str(Cursor(5)), str(Cursor(5, 3))] == ["5", "5.3"]
    assert [Cursor.parse("5"), Cursor.parse("5.3")] == [Cursor(5), Cursor(5, 3)]


@pytest.mark.parametrize(
    ("cursor", "page", "reason"),
    [
        (Cursor(4), a_page(), ResetReason.CURSOR_AHEAD),
        (Cursor(2), a_page(), ResetReason.CURSOR_EXPIRED),
        (Cursor(2), a_page(an_entry(3)), ResetReason.CURSOR_EXPIRED),
        (Cursor(0), a_page(an_entry(2), oldest=2), ResetReason.CURSOR_EXPIRED),
    ],
)
def test_a_cursor_that_the_log_does_not_know_is_reset(cursor: Cursor, page: Page, reason: ResetReason) -> None:
    assert Follower.resume(cursor, page) == Reset(reason)


def test_a_reader_begins_at_the_beginning_or_where_it_was() -> None:
    assert Follower.resume(Cursor(0), a_page(an_entry(1))) == Follower(0, 0, 0)
    assert Follower.resume(Cursor(3, 2), a_page(an_entry(3))) == Follower(3, 5, 7)
    assert Follower.at_head(a_page()) == Follower(3, 5, 5, 1)


def test_a_hole_in_the_log_is_no_stretch_of_it() -> None:
    assert list(a_follower().read(a_page(an_entry(5), head=5))) == [EXPIRED]


def test_what_was_read_is_not_read_again_and_what_lacks_is_asked_for() -> None:
    follower = a_follower()
    steps = list(follower.read(a_page(an_entry(2), an_entry(3), an_entry(4), head=6)))
    assert [getattr(step, "entry", step) for step in steps] == [an_entry(4), Need.LOG]
    assert list(follower.read(a_page(head=4))) == []


def test_a_reset_is_the_last_word_of_a_page() -> None:
    page = a_page(an_entry(4, LOST), an_entry(5), head=5)
    assert list(a_follower(shown=7).read(page)) == [TAIL_LOST]
    (step, *_) = a_follower().read(page)
    assert isinstance(step, Shown)


@pytest.mark.parametrize(
    ("shown", "is_driven", "head", "steps"),
    [(7, False, 3, [TAIL_LOST]), (7, True, 3, []), (5, False, 3, []), (7, False, 4, [EXPIRED]), (7, False, 2, [])],
)
def test_a_tail_that_nobody_can_say_is_lost(shown: int, is_driven: bool, head: int, steps: list[object]) -> None:
    assert list(a_follower(shown).read(a_page(head=head, is_driven=is_driven))) == steps


@pytest.mark.parametrize(
    ("heard", "steps"),
    [
        (an_entry(3), []),
        (an_entry(5), [Need.LOG]),
        (Head(3), []),
        (Head(4), [Need.LOG]),
        (Missed(), [Need.LOG]),
        (a_live("xy", 5), ["xy"]),
        (a_live("xy", 4), ["y"]),
        (a_live("xy", 3), []),
        (a_live("xy", 6), [Need.TAIL]),
        (a_live("xy", 5, since=0), []),
        (a_live("xy", 5, since=2), [Need.LOG]),
        (a_live("xy", 5, after=4), [Need.LOG]),
    ],
)
def test_what_is_heard_is_shown_once_or_asked_for(heard: Heard, steps: list[object]) -> None:
    assert texts(tuple(a_follower().hear(heard))) == steps


def test_of_stored_text_only_what_was_not_shown_is_shown() -> None:
    said = an_entry(4, TextSaid(kind=TextKind.TEXT, text="abc"), position=8)
    for shown, steps in ((5, ["abc"]), (7, ["c"]), (8, [])):
        follower = a_follower(shown)
        assert texts(tuple(follower.hear(said))) == steps
        assert (follower.seq, follower.position, follower.shown) == (4, 8, 8)


def test_an_attempt_that_begins_anew_resets_and_one_that_goes_on_does_not() -> None:
    assert list(a_follower().hear(an_entry(4, TaskRequeued(restart=True)))) == [Reset(ResetReason.ATTEMPT_RESTARTED)]
    for event in (TaskRequeued(), TaskStarted(1), LOST):
        follower = a_follower()
        assert texts(tuple(follower.hear(an_entry(4, event)))) == [""]
        assert follower.since == 4
        assert list(a_follower(shown=6).hear(an_entry(4, event))) == [TAIL_LOST]
    follower = a_follower(shown=6)
    assert texts(tuple(follower.hear(an_entry(4)))) == [""]  # a stranger's event bounds nothing
    assert (follower.since, follower.cursor) == (1, Cursor(4, 1))
