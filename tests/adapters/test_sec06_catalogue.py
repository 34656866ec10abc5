"""What holds for whatever tables and functions there are (SEC06), and for whoever logs in (SEC29)."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import psycopg
import pytest
from attrs import evolve
from psycopg import conninfo
from psycopg import errors as pg
from tests.support import guarded
from tests.support.database import Server, ask
from tests.support.guarded import NONE, S1, Connection, a_task, become, connected, tables_of_tenants

from agentcore.ids import TenantId
from agentcore_adapters.postgres import statements as sql
from agentcore_adapters.postgres.connection import REQUESTS, open_database
from agentcore_adapters.postgres.errors import StoreStartError
from agentcore_adapters.postgres.migrate import check_schema, migrate
from agentcore_adapters.postgres.store import postgres_store
from agentcore_http import wiring
from agentcore_http.settings import Settings

addresses, owner, service = guarded.addresses, guarded.owner, guarded.service
LOGINS = ("agentcore_service", "agentcore_app", "agentcore_worker")
OWNERS = {"pg_class": "relowner", "pg_proc": "proowner", "pg_namespace": "nspowner", "pg_database": "datdba"}
WHO = "SELECT current_setting('agentcore.tenant', true) AS tenant, current_user AS role"
OF_NO_TENANT = {"task_transition", "schema_migration", "node"}
DERIVED_FROM_ITS_TENANT = {"outbox_id_once"}  # a hash of tenant, task and call
OURS = "'agentcore'::regnamespace"
ONE_TENANT = "({} = current_setting('agentcore.tenant'::text, true))"


def test_SEC06_a_table_is_a_tenants_or_named_here(owner: Connection) -> None:
    tables = owner.execute(
        f"SELECT relname FROM pg_class WHERE relnamespace = {OURS} AND relkind IN ('r', 'p', 'm', 'v', 'f') "
        "AND NOT relispartition".encode()
    ).fetchall()
    assert {name for (name,) in tables} - set(tables_of_tenants(owner)) == OF_NO_TENANT


def test_SEC06_policies_are_these_two(owner: Connection) -> None:
    found = owner.execute(
        "SELECT tablename, policyname, permissive, roles::text[], cmd, qual, with_check FROM pg_policies "
        "WHERE schemaname = 'agentcore'"
    ).fetchall()
    expected = set()
    for table in tables_of_tenants(owner):
        column = "id" if table == "tenant" else "tenant_id"
        one = ONE_TENANT.format(column)
        expected |= {
            (table, "one_tenant", "PERMISSIVE", ("agentcore_app",), "ALL", one, None),
            (table, "all_tenants", "PERMISSIVE", ("agentcore_worker",), "ALL", "true", None),
        }
    assert {(*row[:3], tuple(row[3]), *row[4:]) for row in found} == expected


def test_SEC06_every_key_names_the_tenant(owner: Connection) -> None:
    """So that a row of one tenant cannot refer to another's, and no tenant learns from a conflict what another has."""
    unique = owner.execute(
        "SELECT i.indexrelid::regclass::text, array_agg(a.attname::text) FROM pg_index i "
        "JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) "
        f"WHERE c.relnamespace = {OURS} AND NOT c.relispartition AND i.indisunique GROUP BY 1".encode()
    ).fetchall()
    lacking = {name for name, columns in unique if "tenant_id" not in columns}
    assert lacking == {"tenant_pk", "task_transition_pk", "schema_migration_pkey", "node_pk"} | DERIVED_FROM_ITS_TENANT
    references = owner.execute(
        "SELECT k.conname, k.confrelid::regclass::text, "
        "ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = k.conrelid AND attnum = ANY (k.conkey)) "
        f"FROM pg_constraint k WHERE k.connamespace = {OURS} AND k.contype = 'f'".encode()
    ).fetchall()
    assert len(references) >= 10
    assert [name for name, _, columns in references if "tenant_id" not in columns] == []


