-- agentcore 0002: the outbox, the price a call was begun at, and who holds an Idempotency-Key.
--
-- An outbox row names a row of the ledger and holds nothing of it: the ledger is append-only, so what is published is
-- what was billed.  Both are written by one statement, so that there is never one without the other.

ALTER TABLE provider_call ADD COLUMN price jsonb;
ALTER TABLE idempotency_key ADD COLUMN holder text NOT NULL DEFAULT '';      -- whose reservation it is: an answer is its holder's

CREATE TABLE outbox (
  tenant_id    text NOT NULL,
  task_id      uuid NOT NULL,
  call_key     text NOT NULL,
  id           text NOT NULL,                     -- derived from the three above; the id that consumers count by
  created_at   timestamptz NOT NULL,
  due_at       timestamptz,                       -- NULL: not tried any more; a relay that takes it moves it on
  attempts     int NOT NULL DEFAULT 0,
  error        text,
  delivered_at timestamptz,
  CONSTRAINT outbox_pk PRIMARY KEY (tenant_id, task_id, call_key),
  CONSTRAINT outbox_usage_fk FOREIGN KEY (tenant_id, task_id, call_key) REFERENCES usage_record,
  CONSTRAINT outbox_id_once UNIQUE (id),
  CONSTRAINT outbox_delivered_is_over CHECK (delivered_at IS NULL OR due_at IS NULL),
  CONSTRAINT outbox_attempts_form CHECK (attempts >= 0)
);
CREATE INDEX outbox_due ON outbox (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_by_time ON outbox (tenant_id, created_at DESC);
CREATE INDEX outbox_age ON outbox (created_at);

ALTER TABLE outbox ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON outbox TO agentcore_app USING (tenant_id = current_setting('agentcore.tenant', true));
CREATE POLICY all_tenants ON outbox TO agentcore_worker USING (true);
GRANT SELECT, INSERT ON outbox TO agentcore_app;
GRANT UPDATE (due_at, attempts) ON outbox TO agentcore_app;               -- redelivery, by the tenant
GRANT SELECT ON outbox TO agentcore_worker;
GRANT UPDATE (due_at, attempts, error, delivered_at) ON outbox TO agentcore_worker;
GRANT DELETE ON outbox TO agentcore_worker;                               -- retention
