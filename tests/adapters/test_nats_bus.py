"""What can befall the bus between nodes: strangers, other releases, servers that go away."""

import asyncio
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import anyio
import anyio.lowlevel
import msgspec
import pytest
from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from nats import connect
from tests.support.nats import PASSWORD, USER, NatsCluster, a_nats_cluster

from agentcore.books import SinkFailed
from agentcore.bus import Ear
from agentcore.events import SessionRenamed
from agentcore.follow import Head, Live
from agentcore.ids import NodeId, SessionId, TenantId
from agentcore.testing.contracts.bus import a_live, an_entry
from agentcore.testing.contracts.sink import an_event
from agentcore.testing.making import TENANT, an_id, now
from agentcore_adapters.nats import bus as module
from agentcore_adapters.nats import connection, frames
from agentcore_adapters.nats.bus import NatsBus, nats_bus
from agentcore_adapters.nats.connection import nats_connection, tls_for
from agentcore_adapters.nats.frames import Envelope, Goes, Happened, Listens, Look, Message, Refused, Told, told_of
from agentcore_adapters.nats.stream import ID, StreamSink
from agentcore_adapters.testing.listening import listening

pytestmark = pytest.mark.anyio
KEY, OTHER = b"k" * 32, b"o" * 32
PREFIX = "tests.odd"
LET_IN = b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576}\r\n'


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsCluster]:
    with a_nats_cluster(tmp_path, 2) as cluster:
        yield cluster


async def until(fact: Callable[[], bool], within_s: float = 15.0) -> None:
    with anyio.fail_after(within_s):
        while not fact():
            await anyio.sleep(0.01)


@define(eq=False)
class OddServer:
    """Something at an address that speaks as it likes; it reads no more once it has let somebody in."""

    info: bytes
    port: int = 0
    said: list[bytes] = field(factory=list)  #: What clients have said to it.
    writers: list[asyncio.StreamWriter] = field(factory=list)

    @property
    def url(self) -> str:
        return f"nats://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(ConnectionError):
            writer.write(self.info)
            while line := await reader.readline():
                self.said.append(line)
                if line.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
                    break
            await asyncio.sleep(3600)

    def reset(self) -> None:
        """Break off all connections, hard."""
        for writer in self.writers:
            one = writer.get_extra_info("socket")
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


@asynccontextmanager
async def an_odd_server(info: bytes = LET_IN) -> AsyncIterator[OddServer]:
    odd = OddServer(info)
    async with listening(odd.serve) as odd.port:
        yield odd


@asynccontextmanager
async def a_bus(nats: NatsCluster, name: str, *keys: bytes) -> AsyncIterator[NatsBus]:
    async with nats_connection(tuple(nats.urls.split(","))) as found:
        await until(lambda: found.is_connected)
        async with nats_bus(found, keys or (KEY,), NodeId(name), PREFIX) as bus:
            yield bus


@pytest.fixture
async def buses(nats: NatsCluster) -> AsyncIterator[tuple[NatsBus, NatsBus]]:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(a_bus(nats, name)) for name in ("one", "two")]
        yield one, two


def _deaf(_: TenantId, __: SessionId, /, *, waits: bool) -> None:
    pass


async def heard(ear: Ear, told_by: NatsBus, session_id: SessionId) -> None:
    """Tell until it is heard: what was told before the other was known to listen is lost, and may be."""
    with anyio.fail_after(15):
        while True:
            told_by.tell(session_id, [told := a_live("x")])
            with anyio.move_on_after(0.2):
                if told in await ear.hear():
                    return


