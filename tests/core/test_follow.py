"""One reader of one session, whatever it heard twice, late or not at all."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcore.errors import InvalidRequest
from agentcore.events import Event, OAuthPrompted, TextKind, TextSaid
from agentcore.follow import Cursor, Entry, Follower, Head, Live, Missed, Need, Page, Reset, ResetReason, Shown, Step
from agentcore.ids import TaskId
from agentcore.task import ErrorCode, StopCode, TaskCancelled, TaskFailed, TaskStarted
from agentcore.testing.making import now

AT = now()
TASK = TaskId("t")
STRANGER = OAuthPrompted(provider="p", url="u")
LOST = TaskFailed(code=ErrorCode.NODE_LOST, message="lost")


class Log:
    """A session's log as its driver writes it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.position = self.bound = self.since = self.after = 0
        self.tail = ""
        self.is_driven = False
        self.text = ""  # all that was ever told

    def append(self, event: Event, attempt: int = 1) -> Entry:
        if isinstance(event, TextSaid):
            self.position += len(event.text)
        entry = Entry(
            seq=len(self.entries) + 1, position=self.position, event=event, at=AT, task_id=TASK, attempt=attempt
        )
        self.entries.append(entry)
        return entry

    def start(self) -> Entry:
        entry = self.append(TaskStarted(1))
        self.bound = self.since = self.after = entry.seq
        self.is_driven = True
        return entry

    def say(self, text: str) -> Live:
        start = self.position + len(self.tail)
        self.tail += text
        return Live(task_id=TASK, since=self.since, after=self.after, kind=TextKind.TEXT, text=text, start=start, at=AT)

    def whole_tail(self) -> tuple[Live, ...]:
        tail, self.tail = self.tail, ""
        return (self.say(tail),) if tail else ()

    def checkpoint(self) -> list[Entry]:
        if not self.tail:
            return []
        entry = self.append(TextSaid(kind=TextKind.TEXT, text=self.tail))
        self.tail, self.after = "", entry.seq
        return [entry]

    def end(self, *, crashed: bool) -> list[Entry]:
        entries = [] if crashed else self.checkpoint()
        self.tail, self.is_driven = "", False
        entries.append(self.append(LOST))
        self.bound = entries[-1].seq
        return entries

    def page(self, since: int, limit: int = 3) -> Page:
        entries = tuple(self.entries[max(0, since - 1) :][:limit])
        return Page(
            entries=entries, head=len(self.entries), position=self.position, bound=self.bound, is_driven=self.is_driven
        )


