"""Behind PgBouncer in transaction mode, with four connections for all, the ports keep their promises."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from tests.support.database import EMPTY, Server, ask, expiring
from tests.support.pooler import Pooler, running_pooler

from agentcore.ports import Lease
from agentcore.testing.contracts import LeasesContract, StoreContract
from agentcore_adapters.postgres.leases import PostgresLeases
from agentcore_adapters.postgres.store import PostgresStore, postgres_store

Opened = tuple[PostgresStore, PostgresLeases, str]


@pytest.fixture(scope="module")
def pooler(postgres: Server) -> Iterator[Pooler]:
    with running_pooler(postgres) as pooler:
        yield pooler


@pytest.fixture(scope="module")
def addresses(postgres: Server) -> tuple[str, str]:
    """Of one database for all tests, so that they come after each other on the same four connections."""
    return postgres.fresh()


@pytest.fixture
async def opened(addresses: tuple[str, str], pooler: Pooler) -> AsyncIterator[Opened]:
    owner, service = addresses
    ask(owner, EMPTY)
    async with postgres_store(pooler.through(service)) as (store, leases):
        yield store, leases, owner


@pytest.fixture
def store(opened: Opened) -> PostgresStore:
    return opened[0]


@pytest.fixture
def leases(opened: Opened) -> PostgresLeases:
    return opened[1]


@pytest.fixture
def expire(opened: Opened) -> Callable[[Lease], Awaitable[None]]:
    return expiring(opened[2])


class TestPooledStore(StoreContract):
    pass


class TestPooledLeases(LeasesContract):
    pass
