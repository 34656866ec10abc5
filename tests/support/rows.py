"""Everything that a store holds of a tenant, as texts to be compared."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
from attrs import fields, has
from psycopg import conninfo

from agentcore.ports import Store
from agentcore_adapters.memory.state import Shelf
from agentcore_adapters.memory.store import MemoryStore

MOVES_BY_ITSELF = ("lease_expires_at",)  # as long as a task is driven
TABLES = """
    SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'agentcore'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND (a.attname = 'tenant_id' OR c.relname = 'tenant' AND a.attname = 'id')"""


def owner_of(database: str) -> str:
    """Return the address that sees all tenants."""
    return conninfo.make_conninfo(database, user="agentcore")


def rows_of(store: Store, database: str | None, tenant: str) -> set[str]:
    """Return all rows of a tenant."""
    if database is None:
        assert isinstance(store, MemoryStore)
        return set(_kept(store, tenant))
    return {f"{table} {row}" for table, row in tables_of(database, tenant)}


def tables_of(database: str, tenant: str) -> Iterator[tuple[str, str]]:
    """Yield table and row, for whatever tables there are."""
    with psycopg.connect(owner_of(database), options="-c search_path=agentcore -c timezone=UTC") as connection:
        tables = connection.execute(TABLES).fetchall()
        assert len(tables) >= 15
        for table, column in tables:
            found = connection.execute(
                f"SELECT to_jsonb(t) FROM {table} t WHERE {column} = %s".encode(), [tenant]
            ).fetchall()
            for (row,) in found:
                yield table, json.dumps({k: v for k, v in row.items() if k not in MOVES_BY_ITSELF}, sort_keys=True)


def _kept(store: MemoryStore, tenant: str) -> Iterator[str]:
    for attribute in fields(type(store.state)):
        for key, value in getattr(store.state, attribute.name).items():
            if key == tenant or (isinstance(key, tuple) and key[0] == tenant) or _tenant_of(value) == tenant:
                for row in _rows(value):
                    yield f"{attribute.name} {key} {row}"


def _tenant_of(value: Any) -> str | None:
    delivery = getattr(value, "delivery", None)  # of the outbox, whose keys name no tenant
    return delivery.event.tenant_id if delivery is not None else None


def _rows(value: Any) -> Iterator[str]:
    if isinstance(value, Shelf):
        for attribute in fields(Shelf):
            held = getattr(value, attribute.name)
            items = held.values() if isinstance(held, dict) else held if isinstance(held, list) else [held]
            if attribute.name != "holds":
                yield from (f"{attribute.name} {_text(item)}" for item in items)
    else:
        yield from (_text(item) for item in (value if isinstance(value, list) else [value]))


def _text(value: Any) -> str:
    """Write a value whole: a repr may hide what is secret."""
    if has(type(value)):
        return f"{type(value).__name__} {[(a.name, _text(getattr(value, a.name))) for a in fields(type(value))]}"
    if isinstance(value, tuple | list):
        return str([_text(item) for item in value])
    return repr(value)
