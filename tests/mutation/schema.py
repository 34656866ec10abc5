"""Guards of the database, found in its catalog after all migrations.

Law: what is asked of the catalog is every constraint, unique index, trigger, guard function, policy and privilege
there is; so a new one is taken away as soon as its migration exists.
"""

from collections.abc import Iterator
from typing import Any

import psycopg

from tests.mutation import predicates
from tests.mutation.mutant import Look, Mutant

LOOKS = (
    Look(("tests/adapters/test_postgres_guards.py", "tests/adapters/test_postgres_security.py")),
    Look(("tests/contract/test_postgres.py",)),
)
CONSTRAINTS = """
    SELECT c.relname, n.conname, n.contype, pg_get_constraintdef(n.oid) FROM pg_constraint n
    JOIN pg_class c ON c.oid = n.conrelid
    WHERE n.connamespace = 'agentcore'::regnamespace AND n.contype IN ('c', 'f', 'p', 'u') AND n.conparentid = 0
      AND c.relname NOT LIKE 'session_event_p%' AND c.relname <> 'schema_migration' ORDER BY 1, 2"""
INDEXES = """
    SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), pg_get_expr(i.indpred, i.indrelid)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'agentcore'::regnamespace AND i.indisunique
      AND NOT EXISTS (SELECT FROM pg_constraint n WHERE n.conindid = i.indexrelid) ORDER BY 1"""
TRIGGERS = """
    SELECT t.tgname, c.relname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'agentcore'::regnamespace AND NOT t.tgisinternal ORDER BY 1"""
FUNCTIONS = """
    SELECT p.proname, pg_get_functiondef(p.oid), p.prorettype = 'trigger'::regtype FROM pg_proc p
    WHERE p.pronamespace = 'agentcore'::regnamespace AND p.proname <> 'make_event_partitions' ORDER BY 1"""
SECURED = """
    SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'agentcore'::regnamespace AND c.relrowsecurity ORDER BY 1"""
POLICIES = """
    SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'agentcore' AND qual <> 'true' ORDER BY 1, 2"""
WITHHELD = """
    SELECT c.relname, r.role, array_agg(p.privilege ORDER BY p.privilege) FROM pg_class c
    CROSS JOIN (VALUES ('agentcore_app'), ('agentcore_worker'), ('agentcore_service')) AS r (role)
    CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS p (privilege)
    WHERE c.relnamespace = 'agentcore'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND NOT has_table_privilege(r.role, c.oid, p.privilege) GROUP BY 1, 2 ORDER BY 1, 2"""


def mutants(dsn: str) -> Iterator[Mutant]:
    """Yield all that can be taken away from the migrated database at *dsn*."""
    with psycopg.connect(dsn, options="-c search_path=agentcore", autocommit=True) as connection:

        def ask(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query.encode()).fetchall()

        for table, name, kind, definition in ask(CONSTRAINTS):
            drop = f"ALTER TABLE {table} DROP CONSTRAINT {name}"
            yield _mutant(name, "dropped", f"{drop} CASCADE")
            for what, less in predicates.of_constraint(definition) if kind == "c" else ():
                yield _mutant(name, what, f"{drop}, ADD CONSTRAINT {name} {less}")
        for name, definition, predicate in ask(INDEXES):
            yield _mutant(name, "dropped", f"DROP INDEX {name}")
            for what, less in predicates.edits(f"WHERE {predicate}") if predicate else ():
                wider = definition.replace(f"WHERE {predicate}", less)
                yield _mutant(name, what, f"DROP INDEX {name}", wider)
        for name, table, definition in ask(TRIGGERS):
            yield _mutant(name, "dropped", f"DROP TRIGGER {name} ON {table}")
            columns = definition.partition(" OF ")[2].partition(" ON ")[0]
            for column in columns.split(", ") if columns else ():
                less = definition.replace(
                    f"{columns} ON", ", ".join(c for c in columns.split(", ") if c != column) + " ON"
                )
                yield _mutant(name, f"not fired by {column}", f"DROP TRIGGER {name} ON {table}", less)
        for name, definition, is_guard in ask(FUNCTIONS):
            head, begin, body = definition.partition("BEGIN ATOMIC") if not is_guard else ("", "", definition)
            for what, less in predicates.of_guard(body) if is_guard else predicates.edits(body):
                yield _mutant(name, what, head + begin + less)
        for (table,) in ask(SECURED):
            yield _mutant(f"row security of {table}", "disabled", f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
            yield _mutant(f"row security of {table}", "not forced", f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        for table, policy in ask(POLICIES):
            yield _mutant(f"{policy} of {table}", "lets all pass", f"ALTER POLICY {policy} ON {table} USING (true)")
        for table, role, privileges in ask(WITHHELD):
            granted = ", ".join(privileges)
            yield _mutant(f"{role} on {table}", f"may {granted}", f"GRANT {granted} ON {table} TO {role}")


def _mutant(where: str, what: str, *statements: str) -> Mutant:
    return Mutant(where=where, what=what, looks=LOOKS, statements=("SET search_path = agentcore", *statements))
