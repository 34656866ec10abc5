"""The PostgreSQL adapters keep the promises of their ports."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import psycopg
import pytest
from attrs import evolve
from tests.support.database import Server, expiring

from agentcore.changes import Receipt
from agentcore.errors import KeyInFlight
from agentcore.events import CallOpened, Finished
from agentcore.ports import RESERVED_S, Committed, Fenced, Lease
from agentcore.testing.contracts import (
    BooksContract,
    InstancesContract,
    KeysContract,
    LeasesContract,
    LimitsContract,
    ReadingContract,
    StoreContract,
)
from agentcore.testing.making import TENANT, a_key, a_talk
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
    return expiring(opened[2])


class TestPostgresStore(StoreContract):
    pass


class TestPostgresKeys(KeysContract):
    pass


class TestPostgresReading(ReadingContract):
    pass


class TestPostgresBooks(BooksContract):
    pass


class TestPostgresInstances(InstancesContract):
    pass


class TestPostgresLeases(LeasesContract):
    pass


class TestPostgresLimits(LimitsContract):
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
    await age("locked_until", RESERVED_S - 5)
    with pytest.raises(KeyInFlight):
        await store.begin(a_key(holder="two"))
    await age("locked_until", 5)
    assert await store.begin(a_key(holder="two")) is None
    await store.keep(Receipt(key=a_key(holder="two"), status=201, body="{}"))
    await age("locked_until", 3600)
    await age("created_at", 24 * 3600 - 60)
    assert await store.begin(a_key()) is not None
    await age("created_at", 60)
    assert await store.begin(a_key()) is None


@pytest.mark.anyio
async def test_what_is_read_together_is_one_snapshot(opened: Opened) -> None:
    asked = ("SHOW transaction_isolation", ())
    ((row,), _) = await opened[0].database.read(TENANT, asked, asked)
    assert row["transaction_isolation"] == "repeatable read"


@asynccontextmanager
async def holding(owner: str, lock: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Hold rows as another transaction does that is under way, and commits at the end."""
    async with await psycopg.AsyncConnection.connect(owner, options="-c search_path=agentcore") as connection:
        await connection.execute(lock.encode())
        yield connection


@pytest.mark.anyio
@pytest.mark.parametrize("table", ["session", "task"])
async def test_what_somebody_holds_just_now_is_not_taken(opened: Opened, table: str) -> None:
    store, leases, owner = opened
    talk = a_talk(store, leases)
    await talk.admit()
    async with holding(owner, f"SELECT FROM {table} FOR UPDATE"):
        with anyio.fail_after(5):  # who waits for a lock is refused after six
            assert await leases.take(*talk.place, talk.node) is None
    assert await leases.take(*talk.place, talk.node) is not None


@pytest.mark.anyio
async def test_an_event_that_another_relay_takes_just_now_is_left_to_it(opened: Opened) -> None:
    store, leases, owner = opened
    talk = a_talk(store, leases)
    await talk.admit()
    grant = await talk.take()
    await talk.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=1), Finished())
    async with holding(owner, "SELECT FROM outbox FOR UPDATE"):
        with anyio.fail_after(5):  # who waits for a lock is refused after six
            assert await store.take_events(10, 60.0) == []
            assert await store.forget_events(-3600.0, 10) == 0
    assert len(await store.take_events(10, 60.0)) == 1


@pytest.mark.anyio
async def test_a_beat_waits_for_nobody_and_what_is_held_is_still_ours(opened: Opened) -> None:
    store, leases, owner = opened
    talk = a_talk(store, leases)
    task = await talk.admit()
    grant = await talk.take()
    async with holding(owner, "SELECT FROM task FOR UPDATE"):
        with anyio.fail_after(5):  # who waits for a lock is refused after six
            assert await leases.renew([grant.lease]) == {task.id: (grant.lease, grant.turn.task.version)}
    lease, _ = (await leases.renew([grant.lease]))[task.id]
    assert lease.trusted_until > grant.lease.trusted_until


