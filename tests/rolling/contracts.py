"""What the release before promises of its store, kept on today's schema.

It is not collected here: ``test_rolling`` copies it beside the sources of that release, and runs it with these alone.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import psycopg
import pytest

from agentcore.ports import Lease
from agentcore.testing.contracts import BooksContract, LeasesContract, StoreContract
from agentcore_adapters.postgres.leases import PostgresLeases
from agentcore_adapters.postgres.store import PostgresStore, postgres_store

Opened = tuple[PostgresStore, PostgresLeases]
OWNER, SERVICE, EMPTY = (os.environ[f"ROLLING_{name}"] for name in ("OWNER", "SERVICE", "EMPTY"))
EXPIRE = b"UPDATE agentcore.task SET lease_expires_at = now() - interval '1 s' WHERE id = %s"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def opened() -> AsyncIterator[Opened]:
    async with postgres_store(SERVICE) as found:
        yield found


@pytest.fixture(scope="module")
def owner() -> Iterator[psycopg.Connection]:
    with psycopg.connect(OWNER, autocommit=True) as connection:
        yield connection


@pytest.fixture(autouse=True)
def empty(owner: psycopg.Connection) -> None:
    owner.execute(EMPTY.encode())


@pytest.fixture
def store(opened: Opened) -> PostgresStore:
    return opened[0]


@pytest.fixture
def leases(opened: Opened) -> PostgresLeases:
    return opened[1]


@pytest.fixture
def expire(owner: psycopg.Connection) -> Callable[[Lease], Awaitable[None]]:
    async def expire(lease: Lease) -> None:
        owner.execute(EXPIRE, [lease.task_id])

    return expire


class TestStore(StoreContract):
    pass


class TestLeases(LeasesContract):
    pass


class TestBooks(BooksContract):
    pass
