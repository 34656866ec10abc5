"""The WebSocket is attacked from its AsyncAPI document: the right frames, wrong in one place, and everything else.

Law: whatever a client sends, its frames are answered or its connection is closed with a code of the document; nothing
of anybody else's is touched, no work of the server fails, and the next client is served.
"""

import json
import os
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
import structlog
from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import field, frozen
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from websockets import State
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConcurrencyError, ConnectionClosed, InvalidStatus

from agentcore.limits import Limits
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore
from agentcore_http.app import API
from agentcore_http.described import asyncapi
from agentcore_http.wire import commands
from tests.fuzz.mutation import ODD
from tests.support.server import Json, Served, serving, text_of

EXAMPLES = int(os.environ.get("AGENTCORE_FUZZ_EXAMPLES", "4")) * 75
MESSAGES = asyncapi.document()["components"]["messages"]
CHECKS = {name: Draft202012Validator(schema) for name, schema in asyncapi.frame_schemas().items()}
#: Besides those of the document: what RFC 6455 says to frames that are none (7.4.1), and no close frame at all.
CLOSES = {*asyncapi.CLOSES, 1000, 1002, 1003, 1005, 1006, 1007, 1009}
WITHIN_S = 20.0
BOUNDLESS = Limits(max_running=10**6, max_queued=10**6, requests_per_minute=None, max_sockets=None, user_sockets=None)
MASK = b"\0\0\0\0"


# --------------------------------------------------------------------------------------------------- what is sent
@frozen
class Text:
    """A text frame, as it is."""

    text: str


@frozen
class Pieces:
    """A text frame in fragments."""

    texts: tuple[str, ...]


@frozen
class Binary:
    """A binary frame."""

    data: bytes


@frozen
class NoText:
    """A text frame whose bytes are not UTF-8."""

    data: bytes


@frozen
class Wire:
    """Bytes where a frame should be."""

    data: bytes


@frozen
class Ping:
    """A ping of the protocol."""

    data: bytes


@frozen
class Close:
    """A close frame, or none at all."""

    code: int | None


@frozen
class Deep:
    """A ping whose id is nested that deeply."""

    levels: int

    @property
    def text(self) -> str:
        return '{"type":"ping","id":' + "[" * self.levels + "]" * self.levels + "}"


@frozen
class Huge:
    """A prompt with an id of that many characters."""

    chars: int

    @property
    def text(self) -> str:
        return json.dumps({"type": "prompt", "id": "x" * self.chars, "prompt": ""})


Move = Deep | Huge | Text | Pieces | Binary | NoText | Wire | Ping | Close

