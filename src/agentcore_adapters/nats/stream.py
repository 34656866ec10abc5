"""Usage events into a stream of NATS JetStream, from which any number of consumers take them.

Law: an event is taken when the stream has acknowledged it, and not before.  Its id is the message id, so what is
published again within the stream's window is kept once; after that, whoever counts does it by the id.
"""

from datetime import timedelta

import anyio
import structlog
from attrs import define
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import NoStreamResponseError

from agentcore.books import SinkFailed, UsageRecorded
from agentcore_adapters.nats.connection import NatsConnection
from agentcore_adapters.usage_event import TYPE, body_of

log = structlog.get_logger("agentcore.nats")
ACK_S = 5.0
WINDOW = timedelta(hours=2)  # longer than the first tries of the relay are apart
KEPT = timedelta(days=7)  # as in the outbox
ID = "Nats-Msg-Id"  # Source: https://docs.nats.io/using-nats/developer/develop_jetstream/model_deep_dive


@define(eq=False)
class StreamSink:
    """Publishes usage events into a stream."""

    connection: NatsConnection
    stream: str
    replicas: int
    ack_s: float = ACK_S  #: Seconds that the stream has to acknowledge.

    @property
    def subject(self) -> str:
        """What the events are published under."""
        return f"{self.stream}.{TYPE}"

    async def publish(self, event: UsageRecorded) -> None:
        """Return once the stream has acknowledged; raises SinkFailed."""
        client = self.connection.client
        if client is None:
            raise SinkFailed("NATS cannot be reached.")
        try:
            with anyio.fail_after(self.ack_s):
                await self._publish(client, event)
        except (NatsError, OSError, TimeoutError) as error:
            raise SinkFailed(f"The stream did not take it ({type(error).__name__}).") from None

    async def _publish(self, client: Client, event: UsageRecorded) -> None:
        headers = {ID: event.id, "Content-Type": "application/json"}
        stream = client.jetstream(timeout=self.ack_s)
        try:
            await stream.publish(self.subject, body_of(event), stream=self.stream, headers=headers)
        except NoStreamResponseError:  # nobody takes that subject yet
            await self._make(client)
            await stream.publish(self.subject, body_of(event), stream=self.stream, headers=headers)

    async def _make(self, client: Client) -> None:
        """Make the stream; one that is there, made by whom it may be, stays as it is."""
        wanted = StreamConfig(
            name=self.stream,
            subjects=[f"{self.stream}.>"],
            storage=StorageType.FILE,
            num_replicas=self.replicas,
            duplicate_window=WINDOW.total_seconds(),
            max_age=KEPT.total_seconds(),
            discard=DiscardPolicy.OLD,
        )
        await client.jetstream(timeout=self.ack_s).add_stream(wanted)
        log.info("stream.made", replicas=self.replicas)