def test_SEC06_no_function_is_everybodys(owner: Connection) -> None:
    """PostgreSQL lets everybody execute a new function; one that has its owner's rights must fix its search_path."""
    functions = owner.execute(
        "SELECT p.proname, p.prosecdef, coalesce(p.proconfig::text, ''), ARRAY("
        "SELECT g.grantee::regrole::text FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g "
        "WHERE g.privilege_type = 'EXECUTE' AND g.grantee <> p.proowner) "
        f"FROM pg_proc p WHERE p.pronamespace = {OURS}".encode()
    ).fetchall()
    assert {"flush", "task_guard", "session_guard", "make_event_partitions"} <= {name for name, *_ in functions}
    granted = {name: set(grantees) for name, *_, grantees in functions if grantees}
    assert {frozenset(granted.pop(name)) for name in ("count_tasks", "count_both", "count_beside")} == {
        frozenset({"agentcore_app"})
    }
    assert set().union(*granted.values()) <= {"agentcore_worker"}
    assert [name for name, definer, config, _ in functions if definer and "search_path" not in config] == []
    assert [name for name, definer, *_ in functions if definer] == []  # for now none needs it


@pytest.mark.parametrize("role", LOGINS)
def test_SEC06_a_runtime_role_owns_nothing_and_is_bound(owner: Connection, role: str) -> None:
    (rights,) = owner.execute(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin, rolinherit "
        "FROM pg_roles WHERE rolname = %s",
        [role],
    ).fetchall()
    logs_in = role == "agentcore_service"
    assert rights[:6] == (False, False, False, False, False, logs_in)
    assert not (logs_in and rights[6])  # it chooses its role for each transaction and has none before
    for catalogue, column in OWNERS.items():
        owned = owner.execute(f"SELECT count(*) FROM {catalogue} WHERE {column} = %s::regrole".encode(), [role])
        assert owned.fetchone() == (0,), catalogue
    memberships = owner.execute(
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole", [role]
    ).fetchall()
    assert {name for (name,) in memberships} == ({"agentcore_app", "agentcore_worker"} if logs_in else set())
    for schema in ("agentcore", "public"):
        found = owner.execute("SELECT has_schema_privilege(%s, %s, 'CREATE')", [role, schema]).fetchone()
        assert found == (False,)


def test_SEC06_a_row_cannot_belong_to_anothers(service: Connection) -> None:
    become(service, "agentcore_app", "b")
    with pytest.raises(pg.ForeignKeyViolation):
        service.execute(a_task(NONE, S1).replace("('a'", "('b'").encode())
    become(service, "agentcore_app", "b")
    with pytest.raises(pg.InsufficientPrivilege):
        service.execute(a_task(NONE, S1).encode())


@pytest.mark.anyio
async def test_SEC06_the_next_transaction_of_a_connection_sees_nothing(addresses: tuple[str, str]) -> None:
    """The tenant and the role end with the transaction, however it ends: a pool may lend the connection to anybody."""
    tenant = TenantId("a")
    async with open_database(addresses[1], evolve(REQUESTS, size=(1, 1))) as database:
        for fails in (False, True):
            if fails:
                with pytest.raises(pg.DivisionByZero):
                    await database.read(tenant, ("SELECT 1 / 0", ()))
            else:
                (found,) = await database.read(tenant, (sql.SESSION, (tenant, S1)))
                assert len(found) == 1
            connection = await database.lender.lend("b")  # there is one, so it is the same unless it was closed
            row = await (await connection.execute(WHO)).fetchone()
            assert row is not None
            assert (row["tenant"] or "", row["role"]) == ("", "agentcore_service")
            with pytest.raises(pg.InsufficientPrivilege):
                await connection.execute("SELECT FROM session")
            await database.lender.take_back("b", connection)
            (found,) = await database.read(TenantId("b"), (sql.SESSION, (tenant, S1)))
            assert found == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE session ADD COLUMN mine int",
        "ALTER TABLE session NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE session DISABLE ROW LEVEL SECURITY",
        "DROP POLICY one_tenant ON session",
        "DROP TABLE message",
        "CREATE TABLE agentcore.mine (n int)",
        "CREATE FUNCTION agentcore.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION task_guard() OWNER TO agentcore_app",
        "ALTER TABLE task DISABLE TRIGGER task_guard",
        "SET session_replication_role = replica",
        "CREATE ROLE mine SUPERUSER",
        "SET ROLE agentcore",
        "GRANT agentcore_worker TO agentcore_app",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
