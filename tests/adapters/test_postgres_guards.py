"""The database refuses what the domain would never ask: each guard is raised once, by hand."""

import re

import psycopg
import pytest
from psycopg import errors as pg
from tests.support import guarded
from tests.support.guarded import (
    APPROVAL,
    BLOB,
    CALL,
    DATA,
    DONE,
    EVENT,
    GOAL,
    HASH,
    IDS,
    INSTANCE,
    KEY,
    LINES,
    MESSAGE,
    NONE,
    OUTBOX,
    QUEUED,
    REF,
    RUNNING,
    S1,
    S2,
    S3,
    SESSION,
    TALKS,
    USAGE,
    X_HASH,
    Connection,
    a_task,
    a_task_that_is,
    connected,
)

from agentcore.errors import SessionNotFound
from agentcore.ports import Stale
from agentcore.task import FINAL, TaskStatus
from agentcore_adapters.postgres import guard
from agentcore_adapters.postgres.errors import NO_ADVICE, advised, translated

addresses, owner = guarded.addresses, guarded.owner
MOVE = "UPDATE task SET version = version + 1, "
CASES: dict[str, str] = {
    "tenant_pk": "INSERT INTO tenant (id) VALUES ('a')",
    "tenant_id_form": "INSERT INTO tenant (id) VALUES ('-a')",
    "tenant_limits_form": "UPDATE tenant SET limits = '[]' WHERE id = 'a'",
    "session_pk": SESSION.format(S1, "active"),
    "session_tenant_fk": SESSION.format(NONE, "active").replace("'a'", "'nobody'"),
    "session_status": SESSION.format(NONE, "busy"),
    "session_version_steps": f"UPDATE session SET title = 'x' WHERE id = '{S1}'",
    "session_closed_is_closed": f"UPDATE session SET version = 2, status = 'active' WHERE id = '{S3}'",
    "log_head_pk": f"INSERT INTO log_head VALUES ('a', '{S1}')",
    "log_head_session_fk": f"INSERT INTO log_head VALUES ('b', '{S1}')",
    "node_pk": "INSERT INTO node (id, release) VALUES ('n', '1.0'), ('n', '1.0')",
    "node_release_form": "INSERT INTO node (id, release) VALUES ('n', 'newest')",
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
    "usage_outcome": USAGE.format("a", "1:2", "p2", "odd", "exact", 1, **IDS),
    "usage_fidelity": USAGE.format("a", "1:2", "p2", "completed", "odd", 1, **IDS),
    "usage_counts_form": USAGE.format("a", "1:2", "p2", "completed", "exact", -1, **IDS),
    "usage_audio_form": "INSERT INTO usage_record SELECT u.tenant_id, u.task_id, u.session_id, '9:9', NULL, u.engine, "
    "u.model, u.outcome, u.fidelity, 0, 0, 0, 0, 0, NULL, now(), -1 FROM usage_record u LIMIT 1",
    "outbox_pk": OUTBOX.format("1:1", "e2", "NULL", "now()", 0, **IDS),
    "outbox_usage_fk": OUTBOX.format("1:2", "e2", "NULL", "now()", 0, **IDS),
    "outbox_id_once": USAGE.format("a", "1:2", "p2", "completed", "exact", 1, **IDS)
    + OUTBOX.format("1:2", "e1", "NULL", "now()", 0, **IDS),
    "outbox_delivered_is_over": "UPDATE outbox SET delivered_at = now(), due_at = now()",
    "outbox_attempts_form": "UPDATE outbox SET attempts = -1",
    "instance_pk": INSTANCE.format("a", "running", 1, **IDS),
    "instance_tenant_fk": INSTANCE.format("nobody", "running", 1, **IDS),
    "instance_status": INSTANCE.format("b", "busy", 1, **IDS),
    "instance_port": INSTANCE.format("b", "running", 0, **IDS),
    "conversation_pk": TALKS.format(S1),
    "conversation_session_fk": TALKS.format(NONE),
    "conversation_line_pk": LINES.format(S1),
    "conversation_line_fk": LINES.format(S2),
    "idempotency_key_pk": KEY.format("'k'", "NULL"),
    "idempotency_key_form": KEY.format("''", "NULL"),
    "idempotency_answer_is_whole": KEY.format("'k2'", "201"),
}
# What a caller is told; whatever else is refused is a bug of ours, and is raised as it is.
MEANS: dict[str, type[Exception]] = {
    "task_one_live_per_session": Stale,
    "task_final_is_final": Stale,
    "task_transition_is_legal": Stale,
    "task_pk": Stale,
    "session_pk": Stale,
    "blob_ref_blob_fk": Stale,
    "log_head_session_fk": SessionNotFound,
    "task_session_fk": SessionNotFound,
}
COLUMNS = re.findall(
    r"\w+",
    """tenant_id id session_id number priority engine params prompt status version attempt crashes deadline stop_code
    error_code result attachments_refused created_at started_at completed_at lease_epoch lease_owner change_id""",
)
UNDER = {"owner": "'n1'", "expires": "now()"}
FURTHER = (  # what else a guard refuses, where it guards more than one thing
    ("task_version_steps", f"UPDATE task SET status = 'cancelling', stop_code = 'BUDGET' WHERE id = '{RUNNING}'"),
    ("task_version_steps", f"UPDATE task SET version = version - 1 WHERE id = '{RUNNING}'"),
    ("task_epoch_grows", f"UPDATE task SET lease_epoch = lease_epoch - 1 WHERE id = '{RUNNING}'"),
    ("task_identity_is_fixed", f"{MOVE} tenant_id = 'b' WHERE id = '{RUNNING}'"),
    ("task_identity_is_fixed", f"{MOVE} id = '{NONE}' WHERE id = '{RUNNING}'"),
    ("task_identity_is_fixed", f"{MOVE} session_id = '{S2}' WHERE id = '{RUNNING}'"),
    ("task_identity_is_fixed", f"{MOVE} number = 77 WHERE id = '{RUNNING}'"),
    ("task_identity_is_fixed", f"{MOVE} engine = 'other' WHERE id = '{RUNNING}'"),
    ("task_identity_is_fixed", f"{MOVE} params = '[1]' WHERE id = '{RUNNING}'"),
    *(("task_final_is_final", f"UPDATE task SET {column} = {column} WHERE id = '{DONE}'") for column in COLUMNS),
    ("task_lease_is_whole", a_task(session=S2, status="running", started="now()", epoch="1", owner="'n1'")),
    ("task_works_under_a_lease", a_task(session=S2, status="running", epoch="1", **UNDER)),
    ("task_works_under_a_lease", a_task(session=S2, status="running", started="now()", **UNDER)),
    ("task_works_under_a_lease", a_task(session=S2, status="cancelling", started="now()", stop="'BUDGET'")),
    ("task_works_under_a_lease", a_task(session=S2, status="cancelling", stop="'BUDGET'", **UNDER)),
    ("task_works_under_a_lease", a_task(session=S2, status="awaiting_approval")),
    ("task_works_under_a_lease", a_task(session=S2, **UNDER)),
    ("task_final_is_stamped", a_task(session=S2, status="completed")),
    ("task_stop_has_code", a_task(session=S2, status="cancelled", completed="now()")),
    ("task_stop_has_code", a_task(session=S2, status="cancelling", started="now()", **UNDER)),
    ("instance_port", INSTANCE.format("b", "running", 65536, **IDS)),
    ("idempotency_key_form", KEY.format("repeat('k', 256)", "NULL")),
)
# What each role may do, by hand: UPDATE of some columns only is not among it.
# Its key begins with task_pk's, which speaks first.  It is there for the lock it makes PostgreSQL take: tested below.
NEVER_RAISED = {"task_fence"}