NOBODYS = "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34"
ids = st.sampled_from(["LIVE", "LIVE", "LIVE", "THEIRS", "THEIRS", "MINE", NOBODYS, "new", "", "x" * 5000])
odd = st.sampled_from(ODD) | st.text(max_size=20) | st.integers() | st.floats(allow_nan=False) | ids
values = st.recursive(
    odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
prompts = st.sampled_from(
    ["[[say:x]]", "[[words:30]]", "[[hang]]", "[[raise]]", "[[ask:rm:{}]]", "[[tool:t:{}]]", "\0", " "]
)


@st.composite
def frames(draw: st.DrawFn) -> Json:
    """Draw a frame of the document, with a few members changed, left out, or added."""
    kind = draw(st.sampled_from(sorted(commands.KINDS)))
    frame: Json = dict(MESSAGES[f"client.{kind}"]["examples"][0]["payload"])
    if kind == "prompt":
        frame["prompt"] = draw(prompts)
    if "taskId" in frame:
        frame["taskId"] = draw(ids)
    known = sorted(asyncapi.document()["components"]["schemas"][commands.KINDS[kind].__name__]["properties"])
    for name in draw(st.lists(st.sampled_from([*known, "extra", ""]), max_size=3)):
        if draw(st.booleans()):
            frame[name] = draw(values)
        else:
            frame.pop(name, None)
    return frame


texts = frames().map(json.dumps)
plain = st.text(max_size=50) | st.sampled_from(
    ["", "null", "[]", "1", "{", '{"type":"ping"', "NaN", '{"type":["ping"]}']
)
all_texts = st.one_of(texts, texts, texts, plain)
# FIN and opcode, then length: reserved bits, reserved opcodes, no mask, a length that lies, a frame that never ends.
wires = st.sampled_from(
    [
        b"\xc1\x80" + MASK, b"\x83\x80" + MASK, b"\x81\x05hello", b"\x81\xfe\xff\xff" + MASK + b"x",
        b"\x81\xff" + struct.pack("!Q", 2**62) + MASK, b"\x80\x80" + MASK, b"\x09\x80" + MASK,
        b"\x88\x81" + MASK + b"x",
        b"\x89\xfe\x00\x80" + MASK + bytes(128), b"GET / HTTP/1.1\r\n\r\n", b"\x81",
    ]
) | st.binary(min_size=1, max_size=40)  # fmt: skip
moves: st.SearchStrategy[Move] = st.one_of(
    all_texts.map(Text),
    all_texts.map(Text),
    all_texts.map(Text),
    texts.map(Text),
    texts.map(Text),
    texts.map(Text),
    st.integers(10, 20_000).map(Deep),
    st.integers(1000, 400_000).map(Huge),
    st.lists(st.text(max_size=10), min_size=1, max_size=5).map(lambda words: Pieces(tuple(words))),
    texts.map(lambda text: Pieces(tuple(text[i : i + 7] for i in range(0, len(text), 7)))),
    st.binary(max_size=60).map(Binary),
    st.sampled_from([b"\xff", b"\xed\xa0\x80", b'{"type":"ping","id":"\xc0\xaf"}']).map(NoText),
    wires.map(Wire),
    st.binary(max_size=125).map(Ping),
    st.sampled_from([None, 1000, 1001, 3000, 4404]).map(Close),
)
cursors = st.sampled_from(
    [
        *[None, "latest"] * 15, "", "0", "1", "LATEST", "-1", "999999", "999999999999999999", "9" * 19,
        "1.5", "2.999999999",
        "1.",
        "٣", "\uff11", "1e3", "0x1", " 1", "1%0a", "null", "x" * 1000, "1" * 5000, "%00", "%ff", "' OR 1=1",
    ]
)  # fmt: skip
sessions = st.sampled_from([*["MINE"] * 8, "THEIRS", NOBODYS, "x"])
includes = st.sampled_from([None, None, "all", "none", ""])


# -------------------------------------------------------------------------------------------------- who is attacked
@frozen
class Ground:
    """A server in a thread of its own, and somebody on it whom nothing of this concerns."""

    served: Served
    mine: str  #: Session of the attacker.
    theirs: str  #: Session of the other tenant.
    task: str  #: The other tenant's task, which hangs.
    logged: list[Any]
    reached: Counter[Any] = field(factory=Counter)  #: Frames by type, and ends by code.
    marks: tuple[str, ...] = ()  #: What no frame may hold.
    has_ticket: bool = False  #: The attacker comes with a ticket, and not with headers.

    async def proof(self) -> Json:
        """Return what the attacker opens a socket with."""
        if not self.has_ticket:
            return {"additional_headers": self.served.headers}
        ticket = (await self.served.call("POST", "/stream-tickets")).json()["ticket"]
        return {"subprotocols": ["agentcore", f"agentcore.ticket.{ticket}"]}

    async def bystander(self) -> Json:
        """Return all that there is of the other tenant."""
        other = self.served.as_tenant("bystander")
        log = await other.log(self.theirs)
        said = text_of(log)  # live or durable by now, which is no matter of the attacker's
        return {
            "log": [frame for frame in log if frame["type"] != "text"],
            "said": said,
            "task": await other.task(self.task),
            "sessions": await other.get("/sessions"),
        }


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    clock = SystemClock()
    store = MemoryStore(clock)
    # What is attacked here is what it says, and not how much: tasks that never end must not use up the limits.
    async with serving(store, MemoryLeases(store.state, clock), limits=BOUNDLESS) as served:
        other = served.as_tenant("bystander")
        task = await other.post("[[say:mine]] [[hang]]")
        await other.said(task["taskId"], "mine")
        own = await served.post("[[say:x]]")
        await served.ended(own["taskId"])
        with structlog.testing.capture_logs() as logged:
            yield Ground(served, own["sessionId"], task["sessionId"], task["taskId"], logged)


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as found:
        yield found


@pytest.fixture(scope="module")
def attacked(portal: BlockingPortal) -> Iterator[Ground]:
    with portal.wrap_async_context_manager(ground()) as found:
        yield found


# --------------------------------------------------------------------------------------------------------- the attack
async def perform(socket: ClientConnection, move: Move) -> None:
    match move:
        case Text(text):
            await socket.send(text)
        case Deep() | Huge():
            await socket.send(move.text)
        case Pieces(texts):
            await socket.send(list(texts))
        case Binary(data):
            await socket.send(data)
        case NoText(data):
            raw(socket, frame_of(data))
        case Wire(data):
            raw(socket, data)
        case Ping(data):
            await socket.ping(data)
        case Close(code) if code is not None:
            await socket.close(code)
        case Close():
            socket.transport.abort()


def raw(socket: ClientConnection, data: bytes) -> None:
    if socket.state is State.OPEN:
        socket.transport.write(data)


def frame_of(data: bytes) -> bytes:
    return b"\x81" + bytes([0x80 | len(data)]) + MASK + data


async def listen(socket: ClientConnection, reached: Counter[Any], marks: Iterable[str] = ()) -> int | None:
    """Read until the mark that was sent last is answered, or until the end; return the code of the close."""
    try:
        with anyio.fail_after(WITHIN_S):
            while True:
                text = str(await socket.recv())
                assert not any(mark in text for mark in marks), text
                frame = json.loads(text)
                CHECKS[frame["type"]].validate(frame)
                reached[frame["type"]] += 1
                reached["accepted"] += frame.get("status") in {"queued", "running", "cancelled", "cancelling"}
                if frame["type"] == "problem":
                    assert frame["status"] < 500, frame
                if frame.get("id") == "the mark":
                    return None
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006


async def attack(ground: Ground, script: list[Move], query: str, session: str) -> int | None:
    """Play a script on a socket; return the code that the server closed it with, or None."""
    own = await ground.served.post("[[hang]]")  # a session for each script: what others have said in it takes time
    known = {"MINE": own["sessionId"], "THEIRS": ground.theirs}
    aims = {"MINE": own["sessionId"], "THEIRS": ground.task, "LIVE": own["taskId"]}
    address = f"{ground.served.url.replace('http', 'ws')}{API}/sessions/{known.get(session, session)}/stream?{query}"
    proof = await ground.proof()
    try:
        async with connect(address, max_size=None, close_timeout=1, open_timeout=WITHIN_S, **proof) as socket:
            await play(socket, [aimed(move, aims) for move in script])
            # Bytes of our own may have begun a frame that takes in all the rest: then nobody owes us an answer.
            with anyio.move_on_after(0.3 if any(isinstance(move, Wire) for move in script) else WITHIN_S + 1):
                return await listen(socket, ground.reached, ground.marks)
            socket.transport.abort()
            return None
    except InvalidStatus as error:
        refused = error
    assert refused.response.status_code < 500
    return None


async def play(socket: ClientConnection, script: Iterable[Move]) -> None:
    """Make the moves, and then the mark."""
    with suppress(ConnectionClosed):  # the end may come in the middle of it
        for move in script:
            with suppress(ConcurrencyError, UnicodeError):  # our own side sends no ping twice, no half surrogate
                await perform(socket, move)
        await socket.send('{"type":"ping","id":"the mark"}')


def aimed(move: Move, aims: dict[str, str]) -> Move:
    """Put the ids of this run where the script names them."""
    match move:
        case Text(text):
            for word, found in aims.items():
                text = text.replace(word, found)
            return Text(text)
        case _:
            return move


HOSTILE = Text('{"type":"cancel","id":1,"taskId":"THEIRS"}'), Text('{"type":"inject","taskId":"THEIRS","message":"x"}')
FLOOR = {"ack": 30, "problem": 40, "accepted": 10, 1002: 2, 1007: 1, 4400: 5, 4404: 5}


@pytest.mark.slow
def test_whatever_a_client_sends_is_answered(portal: BlockingPortal, attacked: Ground) -> None:
    # Scripts are short, and one that hangs would be made shorter for ever: they are shown as they were found.
    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, phases=(Phase.explicit, Phase.generate))
    @example(script=list(HOSTILE), cursor=None, include=None, session="MINE")
    @example(script=[Deep(1200), Deep(100_000), Huge(2_000_000)], cursor="latest", include="all", session="MINE")
    @given(script=st.lists(moves, min_size=1, max_size=8), cursor=cursors, include=includes, session=sessions)
    def answered(script: list[Move], cursor: str | None, include: str | None, session: str) -> None:
        before = portal.call(attacked.bystander)
        asked = {"after": cursor, "include": include}
        query = "&".join(f"{name}={value}" for name, value in asked.items() if value is not None)
        code = portal.call(attack, attacked, script, query, session)
        attacked.reached[code] += 1
        echoed = {move.code for move in script if isinstance(move, Close)}  # a close is answered with its own code
        assert code is None or code in CLOSES | echoed, code
        assert session == "MINE" or code in {None, 1002, 1006, 1007, 4400, 4404} | echoed
        assert portal.call(attacked.bystander) == before
        assert attacked.served.runtime.house.counts.failed == 0
        assert not [line for line in attacked.logged if line["event"] in {"work.failed", "request.failed"}]

    answered()
    assert all(attacked.reached[what] >= floor for what, floor in FLOOR.items()), attacked.reached