class Reader:
    """What a client keeps: its last cursor, and what it has put together since its last reset."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.follower = Follower(0, 0, 0)
        self.text, self.events = "", list[Event]()
        self.base_position = self.base_seq = 0
        self.cursor = Cursor(0)
        self.resets: list[ResetReason] = []

    def take(self, steps: Iterable[Step]) -> set[Need]:
        needs: set[Need] = set()
        for step in steps:
            match step:
                case Shown(cursor=cursor, entry=entry, live=live, text=text):
                    self.cursor = cursor
                    self.text += text
                    if live is None and entry is not None and not isinstance(entry.event, TextSaid):
                        self.events.append(entry.event)
                case Reset(reason):
                    self.resets.append(reason)
                    self.begin_anew()
                case Need():
                    needs.add(step)
        return needs

    def begin_anew(self) -> None:
        self.follower = Follower.at_head(self.log.page(len(self.log.entries) + 1))
        self.cursor = self.follower.cursor
        self.text, self.events = "", []
        self.base_position, self.base_seq = self.log.position, len(self.log.entries)

    def hear(self, item: Entry | Live | Head | Missed) -> None:
        if self.take(self.follower.hear(item)):
            self.catch_up()
            self.take(self.follower.hear(item))

    def catch_up(self) -> None:
        while Need.LOG in self.take(self.follower.read(self.log.page(self.follower.seq + 1))):
            pass
        for live in self.log.whole_tail():
            self.take(self.follower.hear(live))

    def reconnect(self) -> None:
        found = Follower.resume(self.cursor, self.log.page(self.cursor.seq))
        if isinstance(found, Reset):
            self.take([found])
        else:
            self.follower = found
        self.catch_up()

    def check(self) -> None:
        self.catch_up()
        said = "".join(e.event.text for e in self.log.entries if isinstance(e.event, TextSaid)) + self.log.tail
        assert self.text == said[self.base_position :]
        expected = [e.event for e in self.log.entries[self.base_seq :] if not isinstance(e.event, TextSaid)]
        assert self.events == expected


steps = st.lists(
    st.tuples(
        st.sampled_from(["say", "say", "say", "checkpoint", "stranger", "cut", "end", "crash", "head", "miss"]),
        st.text("ab🙂", min_size=1, max_size=4),
        st.sampled_from(["heard", "heard", "lost", "twice"]),
    ),
    max_size=40,
)


@given(steps)
def test_what_a_reader_puts_together_is_the_log(program: list[tuple[str, str, str]]) -> None:
    log = Log()
    reader = Reader(log)
    has_crashed = False
    reader.hear(log.start())
    for what, text, fate in program:
        told: list[Entry | Live | Head | Missed] = []
        match what:
            case "say" if log.is_driven:
                told = [log.say(text)]
            case "checkpoint":
                told = [*log.checkpoint()]
            case "stranger":
                told = [log.append(STRANGER)]
            case "end" | "crash" if log.is_driven:
                has_crashed = has_crashed or what == "crash"
                told = [*log.end(crashed=what == "crash"), log.start()]
            case "cut":
                reader.reconnect()
            case "head":
                told = [Head(len(log.entries))]
            case "miss":
                told = [Missed()]
        for item in told * {"heard": 1, "lost": 0, "twice": 2}[fate]:
            reader.hear(item)
    reader.check()
    assert has_crashed or not reader.resets
    assert set(reader.resets) <= {ResetReason.TAIL_LOST}


def test_the_worked_example_of_a_cut_in_the_middle() -> None:
    log = Log()
    log.append(STRANGER)
    log.start()
    live = [log.say("Hel"), log.say("lo wo")]
    stays = Reader(log)
    stays.catch_up()
    assert stays.cursor == Cursor(2, 8)
    heard: list[Entry | Live] = [*live, *log.checkpoint()]
    for item in heard:
        stays.hear(item)
    assert stays.cursor == Cursor(2, 8)
    told = []
    for text in ("rld, ", "how"):
        stays.hear(log.say(text))
        told.append(str(stays.cursor))
    assert told == ["3.5", "3.8"]
    stays.hear(log.append(STRANGER))  # from elsewhere, while text is open: the offset stays
    assert stays.cursor == Cursor(4, 8)
    stays.hear(log.say(" are you"))
    assert stays.cursor == Cursor(4, 16)
    stays.hear(log.checkpoint()[0])
    comes_back = Reader(log)
    comes_back.cursor = Cursor(3, 5)
    comes_back.reconnect()
    assert comes_back.text == "how are you"
    log.end(crashed=True)
    for cursor, is_reset in ((Cursor(4, 16), False), (Cursor(3, 8), False), (Cursor(5, 8), True)):
        reader = Reader(log)
        reader.cursor = cursor
        reader.reconnect()
        assert bool(reader.resets) is is_reset


def test_a_cursor_ahead_of_the_log_is_one_reset() -> None:
    log = Log()
    log.start()
    reader = Reader(log)
    reader.cursor = Cursor(99, 3)
    reader.reconnect()
    assert reader.resets == [ResetReason.CURSOR_AHEAD]


def test_an_offset_that_was_made_up_is_one_reset_when_nobody_speaks() -> None:
    log = Log()
    log.append(STRANGER)
    reader = Reader(log)
    reader.cursor = Cursor(1, 500)
    reader.reconnect()
    assert reader.resets == [ResetReason.TAIL_LOST]


def test_a_task_that_ends_in_the_queue_says_nothing_about_another_ones_tail() -> None:
    log = Log()
    reader = Reader(log)
    reader.hear(log.start())
    reader.hear(log.say("talking"))
    reader.hear(log.append(TaskCancelled(code=StopCode.SUPERSEDED, message="x"), attempt=0))
    reader.check()
    assert not reader.resets


def test_text_of_an_attempt_that_is_over_is_dropped() -> None:
    log = Log()
    reader = Reader(log)
    reader.hear(log.start())
    late = log.say("zombie")
    for entry in [*log.end(crashed=True), log.start()]:
        reader.hear(entry)
    reader.hear(late)
    reader.check()


@pytest.mark.parametrize("text", ["", "-1", "1.", ".5", "1.1.1", "x", "9" * 19, "1.1234567890", "١", "1 ", "1\n"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Cursor.parse(text)


@given(st.integers(0, 10**17), st.integers(0, 10**8))
def test_cursors_are_read_as_they_are_written(seq: int, offset: int) -> None:
    assert Cursor.parse(str(Cursor(seq, offset))) == Cursor(seq, offset)