@pytest.mark.anyio
@pytest.mark.parametrize("table", ["session", "task", "log_head"])
async def test_a_commit_waits_for_whoever_is_under_way(opened: Opened, table: str) -> None:
    store, leases, owner = opened
    talk = a_talk(store, leases)
    await talk.admit()
    grant = await talk.take()
    ended: list[str] = []

    async def end() -> None:
        await talk.say(grant.turn, grant.lease, Finished())
        ended.append("the commit")

    async with anyio.create_task_group() as tasks:
        async with holding(owner, f"SELECT FROM {table} FOR NO KEY UPDATE"):
            tasks.start_soon(end)
            await until_blocked(owner)
            ended.append("the other")
    assert ended == ["the other", "the commit"]


@pytest.mark.anyio
async def test_a_commit_goes_on_from_where_another_has_left_the_log(opened: Opened) -> None:
    store, leases, owner = opened
    talk = a_talk(store, leases)
    await talk.admit()
    grant = await talk.take()
    head = (await store.log(*talk.place, 1, 1)).head
    committed: list[Committed] = []

    async def end() -> None:
        committed.extend((await talk.say(grant.turn, grant.lease, Finished()))[1])

    async with anyio.create_task_group() as tasks:
        async with holding(owner, "UPDATE log_head SET head = head + 1"):  # as the flusher does: without the session
            tasks.start_soon(end)
            await until_blocked(owner)
    assert [entry.seq for one in committed for entry in one.entries] == [head + 2]


@pytest.mark.anyio
async def test_a_commit_sees_the_lease_that_another_has_taken_meanwhile(opened: Opened) -> None:
    store, leases, owner = opened
    talk = a_talk(store, leases)
    await talk.admit()
    grant = await talk.take()
    fenced: list[Fenced] = []

    async def open_call() -> None:
        try:
            await talk.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=1))
        except Fenced as error:
            fenced.append(error)

    async with anyio.create_task_group() as tasks:
        async with holding(owner, "UPDATE task SET lease_owner = 'n2', lease_epoch = lease_epoch + 1"):
            tasks.start_soon(open_call)
            await until_blocked(owner)
    assert len(fenced) == 1
    assert (await store.turn(TENANT, grant.turn.task.id)).calls == 0


@pytest.mark.anyio
async def test_a_key_that_another_takes_over_meanwhile_stores_nothing(opened: Opened) -> None:
    store, leases, owner = opened
    talk = a_talk(store, leases)
    await talk.admit()
    await store.begin(a_key())
    refused: list[KeyInFlight] = []

    async def admit() -> None:
        receipt = Receipt(key=a_key(), status=201, body="{}")
        try:
            await talk.admit(also=lambda changes: evolve(changes, receipt=receipt))
        except KeyInFlight as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        async with holding(owner, "UPDATE idempotency_key SET holder = 'two'"):
            tasks.start_soon(admit)
            await until_blocked(owner)
    assert len(refused) == 1
    assert len(await store.tasks(*talk.place, 0, 10)) == 1


@pytest.mark.anyio
async def test_the_last_change_is_asked_for_once_no_commit_is_under_way(opened: Opened) -> None:
    store, leases, owner = opened
    talk = a_talk(store, leases)
    task = await talk.admit()
    grant = await talk.take()
    await talk.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=1))
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await store.last_change(task.tenant_id, task.id))

    async with anyio.create_task_group() as tasks:
        async with holding(owner, "UPDATE task SET change_id = gen_random_uuid()"):
            tasks.start_soon(ask)
            await until_blocked(owner)
            assert answers == []
    assert len(answers) == 1


async def until_blocked(owner: str) -> None:
    """Wait until a transaction of the service waits for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as connection:
        with anyio.fail_after(5):
            while (await (await connection.execute(waits.encode())).fetchone()) == (0,):
                await anyio.sleep(0.01)
