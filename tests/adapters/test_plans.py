"""How PostgreSQL carries out what must not become slower with each turn of a session."""

import json
import pkgutil
from importlib import import_module
from typing import Any

import psycopg
import pytest
from psycopg.pq import DiagnosticField, ExecStatus
from tests.support.database import Server

import agentcore_adapters.postgres
from agentcore.ids import SessionId, TenantId
from agentcore.testing.making import an_id
from agentcore_adapters.postgres import book_statements
from agentcore_adapters.postgres import statements as sql
from agentcore_adapters.postgres.batch import numbered
from agentcore_adapters.postgres.connection import REQUESTS, Transaction, open_database

pytestmark = pytest.mark.anyio
TENANT = TenantId("t")


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for below in plan.get("Plans", ()) for node in nodes(below))]


async def test_the_window_of_a_long_session_is_found_and_not_searched_for(postgres: Server) -> None:
    _, service = postgres.fresh()
    place = (TENANT, SessionId(an_id()))

    async def work(transaction: Transaction) -> Any:
        # Of an empty table every plan is as good: only those are left that a long session would have.
        for name in ("enable_seqscan", "enable_bitmapscan"):
            transaction.send("SELECT set_config(%s, 'off', true)", name)
        asked = transaction.send("EXPLAIN (FORMAT JSON) " + sql.HISTORY, *place, *place, *place, 20)
        ((found,),) = await transaction.arrive(asked)
        return found["QUERY PLAN"]

    async with open_database(service, REQUESTS) as database:
        plan = await database.write(TENANT, work)
    (whole,) = json.loads(plan) if isinstance(plan, str) else plan
    (shown,) = [node for node in nodes(whole["Plan"]) if node.get("Alias") == "m"]
    assert "seq >=" in shown["Index Cond"], shown
    assert "Filter" not in shown, shown


def statements() -> dict[str, str]:
    """Every statement of the adapter that is a constant of a module, by its name."""
    found = {}
    for module in pkgutil.iter_modules(agentcore_adapters.postgres.__path__):
        for name, value in vars(import_module(f"agentcore_adapters.postgres.{module.name}")).items():
            for n, text in enumerate(value if isinstance(value, tuple) else (value,)):
                if name.isupper() and isinstance(text, str):
                    first = (text.split() or [""])[0]
                    if first in ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE") and " " in text:
                        found[f"{module.name}.{name}[{n}]"] = text
    usage = found.pop("book_statements.USAGE[0]")
    return found | {group: usage.replace("{key}", key) for group, key in book_statements.GROUPS.items()}


def test_every_statement_says_by_itself_of_which_types_its_values_are(postgres: Server) -> None:
    """It is prepared once on a connection, whatever its first values are, so none may depend on theirs."""
    owner, _ = postgres.fresh()
    found = statements()
    assert len(found) > 100
    with psycopg.connect(owner, autocommit=True, options="-c search_path=agentcore") as connection:
        for name, text in found.items():
            answer = connection.pgconn.prepare(b"", numbered(text))
            is_part = any(text in other for other in found.values() if text != other)
            if is_part and answer.error_field(DiagnosticField.SQLSTATE) in (b"42601", b"42P01"):
                continue  # no statement by itself: others are made of it
            assert answer.status == ExecStatus.COMMAND_OK, (name, answer.error_message)
