"""A database with one row of everything, to be broken by hand."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from agentcore.task import FINAL, TaskStatus
from tests.support.database import Server

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
TALKS = "INSERT INTO conversation VALUES ('a', '{}', 'e', 'r', 'm', now()); "
LINES = "INSERT INTO conversation_line VALUES ('a', '{}', 'e', 0, 'l'); "
INSTANCE = "INSERT INTO instance VALUES ('{0}', '{S1}', 'me', '', NULL, {2}, '{1}', 1, now(), now());"
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
        INSTANCE.format("a", "running", 1, **IDS),
        *(TALKS.format(S1), LINES.format(S1)),
    ]
)


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
