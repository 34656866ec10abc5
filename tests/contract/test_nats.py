"""The suites of the bus and of the sink on a real NATS server."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import define
from nats import connect
from nats.aio.client import Client
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError
from tests.support.nats import NatsCluster, a_nats_cluster

from agentcore.books import SinkFailed
from agentcore.ids import NodeId
from agentcore.testing.contracts.bus import BusContract
from agentcore.testing.contracts.sink import SinkContract, an_event
from agentcore_adapters.nats.bus import NatsBus, nats_bus
from agentcore_adapters.nats.connection import NatsConnection, nats_connection
from agentcore_adapters.nats.stream import ID, StreamSink

KEYS = (b"k" * 32,)
PREFIX = "tests.bus"
STREAM = "usage"


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    with a_nats_cluster(tmp_path_factory.mktemp("nats")) as cluster:
        yield cluster


@pytest.fixture
async def connections(nats: NatsCluster) -> AsyncIterator[list[NatsConnection]]:
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(nats_connection((nats.urls,))) for _ in range(2)]
        with anyio.fail_after(10):
            while not all(one.is_connected for one in found):
                await anyio.sleep(0.01)
        yield found


@pytest.fixture
async def buses(connections: list[NatsConnection]) -> AsyncIterator[list[NatsBus]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(nats_bus(one, KEYS, NodeId(f"node-{number}"), PREFIX))
            for number, one in enumerate(connections)
        ]


class TestNatsBus(BusContract):
    @pytest.fixture
    def bus(self, buses: list[NatsBus]) -> NatsBus:
        return buses[0]

    @pytest.fixture
    def far(self, buses: list[NatsBus]) -> NatsBus:
        return buses[1]

    @pytest.fixture
    def settled(self, buses: list[NatsBus]) -> Callable[[], Awaitable[None]]:
        async def settled() -> None:
            for _ in range(2):  # what was said, and what is answered to it
                for bus in buses:
                    await anyio.lowlevel.checkpoint()
                    client = bus.connection.client
                    assert client is not None
                    await client.flush()
                    await anyio.sleep(0.01)

        return settled


@define
class Receiver:
    """The stream, as somebody else sees it."""

    url: str
    refuses: bool = False

    def received(self) -> list[str]:
        """Return the ids of what the stream holds; from now on it refuses no more."""
        found: list[str] = self._ask(self._read)
        return found

    def refuse(self) -> None:
        """Let the stream take nothing, for now."""
        self._ask(self._shut)
        self.refuses = True

    def forget(self) -> None:
        """Remove the stream."""
        self._ask(self._remove)

    def _ask(self, what: Callable[[Client], Awaitable[Any]]) -> Any:
        """Ask over a connection, and in a loop, of its own."""

        async def ask() -> Any:
            client = await connect(self.url)
            try:
                return await what(client)
            finally:
                await client.close()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(anyio.run, ask).result()

    async def _read(self, client: Client) -> list[str]:
        stream = client.jetstream()
        if self.refuses:
            await stream.update_stream(_config(-1))
            self.refuses = False
        try:
            state = (await stream.stream_info(STREAM)).state
        except NotFoundError:
            return []
        messages = [await stream.get_msg(STREAM, number) for number in range(1, state.messages + 1)]
        assert all(message.headers and message.data for message in messages)
        return [message.headers[ID] for message in messages if message.headers]

    async def _shut(self, client: Client) -> None:
        await client.jetstream().add_stream(_config(1))

    async def _remove(self, client: Client) -> None:
        with suppress(NotFoundError):
            await client.jetstream().delete_stream(STREAM)


def _config(largest: int) -> StreamConfig:
    return StreamConfig(name=STREAM, subjects=[f"{STREAM}.>"], max_msg_size=largest)


class TestStream(SinkContract):
    @pytest.fixture
    def receiver(self, nats: NatsCluster) -> Iterator[Receiver]:
        found = Receiver(nats.urls)
        yield found
        found.forget()

    @pytest.fixture
    def sink(self, connections: list[NatsConnection], receiver: Receiver) -> StreamSink:
        return StreamSink(connections[0], STREAM, 1)

    @pytest.fixture
    def received(self, receiver: Receiver) -> Callable[[], list[str]]:
        return receiver.received

    @pytest.fixture
    def refuse(self, receiver: Receiver) -> Callable[[], None]:
        return receiver.refuse

    async def test_what_is_repeated_is_kept_once(self, sink: StreamSink, received: Callable[[], list[str]]) -> None:
        event = an_event()
        await sink.publish(event)
        await sink.publish(event)
        assert received() == [event.id]

    async def test_the_stream_knows_an_event_again_for_longer_than_it_is_tried_in_a_row(
        self, sink: StreamSink, nats: NatsCluster
    ) -> None:
        await sink.publish(an_event())
        client = sink.connection.client
        assert client is not None
        config = (await client.jetstream().stream_info(STREAM)).config
        assert (config.duplicate_window, config.max_age) == (7200.0, 7 * 86400.0)

    async def test_without_a_server_it_fails_at_once(self) -> None:
        with pytest.raises(SinkFailed):
            await StreamSink(NatsConnection(()), STREAM, 1).publish(an_event())
