"""The database refuses what the domain would never ask: each guard is raised once, by hand."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg
from tests.support.database import Server

from agentcore.task import FINAL, TaskStatus
from agentcore_adapters.postgres import guard

Connection = psycopg.Connection[tuple[Any, ...]]
S1, S2, S3 = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2, 3))
RUNNING, QUEUED, DONE, NONE, GOAL = (f"00000000-0000-0000-0000-0000000000{n}" for n in (11, 12, 13, 99, 14))
IDS = {"S1": S1, "S2": S2, "S3": S3, "RUNNING": RUNNING, "QUEUED": QUEUED, "DONE": DONE, "NONE": NONE}

SESSION = "INSERT INTO session VALUES ('a', '{0}', 'me', 'e', '', false, '{1}', 1, now(), now());"
TASK = """INSERT INTO task
            (tenant_id, id, session_id, number, priority, engine, params, prompt, status, version, attempt, crashes,
             deadline, created_at, started_at, completed_at, lease_epoch, lease_owner, lease_expires_at, stop_code,
             error_code)
          VALUES ('a', '{id}', '{session}', 2, 0, 'e', '{{}}', '[]', '{status}', 1, 1, 0, now(),
                  now(), {started}, {completed}, {epoch}, {owner}, {expires}, {stop}, {error});"""
EVENT = "INSERT INTO session_event VALUES ('a', '{S1}', 1, 0, NULL, 0, '{{\"type\": \"session_opened\"}}', now());"
MESSAGE = "INSERT INTO message VALUES ('a', '{0}', {1}, 0, '{2}', '{RUNNING}', '{3}', '{4}', {5}, now());"
APPROVAL = """INSERT INTO approval VALUES
                ('a', '{0}', '{1}', 'u', 't', '{{}}', 'h', now(), now(), {2}, 'cancel', {4}, NULL, {3});"""
CALL = "INSERT INTO provider_call VALUES ('a', '{RUNNING}', '1:1', 'm', 1, 0, now());"
USAGE = """INSERT INTO usage_record VALUES
             ('{0}', '{RUNNING}', '{S1}', '{1}', '{2}', 'e', 'm', '{3}', '{4}', {5}, 0, 0, 0, 0, NULL, now());"""
OUTBOX = "INSERT INTO outbox VALUES ('a', '{RUNNING}', '{0}', '{1}', now(), {3}, {4}, NULL, {2});"
KEY = "INSERT INTO idempotency_key VALUES ('a', 's', 'r', {0}, 'h', now(), {1}, NULL, now());"
BLOB = "INSERT INTO blob SELECT '{0}', {1}, 'image/png', d, now() FROM (SELECT {2}::bytea) AS x (d);"
HASH, DATA = "encode(sha256(d), 'hex')", "'x'"
REF = "INSERT INTO blob_ref VALUES ('a', '{0}', {1});"
X_HASH = "encode(sha256('x'), 'hex')"


def a_task(task: str = NONE, session: str = S1, status: str = "queued", **columns: str) -> str:
    """Write the INSERT of a task."""
    given = (
        dict.fromkeys(("started", "completed", "owner", "expires", "stop", "error"), "NULL") | {"epoch": "0"} | columns
    )
    return TASK.format(id=task, session=session, status=status, **given)


def a_task_that_is(status: TaskStatus, task: str = NONE, session: str = S3) -> str:
    """Write the INSERT of a task that stands where it is said to."""
    columns = {} if status is TaskStatus.QUEUED else {"started": "now()", "epoch": "1"}
    if status in {TaskStatus.RUNNING, TaskStatus.AWAITING_APPROVAL, TaskStatus.CANCELLING}:
        columns |= {"owner": "'n1'", "expires": "now()"}
    if status in FINAL:
        columns["completed"] = "now()"
    return a_task(task, session, status.value, **columns, stop="'USER_CANCEL'", error="'DEADLINE'")


WORLD = "".join(
    [
        "INSERT INTO tenant (id) VALUES ('a'), ('b');",
        *(SESSION.format(S1, "active"), SESSION.format(S2, "active"), SESSION.format(S3, "closed")),
        f"INSERT INTO log_head VALUES ('a', '{S1}');",
        a_task_that_is(TaskStatus.RUNNING, RUNNING, S1),
        a_task_that_is(TaskStatus.QUEUED, QUEUED, S1),
        a_task_that_is(TaskStatus.COMPLETED, DONE, S2),
        *(EVENT.format(**IDS), MESSAGE.format(S1, 1, "m1", "user", "[]", "false", **IDS)),
        *(BLOB.format("a", HASH, DATA), REF.format(S1, X_HASH), APPROVAL.format(NONE, RUNNING, "NULL", "NULL", "NULL")),
        *(CALL.format(**IDS), USAGE.format("a", "1:1", "p1", "completed", "exact", 1, **IDS)),
        OUTBOX.format("1:1", "e1", "NULL", "now()", 0, **IDS),
        KEY.format("'k'", "NULL"),
    ]
)
MOVE = "UPDATE task SET version = version + 1, "
TALKS = "INSERT INTO conversation VALUES ('a', '{}', 'e', 'r', 'm', now()); "
LINES = "INSERT INTO conversation_line VALUES ('a', '{}', 'e', 0, 'l'); "
CASES: dict[str, str] = {
    "tenant_pk": "INSERT INTO tenant (id) VALUES ('a')",
    "tenant_id_form": "INSERT INTO tenant (id) VALUES ('-a')",
    "session_pk": SESSION.format(S1, "active"),
    "session_tenant_fk": SESSION.format(NONE, "active").replace("'a'", "'nobody'"),
    "session_status": SESSION.format(NONE, "busy"),
    "session_version_steps": f"UPDATE session SET title = 'x' WHERE id = '{S1}'",
    "session_closed_is_closed": f"UPDATE session SET version = 2, status = 'active' WHERE id = '{S3}'",
    "log_head_pk": f"INSERT INTO log_head VALUES ('a', '{S1}')",
    "log_head_session_fk": f"INSERT INTO log_head VALUES ('b', '{S1}')",
    "task_transition_pk": "INSERT INTO task_transition VALUES ('queued', 'running')",
    "task_pk": a_task(RUNNING),
    "task_session_fk": a_task(session=NONE),
    "task_status": a_task(status="busy"),
    "task_lease_is_whole": a_task(expires="now()"),
    "task_works_under_a_lease": a_task(status="running", started="now()", epoch="1"),
    "task_final_is_stamped": a_task(completed="now()"),
    "task_stop_has_code": a_task(status="failed", completed="now()"),
    "task_one_live_per_session": a_task_that_is(TaskStatus.AWAITING_APPROVAL, NONE, S1),
    "task_final_is_final": f"{MOVE} result = 'late' WHERE id = '{DONE}'",
    "task_identity_is_fixed": f"{MOVE} prompt = '[1]' WHERE id = '{RUNNING}'",
    "task_version_steps": f"UPDATE task SET version = version + 2 WHERE id = '{RUNNING}'",
    "task_epoch_grows": f"UPDATE task SET lease_owner = 'n2' WHERE id = '{RUNNING}'",
    "task_transition_is_legal": f"{MOVE} status = 'completed', completed_at = now() WHERE id = '{QUEUED}'",
    "message_pk": MESSAGE.format(S1, 1, "m2", "user", "[]", "false", **IDS),
    "message_once": MESSAGE.format(S1, 2, "m1", "user", "[]", "false", **IDS),
    "message_session_fk": MESSAGE.format(NONE, 1, "m2", "user", "[]", "false", **IDS),
    "message_role": MESSAGE.format(S1, 2, "m2", "system", "[]", "false", **IDS),
    "message_parts_form": MESSAGE.format(S1, 2, "m2", "user", "1", "false", **IDS),
    "message_interrupted_is_assistant": MESSAGE.format(S1, 2, "m2", "user", "[]", "true", **IDS),
    "blob_pk": BLOB.format("a", HASH, DATA),
    "blob_tenant_fk": BLOB.format("nobody", HASH, DATA),
    "blob_is_its_hash": BLOB.format("a", "'0'", DATA),
    "blob_size": BLOB.format("a", HASH, "convert_to(repeat('x', 33554433), 'UTF8')"),
    "blob_ref_pk": REF.format(S1, X_HASH),
    "blob_ref_session_fk": REF.format(NONE, X_HASH),
    "blob_ref_blob_fk": REF.format(S2, "'0'"),
    "approval_pk": APPROVAL.format(NONE, RUNNING, "NULL", "NULL", "NULL"),
    "approval_task_fk": APPROVAL.format(S1, NONE, "NULL", "NULL", "NULL"),
    "approval_decision": APPROVAL.format(S1, RUNNING, "'maybe'", "now()", "'me'"),
    "approval_decided_is_stamped": APPROVAL.format(S1, RUNNING, "'expired'", "NULL", "NULL"),
    "approval_person_decides": APPROVAL.format(S1, RUNNING, "'approved'", "now()", "NULL"),
    "provider_call_pk": CALL.format(**IDS),
    "usage_call_once": USAGE.format("a", "1:1", "p2", "completed", "exact", 1, **IDS),
    "usage_provider_message_once": USAGE.format("a", "1:2", "p1", "completed", "exact", 1, **IDS),
    "usage_tenant_fk": USAGE.format("nobody", "1:2", "p2", "completed", "exact", 1, **IDS),
    "usage_outcome": USAGE.format("a", "1:2", "p2", "odd", "exact", 1, **IDS),
    "usage_fidelity": USAGE.format("a", "1:2", "p2", "completed", "odd", 1, **IDS),
    "usage_counts_form": USAGE.format("a", "1:2", "p2", "completed", "exact", -1, **IDS),
    "outbox_pk": OUTBOX.format("1:1", "e2", "NULL", "now()", 0, **IDS),
    "outbox_usage_fk": OUTBOX.format("1:2", "e2", "NULL", "now()", 0, **IDS),
    "outbox_id_once": USAGE.format("a", "1:2", "p2", "completed", "exact", 1, **IDS)
    + OUTBOX.format("1:2", "e1", "NULL", "now()", 0, **IDS),
    "outbox_delivered_is_over": "UPDATE outbox SET delivered_at = now(), due_at = now()",
    "outbox_attempts_form": "UPDATE outbox SET attempts = -1",
    "conversation_pk": TALKS.format(S1) * 2,
    "conversation_session_fk": TALKS.format(NONE),
    "conversation_line_pk": TALKS.format(S1) + LINES.format(S1) * 2,
    "conversation_line_fk": LINES.format(S1),
    "idempotency_key_pk": KEY.format("'k'", "NULL"),
    "idempotency_key_form": KEY.format("''", "NULL"),
    "idempotency_answer_is_whole": KEY.format("'k2'", "201"),
}
# Its key begins with task_pk's, which speaks first.  It is there for the lock it makes PostgreSQL take: tested below.
NEVER_RAISED = {"task_fence"}
APPEND_ONLY = ("session_event", "message", "provider_call", "usage_record")


@pytest.fixture(scope="module")
def addresses(postgres: Server) -> tuple[str, str]:
    owner, service = postgres.fresh()
    with psycopg.connect(owner) as connection:
        connection.execute("SET search_path = agentcore")
        connection.execute(WORLD.encode())
    return owner, service


def connected(address: str) -> Connection:
    connection = psycopg.connect(address, options="-c search_path=agentcore")
    connection.execute("SET lock_timeout = '200ms'")
    connection.commit()
    return connection


@pytest.fixture
def owner(addresses: tuple[str, str]) -> Iterator[Connection]:
    with connected(addresses[0]) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def service(addresses: tuple[str, str]) -> Iterator[Connection]:
    with connected(addresses[1]) as connection:
        yield connection
        connection.rollback()


def become(connection: Connection, role: str, tenant: str | None = None) -> None:
    connection.rollback()
    connection.execute("SELECT set_config('role', %s, true)", [role])
    if tenant is not None:
        connection.execute("SELECT set_config('agentcore.tenant', %s, true)", [tenant])


def tables_of_tenants(connection: Connection) -> dict[str, bool]:
    """Return the tables that hold tenants' rows, partitions apart, and whether row security binds even the owner."""
    return dict(
        connection.execute(
            "SELECT DISTINCT c.relname, c.relrowsecurity AND c.relforcerowsecurity FROM pg_class c "
            "JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = 'agentcore'::regnamespace "
            "AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND (a.attname = 'tenant_id' OR c.relname = 'tenant')"
        ).fetchall()
    )


