"""Connections that stay at hand."""

import anyio
import psycopg
import pytest
from attrs import evolve
from psycopg_pool import PoolTimeout
from tests.support.database import Server

from agentcore.ids import TenantId
from agentcore_adapters.postgres import lender
from agentcore_adapters.postgres.connection import REQUESTS, open_database

pytestmark = pytest.mark.anyio
TENANT = TenantId("t")


async def test_what_came_back_last_is_lent_first(postgres: Server) -> None:
    _, service = postgres.fresh()
    async with open_database(service, evolve(REQUESTS, size=(2, 3))) as database:
        lent = [await database.lender.lend(TENANT) for _ in range(3)]
        for connection in lent:
            await database.lender.take_back(TENANT, connection)
        assert [await database.lender.lend(TENANT) for _ in range(3)] == lent[::-1]
        for connection in lent:
            await database.lender.take_back(TENANT, connection)


async def test_a_connection_whose_server_process_has_gone_is_not_lent(postgres: Server) -> None:
    owner, service = postgres.fresh()
    async with open_database(service, evolve(REQUESTS, size=(2, 2))) as database:
        lent = [await database.lender.lend(TENANT) for _ in range(2)]
        processes = [connection.info.backend_pid for connection in lent]
        for connection in lent:
            await database.lender.take_back(TENANT, connection)
        with psycopg.connect(owner) as other:
            assert other.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) AS pid", [processes]).rowcount
        for _ in range(4):
            (found,) = await database.read(TENANT, ("SELECT pg_backend_pid() AS pid", ()))
            assert found[0]["pid"] not in processes


async def test_what_is_broken_or_old_goes_back_to_the_pool(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _, service = postgres.fresh()
    async with open_database(service, evolve(REQUESTS, size=(1, 1))) as database:
        first = await database.lender.lend(TENANT)
        first.pgconn.finish()
        await database.lender.take_back(TENANT, first)
        second = await database.lender.lend(TENANT)
        assert second is not first
        monkeypatch.setattr(lender, "KEPT_S", 0.0)
        await database.lender.take_back(TENANT, second)
        assert database.lender.pool.get_stats()["pool_available"] == 1
        monkeypatch.undo()
        await database.lender.take_back(TENANT, await database.lender.lend(TENANT))
        assert database.lender.pool.get_stats()["pool_available"] == 0


async def test_what_nobody_needs_goes_back_to_the_pool(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _, service = postgres.fresh()
    async with open_database(service, evolve(REQUESTS, size=(2, 3))) as database:
        lent = [await database.lender.lend(TENANT) for _ in range(3)]
        for connection in lent:
            await database.lender.take_back(TENANT, connection)
        monkeypatch.setattr(lender, "IDLE_S", -1.0)
        for left in (1, 2, 3):  # one at a time, the one that has been idle for the longest
            await database.lender.take_back(TENANT, await database.lender.lend(TENANT))
            assert database.lender.pool.get_stats()["pool_available"] == left
        assert await database.lender.lend(TENANT) is lent[0]


async def test_a_place_is_free_again_when_no_connection_can_be_had(postgres: Server) -> None:
    _, service = postgres.fresh()
    away = psycopg.conninfo.make_conninfo(service, port=1)
    async with open_database(away, evolve(REQUESTS, size=(1, 1), patience_s=0.2)) as database:
        for _ in range(2):  # with the place lost, the second would wait for ever
            with pytest.raises(PoolTimeout), anyio.fail_after(5):
                await database.lender.lend(TENANT)


async def test_nothing_stays_open_at_the_end(postgres: Server) -> None:
    owner, service = postgres.fresh()
    async with open_database(service, evolve(REQUESTS, size=(2, 2))) as database:
        lent = [await database.lender.lend(TENANT) for _ in range(2)]
        processes = [connection.info.backend_pid for connection in lent]
        for connection in lent:
            await database.lender.take_back(TENANT, connection)
    assert all(connection.closed for connection in lent)
    with psycopg.connect(owner) as other:
        for _ in range(500):
            left = other.execute("SELECT FROM pg_stat_activity WHERE pid = ANY (%s)", [processes]).rowcount
            if not left:
                break
            await anyio.sleep(0.01)
    assert not left
