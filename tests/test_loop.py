"""What the tests' loop does more than others."""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

from tests.support.loop import PatientLoop

MANY = b"x" * 8_000_000  # more than the kernel takes in at once


def left_behind(factory: Callable[[], asyncio.AbstractEventLoop]) -> bool:
    """Run a loop in which a connection is closed with bytes on their way, and say whether it is left open."""
    kept: list[Any] = []

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            kept.append(transport)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1")
        client.connect(server.sockets[0].getsockname())
        while not kept:
            await asyncio.sleep(0)
        kept[0].write(MANY)
        kept[0].close()
        server.close()

    with socket.socket() as client:
        leaves = threading.Timer(0.05, client.close)  # without having read
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())
            leaves.start()
        leaves.join()
    left = kept[0]._sock
    if left is not None:  # so that nobody tells of it as a leak
        left.close()
        kept[0]._sock = None
    return left is not None


def test_what_is_closing_when_a_test_ends_is_closed() -> None:
    assert not left_behind(PatientLoop)


def test_an_ordinary_loop_leaves_it_behind() -> None:
    assert left_behind(asyncio.SelectorEventLoop)
