"""The PostgreSQL adapters keep the promises of their ports."""

from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest
from tests.support.database import Server

from agentcore.changes import Receipt
from agentcore.errors import KeyInFlight
from agentcore.ports import Lease
from agentcore.testing.contracts import BooksContract, KeysContract, LeasesContract, ReadingContract, StoreContract
from agentcore.testing.making import a_key, a_talk
from agentcore_adapters.postgres.leases import PostgresLeases
from agentcore_adapters.postgres.store import PostgresStore, postgres_store

Opened = tuple[PostgresStore, PostgresLeases, str]


@pytest.fixture
async def opened(postgres: Server) -> AsyncIterator[Opened]:
    owner, service = postgres.fresh()
    async with postgres_store(service) as (store, leases):
        yield store, leases, owner


@pytest.fixture
def store(opened: Opened) -> PostgresStore:
    return opened[0]


@pytest.fixture
def leases(opened: Opened) -> PostgresLeases:
    return opened[1]


@pytest.fixture
def expire(opened: Opened) -> Callable[[Lease], Awaitable[None]]:
    async def expire(lease: Lease) -> None:
        async with await psycopg.AsyncConnection.connect(opened[2], autocommit=True) as connection:
            await connection.execute(
                "UPDATE agentcore.task SET lease_expires_at = now() - interval '1 s' WHERE id = %s", [lease.task_id]
            )

    return expire


class TestPostgresStore(StoreContract):
    pass


class TestPostgresKeys(KeysContract):
    pass


class TestPostgresReading(ReadingContract):
    pass


class TestPostgresBooks(BooksContract):
    pass


class TestPostgresLeases(LeasesContract):
    pass


@pytest.mark.anyio
async def test_a_reservation_and_an_answer_run_out(opened: Opened) -> None:
    store, leases, owner = opened

    async def age(column: str, seconds: float) -> None:
        async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as connection:
            change = f"UPDATE agentcore.idempotency_key SET {column} = {column} - make_interval(secs => {seconds})"
            await connection.execute(change.encode())

    await a_talk(store, leases).admit()
    assert await store.begin(a_key()) is None
    await age("locked_until", 50)
    with pytest.raises(KeyInFlight):
        await store.begin(a_key(holder="two"))
    await age("locked_until", 10)
    assert await store.begin(a_key(holder="two")) is None
    await store.keep(Receipt(key=a_key(holder="two"), status=201, body="{}"))
    await age("locked_until", 3600)
    await age("created_at", 24 * 3600 - 60)
    assert await store.begin(a_key()) is not None
    await age("created_at", 60)
    assert await store.begin(a_key()) is None
