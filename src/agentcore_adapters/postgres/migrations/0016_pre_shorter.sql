-- What is asked for every prompt, asked in one look: two counts and, once, who counts beside.

CREATE FUNCTION count_both(of_tenant text, most_open bigint, most_running bigint, alone boolean,
                           OUT beside bigint, OUT stored bigint, OUT beside_running bigint, OUT running bigint)
LANGUAGE plpgsql AS $$
BEGIN
  IF alone THEN
    PERFORM pg_advisory_xact_lock(20140, hashtext(of_tenant));
  ELSE
    PERFORM pg_advisory_xact_lock_shared(20140, hashtext(of_tenant));
  END IF;
  PERFORM pg_advisory_xact_lock_shared(20141, hashtext(of_tenant));
  SELECT count(*) FILTER (WHERE classid = 20140::oid), count(*) FILTER (WHERE classid = 20141::oid)
    INTO beside, beside_running FROM pg_locks
   WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid IN (20140::oid, 20141::oid)
     AND objid::bigint = hashtext(of_tenant)::bigint & 4294967295
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
  SELECT count(*) INTO stored FROM (
    SELECT FROM task WHERE tenant_id = of_tenant AND completed_at IS NULL AND status <> 'cancelling' LIMIT most_open
  ) AS t;
  SELECT count(*) INTO running FROM (
    SELECT FROM task WHERE tenant_id = of_tenant AND lease_owner IS NOT NULL LIMIT most_running) AS t;
END $$;
REVOKE EXECUTE ON FUNCTION count_both FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_both TO agentcore_app;

-- A driver notes its last commit on its task for each call that it announces: that alone needs one rule, not all.
DROP TRIGGER task_guard ON task;
CREATE TRIGGER task_guard BEFORE UPDATE OF                  -- every column but lease_expires_at and change_id
  tenant_id, id, session_id, number, priority, engine, params, prompt, status, version, attempt, crashes, deadline,
  stop_code, error_code, result, attachments_refused, created_at, started_at, completed_at, lease_epoch, lease_owner
  ON task FOR EACH ROW EXECUTE FUNCTION task_guard();
CREATE TRIGGER task_change_guard BEFORE UPDATE OF change_id ON task FOR EACH ROW
  WHEN (OLD.completed_at IS NOT NULL) EXECUTE FUNCTION task_guard();