@pytest.mark.parametrize("role", LOGINS)
def test_SEC29_a_runtime_role_cannot_alter_drop_or_bypass(service: Connection, role: str, statement: str) -> None:
    become(service, role, "a")
    with pytest.raises(pg.InsufficientPrivilege):
        service.execute(statement.encode())


def test_SEC29_row_security_cannot_be_switched_off(service: Connection) -> None:
    become(service, "agentcore_app", "b")
    service.execute("SET LOCAL row_security = off")
    with pytest.raises(pg.InsufficientPrivilege):
        service.execute("SELECT FROM session")


@pytest.fixture
def logins(postgres: Server) -> Iterator[tuple[str, str]]:
    """A database, and a role that logs in and is bound by nothing."""
    admin, _ = postgres.fresh()
    with connected(admin) as connection:
        connection.execute("CREATE ROLE unbound LOGIN BYPASSRLS")
    yield admin, conninfo.make_conninfo(admin, user="unbound")
    with connected(admin) as connection:
        connection.execute("DROP OWNED BY unbound")
        connection.execute("DROP ROLE unbound")


@pytest.mark.anyio
async def test_SEC29_a_login_that_nothing_binds_is_refused(logins: tuple[str, str]) -> None:
    admin, unbound = logins
    await migrate(admin, service="unbound")
    for address in (admin, unbound):
        with pytest.raises(StoreStartError, match=r"row security does not bind.*CREATE ROLE agentcore_service"):
            await check_schema(address)
        with pytest.raises(StoreStartError, match="row security does not bind"):
            async with wiring.database(Settings(database_url=address)):
                raise AssertionError
    await check_schema(conninfo.make_conninfo(admin, user="agentcore_service"))


@pytest.mark.anyio
async def test_SEC29_the_owners_command_lets_the_service_in(logins: tuple[str, str], postgres: Server) -> None:
    """Though the address that it is given names the owner."""
    admin, _ = logins
    with connected(admin) as connection:
        connection.execute("REVOKE agentcore_app, agentcore_worker FROM agentcore_service")
    try:
        service = conninfo.make_conninfo(admin, user="agentcore_service")
        assert ask(service, "SELECT pg_has_role('agentcore_app', 'MEMBER')") is False
    finally:
        await migrate(admin, service="unbound")
    assert ask(service, "SELECT pg_has_role('agentcore_app', 'MEMBER')") is True


@pytest.mark.anyio
async def test_SEC29_the_embedded_servers_clients_are_no_superusers() -> None:
    with tempfile.TemporaryDirectory(prefix="ac-", ignore_cleanup_errors=True) as folder:
        async with wiring.database(Settings(data_dir=Path(folder))) as dsn, postgres_store(dsn) as (store, _):
            await store.ping()
            admin = conninfo.make_conninfo(dsn, user="agentcore")
            with anyio.fail_after(20):  # the owner's work of the start ends soon
                while (found := users(admin)) != {"agentcore_service"}:
                    assert found <= {"agentcore_service", "agentcore"}
                    await anyio.sleep(0.05)
            assert ask(dsn, "SHOW listen_addresses") == ""


def users(admin: str) -> set[str]:
    with psycopg.connect(admin) as connection:
        found = connection.execute(
            "SELECT DISTINCT usename::text FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchall()
    return {name for (name,) in found}
