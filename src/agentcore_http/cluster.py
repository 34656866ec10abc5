"""What connects this node with others: the part of the composition root that chooses between one process and NATS.

Law: nodes say nothing to each other over a network that others may hear, and believe nothing that is not sealed with
the key that all of them have.
"""

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentcore.books import Sink
from agentcore.bus import Bus
from agentcore.ids import NodeId
from agentcore.seal import Seal
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_http.settings import LOOPBACK, Settings, SettingsError

if TYPE_CHECKING:
    from agentcore_adapters.nats.connection import NatsConnection

PREFIX = "agentcore"
REPLICAS = 3  # of the stream of usage events, if there are so many servers


@asynccontextmanager
async def cluster(settings: Settings, seal: Seal, name: NodeId) -> AsyncIterator[tuple[Bus, Sink | None]]:
    """Open what connects this node with others, and their stream of usage events: NATS if it is set, else nothing."""
    async with nats(settings) as connection:
        if connection is None:
            alone: Bus = MemoryBus()
            yield alone, None
            return
        from agentcore_adapters.nats.bus import nats_bus  # noqa: PLC0415 - needs its extra
        from agentcore_adapters.nats.stream import StreamSink  # noqa: PLC0415

        async with nats_bus(connection, seal.bus_keys(), name, settings.nats_prefix or PREFIX) as bus:
            replicas = REPLICAS if len(connection.servers) >= REPLICAS else 1
            yield bus, StreamSink(connection, settings.usage_stream, replicas) if settings.usage_stream else None


@asynccontextmanager
async def nats(settings: Settings) -> AsyncIterator["NatsConnection | None"]:
    """Keep a connection to the servers that are set; None if none are."""
    if settings.nats_url is None:
        for name in ("usage_stream", "nats_ca", "nats_prefix", "nats_plaintext"):
            if getattr(settings, name) is not None:
                raise SettingsError(f"AGENTCORE_{name.upper()} needs AGENTCORE_NATS_URL, the servers that it is about.")
        yield None
        return
    _must_be_safe(settings, settings.nats_url)
    if importlib.util.find_spec("nats") is None:
        raise SettingsError("AGENTCORE_NATS_URL needs: pip install 'agentcore[nats]'.")
    from agentcore_adapters.nats.connection import nats_connection, tls_for  # noqa: PLC0415 - needs its extra

    try:
        tls = tls_for(settings.nats_url, settings.nats_ca)
    except OSError:
        raise SettingsError("AGENTCORE_NATS_CA names a file that holds no certificates.") from None
    async with nats_connection(settings.nats_url, tls) as connection:
        yield connection


def _must_be_safe(settings: Settings, servers: tuple[str, ...]) -> None:
    if settings.database_url and not settings.secret_key:
        raise SettingsError("AGENTCORE_NATS_URL needs AGENTCORE_SECRET_KEY, the same on every node: it seals the bus.")
    if settings.usage_stream and settings.usage_webhook:
        raise SettingsError("Set AGENTCORE_USAGE_STREAM or AGENTCORE_USAGE_WEBHOOK: an event goes to one of them.")
    if settings.nats_ca is not None and not settings.nats_ca.is_file():
        raise SettingsError("AGENTCORE_NATS_CA names a file that is not there.")
    for server in servers:
        parts = urlsplit(server)
        if parts.hostname in LOOPBACK:
            continue
        if parts.username is None:
            raise SettingsError("AGENTCORE_NATS_URL: beyond loopback a server is asked as tls://user:password@host.")
        if parts.scheme != "tls" and not settings.nats_plaintext:
            raise SettingsError(
                "AGENTCORE_NATS_URL: beyond loopback servers are asked over tls://; in a network of your own, that "
                "nobody else hears, set AGENTCORE_NATS_PLAINTEXT=true."
            )
