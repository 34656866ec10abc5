"""The statements.

Law: every one of them names the tenant; row-level security says it again.
"""

from typing import LiteralString

# ------------------------------------------------------------------------------------------------------------ locks
LOCK_SESSION = "SELECT version FROM session WHERE tenant_id = %s AND id = %s FOR NO KEY UPDATE"
TRY_SESSION = LOCK_SESSION + " SKIP LOCKED"
LOCK_TASKS = (
    "SELECT id, version, lease_epoch, lease_owner, change_id FROM task WHERE tenant_id = %s AND id = ANY (%s::uuid[]) "
    "ORDER BY id FOR UPDATE"
)
LOCK_HEAD = "SELECT head, text_pos, bound FROM log_head WHERE tenant_id = %s AND session_id = %s FOR NO KEY UPDATE"

# The three of one task at once, in the same order: the clauses are carried out as they stand here.
LOCK_ALL = """
    SELECT s.version, t.id, t.version AS task_version, t.lease_epoch, t.lease_owner, t.change_id, h.head, h.text_pos
    FROM session s
    JOIN task t ON t.tenant_id = s.tenant_id AND t.session_id = s.id
    JOIN log_head h ON h.tenant_id = s.tenant_id AND h.session_id = s.id
    WHERE s.tenant_id = %s AND s.id = %s AND t.id = %s
    FOR NO KEY UPDATE OF s FOR UPDATE OF t FOR NO KEY UPDATE OF h"""

# -------------------------------------------------------------------------------------------------------- limits
OPEN, RUNNING = "open", "running"
COUNT = "SELECT * FROM count_tasks(%s, %s, %s, %s)"
COUNT_BOTH = "SELECT * FROM count_both(%s, %s, %s, %s)"
LIMITS = "SELECT id, limits FROM tenant WHERE limits IS NOT NULL"
SET_LIMITS = """
    INSERT INTO tenant (id, limits) VALUES (%s, %s)
    ON CONFLICT ON CONSTRAINT tenant_pk DO UPDATE SET limits = excluded.limits"""
STORED_BYTES = "SELECT coalesce(sum(octet_length(data)), 0)::bigint AS n FROM blob WHERE tenant_id = %s"
# Whether it is busy is seen as it was before the locks: whoever opens a task in between moves the session on.
LOOK = """
    SELECT s.version, h.head, h.text_pos,
           EXISTS (SELECT FROM task t WHERE t.tenant_id = s.tenant_id AND t.session_id = s.id
                   AND t.completed_at IS NULL) AS is_busy
    FROM session s JOIN log_head h ON h.tenant_id = s.tenant_id AND h.session_id = s.id
    WHERE s.tenant_id = %s AND s.id = %s FOR NO KEY UPDATE OF s, h"""
ANY_OPEN = "SELECT 1 AS open FROM task WHERE tenant_id = %s AND session_id = %s AND completed_at IS NULL"

