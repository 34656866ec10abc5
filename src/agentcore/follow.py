"""Splicing a session's log, its live text and its tail into what one reader is shown.

Law: a follower shows every logged event once and every character once, in order, whatever it heard twice, late
or not at all.  What was shown live is not shown again when it becomes durable.  Text that was shown and is lost
(only a crash can lose it) costs one reset.

Story: ``cursor = seq.offset``: all events up to seq, and offset characters of the text that follows it, durable
by now or not.  ``position`` is where the log's text ends at seq, ``shown`` where the reader is.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import Enum, StrEnum

from attrs import define, field, frozen

from agentcore.errors import InvalidRequest
from agentcore.events import Event, TextKind, TextSaid, bounds_attempt
from agentcore.ids import TaskId
from agentcore.task import TaskRequeued

CURSOR = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?", re.ASCII)


@frozen
class Cursor:
    """Where a reader is."""

    seq: int
    offset: int = 0

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read a cursor; raises InvalidRequest if it is none."""
        match = CURSOR.fullmatch(text)
        if match is None:
            raise InvalidRequest("That is not a cursor of ours.", "after")
        return cls(int(match[1]), int(match[2] or 0))

    def __str__(self) -> str:
        """Write it as clients keep it."""
        return f"{self.seq}.{self.offset}" if self.offset else str(self.seq)


@frozen(kw_only=True)
class Entry:
    """A logged event in its place."""

    seq: int  #: Gap-free in its session, from 1.
    position: int  #: Characters said in the session up to the end of this event.
    event: Event
    at: datetime
    task_id: TaskId | None = None
    attempt: int = 0


@frozen(kw_only=True)
class Live:
    """Text told before it is durable."""

    task_id: TaskId
    since: int  #: seq of the event that began its attempt.
    after: int  #: seq of the last event its driver had logged when it was said.
    kind: TextKind
    text: str
    start: int  #: Position of its first character.
    at: datetime

    @property
    def end(self) -> int:
        """Position after its last character."""
        return self.start + len(self.text)


@frozen
class Head:
    """The log of the session goes up to *seq*: a hint for those who have not heard."""

    seq: int


@frozen
class Missed:
    """The reader's buffer ran over, and what was in it is gone."""


Heard = Entry | Live | Head | Missed


@frozen(kw_only=True)
class Page:
    """A stretch of the log, read in one snapshot."""

    entries: tuple[Entry, ...]
    head: int  #: Last seq of the log.
    position: int  #: Where the log's text ends.
    bound: int  #: seq of the last event that began or ended an attempt.
    oldest: int = 1  #: First seq that is still kept.
    is_driven: bool = False  #: Whether a task is live, so that there may be a tail.


@frozen(kw_only=True)
class Shown:
    """What a reader is shown next, and the cursor it has then."""

    cursor: Cursor
    entry: Entry | None = None  #: A logged event; of a TextSaid only ``text`` is shown.
    live: Live | None = None
    text: str = ""  #: What of the text was not shown before.


class Need(Enum):
    """What the follower lacks."""

    LOG = "log"
    TAIL = "tail"


class ResetReason(StrEnum):
    """Why a reader has to begin anew from a snapshot."""

    CURSOR_AHEAD = "cursor_ahead"
    CURSOR_EXPIRED = "cursor_expired"
    TAIL_LOST = "tail_lost"
    ATTEMPT_RESTARTED = "attempt_restarted"


@frozen
class Reset:
    """The reader must be given a snapshot, and the follower its place."""

    reason: ResetReason


Step = Shown | Need | Reset


@define
class Follower:
    """Where one reader of one session is.

    Feed it pages of the log and what is heard; it answers with what to show and what it lacks.
    """

    seq: int
    position: int
    shown: int
    since: int = field(default=0)

    @classmethod
    def at_head(cls, page: Page) -> "Follower":
        """Begin where the log ends, which is also how one begins again after a reset."""
        return cls(page.head, page.position, page.position, page.bound)

    @classmethod
    def resume(cls, cursor: Cursor, page: Page) -> "Follower | Reset":
        """Begin at *cursor*; *page* was read from its seq on (included)."""
        if cursor.seq > page.head:
            return Reset(ResetReason.CURSOR_AHEAD)
        if cursor.seq == 0 and page.oldest == 1:
            return cls(0, 0, cursor.offset)
        if not page.entries or page.entries[0].seq != cursor.seq:
            return Reset(ResetReason.CURSOR_EXPIRED)
        position = page.entries[0].position
        return cls(cursor.seq, position, position + cursor.offset)

    @property
    def cursor(self) -> Cursor:
        """Where the reader is, as it keeps it."""
        return Cursor(self.seq, self.shown - self.position if self.shown > self.position else 0)

    def read(self, page: Page) -> Iterator[Step]:
        """Take in a page of the log."""
        for entry in page.entries:
            if entry.seq > self.seq:
                if entry.seq != self.seq + 1:
                    yield Reset(ResetReason.CURSOR_EXPIRED)
                    return
                step = self._entry(entry)
                if step is not None:
                    yield step
                    if isinstance(step, Reset):
                        return
        if self.seq < page.head:
            # An empty page below the head is a hole that reaches up to it: all there was is past its retention.
            yield Need.LOG if page.entries else Reset(ResetReason.CURSOR_EXPIRED)
            return
        self.since = max(self.since, page.bound)
        if self.shown > self.position and not page.is_driven and self.seq == page.head:
            yield Reset(ResetReason.TAIL_LOST)  # nobody is left who could say it: the tail is lost, or made up

    def hear(self, heard: Heard) -> Iterable[Step]:
        """Take in what was told."""
        match heard:
            case Live():
                return self._live(heard)
            case Entry(seq=seq) if seq <= self.seq:
                return ()
            case Entry(seq=seq) if seq == self.seq + 1:
                step = self._entry(heard)
                return (step,) if step is not None else ()
            case Head(seq) if seq <= self.seq:
                return ()
            case _:
                return (Need.LOG,)

    def _entry(self, entry: Entry) -> Step | None:
        text = ""
        if isinstance(entry.event, TextSaid):
            start = entry.position - len(entry.event.text)
            text = entry.event.text[max(0, self.shown - start) :]
            self.shown = max(self.shown, entry.position)
        elif bounds_attempt(entry.event, entry.attempt):
            if entry.position < self.shown:
                return Reset(ResetReason.TAIL_LOST)
            if isinstance(entry.event, TaskRequeued) and entry.event.restart:
                return Reset(ResetReason.ATTEMPT_RESTARTED)
            self.since = entry.seq
        self.seq, self.position = entry.seq, entry.position
        if text or not isinstance(entry.event, TextSaid):
            return Shown(cursor=self.cursor, entry=entry, text=text)
        return None

    def _live(self, live: Live) -> tuple[Step, ...]:
        if live.since < self.since or live.end <= self.shown:
            return ()
        if live.since > self.since or live.after > self.seq:
            return (Need.LOG,)
        if live.start > self.shown:
            return (Need.TAIL,)
        text = live.text[self.shown - live.start :]
        self.shown = live.end
        return (Shown(cursor=self.cursor, live=live, text=text),)
