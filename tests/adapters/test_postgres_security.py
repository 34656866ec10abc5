"""Who may do what in the database, and whose text the flusher takes: the rest is left out, or refused."""

import pytest
from psycopg import errors as pg
from tests.support import guarded
from tests.support.guarded import (
    DONE,
    NONE,
    QUEUED,
    RUNNING,
    S1,
    S2,
    SESSION,
    Connection,
    become,
    connected,
    tables_of_tenants,
)

addresses, owner, service = guarded.addresses, guarded.owner, guarded.service
MAY = """
    session_event      app SELECT INSERT DELETE         worker SELECT INSERT DELETE
    message            app SELECT INSERT                worker SELECT
    provider_call      app SELECT INSERT DELETE         worker SELECT
    usage_record       app SELECT INSERT                worker SELECT
    outbox             app SELECT INSERT                worker SELECT DELETE
    tenant             app SELECT INSERT                worker SELECT
    session            app SELECT INSERT UPDATE DELETE  worker SELECT
    log_head           app SELECT INSERT UPDATE         worker SELECT UPDATE
    task               app SELECT INSERT UPDATE         worker SELECT UPDATE
    approval           app SELECT INSERT UPDATE         worker SELECT
    idempotency_key    app SELECT INSERT UPDATE DELETE  worker SELECT DELETE
    blob               app SELECT INSERT DELETE         worker SELECT DELETE
    blob_ref           app SELECT INSERT                worker SELECT
    conversation       app SELECT INSERT UPDATE         worker SELECT
    conversation_line  app SELECT INSERT DELETE         worker SELECT
    instance           app SELECT INSERT UPDATE DELETE  worker SELECT
    node               app                              worker SELECT INSERT DELETE
    task_transition    app SELECT                       worker SELECT
    schema_migration   app                              worker SELECT                 service SELECT
"""
APPEND_ONLY = ("session_event", "message", "provider_call", "usage_record")


FLUSH = (
    "SELECT task_id, seq, text_pos FROM flush(ARRAY['{tenant}'], ARRAY['{session}'::uuid], ARRAY['{task}'::uuid], "
    "ARRAY[{epoch}::bigint], ARRAY[1], ARRAY['text'], ARRAY[{start}::bigint], ARRAY['abc'], ARRAY[now()])"
)
GOOD = {"tenant": "a", "session": S1, "task": RUNNING, "epoch": 1, "start": 0}


def in_the_other_tenant(connection: Connection) -> None:
    """Make a session with the same id there, and logs that stand where the first one stands."""
    connection.execute((SESSION.format(S1, "active").replace("('a'", "('b'")).encode())
    connection.execute(f"INSERT INTO log_head VALUES ('b', '{S1}'), ('a', '{S2}')".encode())
    connection.execute("UPDATE log_head SET head = 1 WHERE tenant_id = 'a'")


def test_text_is_appended_to_its_own_log_only(owner: Connection) -> None:
    in_the_other_tenant(owner)
    (row,) = owner.execute(FLUSH.format(**GOOD).encode()).fetchall()
    assert (str(row[0]), *row[1:]) == (RUNNING, 2, 3)
    heads = owner.execute("SELECT tenant_id, session_id::text, head, text_pos FROM log_head").fetchall()
    assert set(heads) == {("a", S1, 2, 3), ("b", S1, 0, 0), ("a", S2, 1, 0)}


@pytest.mark.parametrize(
    "wrong",
    [{"tenant": "b"}, {"session": S2}, {"task": DONE, "session": S2}, {"task": NONE}, {"epoch": 2}, {"start": 1},
     {"task": QUEUED, "epoch": 0}],
    ids=str,
)  # fmt: skip
def test_text_that_is_not_its_drivers_is_left_out(owner: Connection, wrong: dict[str, object]) -> None:
    in_the_other_tenant(owner)
    assert owner.execute(FLUSH.format(**(GOOD | wrong)).encode()).fetchall() == []


def test_text_waits_for_whoever_changes_the_epoch(addresses: tuple[str, str], owner: Connection) -> None:
    owner.execute("SELECT FROM task WHERE id = %s FOR UPDATE", [RUNNING])
    with connected(addresses[0]) as other:
        with pytest.raises(pg.LockNotAvailable):
            other.execute(FLUSH.format(**GOOD).encode())
        other.rollback()


def test_SEC06_row_security_binds_every_table_of_tenants(owner: Connection) -> None:
    tables = tables_of_tenants(owner)
    assert len(tables) >= 12
    assert all(tables.values()), tables


def test_SEC06_without_a_tenant_there_are_no_rows(owner: Connection, service: Connection) -> None:
    for tenant in (None, "", "b"):
        for table in tables_of_tenants(owner).keys() - {"tenant"}:
            become(service, "agentcore_app", tenant)
            assert service.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,), (table, tenant)
    for table in tables_of_tenants(owner):  # and there is something to be hidden in each
        assert owner.execute(f"SELECT count(*) > 0 FROM {table}".encode()).fetchone() == (True,), table
    become(service, "agentcore_app", "a")
    assert service.execute("SELECT id FROM tenant").fetchall() == [("a",)]
    assert service.execute("SELECT count(*) FROM task").fetchone() == (3,)


def test_SEC06_nobody_writes_for_another_tenant(service: Connection) -> None:
    become(service, "agentcore_app", "b")
    with pytest.raises(pg.InsufficientPrivilege):
        service.execute(SESSION.format(NONE, "active").encode())
    become(service, "agentcore_app", "b")
    assert service.execute("UPDATE session SET version = 2").rowcount == 0
    assert service.execute("DELETE FROM session").rowcount == 0


def test_SEC06_the_login_itself_may_do_nothing(owner: Connection, service: Connection) -> None:
    for table in tables_of_tenants(owner):
        service.rollback()
        with pytest.raises(pg.InsufficientPrivilege):
            service.execute(f"SELECT FROM {table}".encode())


def test_each_role_may_do_what_is_written_here(owner: Connection) -> None:
    found = owner.execute(
        "SELECT c.relname, r.role, p.privilege FROM pg_class c "
        "CROSS JOIN unnest(ARRAY['app', 'worker', 'service']) AS r (role) "
        "CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS p (privilege) "
        "WHERE c.relnamespace = 'agentcore'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
        "AND has_table_privilege('agentcore_' || r.role, c.oid, p.privilege)"
    ).fetchall()
    written = set()
    for line in MAY.strip().splitlines():
        table, *words = line.split()
        role = ""
        for word in words:
            role = word if word.islower() else role
            written |= {(table, role, word)} if word.isupper() else set()
    assert set(found) == written


@pytest.mark.parametrize("role", ["agentcore_app", "agentcore_worker"])
def test_SEC06_the_log_the_messages_and_the_ledger_are_append_only(service: Connection, role: str) -> None:
    updates = [f"UPDATE {table} SET created_at = now()" for table in APPEND_ONLY]
    for statement in (*updates, "DELETE FROM usage_record", "TRUNCATE usage_record"):
        become(service, role, "a")
        with pytest.raises(pg.InsufficientPrivilege):
            service.execute(statement.encode())


def test_SEC06_the_app_cannot_reach_a_partition_past_its_row_security(owner: Connection, service: Connection) -> None:
    partitions = owner.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'session_event'::regclass"
    ).fetchall()
    assert len(partitions) == 9  # eight days and the rest
    for (partition,) in partitions:
        become(service, "agentcore_app", "a")
        with pytest.raises(pg.InsufficientPrivilege):
            service.execute(f"SELECT FROM {partition}".encode())