@pytest.mark.slow
@pytest.mark.parametrize("many", [90, 1000])
def test_many_frames_at_once_are_answered_in_order(portal: BlockingPortal, attacked: Ground, many: int) -> None:
    """As many as a client may send at once are all answered; of more, the first, and then the socket is closed."""

    async def flood() -> list[object]:
        address = f"{attacked.served.url.replace('http', 'ws')}{API}/sessions/{attacked.mine}/stream?after=latest"
        heard: list[object] = []
        async with connect(address, max_size=None) as socket:
            with anyio.fail_after(WITHIN_S), suppress(ConnectionClosed):
                for number in range(many):
                    await socket.send(json.dumps({"type": "ping", "id": number}))
                while len(heard) < many:
                    frame = json.loads(await socket.recv())
                    heard += [frame["id"]] if frame["type"] == "ack" else []
        closed.append(socket.close_code)
        return heard

    closed: list[int | None] = []
    heard = portal.call(flood)
    assert heard == list(range(len(heard)))
    assert (len(heard), closed) == (90, [1000]) if many == 90 else (len(heard) >= 90 and closed == [1008])


CURSORS = {
    "-1": 4400, "9" * 19: 4400, "1" * 65: 4400, "\u0663": 4400, "1.": 4400,
    "999999": "stream_reset", "2.900000": "stream_reset",
}  # fmt: skip


