"""One machine, two stores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import ClassVar

import psycopg
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.support.database import Server

from agentcore.testing.machine import SessionMachine, World
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore
from agentcore_adapters.postgres.store import postgres_store

# A failing program is printed as it was found: shrinking takes longer than reading it.
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)


@asynccontextmanager
async def memory_world() -> AsyncIterator[World]:
    clock = SystemClock()
    store = MemoryStore(clock)

    async def expire_all() -> None:
        for shelf in store.state.shelves.values():
            for hold in shelf.holds.values():
                if hold.expires_at is not None:
                    hold.expires_at = clock.now() - timedelta(seconds=1)

    yield World(store=store, leases=MemoryLeases(store.state, clock), bus=MemoryBus, clock=clock, expire_all=expire_all)


class OnMemory(SessionMachine):
    world = staticmethod(memory_world)


class OnPostgres(SessionMachine):
    server: ClassVar[Server]

    @staticmethod
    @asynccontextmanager
    async def world() -> AsyncIterator[World]:
        owner, service = OnPostgres.server.fresh()

        async def expire_all() -> None:
            async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as connection:
                await connection.execute(
                    "UPDATE agentcore.task SET lease_expires_at = now() - interval '1 s' WHERE lease_owner IS NOT NULL"
                )

        async with postgres_store(service) as (store, leases):
            yield World(store=store, leases=leases, bus=MemoryBus, clock=SystemClock(), expire_all=expire_all)


def test_the_machine_on_memory() -> None:
    run_state_machine_as_test(OnMemory, settings=settings(max_examples=90, stateful_step_count=40, phases=QUICK))


@pytest.mark.slow
def test_the_machine_on_postgres(postgres: Server) -> None:
    OnPostgres.server = postgres
    run_state_machine_as_test(OnPostgres, settings=settings(max_examples=30, stateful_step_count=30, phases=QUICK))