@pytest.mark.parametrize("name", CASES)
def test_the_constraint_refuses(owner: Connection, name: str) -> None:
    with pytest.raises(psycopg.IntegrityError) as refused:
        owner.execute(CASES[name].encode())
    assert refused.value.diag.constraint_name == name


def test_no_constraint_is_forgotten(owner: Connection) -> None:
    named = owner.execute(
        "SELECT n.conname FROM pg_constraint n JOIN pg_class c ON c.oid = n.conrelid "
        "WHERE n.connamespace = 'agentcore'::regnamespace AND n.contype IN ('c', 'f', 'p', 'u') "
        "AND NOT c.relispartition AND c.relname <> 'schema_migration' UNION "
        "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
        "WHERE c.relnamespace = 'agentcore'::regnamespace AND i.indisunique AND i.indpred IS NOT NULL"
    ).fetchall()
    bodies = owner.execute("SELECT prosrc FROM pg_proc WHERE proname IN ('task_guard', 'session_guard')").fetchall()
    guarded = {name for (body,) in bodies for name in re.findall(r"THEN\s+'(\w+)'", body)}
    assert {name for (name,) in named} | guarded == CASES.keys() | NEVER_RAISED


def test_a_seq_is_given_once(owner: Connection) -> None:
    with pytest.raises(pg.UniqueViolation) as refused:
        owner.execute(EVENT.format(**IDS).encode())
    assert str(refused.value.diag.constraint_name).startswith("session_event_")


