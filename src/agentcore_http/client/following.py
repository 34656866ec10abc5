"""A session's events, read over connections that break.

Law: nothing here is sent or waited for.  What was told is remembered by its cursor only, so that what the next
connection tells goes on exactly there.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from attrs import define, field

from agentcore_http.client import calls
from agentcore_http.client.call import Call
from agentcore_http.client.errors import NO_STATUS, ApiError, not_understood
from agentcore_http.client.patience import Trying
from agentcore_http.client.values import OVER, Event, Message, event_of
from agentcore_http.wire.events import StreamReset, Text
from agentcore_http.wire.shapes import TaskAnswer

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError)


@define
class EventReader:
    """Reads server-sent events piece by piece; what is not whole when the connection breaks was not told.

    Lines end with LF or CRLF and nothing else: U+2028, which ends a line for Python, is a character of the text.
    """

    _rest: bytearray = field(factory=bytearray)
    _data: list[bytes] = field(factory=list)

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Take in what has come; yield what is whole."""
        self._rest += piece
        if b"\n" not in piece:
            return
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        for raw in lines:
            line = raw.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                body, self._data = b"\n".join(self._data), []
                try:
                    event = event_of(body)
                except MALFORMED:
                    raise not_understood() from None
                yield event


@define
class Following:
    """Where a reader is."""

    session_id: str
    cursor: str | None  #: None: before the first event.
    include_all: bool
    trying: Trying

    def call(self, idle_s: float) -> Call[None]:
        """Ask for what follows."""
        return calls.event_stream(self.session_id, self.cursor, idle_s=idle_s, include_all=self.include_all)

    def told(self, event: Event) -> None:
        """Remember that it was."""
        self.cursor = event.cursor
        if event.type != "subscribed":  # that is told by a server that cannot go on, too
            self.trying.succeeded()


@define
class Exchange:
    """A prompt and what is told of it."""

    session_id: str
    task_id: str
    was_reset: bool = False
    _said: list[str] = field(factory=list)

    def takes(self, event: Event) -> bool:
        """Tell whether *event* is of this task, or about the stream itself."""
        if event.task_id == self.task_id and isinstance(event.payload, Text):
            self._said.append(event.payload.content)
        if isinstance(event.payload, StreamReset):
            self.was_reset = True
            return True
        return event.task_id == self.task_id

    def text(self, history: list[Message]) -> str:
        """Return what was said; *history* is asked for what was told before a reset."""
        if self.was_reset:
            return "".join(m.text for m in history if m.task_id == self.task_id and m.role == "assistant")
        return "".join(self._said)


def is_over(task: TaskAnswer) -> bool:
    """Tell whether nothing more is to come of it."""
    return task.status in OVER


@define
class Export:
    """Reads what a session holds, a line each; the last says how many came before it."""

    _rest: bytearray = field(factory=bytearray)
    _count: int = 0
    _is_whole: bool = False

    def feed(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """Take in what has come; yield the lines that are whole."""
        self._rest += piece
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        for raw in lines:
            try:
                line = msgspec.json.decode(raw, type=dict[str, Any])
            except MALFORMED:
                raise not_understood() from None
            if line.get("type") == "end":
                self._is_whole = line.get("lines") == self._count
                continue
            self._count += 1
            yield line

    def check(self) -> None:
        """Raise ApiError unless it was all."""
        if not self._is_whole:
            raise ApiError(NO_STATUS, "export_cut", "The export broke off: ask for it again.")
