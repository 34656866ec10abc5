-- The first schema.  PostgreSQL >= 15, UTF8.  The runner has made the schema and wraps this file in a transaction.
--
-- What is decided is decided by the domain; here wrong states are made impossible to store.  Constraints have names,
-- and adapters map the name to an error.  Lock order: session, task, log_head, inserts.
--   session   FOR NO KEY UPDATE   every decision about a session
--   task      FOR UPDATE          whoever changes status or epoch: that is the fence
--   task      FOR KEY SHARE       the text flusher, in id order: stops for the former, goes along with a heartbeat
--   task      FOR NO KEY UPDATE   the heartbeat: skips what is locked
-- seq is gap-free per session because it is taken from log_head under its row lock: commit order is seq order.

SET LOCAL search_path = agentcore;

-- The service logs in as a NOINHERIT member of both and chooses per transaction; neither owns anything.
DO $$ BEGIN CREATE ROLE agentcore_app NOLOGIN;    EXCEPTION WHEN duplicate_object THEN NULL; END $$;  -- one tenant
DO $$ BEGIN CREATE ROLE agentcore_worker NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;  -- all tenants

CREATE TABLE tenant (
  id             text NOT NULL,
  default_engine text,                            -- NULL: the configured default
  created_at     timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT tenant_pk PRIMARY KEY (id),
  CONSTRAINT tenant_id_form CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$')
);

-- Composite keys everywhere: a row of one tenant cannot refer to a row of another, whoever writes it.
CREATE TABLE session (
  tenant_id  text NOT NULL,
  id         uuid NOT NULL,
  owner_sub  text NOT NULL,
  engine     text NOT NULL,
  title      text NOT NULL,
  voice_mode boolean NOT NULL,
  status     text NOT NULL,
  version    bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT session_pk PRIMARY KEY (tenant_id, id),
  CONSTRAINT session_tenant_fk FOREIGN KEY (tenant_id) REFERENCES tenant,
  CONSTRAINT session_status CHECK (status IN ('active', 'error', 'closed'))
);
CREATE INDEX session_by_age ON session (tenant_id, created_at DESC, id DESC);

CREATE FUNCTION session_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  broken text := CASE
    WHEN NEW.version <> OLD.version + 1 THEN 'session_version_steps'
    WHEN OLD.status = 'closed' AND NEW.status <> 'closed' THEN 'session_closed_is_closed'
  END;
BEGIN
  IF broken IS NOT NULL THEN
    RAISE EXCEPTION 'session: %', broken
      USING ERRCODE = 'check_violation', SCHEMA = 'agentcore', TABLE = 'session', CONSTRAINT = broken;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER session_guard BEFORE UPDATE ON session FOR EACH ROW EXECUTE FUNCTION session_guard();

CREATE TABLE log_head (                           -- narrow and hot: its row lock is the order of the session's log
  tenant_id  text NOT NULL,
  session_id uuid NOT NULL,
  head       bigint NOT NULL DEFAULT 0,           -- last seq
  text_pos   bigint NOT NULL DEFAULT 0,           -- where the log's text ends, in characters
  bound      bigint NOT NULL DEFAULT 0,           -- seq of the last event that began or ended an attempt
  CONSTRAINT log_head_pk PRIMARY KEY (tenant_id, session_id),
  CONSTRAINT log_head_session_fk FOREIGN KEY (tenant_id, session_id) REFERENCES session ON DELETE CASCADE
) WITH (fillfactor = 30);                         -- no indexed column changes: every update is heap-only

