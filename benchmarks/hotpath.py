"""The way of one delta through the server, stage by stage, in nanoseconds: seconds to run, no server, no database.

    python -m benchmarks.hotpath [--wire anthropic] [--deltas 20000]

Each stage is timed apart, over the code that serves, and the best of a few rounds counts.  Ratios are to what the
machine needs for ``json.loads`` of the same chunk, so that they can be compared between machines and days.
"""

import argparse
import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import anyio
import httpx2
import uvloop
from attrs import define, frozen
from benchmarks.stub import WIRES
from litestar import WebSocket
from litestar.types import Message
from websockets.protocol import SERVER, Protocol

from agentcore.engine import EngineRequest
from agentcore.events import EngineEvent, TextDelta, TextKind
from agentcore.feed import Feed, Frame
from agentcore.follow import Follower, Live
from agentcore.house import House
from agentcore.ids import SessionId, TaskId
from agentcore.reading import Reading
from agentcore.receive import receive
from agentcore.testing.making import NODE, a_talk, now
from agentcore.testing.scripted import ScriptedEngine, ScriptedEngines
from agentcore.turn import Turn
from agentcore.usage import Usage
from agentcore_adapters.ears import Ears
from agentcore_adapters.engines import claude_api, openai
from agentcore_adapters.engines.providers import events
from agentcore_adapters.engines.wanted import Names
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore
from agentcore_http.routes.events import _sse
from agentcore_http.wire.frames import Encoder
from agentcore_http.ws import Connection

ROUNDS = 5
TEXT = "abcdefghijklmno abcdefghijklmno "
SLICE = 100  # deltas of one attempt in the stages that keep something of each


@frozen
class Stage:
    """One stage and what it took."""

    name: str
    ns: float  #: For each delta.


@define
class Bytes(httpx2.AsyncByteStream):
    """A body that comes in chunks, as a provider sends it."""

    chunks: Sequence[bytes]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield them."""
        for chunk in self.chunks:
            yield chunk


@define
class Pieces:
    """What the decoder reads."""

    pieces: Sequence[bytes]

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Yield them."""
        for piece in self.pieces:
            yield piece


async def best(name: str, n: int, work: Callable[[], Awaitable[object]]) -> Stage:
    """Time *work*, which handles *n* deltas."""
    taken: list[int] = []
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        await work()
        taken.append(time.perf_counter_ns() - began)
    return Stage(name, min(taken) / n)