@pytest.mark.parametrize("cursor", CURSORS)
def test_SEC11_a_cursor_is_refused_or_one_reset(portal: BlockingPortal, attacked: Ground, cursor: str) -> None:
    async def read() -> object:
        resets = 0
        address = f"{attacked.served.url.replace('http', 'ws')}{API}/sessions/{attacked.mine}/stream?after={cursor}"
        try:
            async with connect(address, max_size=None) as socket:
                with anyio.fail_after(WITHIN_S):
                    await socket.send('{"type":"ping","id":1}')
                    while True:
                        frame = json.loads(await socket.recv())
                        assert frame.get("sessionId", attacked.mine) == attacked.mine
                        resets += frame["type"] == "stream_reset"
                        if resets and frame["type"] in {"ack", "heartbeat"}:
                            assert resets == 1
                            return "stream_reset"
                        if frame["type"] == "ack" and not resets:
                            await socket.send('{"type":"ping","id":2}')
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None

    assert portal.call(read) == CURSORS[cursor]


def test_SEC11_a_megabyte_of_cursor_is_refused_before_it_is_read(portal: BlockingPortal, attacked: Ground) -> None:
    async def ask() -> bytes:
        host, port = attacked.served.url.removeprefix("http://").split(":")
        heard = b""
        async with await anyio.connect_tcp(host, int(port)) as stream:
            with anyio.fail_after(WITHIN_S), suppress(anyio.BrokenResourceError):
                await stream.send(f"GET {API}/sessions/{attacked.mine}/events?after=".encode())
                for _ in range(16):
                    await stream.send(b"1" * 65536)
                await stream.send(f" HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                async for chunk in stream:
                    heard += chunk
        return heard

    assert not portal.call(ask).startswith((b"HTTP/1.1 2", b"HTTP/1.1 5"))
    assert portal.call(attacked.served.done, "[[say:still here]]")["result"] == "still here"
