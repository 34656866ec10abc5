-- agentcore 0018: what every prompt pays for, cheaper.
--
-- A bill referred to its tenant: the check locked the tenant's one row for each call, and all who bill at the same time
-- met there.  Nothing takes a tenant away (no role may), and row-level security says whose a bill is.

ALTER TABLE usage_record DROP CONSTRAINT usage_tenant_fk;

-- To count who counts beside, all locks of the server had to be looked through: half of what counting took.  Now whoever
-- counts holds one of a tenant's *places* to the end of its transaction, too, so that there are never more beside than
-- there are places; only where that bound is not enough they are counted as before.  Written out, because each function
-- that is called costs as much as what it does.

-- Counts who holds a lock of the tenant, this transaction included.
CREATE FUNCTION count_beside(half int, of_tenant text) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM pg_locks
   WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = half::oid
     AND objid::bigint = hashtext(of_tenant)::bigint & 4294967295
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
$$;
REVOKE EXECUTE ON FUNCTION count_beside FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_beside TO agentcore_app;

-- As in 0014: those beside are counted first and what is stored second.  A bound holds at any time, so it needs no first.
CREATE OR REPLACE FUNCTION count_tasks(kind text, of_tenant text, most bigint, alone boolean,
                                       OUT beside bigint, OUT stored bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
  half   CONSTANT int := CASE kind WHEN 'open' THEN 20140 ELSE 20141 END;
  places CONSTANT int := 16;                                -- a power of two; a node admits four prompts at once
  base   CONSTANT int := hashtext(of_tenant) & -places;
  mine   CONSTANT int := pg_backend_pid() & (places - 1);   -- so that not all begin to look at the same place
BEGIN
  IF alone THEN
    PERFORM pg_advisory_xact_lock(half, hashtext(of_tenant));
  ELSE
    PERFORM pg_advisory_xact_lock_shared(half, hashtext(of_tenant));
  END IF;
  FOR i IN 0 .. places - 1 LOOP
    EXIT WHEN pg_try_advisory_xact_lock(20142, base | ((mine + i) & (places - 1)));
    IF i = places - 1 THEN
      PERFORM pg_advisory_xact_lock(20142, base | mine);
    END IF;
  END LOOP;
  beside := places;
  FOR look IN 1 .. 2 LOOP
    IF kind = 'open' THEN
      SELECT count(*) INTO stored FROM (
        SELECT FROM task WHERE tenant_id = of_tenant AND completed_at IS NULL AND status <> 'cancelling' LIMIT most) AS t;
    ELSE
      SELECT count(*) INTO stored FROM (
        SELECT FROM task WHERE tenant_id = of_tenant AND lease_owner IS NOT NULL LIMIT most) AS t;
    END IF;
    EXIT WHEN look = 2 OR stored + places < most;
    beside := count_beside(half, of_tenant);
  END LOOP;
END $$;

-- As in 0016.
CREATE OR REPLACE FUNCTION count_both(of_tenant text, most_open bigint, most_running bigint, alone boolean,
                                      OUT beside bigint, OUT stored bigint,
                                      OUT beside_running bigint, OUT running bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
  places CONSTANT int := 16;                                -- a power of two; a node admits four prompts at once
  base   CONSTANT int := hashtext(of_tenant) & -places;
  mine   CONSTANT int := pg_backend_pid() & (places - 1);   -- so that not all begin to look at the same place
BEGIN
  IF alone THEN
    PERFORM pg_advisory_xact_lock(20140, hashtext(of_tenant));
  ELSE
    PERFORM pg_advisory_xact_lock_shared(20140, hashtext(of_tenant));
  END IF;
  PERFORM pg_advisory_xact_lock_shared(20141, hashtext(of_tenant));
  FOR i IN 0 .. places - 1 LOOP
    EXIT WHEN pg_try_advisory_xact_lock(20142, base | ((mine + i) & (places - 1)));
    IF i = places - 1 THEN
      PERFORM pg_advisory_xact_lock(20142, base | mine);
    END IF;
  END LOOP;
  beside := places;
  beside_running := places;
  FOR look IN 1 .. 2 LOOP
    SELECT count(*) INTO stored FROM (
      SELECT FROM task WHERE tenant_id = of_tenant AND completed_at IS NULL AND status <> 'cancelling' LIMIT most_open) AS t;
    SELECT count(*) INTO running FROM (
      SELECT FROM task WHERE tenant_id = of_tenant AND lease_owner IS NOT NULL LIMIT most_running) AS t;
    EXIT WHEN look = 2 OR (stored + places < most_open AND running + places < most_running);
    beside := count_beside(20140, of_tenant);
    beside_running := count_beside(20141, of_tenant);
  END LOOP;
END $$;