# ----------------------------------------------------------------------------------------------------------- writes
PUT_TENANT = "INSERT INTO tenant (id) VALUES (%s) ON CONFLICT DO NOTHING"
NEW_SESSION = """
    INSERT INTO session (tenant_id, id, owner_sub, engine, title, voice_mode, status, version, created_at, updated_at,
                         instance_id)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
NEW_HEAD = "INSERT INTO log_head (tenant_id, session_id) VALUES (%s, %s)"
MOVE_SESSION = """
    UPDATE session SET title = %s, status = %s, version = %s, updated_at = %s WHERE tenant_id = %s AND id = %s"""
NEW_TASK = """
    INSERT INTO task (tenant_id, id, session_id, number, priority, engine, params, prompt, status, version, attempt,
                      crashes, deadline, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
BEGUN_TASK = """
    INSERT INTO task (tenant_id, id, session_id, number, priority, engine, params, prompt, status, version, attempt,
                      crashes, deadline, created_at, started_at, lease_epoch, lease_owner, lease_expires_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 1, %s,
            clock_timestamp() + make_interval(secs => %s))"""
MOVED = """
    UPDATE task SET status = %s, version = %s, attempt = %s, crashes = %s, stop_code = %s, error_code = %s, result = %s,
                    attachments_refused = %s, started_at = %s, completed_at = %s,
                    change_id = coalesce(%s::uuid, change_id)"""
MOVE_TASK = MOVED + " WHERE tenant_id = %s AND id = %s"
TAKE_TASK = (
    MOVED
    + """, lease_owner = %s, lease_expires_at = clock_timestamp() + make_interval(secs => %s),
          lease_epoch = lease_epoch + 1 WHERE tenant_id = %s AND id = %s RETURNING lease_epoch"""
)
LET_GO_TASK = (
    MOVED
    + """, lease_epoch = lease_epoch + (lease_owner IS NOT NULL)::int, lease_owner = NULL, lease_expires_at = NULL
          WHERE tenant_id = %s AND id = %s"""
)
SET_CHANGE = "UPDATE task SET change_id = %s WHERE tenant_id = %s AND id = %s AND completed_at IS NULL"
PUT_HEAD = """ head AS (
      UPDATE log_head SET head = %s, text_pos = %s, bound = greatest(bound, %s)
      WHERE tenant_id = %s AND session_id = %s)"""
MOVE_HEAD = "WITH" + PUT_HEAD
PUT_MESSAGES = """, said AS (
      INSERT INTO message (tenant_id, session_id, seq, n, id, task_id, role, parts, interrupted, created_at)
      SELECT %s, %s, m.* FROM jsonb_to_recordset(%s) AS m (seq bigint, n smallint, id text, task_id uuid, role text,
                                                           parts jsonb, interrupted boolean, created_at timestamptz))"""
EVENTS = """
    INSERT INTO session_event (tenant_id, session_id, created_at, seq, text_pos, task_id, attempt, event)
    SELECT %s, %s, %s, e.* FROM jsonb_to_recordset(%s) AS e (seq bigint, text_pos bigint, task_id uuid, attempt int,
                                                             event jsonb)"""
APPEND = MOVE_HEAD + EVENTS
APPEND_WITH_MESSAGES = MOVE_HEAD + PUT_MESSAGES + EVENTS
PUT_APPROVAL = """
    INSERT INTO approval (tenant_id, id, task_id, tool_use_id, tool_name, input, input_sha256, expires_at, created_at,
                          decision, on_reject, decided_by, reason, decided_at, used)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT ON CONSTRAINT approval_pk DO UPDATE
    SET decision = excluded.decision, on_reject = excluded.on_reject, decided_by = excluded.decided_by,
        reason = excluded.reason, decided_at = excluded.decided_at, used = excluded.used
    WHERE approval.decision IS NULL OR excluded.used AND NOT approval.used"""
PUT_CALL = """
    INSERT INTO provider_call (tenant_id, task_id, call_key, model, input_tokens, start, price, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
BEGUN = "WITH moved AS (" + MOVE_SESSION + "), begun AS (" + BEGUN_TASK + "),"
BEGIN_TASK = BEGUN + PUT_HEAD + PUT_MESSAGES + EVENTS
BEGIN_AND_CALL = BEGUN + " called AS (" + PUT_CALL + ")," + PUT_HEAD + PUT_MESSAGES + EVENTS
SETTLED = """ settled AS (
      INSERT INTO usage_record (tenant_id, task_id, session_id, call_key, provider_message_id, engine, model, outcome,
                                fidelity, input_tokens, output_tokens, cached_input_tokens, cache_write_input_tokens,
                                reasoning_tokens, audio_seconds, cost_usd, created_at)
      VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
      RETURNING tenant_id, task_id, call_key, created_at)"""
PUT_OUTBOX = """
    INSERT INTO outbox (tenant_id, task_id, call_key, id, created_at, due_at)
    SELECT tenant_id, task_id, call_key, %s, created_at, clock_timestamp() FROM settled"""
PUT_USAGE = "WITH" + SETTLED + PUT_OUTBOX
# What ends a task whose last call is billed, and whether another of its session is open: seen as it is under the locks.
END_TASK = (
    "WITH ended AS ("
    + LET_GO_TASK
    + "),"
    + SETTLED
    + ", told AS ("
    + PUT_OUTBOX
    + "),"
    + PUT_HEAD
    + PUT_MESSAGES
    + ", logged AS ("
    + EVENTS
    + ") "
    + ANY_OPEN
    + " AND id <> %s"
)
PUT_BLOB = """
    INSERT INTO blob (tenant_id, sha256, media_type, data) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"""
PUT_BLOB_REF = "INSERT INTO blob_ref (tenant_id, session_id, sha256) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
PUT_CONVERSATION = """
    INSERT INTO conversation (tenant_id, session_id, engine, reference, knows, updated_at)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT ON CONSTRAINT conversation_pk DO UPDATE
    SET reference = excluded.reference, knows = excluded.knows, updated_at = excluded.updated_at"""
CUT_CONVERSATION = """
    DELETE FROM conversation_line WHERE tenant_id = %s AND session_id = %s AND engine = %s AND n >= %s"""
PUT_CONVERSATION_LINES = """
    INSERT INTO conversation_line (tenant_id, session_id, engine, n, line)
    SELECT %s, %s, %s, %s + l.i - 1, l.line FROM unnest(%s::text[]) WITH ORDINALITY AS l (line, i)"""
KEEP_RECEIPT = """
    UPDATE idempotency_key SET status = %s, body = %s
    WHERE tenant_id = %s AND sub = %s AND route = %s AND key = %s AND holder = %s AND status IS NULL RETURNING 1"""
ERASE_EVENTS = "DELETE FROM session_event WHERE tenant_id = %s AND session_id = %s"
ERASE_CALLS = """
    DELETE FROM provider_call WHERE tenant_id = %s AND task_id IN
      (SELECT id FROM task WHERE tenant_id = %s AND session_id = %s)"""
# A look at all of a tenant's answers of one day, so it is a cheap one: an answer names its session, a route one id.
ERASE_RECEIPTS = """
    DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(
      SELECT k.ctid FROM idempotency_key k
      WHERE k.tenant_id = %s AND k.status IS NOT NULL AND (
        strpos(k.body, %s) > 0
        OR lower(substring(k.route FROM '/([0-9a-fA-F-]{36})(/|$)')) = ANY (%s::text[]))))"""
BLOB_REFS = "SELECT sha256 FROM blob_ref WHERE tenant_id = %s AND session_id = %s"
ERASE_BLOBS = """
    DELETE FROM blob b WHERE b.tenant_id = %s AND b.sha256 = ANY (%s)
    AND NOT EXISTS (SELECT FROM blob_ref r WHERE r.tenant_id = b.tenant_id AND r.sha256 = b.sha256)"""
ERASE_SESSION = "DELETE FROM session WHERE tenant_id = %s AND id = %s"
SET_ENGINE = """
    INSERT INTO tenant (id, default_engine) VALUES (%s, %s)
    ON CONFLICT ON CONSTRAINT tenant_pk DO UPDATE SET default_engine = excluded.default_engine"""

# --------------------------------------------------------------------------------------------------------- instances
NEW_INSTANCE = """
    INSERT INTO instance (tenant_id, id, owner_sub, name, host, port, status, version, created_at, updated_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT ON CONSTRAINT instance_pk DO NOTHING RETURNING 1"""
MOVE_INSTANCE = """
    UPDATE instance SET name = %s, host = %s, port = %s, status = %s, version = %s, updated_at = %s
    WHERE tenant_id = %s AND id = %s AND version = %s RETURNING 1"""
DROP_INSTANCE = "DELETE FROM instance WHERE tenant_id = %s AND id = %s"
INSTANCE = "SELECT * FROM instance WHERE tenant_id = %s AND id = %s"
INSTANCES = """
    SELECT * FROM instance WHERE tenant_id = %s AND owner_sub = %s ORDER BY created_at DESC, id DESC LIMIT %s"""
ALL_INSTANCES = "SELECT * FROM instance WHERE tenant_id = %s ORDER BY created_at DESC, id DESC LIMIT %s"

# ------------------------------------------------------------------------------------------------------------ tenants
ANY_SESSION = "SELECT 1 AS found FROM session WHERE tenant_id = %s LIMIT 1"
FORGET_TENANT: tuple[LiteralString, ...] = (
    "DELETE FROM instance WHERE tenant_id = %s",
    "DELETE FROM idempotency_key WHERE tenant_id = %s",
    "DELETE FROM blob WHERE tenant_id = %s",
    "UPDATE tenant SET default_engine = NULL WHERE id = %s",
)

# --------------------------------------------------------------------------------------------------- idempotency keys
RESERVE = """
    INSERT INTO idempotency_key (tenant_id, sub, route, key, request_sha256, holder, locked_until)
    VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))
    ON CONFLICT ON CONSTRAINT idempotency_key_pk DO UPDATE
    SET request_sha256 = excluded.request_sha256, holder = excluded.holder, locked_until = excluded.locked_until,
        status = NULL, body = NULL,
        created_at = clock_timestamp()
    WHERE idempotency_key.created_at < clock_timestamp() - interval '24 h'
       OR idempotency_key.status IS NULL AND idempotency_key.locked_until < clock_timestamp()
    RETURNING 1 AS mine"""
LOOK_UP = """
    SELECT request_sha256, status, body FROM idempotency_key
    WHERE tenant_id = %s AND sub = %s AND route = %s AND key = %s"""
RELEASE = """
    DELETE FROM idempotency_key
    WHERE tenant_id = %s AND sub = %s AND route = %s AND key = %s AND holder = %s AND status IS NULL"""
HOLD = """
    SELECT 1 AS held FROM idempotency_key
    WHERE tenant_id = %s AND sub = %s AND route = %s AND key = %s AND holder = %s AND status IS NULL FOR UPDATE"""

# ------------------------------------------------------------------------------------------------------------ reads
SESSION = "SELECT * FROM session WHERE tenant_id = %s AND id = %s"
ACTIVITY = """
    SELECT status FROM task WHERE tenant_id = %s AND session_id = %s AND completed_at IS NULL
    ORDER BY status IN ('running', 'awaiting_approval', 'cancelling') DESC LIMIT 1"""
VIEWS = """
    SELECT s.*, (SELECT t.status FROM task t WHERE t.tenant_id = s.tenant_id AND t.session_id = s.id
                 AND t.completed_at IS NULL
                 ORDER BY t.status IN ('running', 'awaiting_approval', 'cancelling') DESC LIMIT 1) AS activity
    FROM session s"""
SESSION_PAGE = """ AND (%s::timestamptz IS NULL OR (s.created_at, s.id) < (%s::timestamptz, %s::uuid))
    ORDER BY s.created_at DESC, s.id DESC LIMIT %s"""
SESSIONS = VIEWS + " WHERE s.tenant_id = %s" + SESSION_PAGE
SESSIONS_OF = VIEWS + " WHERE s.tenant_id = %s AND s.owner_sub = %s" + SESSION_PAGE
SESSIONS_WITH = (
    VIEWS
    + """ WHERE s.tenant_id = %s AND s.instance_id = %s AND s.owner_sub = %s
          ORDER BY s.created_at DESC, s.id DESC LIMIT %s"""
)
OWNED_TASK = "SELECT t.*, s.owner_sub FROM task t JOIN session s ON s.tenant_id = t.tenant_id AND s.id = t.session_id"
TASK = OWNED_TASK + " WHERE t.tenant_id = %s AND t.id = %s"
TASKS = OWNED_TASK + " WHERE t.tenant_id = %s AND t.session_id = %s AND t.number > %s ORDER BY t.number LIMIT %s"
OPEN_TASKS = """
    SELECT * FROM task WHERE tenant_id = %s AND session_id = %s AND completed_at IS NULL
    ORDER BY started_at IS NULL, priority DESC, number"""
APPROVALS = "SELECT * FROM approval WHERE tenant_id = %s AND task_id = ANY (%s::uuid[]) ORDER BY created_at, id"
CALLS = """
    SELECT * FROM provider_call WHERE tenant_id = %s AND task_id = ANY (%s::uuid[])
    ORDER BY split_part(call_key, ':', 1)::int, split_part(call_key, ':', 2)::int"""
LEDGER = "SELECT * FROM usage_record WHERE tenant_id = %s AND task_id = ANY (%s::uuid[]) ORDER BY created_at, call_key"
HEAD = "SELECT head, text_pos, bound FROM log_head WHERE tenant_id = %s AND session_id = %s"
SPOKEN = """
    SELECT task_id, count(*) AS messages FROM message
    WHERE tenant_id = %s AND task_id = ANY (%s::uuid[]) GROUP BY task_id"""
# Of SAID and LOG, and of HISTORY and MESSAGES, the columns are those that ``rows`` takes, in its order; their JSON is
# text, because it is read quicker there.
SAID = """
    SELECT v.seq, v.text_pos, v.task_id, v.attempt, v.event::text, v.created_at FROM task k
    CROSS JOIN LATERAL (
      SELECT coalesce(max(m.seq), k.number) AS after FROM message m
      WHERE m.tenant_id = k.tenant_id AND m.task_id = k.id AND m.role <> 'user') AS spoken
    JOIN session_event v ON v.tenant_id = k.tenant_id AND v.session_id = k.session_id AND v.task_id = k.id
      AND v.seq > spoken.after AND v.event ->> 'type' IN ('text_said', 'tool_use', 'task_requeued', 'reply_delivered')
    WHERE k.tenant_id = %s AND k.session_id = %s AND k.id = ANY (%s::uuid[])
    ORDER BY v.seq"""
TASK_IDS = "SELECT id FROM task WHERE tenant_id = %s AND session_id = %s"
SESSION_OF = "SELECT session_id FROM task WHERE tenant_id = %s AND id = %s"
LAST_CHANGE = "SELECT change_id FROM task WHERE tenant_id = %s AND id = %s FOR UPDATE"
# Nothing but a value may stand beside a column that an index is to be searched by: under row-level security whatever is
# not known to keep what it sees to itself (coalesce is not) is asked of every row, and a session may be long.
# For few messages a task need be asked whether its attachments were refused; a join would read the task of each.
HISTORY = """
    SELECT m.seq, m.n, m.id, m.task_id, m.role, m.parts::text, m.interrupted, m.created_at,
      CASE WHEN m.parts @> '[{"type": "file_part"}]'::jsonb THEN (
        SELECT t.attachments_refused FROM task t WHERE t.tenant_id = m.tenant_id AND t.id = m.task_id) ELSE false END
    FROM message m WHERE m.tenant_id = %s AND m.session_id = %s AND m.seq >= (
      SELECT coalesce(max(u.seq), 0) FROM message u
      WHERE u.tenant_id = %s AND u.session_id = %s AND u.role = 'user' AND u.seq <= (
        SELECT min(f.seq) FROM (SELECT seq FROM message WHERE tenant_id = %s AND session_id = %s
                                ORDER BY seq DESC, n DESC LIMIT %s) AS f))
    ORDER BY m.seq, m.n"""
MESSAGES = """
    SELECT m.seq, m.n, m.id, m.task_id, m.role, m.parts::text, m.interrupted, m.created_at FROM message m
    WHERE m.tenant_id = %s AND m.session_id = %s AND (m.seq, m.n) > (%s, %s) ORDER BY m.seq, m.n LIMIT %s"""
CONVERSATION = "SELECT * FROM conversation WHERE tenant_id = %s AND session_id = %s AND engine = %s"
CONVERSATION_LINES = """
    SELECT line FROM conversation_line WHERE tenant_id = %s AND session_id = %s AND engine = %s ORDER BY n"""
BLOBS = "SELECT * FROM blob WHERE tenant_id = %s AND sha256 = ANY (%s)"
LOG = """
    SELECT v.seq, v.text_pos, v.task_id, v.attempt, v.event::text, v.created_at FROM session_event v
    WHERE v.tenant_id = %s AND v.session_id = %s AND v.seq >= %s ORDER BY v.seq LIMIT %s"""
PLACE = """
    SELECT h.head, h.text_pos, h.bound,
      (SELECT v.seq FROM session_event v WHERE v.tenant_id = h.tenant_id AND v.session_id = h.session_id
       ORDER BY v.seq LIMIT 1) AS oldest,
      EXISTS (SELECT FROM task t WHERE t.tenant_id = h.tenant_id AND t.session_id = h.session_id
              AND t.completed_at IS NULL AND t.lease_owner IS NOT NULL) AS is_driven
    FROM log_head h WHERE h.tenant_id = %s AND h.session_id = %s"""
ENGINE = "SELECT default_engine FROM tenant WHERE id = %s"

# ---------------------------------------------------------------------------------------------------- across tenants
HEADS = """
    SELECT h.session_id, h.head FROM log_head h
    JOIN unnest(%s::text[], %s::uuid[]) AS w (tenant_id, id) ON w.tenant_id = h.tenant_id AND w.id = h.session_id"""
EXPIRED = """
    SELECT tenant_id, session_id, id FROM task
    WHERE lease_owner IS NULL AND completed_at IS NULL AND (deadline <= clock_timestamp() OR EXISTS (
      SELECT FROM approval a WHERE a.tenant_id = task.tenant_id AND a.task_id = task.id AND a.decision IS NULL
        AND a.expires_at <= clock_timestamp()))
    ORDER BY deadline LIMIT %s"""
WAITING = """
    WITH head AS (
      SELECT DISTINCT ON (tenant_id, session_id) tenant_id, session_id, status, lease_expires_at, priority, created_at,
             lease_owner IS NOT NULL AS is_driven
      FROM task WHERE completed_at IS NULL AND (%s::text[] IS NULL OR tenant_id = ANY (%s::text[]))
      ORDER BY tenant_id, session_id, started_at IS NULL, priority DESC, number
    ), takeable AS (
      SELECT *, row_number() OVER (PARTITION BY tenant_id, is_driven ORDER BY priority DESC, created_at) AS n FROM head
      WHERE status = 'queued' OR is_driven AND lease_expires_at <= clock_timestamp()
    ), driven AS (
      SELECT tenant_id, count(*) AS n FROM task WHERE lease_owner IS NOT NULL GROUP BY tenant_id)
    SELECT w.tenant_id, w.session_id FROM takeable w
    LEFT JOIN driven d ON d.tenant_id = w.tenant_id
    LEFT JOIN unnest(%s::text[], %s::bigint[]) AS own (tenant_id, most) ON own.tenant_id = w.tenant_id
    WHERE w.is_driven OR w.n + coalesce(d.n, 0) <= coalesce(own.most, %s::bigint, w.n + coalesce(d.n, 0))
    ORDER BY NOT w.is_driven, w.n + coalesce(d.n, 0), w.created_at LIMIT %s"""
FLUSH = (
    "SELECT * FROM flush(%s::text[], %s::uuid[], %s::uuid[], %s::bigint[], "
    "%s::int[], %s::text[], %s::bigint[], %s::text[], %s::timestamptz[])"
)
FENCES = """
    SELECT k.id, k.lease_epoch, k.lease_owner FROM task k
    JOIN unnest(%s::text[], %s::uuid[]) AS w (tenant_id, id) ON w.tenant_id = k.tenant_id AND w.id = k.id"""
RENEW = """
    WITH mine AS MATERIALIZED (
      SELECT k.tenant_id, k.id FROM unnest(%s::text[], %s::uuid[], %s::bigint[]) AS b (tenant_id, id, epoch)
      JOIN task k ON k.tenant_id = b.tenant_id AND k.id = b.id
      WHERE k.lease_epoch = b.epoch AND k.lease_owner = %s FOR NO KEY UPDATE OF k SKIP LOCKED
    ), renewed AS (
      UPDATE task k SET lease_expires_at = clock_timestamp() + make_interval(secs => %s)
      FROM mine WHERE k.tenant_id = mine.tenant_id AND k.id = mine.id RETURNING k.id, k.version
    ) SELECT * FROM renewed"""
STILL_MINE = """
    SELECT k.id, k.version FROM unnest(%s::text[], %s::uuid[], %s::bigint[]) AS b (tenant_id, id, epoch)
    JOIN task k ON k.tenant_id = b.tenant_id AND k.id = b.id WHERE k.lease_epoch = b.epoch AND k.lease_owner = %s"""

# --------------------------------------------------------------------------------------------------------- retention
# A key that another request has taken over meanwhile is another row version, and stays.
FORGET_KEYS = """
    DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM idempotency_key WHERE created_at < clock_timestamp() - make_interval(secs => %s)
      ORDER BY created_at LIMIT %s)) RETURNING 1"""
FORGET_BLOBS = """
    DELETE FROM blob WHERE (tenant_id, sha256) IN (
      SELECT tenant_id, sha256 FROM blob b WHERE created_at < clock_timestamp() - make_interval(secs => %s)
        AND NOT EXISTS (SELECT FROM blob_ref r WHERE r.tenant_id = b.tenant_id AND r.sha256 = b.sha256)
      LIMIT %s) RETURNING 1"""

# ------------------------------------------------------------------------------------------------------------ leases
HEAD_TASK = """
    SELECT id, clock_timestamp() AS now FROM task WHERE tenant_id = %s AND session_id = %s AND completed_at IS NULL
    ORDER BY started_at IS NULL, priority DESC, number LIMIT 1"""
LOCK_TASK = """
    SELECT *, lease_expires_at <= clock_timestamp() AS is_lost FROM task WHERE tenant_id = %s AND id = %s
    FOR UPDATE SKIP LOCKED"""
TAKE_OVER = """
    UPDATE task SET lease_owner = %s, lease_expires_at = clock_timestamp() + make_interval(secs => %s),
                    lease_epoch = lease_epoch + 1
    WHERE tenant_id = %s AND id = %s RETURNING lease_epoch"""
EPOCH = "SELECT lease_epoch FROM task WHERE tenant_id = %s AND id = %s"
