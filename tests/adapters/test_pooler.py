"""PgBouncer in transaction mode: it is noticed, our limits hold in every transaction, and nothing stays behind."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import LiteralString

import anyio
import psycopg
import pytest
import structlog
from attrs import evolve
from psycopg import conninfo
from psycopg import errors as pg
from tests.adapters.test_maintenance import AGE, DAYS, MAKE, OLD, forget_to_make_a_day
from tests.support.database import Server, ask
from tests.support.pooler import USERS, Pooler, running_pooler

from agentcore.errors import StoreUnavailable
from agentcore.ids import TenantId
from agentcore_adapters.postgres.connection import REQUESTS, TEXT, Database, Limits, Transaction, open_database
from agentcore_adapters.postgres.errors import StoreStartError
from agentcore_adapters.postgres.maintenance import keep_in_order, maintain
from agentcore_adapters.postgres.migrate import check_schema, migrate
from agentcore_http import logs
from agentcore_http.__main__ import main

pytestmark = pytest.mark.anyio
PAGE = Path(__file__).parents[2] / "docs/how-to/put-pgbouncer-between.md"
TENANT = TenantId("t")
WHO = "SELECT current_user AS role, current_setting('agentcore.tenant', true) AS tenant, pg_backend_pid() AS server"
NAMES = ["search_path", "timezone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "role"]
SHOW: LiteralString = "SELECT name, current_setting(name) AS setting FROM unnest(%s::text[]) AS asked(name)"


@pytest.fixture(scope="module")
def pooler(postgres: Server) -> Iterator[Pooler]:
    with running_pooler(postgres, {"default_pool_size": "2"}) as pooler:
        yield pooler


@pytest.fixture
def addresses(postgres: Server) -> tuple[str, str]:
    """Of a database whose own defaults are not ours: the owner's and the service's."""
    owner, service = postgres.fresh()
    name = conninfo.conninfo_to_dict(owner)["dbname"]
    for default in ("statement_timeout = '77s'", "lock_timeout = '66s'", "timezone = 'Asia/Tokyo'"):
        ask(owner, f"ALTER DATABASE {name} SET {default}")
    return owner, service


async def settings(database: Database) -> Mapping[str, str]:
    ((*rows,),) = await database.read(TENANT, (SHOW, (NAMES,)))
    return {str(row["name"]): str(row["setting"]) for row in rows}


async def test_what_holds_for_a_transaction_is_the_same_with_and_without_it(
    addresses: tuple[str, str], pooler: Pooler
) -> None:
    found = []
    for dsn in (addresses[1], pooler.through(addresses[1])):
        async with open_database(dsn, REQUESTS) as database:
            found.append(await settings(database))
            ((row,),) = await database.read(TENANT, ("SELECT now() AS at", ()))
            assert str(row["at"].tzinfo) == "UTC"
    assert found[0] == found[1]
    assert found[0] == {
        "search_path": "agentcore",
        "timezone": "UTC",
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "5s",
        "role": "agentcore_app",
    }


async def test_statements_are_prepared_where_the_session_is_ours_and_nowhere_else(
    addresses: tuple[str, str], pooler: Pooler
) -> None:
    one = evolve(REQUESTS, size=(1, 1))
    found = []
    for dsn in (addresses[1], pooler.through(addresses[1])):
        async with open_database(dsn, one) as database:
            for _ in range(5):
                ((row,),) = await database.read(TENANT, ("SELECT count(*) AS n FROM pg_prepared_statements", ()))
            found.append(row["n"] > 0)
    assert found == [True, False]


async def refused(database: Database, statement: LiteralString) -> type[psycopg.Error] | None:
    """Return what the server says to a statement that lasts too long."""
    said: list[type[psycopg.Error]] = []

    async def work(transaction: Transaction) -> None:
        try:
            await transaction.arrive(transaction.send(statement))
        except psycopg.Error as error:
            said.append(type(error))
            raise RuntimeError("enough") from None  # and not again

    with pytest.raises(RuntimeError):
        await database.write(TENANT, work)
    return said[0]


HASTY = Limits(size=(1, 1), connect_s=3, lock_s=1, statement_s=1, idle_s=1, patience_s=20.0)


async def test_a_statement_that_lasts_too_long_is_ended(addresses: tuple[str, str], pooler: Pooler) -> None:
    async with open_database(pooler.through(addresses[1]), HASTY) as database:
        assert await refused(database, "SELECT pg_sleep(60)") is pg.QueryCanceled


async def test_a_lock_is_not_waited_for_too_long(addresses: tuple[str, str], pooler: Pooler) -> None:
    owner, service = addresses
    async with (
        open_database(pooler.through(service), evolve(HASTY, statement_s=30)) as database,
        await psycopg.AsyncConnection.connect(owner) as holder,
    ):
        await holder.execute("LOCK TABLE agentcore.session")
        assert await refused(database, "SELECT count(*) FROM session") is pg.LockNotAvailable


async def test_who_stands_still_in_a_transaction_loses_it(addresses: tuple[str, str], pooler: Pooler) -> None:
    owner, service = addresses

    async def work(transaction: Transaction) -> None:
        await transaction.arrive(transaction.send("SELECT FROM session FOR UPDATE"))
        idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in tr%' AND datname = current_database()"
        with anyio.fail_after(15):
            while ask(owner, idle):
                await anyio.sleep(0.05)
        await transaction.arrive(transaction.send("SELECT 1"))

    async with open_database(pooler.through(service), HASTY) as database:
        with pytest.raises(StoreUnavailable):
            await database.write(TENANT, work)
        assert (await settings(database))["role"] == "agentcore_app"  # and the next one has a server again


async def test_two_logins_on_one_server_connection_leave_each_other_nothing(
    postgres: Server, addresses: tuple[str, str]
) -> None:
    """Both log in as the service behind it, so that their transactions take turns on one connection."""
    _, service = addresses
    users = USERS | {"one": "", "two": ""}
    shared = {"default_pool_size": "1", "server_idle_timeout": "600"}
    with running_pooler(postgres, shared, users=users, database="user=agentcore_service") as pooler:
        seen: set[tuple[str, str, str, int]] = set()
        servers: set[int] = set()

        async def node(login: str) -> None:
            async with open_database(pooler.through(service, user=login), REQUESTS) as database:
                async with anyio.create_task_group() as tasks:
                    for number in range(30):
                        tasks.start_soon(transaction, database, login, number)

        async def transaction(database: Database, login: str, number: int) -> None:
            if number % 3 == 0:  # across tenants
                ((row,),) = await database.read_all((WHO, ()))
                seen.add((login, row["role"], row["tenant"], number))
            elif number % 3 == 1:
                ((row,), _) = await database.read(TenantId(f"{login}-{number}"), (WHO, ()), (WHO, ()))
                seen.add((login, row["role"], row["tenant"], number))
            else:  # given up in the middle
                with pytest.raises(StoreUnavailable):
                    await database.write(TenantId(f"{login}-{number}"), refuses)
                return
            servers.add(row["server"])

        async def refuses(transaction: Transaction) -> None:
            await transaction.arrive(transaction.send(WHO))
            raise StoreUnavailable("so it is")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(node, "one")
            tasks.start_soon(node, "two")
        assert seen == {
            (login, "agentcore_app", f"{login}-{n}", n) if n % 3 else (login, "agentcore_worker", "", n)
            for login in ("one", "two")
            for n in range(30)
            if n % 3 < 2
        }
        assert len(servers) == 1
        # Open as long as it is looked at: one that went while a connection is made would take the server's along.
        async with open_database(pooler.through(service, user="two"), TEXT) as database:
            ((last,),) = await database.read(TENANT, (WHO, ()))
            with psycopg.connect(pooler.through(service, user="one"), autocommit=True) as stranger:
                who = stranger.execute(WHO).fetchone()
                left: dict[str, str] = dict(stranger.execute(SHOW, [NAMES]).fetchall())
        assert who == ("agentcore_service", "", last["server"])
        assert (left["statement_timeout"], left["lock_timeout"], left["role"]) == ("77s", "66s", "none")
        assert left["search_path"] != "agentcore"


async def test_a_transaction_that_has_ended_holds_no_server_connection(
    addresses: tuple[str, str], pooler: Pooler
) -> None:
    """A word too much, after the one that ends it, would take one and never give it back."""

    async def work(transaction: Transaction) -> None:
        await transaction.arrive(transaction.send("SELECT 1"))

    async with open_database(pooler.through(addresses[1]), TEXT) as database:
        for _ in range(20):
            for done in (database.read(TENANT, ("SELECT 1", ())), database.write(TENANT, work)):
                await done
                with anyio.fail_after(5):
                    while {"active"} & {state for (_, login, _, state, *_) in pooler.tell("SHOW SERVERS")}:
                        await anyio.sleep(0.01)


async def test_a_client_that_vanishes_midway_leaves_no_transaction(addresses: tuple[str, str], pooler: Pooler) -> None:
    owner, service = addresses

    async def work(transaction: Transaction) -> None:
        await transaction.arrive(transaction.send("SELECT pg_advisory_xact_lock(1)"))
        raise RuntimeError("it vanishes")

    async with open_database(pooler.through(service), TEXT) as database:
        for _ in range(3):
            with pytest.raises(RuntimeError):
                await database.write(TENANT, work)
        assert (await settings(database))["statement_timeout"] == "5s"
    with anyio.fail_after(10):
        while ask(owner, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"):
            await anyio.sleep(0.02)


async def test_the_schema_is_not_changed_through_it(
    addresses: tuple[str, str], pooler: Pooler, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreStartError, match="leads to a pooler"):
        await migrate(pooler.through(addresses[0]))
    monkeypatch.setenv("AGENTCORE_DATABASE_URL", pooler.through(addresses[0]))
    assert await anyio.to_thread.run_sync(main, ["migrate"]) == 2
    assert "needs the address of PostgreSQL itself" in capsys.readouterr().err


async def test_the_schema_is_checked_through_it(addresses: tuple[str, str], pooler: Pooler) -> None:
    owner, service = addresses
    for _ in range(3):  # on whichever server connection
        await check_schema(pooler.through(service))
    ask(owner, "DELETE FROM agentcore.schema_migration WHERE id = '0016_pre_shorter'")
    with pytest.raises(StoreStartError, match="lacks the migration 0016_pre_shorter"):
        await check_schema(pooler.through(service))


@pytest.mark.parametrize(
    ("more", "text"),
    [({"options": "-c jit=off"}, "take options out of it"), ({"user": "nobody_else"}, "refuses user or password")],
)
async def test_what_it_refuses_is_explained(
    addresses: tuple[str, str], pooler: Pooler, more: dict[str, str], text: str
) -> None:
    with pytest.raises(StoreStartError, match=text):
        await check_schema(pooler.through(addresses[1], **more))


async def test_the_owner_keeps_the_log_in_order_through_it(postgres: Server, pooler: Pooler) -> None:
    owner, service = postgres.fresh()
    forget_to_make_a_day(owner)
    ask(owner, MAKE)
    ask(owner, AGE)
    assert await maintain(pooler.through(owner)) is True
    assert (ask(owner, DAYS), ask(owner, OLD)) == (9, False)
    with structlog.testing.capture_logs() as told, anyio.fail_after(10):
        await keep_in_order(pooler.through(service))
    assert [each["event"] for each in told] == ["maintenance.is_the_owners"]


def test_the_doctor_tells_of_it(
    addresses: tuple[str, str], pooler: Pooler, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "set_up", lambda **_: None)  # of the whole process, which is the tests'
    for dsn, text in ((addresses[1], "AGENTCORE_DATABASE_URL\n"), (pooler.through(addresses[1]), ", behind a pooler")):
        monkeypatch.setenv("AGENTCORE_DATABASE_URL", dsn)
        main(["doctor", "--port", "0"])
        assert text in capsys.readouterr().out