@pytest.mark.parametrize("name", CASES)
def test_the_constraint_refuses(owner: Connection, name: str) -> None:
    with pytest.raises(psycopg.IntegrityError) as refused:
        owner.execute(CASES[name].encode())
    assert refused.value.diag.constraint_name == name


@pytest.mark.parametrize(("name", "statement"), FURTHER)
def test_the_constraint_refuses_this_too(owner: Connection, name: str, statement: str) -> None:
    with pytest.raises(psycopg.IntegrityError) as refused:
        owner.execute(statement.encode())
    assert refused.value.diag.constraint_name == name


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_is_known_by_the_name_of_its_constraint(owner: Connection, name: str) -> None:
    kind = MEANS.get(name, psycopg.IntegrityError)
    with pytest.raises(kind), translated():
        owner.execute(CASES[name].encode())


def test_what_a_server_says_comes_with_advice() -> None:
    assert "free some space" in advised("It does not run", "FATAL: No space left on device")
    assert NO_ADVICE in advised("It does not run", "FATAL: something odd")


def test_every_column_but_the_leases_time_is_guarded(owner: Connection) -> None:
    named = owner.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'task'::regclass AND attnum > 0"
    ).fetchall()
    assert {column for (column,) in named} == {*COLUMNS, "lease_expires_at"}


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


@pytest.mark.parametrize("at", ["now()", "'2001-01-01'"])  # a partition of its day, and the one for all the rest
def test_a_seq_is_given_once(owner: Connection, at: str) -> None:
    event = EVENT.format(**IDS).replace("now()", at).replace(", 1,", ", 7,")
    owner.execute(event.encode())
    with pytest.raises(pg.UniqueViolation) as refused:
        owner.execute(event.encode())
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
