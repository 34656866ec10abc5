"""The statements of the books.

Law: every one of them names the tenant, or is of all tenants; row-level security says it again.
"""

from collections.abc import Mapping
from typing import LiteralString

LEDGER_PAGE = """
    SELECT * FROM usage_record
    WHERE tenant_id = %s
      AND (%s::timestamptz IS NULL OR (created_at, task_id, call_key COLLATE "C") > (%s, %s::uuid, %s))
    ORDER BY created_at, task_id, call_key COLLATE "C" LIMIT %s"""
GROUPS: Mapping[str, LiteralString] = {
    "day": "to_char(created_at, 'YYYY-MM-DD')",
    "model": "model",
    "session": "coalesce(session_id::text, '')",
    "engine": "engine",
}
USAGE: LiteralString = """
    SELECT {key} COLLATE "C" AS key, grouping({key}) AS is_total, count(*) AS calls,
           count(DISTINCT task_id) FILTER (WHERE session_id IS NOT NULL) AS tasks, sum(audio_seconds) AS audio_seconds,
           coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
           coalesce(sum(output_tokens), 0)::bigint AS output_tokens, sum(cost_usd) AS cost_usd
    FROM usage_record
    WHERE tenant_id = %s AND (%s::timestamptz IS NULL OR created_at >= %s)
      AND (%s::timestamptz IS NULL OR created_at < %s)
    GROUP BY GROUPING SETS (({key}), ()) ORDER BY is_total, 1"""
EVENT = """
    SELECT o.id AS event_id, o.due_at, o.attempts, o.error, o.delivered_at, u.*
    FROM outbox o JOIN usage_record u USING (tenant_id, task_id, call_key)"""
TAKE_EVENTS = """
    UPDATE outbox SET due_at = clock_timestamp() + make_interval(secs => %s) WHERE id IN (
      SELECT id FROM outbox WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING id"""
EVENTS_OF = EVENT + " WHERE o.id = ANY (%s) ORDER BY o.created_at, o.id"
DELIVERIES = (
    EVENT
    + """ WHERE o.tenant_id = %s AND (%s::text IS NULL OR %s = CASE WHEN o.delivered_at IS NOT NULL THEN 'delivered'
            WHEN o.due_at IS NOT NULL THEN 'pending' ELSE 'dead' END)
          ORDER BY o.created_at DESC, o.id LIMIT %s"""
)
DELIVERED = """
    UPDATE outbox SET delivered_at = clock_timestamp(), due_at = NULL, error = NULL
    WHERE tenant_id = %s AND id = %s AND delivered_at IS NULL"""
NOT_DELIVERED = """
    UPDATE outbox SET attempts = attempts + 1, error = %s, due_at = clock_timestamp() + make_interval(secs => %s)
    WHERE tenant_id = %s AND id = %s AND delivered_at IS NULL"""
REDELIVER = """
    UPDATE outbox SET attempts = 0, due_at = clock_timestamp()
    WHERE tenant_id = %s AND id = %s AND delivered_at IS NULL AND due_at IS NULL RETURNING id"""
FORGET_EVENTS = """
    DELETE FROM outbox WHERE id IN (
      SELECT id FROM outbox WHERE created_at < clock_timestamp() - make_interval(secs => %s)
      ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id"""