async def test_SEC28_a_stranger_on_the_servers_moves_nothing(nats: NatsCluster, buses: tuple[NatsBus, NatsBus]) -> None:
    """Forged text, events, wakes and interest; garbage; a megabyte: refused, counted, and the bus goes on."""
    bus, other = buses
    session_id = SessionId(an_id())
    woken: list[object] = []

    async def ask(_: TenantId, __: SessionId) -> tuple[Live, ...] | None:
        return None

    def wake(*place: object, waits: bool) -> None:
        woken.append(place)

    forged: list[Message] = [
        Told(((session_id, (Goes(9),)),)),
        Look(TENANT, session_id, waits=True),
        Listens("stranger", (session_id,)),
    ]
    client = await connect(nats.servers[0].url)
    with bus.serve(ask, wake), bus.listen(TENANT, session_id) as ear:
        await heard(ear, other, session_id)  # by now the servers know where it is
        payloads = [Envelope((OTHER,)).seal(message) for message in forged]
        payloads += [b"", b"x", os.urandom(300), b"\x00" * 1_000_000, Envelope((KEY,)).seal(forged[0])[:-1]]
        for payload in payloads:
            for subject in (bus.subjects.all, bus.subjects.of("one")):
                await client.publish(subject, payload)
        await client.flush()
        await until(lambda: bus.refused == 2 * len(payloads))
        await heard(ear, other, session_id)
    await client.close()
    assert not woken
    assert set(bus._readers) == set()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode(["told"]),
        msgspec.msgpack.encode(["unheard", 1]),
        msgspec.msgpack.encode(["look", "t", "s", 1]),
        msgspec.msgpack.encode(["look", "", "s", True]),
        msgspec.msgpack.encode(["look", "t" * 300, "s", True]),
        msgspec.msgpack.encode(["told", [["s", [["g", -1]]]]]),
        msgspec.msgpack.encode(["told", [["s", [["s", "t", 1, 1, "shout", "x", 0, now()]]]]]),
        msgspec.msgpack.encode(["tail", 2**60, []]),
    ],
    ids=lambda body: f"{len(body)} bytes",
)
def test_SEC28_what_is_sealed_and_of_no_known_form_is_refused(body: bytes) -> None:
    envelope = Envelope((KEY,))
    sealed = envelope.seal(Listens("n", ()))
    with pytest.raises(Refused, match="sealed"):
        envelope.open(sealed[:16] + body)
    with pytest.raises(Refused, match="form"):
        envelope.open(frames._mac(KEY, body) + body)


def test_what_a_release_to_come_has_logged_is_a_hint() -> None:
    for event in (b'{"type":"unheard_of"}', b"{}", b"[1]", b"not json", b'{"type":"session_renamed"}'):
        assert told_of(Happened(7, 0, event, now(), None, 0)) == Head(7)
    known = b'{"type":"session_renamed","title":"t","more":1}'
    entry = told_of(Happened(7, 0, known, now(), None, 0))
    assert not isinstance(entry, Head | Live)
    assert entry.event == SessionRenamed("t")


async def test_nodes_that_have_either_key_understand_each_other_while_it_is_replaced(nats: NatsCluster) -> None:
    session_id = SessionId(an_id())
    async with a_bus(nats, "old", OTHER, KEY) as old, a_bus(nats, "new", KEY, OTHER) as new:
        with old.listen(TENANT, session_id) as ear:
            await heard(ear, new, session_id)
        with new.listen(TENANT, session_id) as ear:
            await heard(ear, old, session_id)


async def test_nothing_is_sent_for_a_session_that_nobody_else_listens_to(buses: tuple[NatsBus, NatsBus]) -> None:
    bus, other = buses
    session_id, alone = SessionId(an_id()), SessionId(an_id())
    with bus.listen(TENANT, alone), other.listen(TENANT, session_id) as ear:
        await heard(ear, bus, session_id)
        sent = bus.sent
        for number in range(100):
            bus.tell(alone, [a_live("x", number)])
            bus.tell(session_id, [a_live("x", number)])
        got: list[object] = []
        with anyio.fail_after(5):
            while len(got) < 100:
                got += await ear.hear()
        assert bus.sent - sent < 20  # what is told together travels together
    await until(lambda: session_id not in bus._readers)
    sent = bus.sent
    bus.tell(session_id, [a_live("x")])
    await anyio.sleep(0.05)
    assert bus.sent == sent