def test_the_guards_table_is_the_domains(owner: Connection) -> None:
    assert set(owner.execute("SELECT was, becomes FROM task_transition").fetchall()) == set(guard.pairs())
    owner.execute("DELETE FROM task_transition")
    owner.execute(guard.statement().encode())
    assert set(owner.execute("SELECT was, becomes FROM task_transition").fetchall()) == set(guard.pairs())


@pytest.mark.parametrize("was", TaskStatus)
@pytest.mark.parametrize("becomes", TaskStatus)
def test_a_task_moves_as_the_table_says(owner: Connection, was: TaskStatus, becomes: TaskStatus) -> None:
    if was is becomes:
        return
    owner.execute(a_task_that_is(was).encode())
    owner.execute(a_task_that_is(becomes, GOAL, S2).encode())
    move = (
        "UPDATE task t SET version = t.version + 1, lease_epoch = t.lease_epoch + 1, status = o.status, "
        "lease_owner = o.lease_owner, lease_expires_at = o.lease_expires_at, completed_at = o.completed_at, "
        "started_at = coalesce(o.started_at, t.started_at) FROM task o WHERE t.id = %s AND o.id = %s"
    )
    if (was, becomes) in guard.pairs():
        assert owner.execute(move, [NONE, GOAL]).rowcount == 1
        return
    with pytest.raises(pg.CheckViolation) as refused:
        owner.execute(move, [NONE, GOAL])
    assert refused.value.diag.constraint_name == ("task_final_is_final" if was in FINAL else "task_transition_is_legal")


