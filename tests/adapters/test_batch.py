"""Statements that travel together: libpq's pipeline mode."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import psycopg
import pytest
from tests.support.database import Server

from agentcore.ids import TenantId
from agentcore_adapters.postgres.batch import Batch
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
    waits, arrive = 0, Batch.arrive

    async def counted(batch: Batch) -> None:
        nonlocal waits
        waits += 1
        await arrive(batch)

    async def work(transaction: Transaction) -> list[list[Any]]:
        sent = [transaction.send("SELECT %s::int AS n", number) for number in range(8)]
        found = await transaction.arrive(*sent)
        for number in range(8):
            transaction.send("SELECT %s::int AS n", number)
        return found

    monkeypatch.setattr(Batch, "arrive", counted)
    found = await database.write(TENANT, work)
    assert [rows[0]["n"] for rows in found] == list(range(8))
    assert waits == 2


async def test_what_is_larger_than_every_buffer_arrives(database: Database) -> None:
    async def work(transaction: Transaction) -> list[list[Any]]:
        sent = [transaction.send("SELECT %s::text AS said", letter * LARGE) for letter in "abc"]
        return await transaction.arrive(*sent)

    with anyio.fail_after(30):
        found = await database.write(TENANT, work)
    assert [rows[0]["said"] for rows in found] == [letter * LARGE for letter in "abc"]


async def test_after_an_error_nothing_is_done_and_the_next_transaction_is_whole(database: Database) -> None:
    async def count(transaction: Transaction) -> Any:
        (found,) = await transaction.arrive(transaction.send("SELECT count(*) AS n FROM tenant"))
        return found[0]["n"]

    async def broken(transaction: Transaction) -> None:
        transaction.send("INSERT INTO tenant (id) VALUES ('t')")
        transaction.send("SELECT 1 / %s", 0)
        transaction.send("INSERT INTO tenant (id) VALUES ('u')")

    for _ in range(4):  # with and without what was prepared before
        with pytest.raises(psycopg.errors.DivisionByZero):
            await database.write(TENANT, broken)
        assert await database.write_all(count) == 0