def plain(work: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    """Make something to be awaited of a plain function."""

    async def run() -> object:
        return work()

    return run


def batches(items: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
    """Yield each alone, as an idle server tells them."""
    for item in items:
        yield (item,)


async def decoding(wire: str, n: int) -> tuple[list[Stage], list[EngineEvent]]:
    """Time what turns a provider's bytes into events."""
    frame = WIRES[wire].before + TEXT.encode() + WIRES[wire].after
    payload = frame.split(b"data: ", 1)[1].strip()
    decoder: Any = openai.DECODER if wire == "openai" else claude_api.DECODER
    request = httpx2.Request("POST", "http://stub")

    async def transport() -> None:
        response = httpx2.Response(200, stream=Bytes([frame] * n), request=request)
        async for _ in response.aiter_bytes():
            pass

    async def decode() -> None:
        async for chunks in events(Pieces([frame] * n), decoder):
            for _ in chunks:
                pass

    heard = _heard(wire)
    chunk = decoder.decode(payload)
    stages = [
        await best(
            "json.loads of the chunk (what others are compared with)",
            n,
            plain(lambda: [json.loads(payload) for _ in range(n)]),
        ),
        await best("the SDK's response around them", n, transport),
        await best("bytes to chunks (msgspec)", n, decode),
        await best("chunk to event", n, plain(lambda: [heard.take(chunk) for _ in range(n)])),
    ]
    return stages, list(heard.take(chunk))


def _heard(wire: str) -> Any:  # noqa: ANN401 - of either wire
    names = Names.of(())
    if wire == "anthropic":
        return claude_api._Heard(names)  # noqa: SLF001 - the stage itself
    request = EngineRequest.__new__(EngineRequest)  # only errors look at it
    return openai._Heard(request, names, Usage(model="stub"), 1)  # noqa: SLF001 - the stage itself


async def settling(n: int, event: EngineEvent) -> list[Stage]:
    """Time what a delta does to a turn, and to the lane that tells it."""
    store = MemoryStore(SystemClock())
    leases = MemoryLeases(store.state, store.clock)
    talk = a_talk(store, leases)
    await talk.admit()
    grant = await talk.take()
    bus = MemoryBus(Ears(items=10**9, chars=10**12))
    stages: list[Stage] = []
    async with anyio.create_task_group() as tasks:
        house = House(
            store=store,
            leases=leases,
            bus=bus,
            engines=ScriptedEngines([ScriptedEngine()]),
            clock=store.clock,
            node=NODE,
            new_id=lambda: "",
            tasks=tasks,
        )
        at, turn = now(), grant.turn

        def receiving() -> None:
            current: Turn = turn
            for i in range(n):
                current, _ = receive(turn if not i % SLICE else current, event, at)

        async def moving() -> None:
            for i in range(n):
                if not i % SLICE:
                    reading = Reading.granted(house, anyio.Lock(fast_acquire=True), grant)
                await reading._receive(event)  # noqa: SLF001 - the stage itself

        async def heard() -> None:
            with bus.listen(*talk.place) as ear:
                live = (a_live(talk.session.id),)
                for _ in range(n):
                    bus.tell(talk.session.id, live)
                    await ear.hear()

        async def heard_in_time() -> None:
            tenant, session_id = talk.place
            feed = Feed(store=store, bus=bus, session=talk.session)
            with bus.listen(tenant, session_id) as ear:
                live = (a_live(session_id),)
                for _ in range(n):
                    bus.tell(session_id, live)
                    await feed._heard(ear, float("inf"))  # noqa: SLF001 - the stage itself

        stages += [
            await best("event to turn (receive)", n, plain(receiving)),
            await best("the same under the lane's lock, told to nobody (Reading)", n, moving),
            await best("told and heard (bus, ear)", n, heard),
            await best("the same with the time of the heartbeat (Feed)", n, heard_in_time),
        ]
    return stages


def a_live(session_id: SessionId, start: int = 0) -> Live:
    """Make live text."""
    return Live(task_id=TaskId(session_id), since=1, after=1, kind=TextKind.TEXT, text=TEXT, start=start, at=now())


async def showing(n: int) -> list[Stage]:
    """Time what one subscriber costs, up to the kernel."""
    session_id = SessionId("00000000-0000-4000-8000-000000000000")
    told = [a_live(session_id, i * len(TEXT)) for i in range(n)]

    def follow() -> list[Frame]:
        follower = Follower(1, 0, 0, 1)
        return [step for live in told for step in follower.hear(live)]  # type: ignore[misc]

    frames, at = follow(), now()
    encoder = Encoder(session_id)
    encoded = next(iter(encoder.encode(frames[:1], at)))
    protocol = Protocol(SERVER)
    here, there = socket.socketpair()
    there.settimeout(0)

    def frame() -> None:
        for _ in range(n):
            protocol.send_text(encoded.body)
            protocol.data_to_send()

    def write() -> None:
        for _ in range(n):
            here.send(encoded.body)
            there.recv(4096)

    connection = _connection(encoder)

    async def send() -> None:
        for _ in range(n):
            await connection._send(encoded.body)  # noqa: SLF001 - the stage itself

    stages = [
        await best("live text to frame (Follower)", n, plain(follow)),
        await best("frame to JSON (Encoder)", n, plain(lambda: [list(encoder.encode(b, at)) for b in batches(frames)])),
        await best("lock, time limit and Litestar of one send (Connection)", n, send),
        await best("WebSocket frame (websockets)", n, plain(frame)),
        await best("or SSE frame", n, plain(lambda: [_sse(encoded) for _ in range(n)])),
        await best("write and read of a socket pair", n, plain(write)),
    ]
    here.close()
    there.close()
    return stages


def _connection(encoder: Encoder) -> Connection:
    """Make a subscriber whose frames go nowhere; what only reading needs is left out."""

    async def receive_nothing() -> Any:  # noqa: ANN401 - Litestar's own type
        return {}

    async def send_nowhere(_: Message) -> None:
        pass

    scope: Any = {"type": "websocket", "path": "/", "headers": [], "state": {}}
    socket_: Any = WebSocket(scope, receive=receive_nothing, send=send_nowhere)
    socket_.connection_state = "connect"
    nothing: Any = None
    return Connection(socket_, nothing, nothing, nothing, encoder, 20.0, 0.0)


async def run(wire: str, n: int) -> list[Stage]:
    """Time all stages."""
    decoded, said = await decoding(wire, n)
    (event,) = [event for event in said if isinstance(event, TextDelta)]
    return [*decoded, *await settling(n, event), *await showing(n)]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wire", default="openai", choices=sorted(WIRES))
    parser.add_argument("--deltas", type=int, default=20_000)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stages = runner.run(run(options.wire, options.deltas))
    for stage in stages:
        print(f"{stage.ns:9,.0f} ns  {stage.ns / stages[0].ns:6.2f}  {stage.name}")


if __name__ == "__main__":
    main()
