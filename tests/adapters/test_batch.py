"""Statements that travel together: psycopg's pipeline with its waits put off, so what is its own is looked at here."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import psycopg
import pytest
from tests.support.database import Server

from agentcore.ids import TenantId
from agentcore_adapters.postgres.batch import BatchingConnection
from agentcore_adapters.postgres.connection import REQUESTS, Database, Transaction, open_database

pytestmark = pytest.mark.anyio
TENANT = TenantId("t")
LARGE = 8 * 1024 * 1024  # more than the buffers of a socket hold, in both directions


@pytest.fixture
async def database(postgres: Server) -> AsyncIterator[Database]:
    _, service = postgres.fresh()
    async with open_database(service, REQUESTS) as database:
        yield database


async def test_a_transaction_waits_once_for_each_answer(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    waits, wait = 0, BatchingConnection.wait

    async def counted(self: Any, *arguments: Any, **more: Any) -> Any:
        async def stepping(generator: Any) -> Any:
            return await wait(self, generator, **more)

        nonlocal waits
        generator = arguments[0]
        try:
            ready = next(generator)
        except StopIteration as done:
            return done.value
        waits += 1

        def rest() -> Any:
            state = yield ready
            try:
                while True:
                    state = yield generator.send(state)
            except StopIteration as done:
                return done.value

        return await stepping(rest())

    async def work(transaction: Transaction) -> list[list[Any]]:
        sent = [await transaction.send("SELECT %s::int AS n", number) for number in range(8)]
        found = await transaction.arrive(*sent)
        for number in range(8):
            await transaction.send("SELECT %s::int AS n", number)
        return found

    for _ in range(3):  # once they are prepared
        await database.write(TENANT, work)
    monkeypatch.setattr(BatchingConnection, "wait", counted)
    found = await database.write(TENANT, work)
    assert [rows[0]["n"] for rows in found] == list(range(8))
    assert waits <= 4  # to send and to fetch, twice


async def test_what_is_larger_than_every_buffer_arrives(database: Database) -> None:
    async def work(transaction: Transaction) -> list[list[Any]]:
        sent = [await transaction.send("SELECT %s::text AS said", letter * LARGE) for letter in "abc"]
        return await transaction.arrive(*sent)

    with anyio.fail_after(30):
        found = await database.write(TENANT, work)
    assert [rows[0]["said"] for rows in found] == [letter * LARGE for letter in "abc"]


async def test_after_an_error_nothing_is_done_and_the_next_transaction_is_whole(database: Database) -> None:
    async def count(transaction: Transaction) -> Any:
        (found,) = await transaction.arrive(await transaction.send("SELECT count(*) AS n FROM tenant"))
        return found[0]["n"]

    async def broken(transaction: Transaction) -> None:
        await transaction.send("INSERT INTO tenant (id) VALUES ('t')")
        await transaction.send("SELECT 1 / %s", 0)
        await transaction.send("INSERT INTO tenant (id) VALUES ('u')")

    for _ in range(4):  # with and without what was prepared before
        with pytest.raises(psycopg.errors.DivisionByZero):
            await database.write(TENANT, broken)
        assert await database.write_all(count) == 0
