"""The PostgreSQL adapters keep the promises of their ports."""

from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest
from tests.support.database import Server

from agentcore.ports import Lease
from agentcore.testing.contracts import BooksContract, InstancesContract, LeasesContract, ReadingContract, StoreContract
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


class TestPostgresReading(ReadingContract):
    pass


class TestPostgresBooks(BooksContract):
    pass


class TestPostgresInstances(InstancesContract):
    pass


class TestPostgresLeases(LeasesContract):
    pass
