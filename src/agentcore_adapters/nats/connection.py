"""One connection to NATS, made again whenever it is lost.

Law: nobody waits for it.  While there is none, what would be sent is lost, and whoever needs to know asks
``is_connected``.  Each connection is a new client: what the old one still held belongs to nobody.
"""

import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import structlog
from anyio import CancelScope, move_on_after
from attrs import define, field
from nats.aio.client import Client
from nats.errors import Error as NatsError

log = structlog.get_logger("agentcore.nats")
CONNECT_S = 2  # for one server
PAUSE_S = (0.1, 2.0)  # between two rounds of tries: from, to
PING_S, PINGS = 5, 2  # a server that leaves so many unanswered is left
CLOSE_S = 1.0
FLUSH_S = 1.0  # for two megabytes that are pending; a server that takes longer is left
LOOK_S = 1.0  # a client whose end was not said is found so soon
Greet = Callable[[Client], Awaitable[None]]


@define(eq=False)
class NatsConnection:
    """The way to whichever server of a cluster can be reached."""

    servers: tuple[str, ...] = field(repr=False)  # they may bear a password
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    lost: int = 0  #: Connections that ended by themselves.
    _client: Client | None = None
    _greets: list[Greet] = field(factory=list)

    @property
    def is_connected(self) -> bool:
        """Whether a server can be reached just now, as far as is known."""
        return self._client is not None and self._client.is_connected

    @property
    def client(self) -> Client | None:
        """The client of this connection; None while there is none."""
        return self._client if self.is_connected else None

    async def at_each(self, greet: Greet) -> None:
        """Call *greet* with each new client, the present one included."""
        self._greets.append(greet)
        if (client := self.client) is not None:
            with suppress(NatsError, OSError):  # then there is a new one soon
                await greet(client)

    async def stay(self) -> None:
        """Connect, and connect again, until cancelled."""
        pause = PAUSE_S[0]
        while True:
            gone, client = anyio.Event(), _Client(self.tls is not None)
            try:
                await self._connect(client, gone)
                for greet in self._greets:
                    await greet(client)
                self._client, pause = client, PAUSE_S[0]
                log.info("nats.connected")
                # nats-py says that it is closed after it has sent what was pending, which may never be.
                while client.is_connected:
                    with move_on_after(LOOK_S):
                        await gone.wait()
                self.lost += 1
                log.warning("nats.lost")
            except Exception as error:  # noqa: BLE001 - whatever a server may say to us, the node goes on
                log.warning("nats.unreachable", kind=type(error).__name__)
                await anyio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, PAUSE_S[1])
            finally:
                self._client = None
                await _close(client)

    async def _connect(self, client: Client, gone: anyio.Event) -> None:
        async def closed() -> None:
            gone.set()

        async def erred(error: Exception) -> None:
            log.info("nats.erred", kind=type(error).__name__)

        await client.connect(
            list(self.servers),
            name="agentcore",
            tls=self.tls,
            no_echo=True,
            allow_reconnect=False,  # the loop above does that
            max_reconnect_attempts=1,  # who cannot be reached is tried twice, then the round is over
            reconnect_time_wait=0,
            connect_timeout=CONNECT_S,
            ping_interval=PING_S,
            max_outstanding_pings=PINGS,
            flush_timeout=FLUSH_S,
            closed_cb=closed,
            error_cb=erred,
            skip_subject_validation=True,  # ours are made of names that are
        )


class _Client(Client):
    """A client that says who it is over TLS only, if that is wanted: nats-py leaves it to the server."""

    def __init__(self, is_secret: bool) -> None:  # noqa: FBT001 - it is all that there is to say
        super().__init__()
        self._is_secret = is_secret

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002 - as nats-py has it
        if initial_connection and self._is_secret and not info.get("tls_required"):
            raise NatsError("nats: the server does not speak TLS")
        await super()._process_info(info, initial_connection)


async def _close(client: Client) -> None:
    with CancelScope(shield=True), move_on_after(CLOSE_S):
        try:
            await client.close()
        except Exception as error:  # noqa: BLE001 - it is given up in any case
            log.info("nats.erred", kind=type(error).__name__)
    for subscription in client._subs.values():  # noqa: SLF001 - when closing was cut short
        if (task := subscription._wait_for_msgs_task) is not None:  # noqa: SLF001
            task.cancel()
    # nats-py 2.16 leaves the socket open when the server did not let it in.
    if (transport := client._transport) is not None:  # noqa: SLF001
        transport.close()  # type: ignore[no-untyped-call] # of a base class that has no types
        with CancelScope(shield=True), move_on_after(CLOSE_S), suppress(Exception):  # it is gone, however that went
            await transport.wait_closed()  # type: ignore[no-untyped-call]


def tls_for(servers: tuple[str, ...], ca: Path | None = None) -> ssl.SSLContext | None:
    """Return how *servers* are asked: all over TLS if one is, or if *ca* says who vouches for them; None: in clear.

    Without *ca* those vouch whom the system trusts.  Raises OSError if it is no file of certificates.
    """
    if ca is None and not any(urlsplit(server).scheme == "tls" for server in servers):
        return None
    return ssl.create_default_context(cafile=None if ca is None else str(ca))


@asynccontextmanager
async def nats_connection(servers: tuple[str, ...], tls: ssl.SSLContext | None = None) -> AsyncIterator[NatsConnection]:
    """Keep a connection to one of *servers* as long as this is open; it may come later, or never."""
    connection = NatsConnection(servers, tls)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.stay)
        try:
            yield connection
        finally:
            tasks.cancel_scope.cancel()
