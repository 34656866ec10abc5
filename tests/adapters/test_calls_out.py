"""Hazard R1, SEC17: whoever is called, and whatever answers, one address is reached, for a bounded time and size.

The users of the guard, and what posts to a configured address, each against the same hostile server.
"""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal

import anyio
import pytest
from attrs import define, frozen
from tests.support.consumer import SECRET

from agentcore.books import SinkFailed, UsageRecorded
from agentcore.errors import HostNotAllowed
from agentcore.ids import EngineName, InstanceId, SessionId, TaskId, TenantId
from agentcore.instances import Instance
from agentcore.seal import Seal
from agentcore.usage import Outcome, Usage, UsageRecord
from agentcore_adapters import webhook
from agentcore_adapters.engines import openclaw
from agentcore_adapters.engines.openclaw import OpenClaw
from agentcore_adapters.netguard import Guard, allow_list
from agentcore_adapters.testing.listening import listening

pytestmark = pytest.mark.anyio
AT = datetime(2026, 1, 1, tzinfo=UTC)
TENANT, TASK = TenantId("t"), TaskId("0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@define(eq=False)
class Hostile:
    """A server that answers every connection in one odd way."""

    port: int = 0
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
    connections: int = 0
    sent: int = 0  #: Bytes that it could get rid of.

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                if self.answer is not None:
                    await self.answer(writer)
        finally:
            writer.close()

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent += len(data)


@asynccontextmanager
async def hostile() -> AsyncIterator[Hostile]:
    found = Hostile()
    async with listening(found.serve) as found.port:
        yield found


@pytest.fixture
async def server() -> AsyncIterator[Hostile]:
    async with hostile() as found:
        yield found


@pytest.fixture
async def elsewhere() -> AsyncIterator[Hostile]:
    """A place that nobody may be led to."""
    async with hostile() as found:
        yield found


@frozen
class Bridge:
    """Dispatches a task, as the engine does."""

    async def call(self, port: int) -> bool:
        engine = an_engine(Guard(allow_list(["127.0.0.1"])))
        try:
            answer = await engine.post(an_instance("127.0.0.1", port), openclaw.DISPATCH, {"prompt": "x"}, 1.0)
        finally:
            await engine.close()
        assert len(answer.body) <= openclaw.BODY_BYTES
        return 200 <= answer.status < 300


@frozen
class Sink:
    """Posts a usage event."""

    async def call(self, port: int) -> bool:
        async with webhook.webhook_sink(f"http://127.0.0.1:{port}/hook", SECRET, within_s=1.0) as sink:
            try:
                await sink.publish(an_event())
            except SinkFailed:
                return False
        return True


def an_engine(guard: Guard) -> OpenClaw:
    return OpenClaw(seal=Seal(b"k" * 32), guard=guard, callback_url="http://127.0.0.1/callback")


def an_instance(host: str, port: int) -> Instance:
    return Instance(
        id=InstanceId(TASK),
        tenant_id=TENANT,
        owner="me",
        name="",
        host=host,
        port=port,
        created_at=AT,
        updated_at=AT,
    )


def an_event() -> UsageRecorded:
    record = UsageRecord(key="1:1", usage=Usage(model="m", cost_usd=Decimal(1)), outcome=Outcome.COMPLETED)
    return UsageRecorded(
        tenant_id=TENANT,
        session_id=SessionId(TASK),
        task_id=TASK,
        engine=EngineName("e"),
        record=record,
        at=AT,
    )


Caller = Bridge | Sink
callers = pytest.mark.parametrize("caller", [Bridge(), Sink()], ids=["bridge", "webhook"])


@callers
async def test_SEC17_a_redirect_is_not_followed(caller: Caller, server: Hostile, elsewhere: Hostile) -> None:
    for status in (301, 302, 303, 307, 308):

        async def redirect(writer: asyncio.StreamWriter, status: int = status) -> None:
            place = f"location: http://127.0.0.1:{elsewhere.port}/latest/meta-data\r\n".encode()
            await server.write(writer, f"HTTP/1.1 {status} X\r\n".encode() + place + b"content-length: 0\r\n\r\n")

        server.answer = redirect
        assert not await caller.call(server.port)
    assert server.connections >= 5
    assert elsewhere.connections == 0


@callers
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
async def test_SEC17_proxies_of_the_environment_are_not_asked(
    caller: Caller, server: Hostile, elsewhere: Hostile, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def accept(writer: asyncio.StreamWriter) -> None:
        await server.write(writer, HEAD + b"content-length: 2\r\n\r\n{}")

    monkeypatch.setenv(name, f"http://127.0.0.1:{elsewhere.port}")
    server.answer = accept
    assert await caller.call(server.port)
    assert elsewhere.connections == 0


@callers
@pytest.mark.parametrize("kind", ["told", "chunked", "endless"])
async def test_SEC17_what_is_larger_than_a_megabyte_is_not_read(caller: Caller, server: Hostile, kind: str) -> None:
    piece = b"x" * 65536

    async def flood(writer: asyncio.StreamWriter) -> None:
        length = {"told": b"content-length: 1000000000\r\n\r\n", "endless": b"\r\n"}
        await server.write(writer, HEAD + length.get(kind, b"transfer-encoding: chunked\r\n\r\n"))
        for _ in range(1000):
            await server.write(writer, b"10000\r\n" + piece + b"\r\n" if kind == "chunked" else piece)

    server.answer = flood
    with anyio.fail_after(10):
        assert await caller.call(server.port)  # it was taken: what is said besides is nobody's business
    await anyio.sleep(0.1)
    assert server.sent < 20 * 1024 * 1024, "what was sent lies in the buffers of the connection"


@callers
async def test_SEC17_a_small_answer_does_not_become_a_large_one(caller: Caller, server: Hostile) -> None:
    bomb = gzip.compress(bytes(200 * 1024 * 1024), 9)

    async def explode(writer: asyncio.StreamWriter) -> None:
        head = HEAD + b"content-encoding: gzip\r\ncontent-length: " + str(len(bomb)).encode() + b"\r\n\r\n"
        await server.write(writer, head + bomb)

    server.answer = explode
    began = time.process_time()
    assert await caller.call(server.port)
    assert time.process_time() - began < 0.5, "it was unpacked"


@callers
@pytest.mark.parametrize("where", ["nothing", "head", "body"])
async def test_SEC17_an_answer_that_drips_ends_in_time(caller: Caller, server: Hostile, where: str) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        await server.write(writer, {"nothing": b"", "head": b"HTTP/1.1 200 OK\r\n", "body": HEAD + b"\r\n"}[where])
        for number in range(1000):
            await anyio.sleep(0.05)
            if where != "nothing":
                await server.write(writer, f"x-{number}: y\r\n".encode() if where == "head" else b" ")

    server.answer = drip
    with anyio.fail_after(8):
        await caller.call(server.port)


@callers
async def test_SEC17_an_answer_that_is_none_is_a_failure(caller: Caller, server: Hostile) -> None:
    babbled = (b"", b"\x00" * 100, b"HTTP/1.1 abc\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"\xff" * 70000)
    for data in babbled:

        async def babble(writer: asyncio.StreamWriter, data: bytes = data) -> None:
            await server.write(writer, data)

        server.answer = babble
        assert not await caller.call(server.port)


# ------------------------------------------------------------------------------------ whom the guard stands in front of
async def test_SEC17_a_name_that_turns_private_is_refused_at_the_next_call(server: Hostile) -> None:
    """DNS rebinding: it is looked up once for each call, and what was checked is what is connected to."""
    public, private, mapped = "93.184.215.14", "127.0.0.1", "::ffff:7f00:1"
    found: list[Sequence[str]] = [(public,), (private,), (public, private), (mapped,)]
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return found.pop(0)

    guard = Guard(allow_list(["http://bridge.example"]), resolve)
    assert guard.admit("bridge.example", server.port) == "bridge.example"
    assert str((await guard.target("bridge.example", server.port)).address) == "93.184.215.14"
    engine = an_engine(guard)
    for _ in range(3):
        with pytest.raises(HostNotAllowed):
            await engine.post(an_instance("bridge.example", server.port), openclaw.DISPATCH, {}, 1.0)
    await engine.close()
    assert asked == ["bridge.example"] * 4
    assert server.connections == 0


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "0x7f000001", "2130706433", "0.0.0.0", "localhost", "localhost.", "::1"),
        *("::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::7f00:1", "100.64.0.1", "169.254.169.254", "224.0.0.1"),
        *("user@127.0.0.1", "127.0.0.1:80", "bridge.example@127.0.0.1", "127.0.0.1#bridge.example"),
    ],
)
async def test_SEC17_nothing_is_connected_to_that_a_row_of_the_registry_should_not_hold(
    server: Hostile, host: str
) -> None:
    """The list is asked when a host is stored, and again at each call, for the list may have changed since."""
    engine = an_engine(Guard(allow_list(["bridge.example"])))
    with pytest.raises(HostNotAllowed):
        await engine.post(an_instance(host, server.port), openclaw.DISPATCH, {}, 1.0)
    await engine.close()
    assert server.connections == 0


async def test_SEC17_another_port_is_not_connected_to(server: Hostile, elsewhere: Hostile) -> None:
    engine = an_engine(Guard(allow_list([f"http://127.0.0.1:{elsewhere.port}"])))
    with pytest.raises(HostNotAllowed):
        await engine.post(an_instance("127.0.0.1", server.port), openclaw.DISPATCH, {}, 1.0)
    await engine.close()
    assert (server.connections, elsewhere.connections) == (0, 0)