async def test_SEC28_the_rights_that_are_documented_are_enough(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/scale-out.md").read_text()
    assert "publish to and subscribe `PREFIX.>` and `_INBOX.>`" in page
    assert "also publish to `STREAM.>` and\n`$JS.API.STREAM.CREATE.STREAM`" in page
    both, more = f'"{PREFIX}.>", "_INBOX.>"', '"billing.>", "$JS.API.STREAM.CREATE.billing"'
    rights = f", permissions: {{ publish: [{both}, {more}], subscribe: [{both}] }}"
    session_id = SessionId(an_id())
    with a_nats_cluster(tmp_path, 1, rights) as nats:
        async with a_bus(nats, "one") as bus, a_bus(nats, "two") as other:
            with bus.listen(TENANT, session_id) as ear:
                await heard(ear, other, session_id)
            await StreamSink(bus.connection, "billing", 1).publish(an_event())


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Make an authority, and what it gives a server on loopback; return its certificate, and the server's with key."""
    key, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    at = datetime.now(UTC)

    def signed(name: str, public: ec.EllipticCurvePublicKey, *more: x509.ExtensionType) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]),
            subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            public_key=public,
            serial_number=x509.random_serial_number(),
            not_valid_before=at - timedelta(hours=1),
            not_valid_after=at + timedelta(hours=1),
        )
        for one in more:
            builder = builder.add_extension(one, critical=isinstance(one, x509.BasicConstraints))
        return builder.sign(key, hashes.SHA256())

    authority = signed("authority", key.public_key(), x509.BasicConstraints(ca=True, path_length=None))
    name = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    paths = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    paths[0].write_bytes(authority.public_bytes(Encoding.PEM))
    paths[1].write_bytes(signed("server", own.public_key(), name).public_bytes(Encoding.PEM))
    paths[2].write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


async def test_SEC28_a_server_is_believed_whose_authority_is_known(tmp_path: Path) -> None:
    ca, server, key = certificates(tmp_path)
    with a_nats_cluster(tmp_path, 1, more=f'tls {{ cert_file: "{server}", key_file: "{key}" }}') as nats:
        url = nats.urls.replace("nats://", "tls://")
        tls, others = tls_for((url,), ca), tls_for((url,))
        async with nats_connection((url,), tls) as known, nats_connection((url,), others) as stranger:
            await until(lambda: known.is_connected)
            assert known.client is not None
            await known.client.flush()
            await anyio.sleep(0.3)
            assert not stranger.is_connected


async def test_what_cannot_be_written_is_lost_and_nothing_else(buses: tuple[NatsBus, NatsBus]) -> None:
    bus, other = buses
    session_id = SessionId(an_id())
    with other.listen(TENANT, session_id) as ear:
        await heard(ear, bus, session_id)
        dropped = bus.dropped
        bus.tell(session_id, [a_live("\ud800")])  # half a character
        await until(lambda: bus.dropped > dropped)
        await heard(ear, bus, session_id)


async def test_who_raises_when_it_is_asked_keeps_nobody_else_from_hearing(buses: tuple[NatsBus, NatsBus]) -> None:
    bus, other = buses
    session_id = SessionId(an_id())

    async def ask(_: TenantId, __: SessionId) -> tuple[Live, ...] | None:
        raise ValueError

    with other.serve(ask, _deaf), other.listen(TENANT, session_id) as ear:
        assert await bus.tail(TENANT, session_id) is None
        await heard(ear, bus, session_id)


async def test_servers_that_stand_still_cost_a_bounded_part_of_memory(
    nats: NatsCluster, buses: tuple[NatsBus, NatsBus]
) -> None:
    bus, other = buses
    session_id = SessionId(an_id())
    with other.listen(TENANT, session_id) as ear:
        await heard(ear, bus, session_id)
        for server in nats.servers:
            server.signal(signal.SIGSTOP)
        try:
            dropped, piece = bus.dropped, "x" * 100_000
            for number in range(1000):  # a hundred megabytes
                bus.tell(session_id, [a_live(piece, number * len(piece))])
                await anyio.lowlevel.checkpoint()
            assert bus.dropped > dropped
            assert bus._held < module.HELD_CHARS + len(piece) + 1
        finally:
            for server in nats.servers:
                server.signal(signal.SIGCONT)
        await heard(ear, bus, session_id)


