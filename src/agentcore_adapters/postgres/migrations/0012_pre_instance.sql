-- agentcore 0012: remote agents.  Where they live, which sessions are theirs, and the reply that a task may get.
--
-- A session names its instance and is not bound to it: an instance that is removed leaves its conversations.

CREATE TABLE instance (
  tenant_id  text NOT NULL,
  id         uuid NOT NULL,
  owner_sub  text NOT NULL,
  name       text NOT NULL,
  host       text,                                -- as the allow-list spells it; NULL: not known yet
  port       int,
  status     text NOT NULL,
  version    bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT instance_pk PRIMARY KEY (tenant_id, id),
  CONSTRAINT instance_tenant_fk FOREIGN KEY (tenant_id) REFERENCES tenant,
  CONSTRAINT instance_status CHECK (status IN ('running', 'stopped', 'error')),
  CONSTRAINT instance_port CHECK (port BETWEEN 1 AND 65535)
);
CREATE INDEX instance_by_owner ON instance (tenant_id, owner_sub, created_at DESC, id DESC);

ALTER TABLE session ADD COLUMN instance_id uuid;
CREATE INDEX session_by_instance ON session (tenant_id, instance_id, created_at DESC, id DESC)
  WHERE instance_id IS NOT NULL;

INSERT INTO task_transition VALUES ('queued', 'queued'), ('running', 'running');  -- reply_delivered

ALTER TABLE instance ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON instance TO agentcore_app USING (tenant_id = current_setting('agentcore.tenant', true));
CREATE POLICY all_tenants ON instance TO agentcore_worker USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON instance TO agentcore_app;
GRANT SELECT ON instance TO agentcore_worker;
