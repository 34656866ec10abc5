-- agentcore 0014: limits that a tenant has of its own.
--
-- What is counted against a limit is counted from the rows themselves, under an advisory lock of the tenant; so
-- nothing here can drift from the truth.

ALTER TABLE tenant ADD COLUMN limits jsonb;
ALTER TABLE tenant ADD CONSTRAINT tenant_limits_form CHECK (jsonb_typeof(limits) = 'object');
CREATE INDEX tenant_with_limits ON tenant (id) WHERE limits IS NOT NULL;
GRANT UPDATE (limits) ON tenant TO agentcore_app;
