"""What nodes say to each other, as bytes.

Law: a message counts if it is sealed with a key of this deployment, and is of a known form; anything else is refused
whole.  An event that this release does not know, or that is too large, is a hint that the log goes so far.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from attrs import field, frozen
from msgspec import Meta

from agentcore.events import TextKind
from agentcore.follow import Entry, Head, Live
from agentcore.ids import SessionId, TaskId
from agentcore_adapters import codec

SEAL_BYTES = 16
LARGEST = 512 * 1024  # bytes of a message; NATS takes 1 MB unless it is told otherwise
LARGEST_EVENT = 64 * 1024  # a larger one is read from the log
PIECE_CHARS = 32 * 1024  # of live text, in one item
OVERHEAD = 512  # bytes of an item or a session besides its text: names of at most 256 bytes, numbers, a time
TAIL_CHARS = 96 * 1024  # at most 4 bytes each: of a longer tail its beginning is given, the log brings the rest

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Place = Annotated[int, Meta(ge=0, lt=2**53)]


class Said(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """Live text."""

    task_id: Name
    since: Place
    after: Place
    kind: TextKind
    text: str
    start: Place
    at: datetime


class Happened(msgspec.Struct, frozen=True, array_like=True, tag="h"):
    """A logged event, as the log keeps it."""

    seq: Place
    position: Place
    event: bytes
    at: datetime
    task_id: Name | None
    attempt: Place


class Goes(msgspec.Struct, frozen=True, array_like=True, tag="g"):
    """The log goes up to there."""

    seq: Place


Item = Said | Happened | Goes


class Told(msgspec.Struct, frozen=True, array_like=True, tag="told"):
    """What was said in sessions, to a node that listens to them."""

    sessions: tuple[tuple[Name, tuple[Item, ...]], ...]


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """A node has come: whoever listens to something tells it."""

    node: Name


class Listens(msgspec.Struct, frozen=True, array_like=True, tag="listens"):
    """A node listens to these sessions, for a while."""

    node: Name
    sessions: tuple[Name, ...]


class Leaves(msgspec.Struct, frozen=True, array_like=True, tag="leaves"):
    """A node listens to these no more."""

    node: Name
    sessions: tuple[Name, ...]


class Look(msgspec.Struct, frozen=True, array_like=True, tag="look"):
    """Whoever drives the session looks at it; if it waits, whoever has room."""

    tenant: Name
    session: Name
    waits: bool


class AskTail(msgspec.Struct, frozen=True, array_like=True, tag="ask"):
    """Whoever drives the session gives its tail to the node that asks."""

    node: Name
    number: Place
    tenant: Name
    session: Name


class Tail(msgspec.Struct, frozen=True, array_like=True, tag="tail"):
    """The answer to a question of that number."""

    number: Place
    said: tuple[Said, ...]


Message = Told | Hello | Listens | Leaves | Look | AskTail | Tail
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


class Refused(Exception):
    """A message that is not of our nodes, or cannot be read."""


@frozen
class Envelope:
    """Seals messages with the first of its keys, and opens those that were sealed with any."""

    keys: tuple[bytes, ...] = field(repr=False)  #: 32 bytes each, derived from the server's.

    def seal(self, message: Message) -> bytes:
        """Write a message."""
        body = _encode(message)
        return _mac(self.keys[0], body) + body

    def open(self, payload: bytes) -> Message:
        """Read a message; raises Refused."""
        proof, body = payload[:SEAL_BYTES], payload[SEAL_BYTES:]
        if not any(hmac.compare_digest(proof, _mac(key, body)) for key in self.keys):
            raise Refused("not sealed by our nodes")
        try:
            message: Message = _decode(body)
        except msgspec.DecodeError:
            raise Refused("of an unknown form") from None
        return message


def _mac(key: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, key=key, digest_size=SEAL_BYTES).digest()


def items_of(said: Entry | Live | Head) -> Iterator[Item]:
    """Write what is told; long text in several pieces."""
    match said:
        case Live():
            for begin in range(0, len(said.text), PIECE_CHARS):
                yield _said(said, begin, PIECE_CHARS)
        case Head(seq):
            yield Goes(seq)
        case Entry():
            event = msgspec.json.encode(codec.event_json(said.event))
            if len(event) > LARGEST_EVENT:
                yield Goes(said.seq)
            else:
                yield Happened(said.seq, said.position, event, said.at, said.task_id, said.attempt)


def size_of(item: Item) -> int:
    """Return how many bytes an item has at most."""
    match item:
        case Said():
            return OVERHEAD + 4 * len(item.text)
        case Happened():
            return OVERHEAD + len(item.event)
        case Goes():
            return OVERHEAD


def told_of(item: Item) -> Entry | Live | Head:
    """Read what was told."""
    match item:
        case Said():
            return live_of(item)
        case Goes(seq):
            return Head(seq)
        case Happened():
            try:
                event = codec.event(item.event)
            except Exception:  # noqa: BLE001 - of a release to come: its reader, too, finds it in the log
                return Head(item.seq)
            task_id = None if item.task_id is None else TaskId(item.task_id)
            return Entry(
                seq=item.seq, position=item.position, event=event, at=item.at, task_id=task_id, attempt=item.attempt
            )


def packed(told: Mapping[SessionId, Sequence[Entry | Live | Head]]) -> Iterator[Told]:
    """Write what is told of sessions, in as few messages as take it."""
    sessions: list[tuple[str, tuple[Item, ...]]] = []
    size = 0
    for session_id, said in told.items():
        items: list[Item] = []
        for item in (item for one in said for item in items_of(one)):
            if size + size_of(item) > LARGEST:
                yield Told((*sessions, (session_id, tuple(items))))
                sessions, items, size = [], [], 0
            items.append(item)
            size += size_of(item)
        sessions.append((session_id, tuple(items)))
        size += OVERHEAD
    yield Told(tuple(sessions))


def live_of(said: Said) -> Live:
    """Read live text."""
    return Live(
        task_id=TaskId(said.task_id),
        since=said.since,
        after=said.after,
        kind=said.kind,
        text=said.text,
        start=said.start,
        at=said.at,
    )


def beginning_of(tail: Sequence[Live]) -> tuple[Said, ...]:
    """Write as much of a tail as goes into one message."""
    given: list[Said] = []
    left = TAIL_CHARS
    for live in tail:
        if left <= 0:
            break
        given.append(_said(live, 0, left))
        left -= len(live.text)
    return tuple(given)


def _said(live: Live, begin: int, chars: int) -> Said:
    text = live.text[begin : begin + chars]
    return Said(live.task_id, live.since, live.after, live.kind, text, live.start + begin, live.at)
