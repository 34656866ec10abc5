-- agentcore 0014: limits that a tenant has of its own.
--
-- What is counted against a limit is counted from the rows themselves, under an advisory lock of the tenant; so
-- nothing here can drift from the truth.

ALTER TABLE tenant ADD COLUMN limits jsonb;
ALTER TABLE tenant ADD CONSTRAINT tenant_limits_form CHECK (jsonb_typeof(limits) = 'object');
CREATE INDEX tenant_with_limits ON tenant (id) WHERE limits IS NOT NULL;
GRANT UPDATE (limits) ON tenant TO agentcore_app;

-- Counts the tasks of a tenant that are open, or running, up to *most*, for the transaction that calls it.
-- Whoever counts holds the tenant's lock to the end of its transaction, together with others.  Those who hold it may yet
-- add one each: they are counted first and what is stored second (each statement here sees what was committed when it
-- begins), so that nobody is missed, and the later one of two always sees the earlier.  Where that is not enough, one
-- counts alone.
CREATE FUNCTION count_tasks(kind text, of_tenant text, most bigint, alone boolean,
                            OUT beside bigint, OUT stored bigint) LANGUAGE plpgsql AS $$
DECLARE
  half int := CASE kind WHEN 'open' THEN 20140 ELSE 20141 END;        -- of the lock's key
BEGIN
  IF alone THEN
    PERFORM pg_advisory_xact_lock(half, hashtext(of_tenant));
  ELSE
    PERFORM pg_advisory_xact_lock_shared(half, hashtext(of_tenant));
  END IF;
  SELECT count(*) INTO beside FROM pg_locks
   WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = half::oid
     AND objid::bigint = hashtext(of_tenant)::bigint & 4294967295
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
  IF kind = 'open' THEN
    SELECT count(*) INTO stored FROM (
      SELECT FROM task WHERE tenant_id = of_tenant AND completed_at IS NULL AND status <> 'cancelling' LIMIT most) AS t;
  ELSE
    SELECT count(*) INTO stored FROM (
      SELECT FROM task WHERE tenant_id = of_tenant AND lease_owner IS NOT NULL LIMIT most) AS t;
  END IF;
END $$;
REVOKE EXECUTE ON FUNCTION count_tasks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_tasks TO agentcore_app;