CREATE TABLE task_transition (                    -- a copy of the domain's table; a test compares the two
  was     text NOT NULL,
  becomes text NOT NULL,
  CONSTRAINT task_transition_pk PRIMARY KEY (was, becomes)
);
INSERT INTO task_transition VALUES
  ('queued', 'running'), ('queued', 'failed'), ('queued', 'cancelled'),
  ('running', 'awaiting_approval'), ('running', 'cancelling'), ('running', 'queued'), ('running', 'completed'),
  ('running', 'failed'),
  ('awaiting_approval', 'awaiting_approval'), ('awaiting_approval', 'running'), ('awaiting_approval', 'cancelling'),
  ('awaiting_approval', 'queued'), ('awaiting_approval', 'cancelled'), ('awaiting_approval', 'failed'),
  ('cancelling', 'cancelled');

CREATE TABLE task (
  tenant_id           text NOT NULL,
  id                  uuid NOT NULL,
  session_id          uuid NOT NULL,
  number              bigint NOT NULL,            -- seq of its task_queued: the order of the queue
  priority            smallint NOT NULL,
  engine              text NOT NULL,
  params              jsonb NOT NULL,
  prompt              jsonb NOT NULL,             -- parts; they become a message when the task starts
  status              text NOT NULL,
  version             bigint NOT NULL,
  attempt             int NOT NULL,
  crashes             int NOT NULL,
  deadline            timestamptz NOT NULL,
  stop_code           text,
  error_code          text,
  result              text,
  attachments_refused boolean NOT NULL DEFAULT false,
  created_at          timestamptz NOT NULL,
  started_at          timestamptz,
  completed_at        timestamptz,
  lease_epoch         bigint NOT NULL DEFAULT 0,  -- fencing token: +1 at each take and each letting go
  lease_owner         text,
  lease_expires_at    timestamptz,                -- in no index: a beat stays a heap-only update
  change_id           uuid,                       -- the owner's last commit, for when its answer was lost
  CONSTRAINT task_pk PRIMARY KEY (tenant_id, id),
  CONSTRAINT task_session_fk FOREIGN KEY (tenant_id, session_id) REFERENCES session ON DELETE CASCADE,
  -- An UPDATE of a column of a full unique index locks the row as FOR UPDATE does: the fence holds even where somebody
  -- forgot to lock first.
  CONSTRAINT task_fence UNIQUE (tenant_id, id, lease_epoch, status),
  CONSTRAINT task_status CHECK
    (status IN ('queued', 'running', 'awaiting_approval', 'cancelling', 'completed', 'failed', 'cancelled')),
  CONSTRAINT task_lease_is_whole CHECK ((lease_owner IS NULL) = (lease_expires_at IS NULL)),
  CONSTRAINT task_works_under_a_lease CHECK (
    CASE status WHEN 'running' THEN lease_owner IS NOT NULL AND started_at IS NOT NULL AND lease_epoch > 0
                WHEN 'cancelling' THEN lease_owner IS NOT NULL AND started_at IS NOT NULL
                WHEN 'awaiting_approval' THEN started_at IS NOT NULL   -- no owner: parked, no process is held
                ELSE lease_owner IS NULL END),
  CONSTRAINT task_final_is_stamped CHECK ((status IN ('completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL)),
  CONSTRAINT task_stop_has_code CHECK (
    CASE status WHEN 'cancelling' THEN stop_code IS NOT NULL WHEN 'cancelled' THEN stop_code IS NOT NULL
                WHEN 'failed' THEN error_code IS NOT NULL ELSE true END)
) WITH (fillfactor = 60);

-- At most one task of a session has begun and not ended; one that was queued again still owns its session.
CREATE UNIQUE INDEX task_one_live_per_session ON task (tenant_id, session_id)
  WHERE started_at IS NOT NULL AND completed_at IS NULL;
CREATE INDEX task_open ON task (tenant_id, session_id, number) WHERE completed_at IS NULL;
CREATE INDEX task_by_number ON task (tenant_id, session_id, number);
CREATE INDEX task_leased ON task (tenant_id, id) WHERE lease_owner IS NOT NULL;
CREATE INDEX task_undriven ON task (deadline) WHERE lease_owner IS NULL AND completed_at IS NULL;

CREATE FUNCTION task_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  broken text := CASE
    WHEN OLD.completed_at IS NOT NULL THEN 'task_final_is_final'
    WHEN (NEW.tenant_id, NEW.id, NEW.session_id, NEW.number, NEW.engine, NEW.params, NEW.prompt)
         IS DISTINCT FROM (OLD.tenant_id, OLD.id, OLD.session_id, OLD.number, OLD.engine, OLD.params, OLD.prompt)
      THEN 'task_identity_is_fixed'
    WHEN NEW.version NOT IN (OLD.version, OLD.version + 1) THEN 'task_version_steps'
    WHEN NEW.status <> OLD.status AND NEW.version = OLD.version THEN 'task_version_steps'
    WHEN NEW.lease_epoch < OLD.lease_epoch THEN 'task_epoch_grows'
    WHEN NEW.lease_epoch = OLD.lease_epoch AND NEW.lease_owner IS DISTINCT FROM OLD.lease_owner THEN 'task_epoch_grows'
    WHEN NEW.status <> OLD.status
     AND NOT EXISTS (SELECT FROM agentcore.task_transition t WHERE t.was = OLD.status AND t.becomes = NEW.status)
      THEN 'task_transition_is_legal'
  END;
BEGIN
  IF broken IS NOT NULL THEN
    RAISE EXCEPTION 'task % -> %: %', OLD.status, NEW.status, broken
      USING ERRCODE = 'check_violation', SCHEMA = 'agentcore', TABLE = 'task', CONSTRAINT = broken;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER task_guard BEFORE UPDATE OF                -- every column but lease_expires_at: a beat does not fire it
  tenant_id, id, session_id, number, priority, engine, params, prompt, status, version, attempt, crashes, deadline,
  stop_code, error_code, result, attachments_refused, created_at, started_at, completed_at, lease_epoch, lease_owner,
  change_id
  ON task FOR EACH ROW EXECUTE FUNCTION task_guard();

-- The log, by day, so that retention is DROP TABLE.  No foreign key: a check per row would lock the session once more
-- for every text segment; rows are only written under log_head's lock.  Erasing a session deletes its events.
CREATE TABLE session_event (
  tenant_id  text NOT NULL,
  session_id uuid NOT NULL,
  seq        bigint NOT NULL,
  text_pos   bigint NOT NULL,                     -- where the log's text ends, this event included
  task_id    uuid,
  attempt    int NOT NULL,
  event      jsonb NOT NULL,                      -- tagged with its type
  created_at timestamptz NOT NULL
) PARTITION BY RANGE (created_at);
CREATE TABLE session_event_rest PARTITION OF session_event
  (CONSTRAINT session_event_rest_pk PRIMARY KEY (tenant_id, session_id, seq)) DEFAULT;

CREATE FUNCTION make_event_partitions(p_from date, p_days int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE d date;                                   -- run by the owner, days ahead; the default partition is the net
BEGIN
  FOR d IN SELECT p_from + i FROM generate_series(0, p_days - 1) i LOOP
    CONTINUE WHEN to_regclass(format('agentcore.session_event_p%s', to_char(d, 'YYYYMMDD'))) IS NOT NULL
      OR EXISTS (SELECT FROM agentcore.session_event_rest WHERE created_at >= d::timestamp AT TIME ZONE 'UTC'
                                                            AND created_at < (d + 1)::timestamp AT TIME ZONE 'UTC');
    EXECUTE format('CREATE TABLE agentcore.session_event_p%1$s PARTITION OF agentcore.session_event '
                   '(CONSTRAINT session_event_p%1$s_pk PRIMARY KEY (tenant_id, session_id, seq)) FOR VALUES FROM (%2$L) TO (%3$L)',
                   to_char(d, 'YYYYMMDD'), d::timestamp AT TIME ZONE 'UTC', (d + 1)::timestamp AT TIME ZONE 'UTC');
  END LOOP;
END $$;

CREATE TABLE message (
  tenant_id   text NOT NULL,
  session_id  uuid NOT NULL,
  seq         bigint NOT NULL,                    -- of the event that announced it
  n           smallint NOT NULL,                  -- which of the messages of that event
  id          text NOT NULL,
  task_id     uuid NOT NULL,
  role        text NOT NULL,
  parts       jsonb NOT NULL,
  interrupted boolean NOT NULL,                   -- a flag; the marker is rendered when history is shown to an engine
  created_at  timestamptz NOT NULL,
  CONSTRAINT message_pk PRIMARY KEY (tenant_id, session_id, seq, n),
  CONSTRAINT message_once UNIQUE (tenant_id, id),
  CONSTRAINT message_session_fk FOREIGN KEY (tenant_id, session_id) REFERENCES session ON DELETE CASCADE,
  CONSTRAINT message_role CHECK (role IN ('user', 'assistant', 'tool')),
  CONSTRAINT message_parts_form CHECK (jsonb_typeof(parts) = 'array'),
  CONSTRAINT message_interrupted_is_assistant CHECK (NOT interrupted OR role = 'assistant')
);
CREATE INDEX message_by_task ON message (tenant_id, task_id, seq);

CREATE TABLE blob (                               -- attachments by hash, per tenant: no tenant learns what another has
  tenant_id  text NOT NULL,
  sha256     text NOT NULL,
  media_type text NOT NULL,
  data       bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT blob_pk PRIMARY KEY (tenant_id, sha256),
  CONSTRAINT blob_tenant_fk FOREIGN KEY (tenant_id) REFERENCES tenant,
  CONSTRAINT blob_is_its_hash CHECK (sha256 = encode(sha256(data), 'hex')),
  CONSTRAINT blob_size CHECK (octet_length(data) <= 33554432)
);
ALTER TABLE blob ALTER COLUMN data SET STORAGE EXTERNAL;      -- compressed already
CREATE TABLE blob_ref (                           -- keeps a blob alive; erasing a session drops its references
  tenant_id  text NOT NULL,
  session_id uuid NOT NULL,
  sha256     text NOT NULL,
  CONSTRAINT blob_ref_pk PRIMARY KEY (tenant_id, session_id, sha256),
  CONSTRAINT blob_ref_session_fk FOREIGN KEY (tenant_id, session_id) REFERENCES session ON DELETE CASCADE,
  CONSTRAINT blob_ref_blob_fk FOREIGN KEY (tenant_id, sha256) REFERENCES blob
);
CREATE INDEX blob_ref_by_blob ON blob_ref (tenant_id, sha256);

CREATE TABLE approval (
  tenant_id    text NOT NULL,
  id           uuid NOT NULL,
  task_id      uuid NOT NULL,
  tool_use_id  text NOT NULL,
  tool_name    text NOT NULL,
  input        jsonb NOT NULL,
  input_sha256 text NOT NULL,                     -- of what was shown; a changed input is another approval
  expires_at   timestamptz NOT NULL,
  created_at   timestamptz NOT NULL,
  decision     text,
  on_reject    text NOT NULL,
  decided_by   text,
  reason       text,
  decided_at   timestamptz,
  CONSTRAINT approval_pk PRIMARY KEY (tenant_id, id),
  CONSTRAINT approval_task_fk FOREIGN KEY (tenant_id, task_id) REFERENCES task ON DELETE CASCADE,
  CONSTRAINT approval_decision CHECK (decision IN ('approved', 'rejected', 'expired', 'superseded')),
  CONSTRAINT approval_decided_is_stamped CHECK ((decision IS NULL) = (decided_at IS NULL)),
  CONSTRAINT approval_person_decides CHECK (decided_by IS NOT NULL OR decision IS NULL OR decision IN ('expired', 'superseded'))
);
CREATE INDEX approval_by_task ON approval (tenant_id, task_id);
CREATE INDEX approval_pending ON approval (expires_at) WHERE decision IS NULL;

CREATE TABLE provider_call (                      -- calls begun, append-only: open is one without a row in the ledger
  tenant_id    text NOT NULL,
  task_id      uuid NOT NULL,
  call_key     text NOT NULL,
  model        text NOT NULL,
  input_tokens bigint NOT NULL,
  start        bigint NOT NULL,
  created_at   timestamptz NOT NULL,
  CONSTRAINT provider_call_pk PRIMARY KEY (tenant_id, task_id, call_key)
);

CREATE TABLE usage_record (                       -- append-only ledger, one row a provider call; it outlives what it bills
  tenant_id                text NOT NULL,
  task_id                  uuid NOT NULL,
  session_id               uuid NOT NULL,
  call_key                 text NOT NULL,
  provider_message_id      text,
  engine                   text NOT NULL,
  model                    text NOT NULL,
  outcome                  text NOT NULL,
  fidelity                 text NOT NULL,
  input_tokens             bigint NOT NULL,
  output_tokens            bigint NOT NULL,
  cached_input_tokens      bigint NOT NULL,
  cache_write_input_tokens bigint NOT NULL,
  reasoning_tokens         bigint NOT NULL,
  cost_usd                 numeric(18,9),
  created_at               timestamptz NOT NULL,
  CONSTRAINT usage_call_once PRIMARY KEY (tenant_id, task_id, call_key),
  CONSTRAINT usage_tenant_fk FOREIGN KEY (tenant_id) REFERENCES tenant,
  CONSTRAINT usage_outcome CHECK (outcome IN ('completed', 'cancelled', 'failed')),
  CONSTRAINT usage_fidelity CHECK (fidelity IN ('exact', 'estimated')),
  CONSTRAINT usage_counts_form CHECK (least(input_tokens, output_tokens, cached_input_tokens, cache_write_input_tokens,
                                            reasoning_tokens) >= 0)
);
CREATE UNIQUE INDEX usage_provider_message_once ON usage_record (tenant_id, task_id, provider_message_id)
  WHERE provider_message_id IS NOT NULL;
CREATE INDEX usage_by_time ON usage_record (tenant_id, created_at);

CREATE TABLE idempotency_key (
  tenant_id      text NOT NULL,
  sub            text NOT NULL,
  route          text NOT NULL,
  key            text NOT NULL,
  request_sha256 text NOT NULL,
  locked_until   timestamptz NOT NULL,            -- in flight until then; after it another request may take it over
  status         int,
  body           text,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT idempotency_key_pk PRIMARY KEY (tenant_id, sub, route, key),
  CONSTRAINT idempotency_key_form CHECK (length(key) BETWEEN 1 AND 255),
  CONSTRAINT idempotency_answer_is_whole CHECK ((status IS NULL) = (body IS NULL))
);
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);

-- flush: the text segments of many sessions in one transaction.  Fenced: a segment whose task is not live under that
-- epoch is left out, and so is one that does not begin where the log's text ends (an earlier try was committed).
-- Arrays travel through the steps: joining the input back in is planned from guessed row counts and can turn quadratic.
CREATE FUNCTION flush(p_tenants text[], p_sessions uuid[], p_tasks uuid[], p_epochs bigint[], p_attempts int[],
                      p_kinds text[], p_starts bigint[], p_texts text[], p_at timestamptz[])
RETURNS TABLE (task_id uuid, seq bigint, text_pos bigint) LANGUAGE sql BEGIN ATOMIC
  WITH batch AS (
    SELECT s.tenant_id, s.session_id, s.task_id, s.epoch, s.attempt, min(s.start) AS start, count(*) AS n,
           sum(length(s.text)) AS chars, max(s.at) AS at, array_agg(s.kind ORDER BY s.start) AS kinds,
           array_agg(s.start ORDER BY s.start) AS starts, array_agg(s.text ORDER BY s.start) AS texts
    FROM unnest(p_tenants, p_sessions, p_tasks, p_epochs, p_attempts, p_kinds, p_starts, p_texts, p_at)
      AS s (tenant_id, session_id, task_id, epoch, attempt, kind, start, text, at)
    GROUP BY s.tenant_id, s.session_id, s.task_id, s.epoch, s.attempt
  ), own AS MATERIALIZED (
    SELECT b.* FROM batch b JOIN agentcore.task k ON k.tenant_id = b.tenant_id AND k.id = b.task_id
    WHERE k.session_id = b.session_id AND k.lease_epoch = b.epoch
      AND k.status IN ('running', 'awaiting_approval', 'cancelling')
    ORDER BY k.tenant_id, k.id FOR KEY SHARE OF k
  ), h AS (
    UPDATE agentcore.log_head l SET head = l.head + own.n, text_pos = l.text_pos + own.chars FROM own
    WHERE l.tenant_id = own.tenant_id AND l.session_id = own.session_id AND l.text_pos = own.start
    RETURNING own.*, l.head - own.n AS before
  )
  INSERT INTO agentcore.session_event AS v (tenant_id, session_id, seq, text_pos, task_id, attempt, event, created_at)
  SELECT h.tenant_id, h.session_id, h.before + e.i, e.start + length(e.text), h.task_id, h.attempt,
         jsonb_build_object('type', 'text_said', 'kind', e.kind, 'text', e.text), h.at
  FROM h, unnest(h.kinds, h.starts, h.texts) WITH ORDINALITY AS e (kind, start, text, i)
  RETURNING v.task_id, v.seq, v.text_pos;
END;

-- Tenancy.  agentcore_app sees one tenant: SET LOCAL agentcore.tenant; unset or empty shows nothing.  FORCE, so that a
-- service that logs in as the owner by mistake sees nothing either.  No SECURITY DEFINER function exists.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['tenant', 'session', 'log_head', 'task', 'session_event', 'message', 'blob', 'blob_ref',
                           'approval', 'provider_call', 'usage_record', 'idempotency_key'] LOOP
    EXECUTE format('ALTER TABLE agentcore.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY one_tenant ON agentcore.%1$I TO agentcore_app USING (%2$I = current_setting(''agentcore.tenant'', true))',
                   t, CASE t WHEN 'tenant' THEN 'id' ELSE 'tenant_id' END);
    EXECUTE format('CREATE POLICY all_tenants ON agentcore.%I TO agentcore_worker USING (true)', t);
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA agentcore TO agentcore_app, agentcore_worker;
GRANT SELECT ON ALL TABLES IN SCHEMA agentcore TO agentcore_worker;
GRANT SELECT ON task_transition TO agentcore_app;
GRANT SELECT, INSERT ON tenant, session, log_head, task, session_event, message, blob, blob_ref, approval, provider_call,
                        usage_record, idempotency_key TO agentcore_app;
GRANT UPDATE (default_engine) ON tenant TO agentcore_app;
GRANT UPDATE ON session, log_head, task, approval, idempotency_key TO agentcore_app;
GRANT DELETE ON session, session_event, provider_call, blob, idempotency_key TO agentcore_app;   -- erasure, by the tenant
GRANT INSERT ON session_event TO agentcore_worker;
GRANT UPDATE ON log_head, task TO agentcore_worker;
GRANT DELETE ON session_event, blob, idempotency_key TO agentcore_worker;                  -- retention
-- Nobody may UPDATE the log, a message or the ledger, and nobody may DELETE from the ledger: append-only.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA agentcore FROM PUBLIC;                           -- PostgreSQL grants it by default
GRANT EXECUTE ON FUNCTION flush TO agentcore_worker;

SELECT make_event_partitions((now() AT TIME ZONE 'UTC')::date, 8);
