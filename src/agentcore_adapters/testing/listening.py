"""A server of a test that leaves no connection behind, whenever one comes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

TURNS = 10  #: Of the event loop, within which a connection that was accepted is given to who serves it; it takes three.


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], port: int = 0
) -> AsyncIterator[int]:
    """Have *serve* answer each connection to a port of this host, and yield it; at the end all of them are cut."""
    came: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}  # those that are closed, too: they may be closing yet

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task of its own"
        came[writer] = task
        with suppress(asyncio.CancelledError):  # from below; asyncio of Python 3.11 would print it
            await serve(reader, writer)

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # A server that is closed while it accepts forgets what it accepted, so it stops accepting first.
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        server.close()
        for writer, task in came.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*came.values(), return_exceptions=True)
        for writer in came:
            with suppress(ConnectionError):
                await writer.wait_closed()
