"""How PostgreSQL carries out what must not become slower with each turn of a session."""

import json
from typing import Any

import pytest
from tests.support.database import Server

from agentcore.ids import SessionId, TenantId
from agentcore.testing.making import an_id
from agentcore_adapters.postgres import statements as sql
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
