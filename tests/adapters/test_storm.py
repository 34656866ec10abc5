"""Whatever befalls transactions in the middle, nobody hears another's answer and no connection is lost."""

from decimal import Decimal
from random import Random
from typing import Any

import anyio
import psycopg
import pytest
from attrs import evolve
from tests.support.database import Server

from agentcore.errors import StoreUnavailable
from agentcore.ids import TenantId
from agentcore.ports import Stale
from agentcore_adapters.postgres.connection import REQUESTS, Database, Transaction, open_database

pytestmark = pytest.mark.anyio
WORKERS, TURNS, CUTS = 12, 60, 15
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE usename = 'agentcore_service' AND datname = current_database() ORDER BY random() LIMIT 1"""
ODD = ['a"b', "c\\d", "", None, "{},", "NULL"]


async def turn(database: Database, random: Random) -> None:
    """Do one transaction, which may be given up at any moment, and look at what it answers."""
    number, text, fate = random.randrange(10**9), 'x"\\{},' * random.choice([1, 20_000]), random.randrange(8)

    async def work(transaction: Transaction) -> Any:
        asked = transaction.send("SELECT %s::int AS n, %s::text AS text, %s::text[] AS odd", number, text, ODD)
        (found,) = await transaction.arrive(asked)
        assert found == [{"n": number, "text": text, "odd": ODD}]
        match fate:
            case 0:
                transaction.send("SELECT 1 / %s", 0)
            case 1:
                transaction.send("SELECT %s::text", "no text: \0")
            case 2:
                transaction.send("SELECT there_is_none")
            case 3:
                transaction.send("SELECT %s::int", number)
                raise Stale("")
            case 4:
                await anyio.sleep(random.random() / 100)
        return transaction.send("SELECT %s::numeric AS n, %s::bytea AS bytes", Decimal(number), text.encode())

    with anyio.move_on_after(random.choice([30.0, 30.0, random.random() / 100])):
        answer = await database.write(TenantId(random.choice("abc")), work)
        assert answer.rows() == [{"n": Decimal(number), "bytes": text.encode()}]


async def test_in_a_storm_each_hears_its_own_answer_and_all_connections_come_back(postgres: Server) -> None:
    owner, service = postgres.fresh()
    random, done = Random(27), 0

    async def worker(database: Database) -> None:
        nonlocal done
        for _ in range(TURNS):
            try:
                await turn(database, random)
            except (psycopg.Error, Stale, StoreUnavailable):
                continue
            done += 1

    async with open_database(service, evolve(REQUESTS, size=(2, 6))) as database:
        async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as other:
            with anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    for _ in range(WORKERS):
                        tasks.start_soon(worker, database)
                    for _ in range(CUTS):
                        await anyio.sleep(0.05)
                        await other.execute(CUT)
            assert done > WORKERS
            with anyio.fail_after(20):
                lent = [await database.lender.lend(TenantId("a")) for _ in range(6)]  # all places, and all of the pool
                for connection in lent:
                    await database.lender.take_back(TenantId("a"), connection)
            left = await other.execute(
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
            )
            assert not left.rowcount
