"""What a client reads.

Law: the wire's own Structs, and what is not known here is no error: a newer server may say more.  Unknown fields are
passed over, an event of an unknown type is an ``Other``, a part of an unknown type an ``OtherPart``.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from agentcore_http.wire import events as wire
from agentcore_http.wire.parts import PartAnswer, TextAnswer
from agentcore_http.wire.shapes import TaskAnswer

FINAL = frozenset({"completed", "error", "cancelled"})  #: Types of the events that are the last of their task.
OVER = frozenset({"completed", "failed", "cancelled"})  #: Statuses of a task that is over.
ENVELOPE = frozenset({"type", "cursor", "seq", "sessionId", "taskId", "ts"})
T = TypeVar("T")


class OtherPart(Struct, frozen=True):
    """A part of a message, of a type that is not known here."""

    type: str
    fields: dict[str, Any]


Part = PartAnswer | OtherPart


class Message(Struct, frozen=True, rename="camel", kw_only=True):
    """A message of the history."""

    id: str
    seq: int
    role: str
    content: list[Part]
    interrupted: bool
    task_id: str
    created_at: str

    @property
    def text(self) -> str:
        """What was said in it."""
        return "".join(part.text for part in self.content if isinstance(part, TextAnswer))


class UserMessage(Struct, frozen=True, kw_only=True):
    """A prompt has entered the history."""

    message_id: str
    content: list[Part]


class Other(Struct, frozen=True):
    """An event of a type that is not known here, or that is not as it was."""

    fields: dict[str, Any]


Payload = wire.Logged | wire.Control | UserMessage | Other


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened in a session; ``match event.payload`` says what."""

    type: str
    cursor: str  #: Where to go on after it.
    session_id: str
    task_id: str | None
    ts: str
    seq: int | None  #: Of what is durable, without gaps.
    payload: Payload

    @property
    def is_final(self) -> bool:
        """Whether it is the last of its task."""
        return self.type in FINAL


class Page(Struct, frozen=True):
    """A part of a list."""

    items: list[Any]
    next_cursor: str | None


class Result(Struct, frozen=True, kw_only=True):
    """What became of a prompt."""

    text: str  #: All that was said, also if it was stopped.
    task: TaskAnswer

    @property
    def is_completed(self) -> bool:
        """Whether it was answered to the end."""
        return self.task.status == "completed"


class _Envelope(Struct, rename="camel"):
    type: str
    cursor: str
    session_id: str
    ts: str
    seq: int | UnsetType = UNSET
    task_id: str | UnsetType = UNSET


class _Message(Struct, rename="camel", kw_only=True):
    id: str
    seq: int
    role: str
    content: list[msgspec.Raw]
    interrupted: bool
    task_id: str
    created_at: str


class _Messages(Struct, rename="camel"):
    items: list[_Message]
    next_cursor: str | None


class _UserMessage(Struct, rename="camel"):
    message_id: str
    content: list[msgspec.Raw]


_envelopes = msgspec.json.Decoder(_Envelope)
_payloads: msgspec.json.Decoder[wire.Logged | wire.Control] = msgspec.json.Decoder(wire.Logged | wire.Control)
_parts: msgspec.json.Decoder[PartAnswer] = msgspec.json.Decoder(PartAnswer)


def event_of(body: bytes) -> Event:
    """Read an event; raises msgspec.DecodeError if it has no envelope."""
    around = _envelopes.decode(body)
    return Event(
        type=around.type,
        cursor=around.cursor,
        session_id=around.session_id,
        task_id=None if around.task_id is UNSET else around.task_id,
        ts=around.ts,
        seq=None if around.seq is UNSET else around.seq,
        payload=_payload(around.type, body),
    )


def _payload(kind: str, body: bytes) -> Payload:
    try:
        if kind == "user_message":
            prompt = msgspec.json.decode(body, type=_UserMessage)
            return UserMessage(message_id=prompt.message_id, content=[part_of(part) for part in prompt.content])
        return _payloads.decode(body)
    except msgspec.ValidationError:
        return Other(_fields(body, ENVELOPE))


def part_of(body: msgspec.Raw) -> Part:
    """Read a part of a message."""
    try:
        return _parts.decode(body)
    except msgspec.ValidationError:
        fields = msgspec.json.decode(body, type=dict[str, Any])
        return OtherPart(str(fields.get("type", "")), _fields(body, frozenset({"type"})))


def messages_of(body: bytes) -> Page:
    """Read a page of messages."""
    page = msgspec.json.decode(body, type=_Messages)
    return Page([_message(message) for message in page.items], page.next_cursor)


def _message(told: _Message) -> Message:
    return Message(
        id=told.id,
        seq=told.seq,
        role=told.role,
        content=[part_of(part) for part in told.content],
        interrupted=told.interrupted,
        task_id=told.task_id,
        created_at=told.created_at,
    )


def _fields(body: bytes | msgspec.Raw, without: frozenset[str]) -> dict[str, Any]:
    fields = msgspec.json.decode(body, type=dict[str, Any])
    return {name: value for name, value in fields.items() if name not in without}
