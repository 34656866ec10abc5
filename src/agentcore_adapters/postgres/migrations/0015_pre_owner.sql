-- agentcore 0015: a person's sessions, newest first, without looking at those of others.

CREATE INDEX session_by_owner ON session (tenant_id, owner_sub, created_at DESC, id DESC);
