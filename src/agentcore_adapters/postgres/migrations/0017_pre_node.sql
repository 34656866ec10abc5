-- agentcore 0017: which nodes there are, and of which release.
--
-- So that a migration that takes something away can wait for those that still need it.  Of no tenant: the worker's.

CREATE TABLE node (
  id         text NOT NULL,                       -- the owner of its leases
  release    text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at    timestamptz NOT NULL DEFAULT now(),  -- by the clock of the database
  CONSTRAINT node_pk PRIMARY KEY (id),
  CONSTRAINT node_release_form CHECK (release ~ '^[0-9]+[.][0-9]+')
) WITH (fillfactor = 30);                         -- no indexed column changes: every beat is heap-only
GRANT SELECT, INSERT, DELETE ON node TO agentcore_worker;
GRANT UPDATE (seen_at) ON node TO agentcore_worker;