async def test_SEC28_nobody_says_who_they_are_to_a_server_that_does_not_speak_tls() -> None:
    """Or to somebody in between, who says that it does not."""
    async with an_odd_server() as odd:
        url = odd.url.replace("nats://", "tls://")
        async with nats_connection((url,), tls_for((url,))) as found:
            await until(lambda: len(odd.writers) > 1)
            assert not found.is_connected
    assert odd.said == []


@pytest.mark.parametrize(
    "info", [b"INFO []\r\n", b"INFO {}\r\n" * 20_000, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\r\n"]
)
async def test_whatever_a_server_says_the_node_goes_on(info: bytes) -> None:
    async with an_odd_server(info) as odd, nats_connection((odd.url,)) as found:
        await until(lambda: len(odd.writers) > 1)
        assert not found.is_connected


async def test_a_connection_that_is_reset_with_text_on_its_way_is_made_again() -> None:
    session_id = SessionId(an_id())
    async with an_odd_server() as odd, nats_connection((odd.url,)) as found:
        await until(lambda: found.is_connected)
        async with nats_bus(found, (KEY,), NodeId("one"), PREFIX) as bus:
            bus._readers[session_id] = {"two": float("inf")}
            for number in range(200):
                bus.tell(session_id, [a_live("x" * 50_000, number)])
                await anyio.lowlevel.checkpoint()
            odd.reset()
            await until(lambda: found.lost == 1 and found.is_connected)
            bus._readers[session_id] = {"two": float("inf")}
            sent = bus.sent
            bus.tell(session_id, [a_live("y")])  # the pump goes on
            await until(lambda: bus.sent > sent)


async def test_a_second_reader_of_a_session_goes_on_when_the_first_leaves(buses: tuple[NatsBus, NatsBus]) -> None:
    bus, other = buses
    session_id = SessionId(an_id())
    with other.listen(TENANT, session_id) as ear:
        await heard(ear, bus, session_id)
        with other.listen(TENANT, session_id) as second:
            await heard(second, bus, session_id)
        other.wake(TENANT, session_id)  # whatever was said of leaving was said before
        heard_before = bus.heard
        await until(lambda: bus.heard > heard_before)
        assert session_id in bus._readers


async def test_who_comes_is_told_who_listens(nats: NatsCluster, buses: tuple[NatsBus, NatsBus]) -> None:
    session_id = SessionId(an_id())
    with buses[0].listen(TENANT, session_id):
        async with a_bus(nats, "late") as late:
            await until(lambda: session_id in late._readers)


async def test_who_goes_in_order_is_told_nothing_more(nats: NatsCluster, buses: tuple[NatsBus, NatsBus]) -> None:
    session_id, bus = SessionId(an_id()), buses[0]
    async with a_bus(nats, "brief") as brief:
        with brief.listen(TENANT, session_id) as ear:
            await heard(ear, bus, session_id)
            await brief.bye()
            await until(lambda: session_id not in bus._readers)


async def test_what_is_told_together_fits_into_messages(buses: tuple[NatsBus, NatsBus]) -> None:
    """Two megabytes at once, of two sessions: NATS takes one in a message."""
    bus, other = buses
    ids = [SessionId(an_id()) for _ in range(2)]
    piece = "\N{GRINNING FACE}" * 20_000
    with other.listen(TENANT, ids[0]) as one, other.listen(TENANT, ids[1]) as two:
        for ear, session_id in ((one, ids[0]), (two, ids[1])):
            await heard(ear, bus, session_id)
        for number in range(13):
            for session_id in ids:
                bus.tell(session_id, [a_live(piece, number * len(piece))])
        for ear in (one, two):
            chars = 0
            with anyio.fail_after(10):
                while chars < 13 * len(piece):
                    chars += sum(
                        len(item.text) for item in await ear.hear() if isinstance(item, Live) and item.text != "x"
                    )
    assert bus.dropped == 0


async def test_wakes_that_cannot_be_sent_are_bounded(
    buses: tuple[NatsBus, NatsBus], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAID", 10)
    bus, _ = buses
    for _ in range(20):
        bus.wake(TENANT, SessionId("s"))
    assert (len(bus._said), bus.dropped) == (10, 10)


@pytest.mark.slow
async def test_it_is_there_again_when_a_server_is(nats: NatsCluster, buses: tuple[NatsBus, NatsBus]) -> None:
    bus, other = buses
    session_id = SessionId(an_id())
    with other.listen(TENANT, session_id) as ear:
        await heard(ear, bus, session_id)
        nats.kill(nats.servers[0])  # one of two: whoever was connected to it goes to the other
        await heard(ear, bus, session_id)
        nats.kill()
        await until(lambda: not bus.state().is_connected and not other.state().is_connected)
        dropped = bus.dropped
        bus.wake(TENANT, session_id)
        bus.tell(session_id, [an_entry(1)])
        assert bus.dropped > dropped
        assert await bus.tail(TENANT, session_id) is None
        nats.start()
        await heard(ear, bus, session_id)


@pytest.mark.slow
async def test_a_reader_that_is_silent_is_forgotten(nats: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LISTENS_S", 0.5)
    monkeypatch.setattr(module, "RENEW_S", 0.1)
    session_id = SessionId(an_id())
    async with a_bus(nats, "one") as bus, a_bus(nats, "two") as other:
        with other.listen(TENANT, session_id) as ear:
            await heard(ear, bus, session_id)
            await anyio.sleep(1)
            assert session_id in bus._readers  # it says so again and again
            monkeypatch.setattr(NatsBus, "_listens", lambda _: iter(()))  # as if it had died
            await until(lambda: session_id not in bus._readers)


@pytest.mark.slow
async def test_servers_that_freeze_are_left(nats: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PING_S", 1)
    session_id = SessionId(an_id())
    async with a_bus(nats, "one") as bus, a_bus(nats, "two") as other:
        client = bus.connection.client
        assert client is not None
        assert client.connected_url is not None
        frozen = next(one for one in nats.servers if one.port == client.connected_url.port)
        with other.listen(TENANT, session_id) as ear:
            await heard(ear, bus, session_id)
            frozen.signal(signal.SIGSTOP)
            try:
                number = 0
                with anyio.fail_after(30):
                    while not (bus.connection.lost == 1 and bus.connection.is_connected):
                        bus.tell(session_id, [a_live("x" * 50_000, number := number + 1)])  # under load, too
                        await anyio.sleep(0.005)
                await until(lambda: other.connection.is_connected, 30)
                await heard(ear, bus, session_id)
            finally:
                frozen.signal(signal.SIGCONT)


@pytest.mark.slow
async def test_B2_a_stream_loses_nothing_when_its_leader_dies(tmp_path: Path) -> None:
    """Three servers keep it; whoever leads is killed, and what was not acknowledged is published again."""
    with a_nats_cluster(tmp_path, 3) as nats:
        async with nats_connection(tuple(nats.urls.split(","))) as found:
            sink = StreamSink(found, "usage", 3, ack_s=1.0)
            events = [an_event() for _ in range(20)]
            tries = 0
            for number, event in enumerate(events):
                if number == len(events) // 2:
                    assert found.client is not None
                    cluster = (await found.client.jetstream().stream_info("usage")).cluster
                    assert cluster is not None
                    nats.kill(next(s for s in nats.servers if s.folder.name == cluster.leader))
                with anyio.fail_after(60):
                    while True:
                        tries += 1
                        try:
                            await sink.publish(event)
                        except SinkFailed:
                            await anyio.sleep(0.1)
                        else:
                            break
            assert tries > len(events)
            assert found.client is not None
            stream = found.client.jetstream()
            state = (await stream.stream_info("usage")).state
            kept = [await stream.get_msg("usage", number) for number in range(1, state.messages + 1)]
    assert [message.headers[ID] for message in kept if message.headers] == [event.id for event in events]
