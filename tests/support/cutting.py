"""A network between a client and a server that breaks where it is told to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketStream
from attrs import define, field


@define(eq=False)
class Network:
    """What befalls connections, in the order in which they are made."""

    url: str
    cuts: list[int] = field(factory=list)  # after so many bytes of the server's, a connection each
    is_silent: bool = False  # what the server says from now on is kept from the client
    is_down: bool = False  # nobody gets through
    connections: int = 0

    async def carry(self, client: SocketStream, host: str, port: int) -> None:
        self.connections += 1
        left = self.cuts.pop(0) if self.cuts else None
        async with client:
            if self.is_down:
                return
            async with await anyio.connect_tcp(host, port) as server, anyio.create_task_group() as tasks:
                tasks.start_soon(self._up, client, server)
                await self._down(server, client, left)
                tasks.cancel_scope.cancel()

    async def _up(self, client: SocketStream, server: SocketStream) -> None:
        try:
            async for data in client:
                await server.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    async def _down(self, server: SocketStream, client: SocketStream, left: int | None) -> None:
        try:
            async for data in server:
                while self.is_silent:
                    await anyio.sleep(0.01)
                if left is not None and len(data) >= left:
                    await client.send(data[:left])
                    return
                await client.send(data)
                left = None if left is None else left - len(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


@asynccontextmanager
async def between(url: str) -> AsyncIterator[Network]:
    """Stand before the server at *url*."""
    there = urlsplit(url)
    assert there.hostname is not None
    assert there.port is not None
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    network = Network(f"http://127.0.0.1:{port}")
    async with listener, anyio.create_task_group() as tasks:

        async def handle(client: SocketStream) -> None:
            await network.carry(client, there.hostname or "", there.port or 0)

        tasks.start_soon(listener.serve, handle)
        yield network
        tasks.cancel_scope.cancel()
