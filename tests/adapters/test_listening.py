"""The servers of tests leave no connection behind, whatever the moment at which one comes."""

import asyncio
import gc
import socket
import warnings

import pytest

from agentcore_adapters.testing.listening import listening


async def _silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _somebody_comes(turns: int) -> None:
    async with listening(_silent) as port:
        with socket.create_connection(("127.0.0.1", port)):
            for _ in range(turns):
                await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(8))
def test_who_comes_while_a_server_closes_is_not_left(turns: int) -> None:
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        asyncio.run(_somebody_comes(turns))
        gc.collect()
    assert not left


async def _much(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"x" * 10_000_000)
    writer.close()


async def _nobody_reads(client: socket.socket) -> None:
    async with listening(_much) as port:
        client.connect(("127.0.0.1", port))
        await asyncio.sleep(0.1)


def test_what_nobody_reads_is_not_left_on_its_way() -> None:
    with socket.socket() as client, warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        asyncio.run(_nobody_reads(client))
        gc.collect()
    assert not left