def test_the_fence_makes_a_forgotten_lock_wait_for_the_flusher(addresses: tuple[str, str], owner: Connection) -> None:
    owner.execute("SELECT FROM task WHERE id = %s FOR KEY SHARE", [RUNNING])  # as the flusher does
    with connected(addresses[0]) as other:
        other.execute("UPDATE task SET lease_expires_at = now() WHERE id = %s", [RUNNING])  # a beat goes along
        with pytest.raises(pg.LockNotAvailable):
            other.execute("UPDATE task SET lease_owner = 'n2', lease_epoch = lease_epoch + 1 WHERE id = %s", [RUNNING])
        other.rollback()
        with pytest.raises(pg.LockNotAvailable):
            other.execute("UPDATE task SET status = 'queued', version = 2 WHERE id = %s", [RUNNING])
        other.rollback()


def test_row_security_binds_every_table_of_tenants(owner: Connection) -> None:
    tables = tables_of_tenants(owner)
    assert len(tables) >= 12
    assert all(tables.values()), tables


def test_without_a_tenant_there_are_no_rows(owner: Connection, service: Connection) -> None:
    for tenant in (None, "", "b"):
        for table in tables_of_tenants(owner).keys() - {"tenant"}:
            become(service, "agentcore_app", tenant)
            assert service.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,), (table, tenant)
    become(service, "agentcore_app", "a")
    assert service.execute("SELECT id FROM tenant").fetchall() == [("a",)]
    assert service.execute("SELECT count(*) FROM task").fetchone() == (3,)


def test_nobody_writes_for_another_tenant(service: Connection) -> None:
    become(service, "agentcore_app", "b")
    with pytest.raises(pg.InsufficientPrivilege):
        service.execute(SESSION.format(NONE, "active").encode())
    become(service, "agentcore_app", "b")
    assert service.execute("UPDATE session SET version = 2").rowcount == 0
    assert service.execute("DELETE FROM session").rowcount == 0


def test_the_login_itself_may_do_nothing(owner: Connection, service: Connection) -> None:
    for table in tables_of_tenants(owner):
        service.rollback()
        with pytest.raises(pg.InsufficientPrivilege):
            service.execute(f"SELECT FROM {table}".encode())


@pytest.mark.parametrize("role", ["agentcore_app", "agentcore_worker"])
def test_the_log_the_messages_and_the_ledger_are_append_only(service: Connection, role: str) -> None:
    updates = [f"UPDATE {table} SET created_at = now()" for table in APPEND_ONLY]
    for statement in (*updates, "DELETE FROM usage_record", "TRUNCATE usage_record"):
        become(service, role, "a")
        with pytest.raises(pg.InsufficientPrivilege):
            service.execute(statement.encode())


def test_the_app_cannot_reach_a_partition_past_its_row_security(owner: Connection, service: Connection) -> None:
    partitions = owner.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'session_event'::regclass"
    ).fetchall()
    assert len(partitions) == 9  # eight days and the rest
    for (partition,) in partitions:
        become(service, "agentcore_app", "a")
        with pytest.raises(pg.InsufficientPrivilege):
            service.execute(f"SELECT FROM {partition}".encode())


def test_no_function_runs_with_its_owners_rights(owner: Connection) -> None:
    owners = "SELECT proname FROM pg_proc WHERE pronamespace = 'agentcore'::regnamespace AND prosecdef"
    assert owner.execute(owners).fetchall() == []
