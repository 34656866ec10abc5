-- agentcore 0011: what engines remember of a session, and which decisions were acted on.
--
-- One conversation per session and engine, written in the commits of the task that the engine answers, so that it is
-- fenced like the rest.  Lines are the engine's own words: text and not jsonb, because it wants them back unchanged.

ALTER TABLE approval ADD COLUMN used boolean NOT NULL DEFAULT false;  -- given to the engine: no other attempt acts on it

CREATE TABLE conversation (
  tenant_id  text NOT NULL,
  session_id uuid NOT NULL,
  engine     text NOT NULL,
  reference  text NOT NULL,                       -- what the engine calls it
  knows      text NOT NULL,                       -- id of the last message of the history that the engine knows
  updated_at timestamptz NOT NULL,
  CONSTRAINT conversation_pk PRIMARY KEY (tenant_id, session_id, engine),
  CONSTRAINT conversation_session_fk FOREIGN KEY (tenant_id, session_id) REFERENCES session ON DELETE CASCADE
);
CREATE TABLE conversation_line (                  -- its transcript
  tenant_id  text NOT NULL,
  session_id uuid NOT NULL,
  engine     text NOT NULL,
  n          bigint NOT NULL,
  line       text NOT NULL,
  CONSTRAINT conversation_line_pk PRIMARY KEY (tenant_id, session_id, engine, n),
  CONSTRAINT conversation_line_fk FOREIGN KEY (tenant_id, session_id, engine) REFERENCES conversation ON DELETE CASCADE
);

ALTER TABLE conversation ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE conversation_line ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON conversation TO agentcore_app USING (tenant_id = current_setting('agentcore.tenant', true));
CREATE POLICY one_tenant ON conversation_line TO agentcore_app USING (tenant_id = current_setting('agentcore.tenant', true));
CREATE POLICY all_tenants ON conversation TO agentcore_worker USING (true);
CREATE POLICY all_tenants ON conversation_line TO agentcore_worker USING (true);
GRANT SELECT, INSERT, UPDATE ON conversation TO agentcore_app;
GRANT SELECT, INSERT, DELETE ON conversation_line TO agentcore_app;   -- a lost conversation is begun anew
GRANT SELECT ON conversation, conversation_line TO agentcore_worker;
