"""Hazard C2: connections are short, or the server is slow: nobody hangs, and no live task pays for it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import httpx2
import psycopg
import pytest
from psycopg import errors as pg
from tests.support.database import Server, ask
from tests.support.server import Served, serving

from agentcore.ids import SessionId, TenantId
from agentcore.testing.checker import check_session
from agentcore.turn import FLUSH_CHARS
from agentcore_adapters.postgres.store import postgres_store

pytestmark = pytest.mark.anyio
FLUSHING = """
    SELECT max(xact_start)::text FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%flush(%'"""
TTL_S = 3.0  # a lease is trusted for two thirds of it


@pytest.fixture
def addresses(postgres: Server) -> tuple[str, str]:
    """Of a fresh database: the owner's and the service's."""
    return postgres.fresh()


@pytest.fixture
async def served(addresses: tuple[str, str]) -> AsyncIterator[Served]:
    async with postgres_store(addresses[1], lease_ttl_s=TTL_S) as stores, serving(*stores) as found:
        yield found


@contextmanager
def locked(dsn_owner: str, table: str) -> Iterator[None]:
    """Be a stranger whose transaction has locked a table."""
    with psycopg.connect(dsn_owner) as connection:
        connection.execute(f"LOCK TABLE agentcore.{table} IN ACCESS EXCLUSIVE MODE".encode())
        yield
        connection.rollback()


def is_refused_well(answer: httpx2.Response) -> bool:
    said = (answer.status_code, answer.json().get("code"), int(answer.headers.get("retry-after", "0")) >= 1)
    return said == (503, "store_unavailable", True)


async def test_C2_a_flood_of_requests_costs_no_lease(served: Served, addresses: tuple[str, str]) -> None:
    """Requests that are stuck hold every connection they may have; a live task has others."""
    old = await served.done("[[say:old]]")
    task = await served.post("[[words:400]] [[slow:0.02]]")
    await served.said(task["taskId"], "w3 ")
    answers: list[httpx2.Response] = []

    async def look() -> None:
        answers.append(await served.call("GET", f"/sessions/{old['sessionId']}/messages"))

    async with anyio.create_task_group() as flood:
        with locked(addresses[0], "message"):
            for _ in range(60):
                flood.start_soon(look)
            with anyio.fail_after(20):
                while not answers:
                    await anyio.sleep(0.05)
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert any(is_refused_well(answer) for answer in answers)
    assert (await served.ended(task["taskId"]))["status"] == "completed"
    assert (served.runtime.counts.lost, served.runtime.counts.failed) == (0, 0)


async def test_C2_the_tail_is_bounded_while_the_text_cannot_be_stored(
    served: Served, addresses: tuple[str, str]
) -> None:
    """An engine is asked for its next event when the last one is settled: what is told and not durable stays small."""
    task = await served.post("[[words:4000]] [[slow:0.001]]")
    await served.said(task["taskId"], "w3 ")
    ((lane, reading),) = served.runtime.lanes.reading()
    longest, tries = 0, set[str]()
    with locked(addresses[0], "log_head"):
        with anyio.fail_after(20):
            while len(tries) < 2:  # the text has waited in vain for the lock, and waits again
                longest = max(longest, reading.turn.end - reading.turn.position)
                tries |= {began} if (began := ask(addresses[0], FLUSHING)) else set()
                await anyio.sleep(0.02)
        assert lane.is_busy
    assert 0 < longest < FLUSH_CHARS + len("w4000 ")
    done = await served.ended(task["taskId"])
    assert (done["status"], served.runtime.counts.lost, served.runtime.counts.failed) == ("completed", 0, 0)
    await check_session(served.runtime.store, TenantId("default"), SessionId(task["sessionId"]), is_settled=True)
    assert (await served.messages(task["sessionId"]))[-1]["content"][0]["text"].count("w") == 4000


async def test_C2_no_connection_is_to_be_had(served: Served, addresses: tuple[str, str], postgres: Server) -> None:
    """Somebody else takes all the connections of the server, and later gives them back."""
    task = await served.post("[[words:300]] [[slow:0.02]]")
    await served.said(task["taskId"], "w3 ")
    with psycopg.connect(addresses[0], autocommit=True) as owner:  # a superuser's is kept free
        hoard: list[psycopg.Connection[Any]] = []
        try:
            with anyio.fail_after(20):
                while not (hoard and await _is_out_of_connections(served)):
                    owner.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                        "AND usename = 'agentcore_service' AND query NOT LIKE '%hoard%'"
                    )
                    _take_all(addresses[1], hoard)
            for method, path, body in (("GET", "/sessions", None), ("POST", "/tasks", {"prompt": "x"})):
                answer = await served.call(method, path, body)
                assert is_refused_well(answer), answer.text
            assert (await served.http.get(served.url + "/healthz")).status_code == 200
            ready = await served.http.get(served.url + "/readyz")
            assert (ready.status_code, ready.json()["reasons"]) == (503, ["store_unavailable"])
        finally:
            for connection in hoard:
                connection.close()
    with anyio.fail_after(20):
        while (await served.call("GET", "/sessions")).status_code != 200:
            await anyio.sleep(0.05)
    assert (await served.done("[[say:ok]]"))["status"] == "completed"
    assert (await served.ended(task["taskId"]))["status"] in {"completed", "failed"}
    await check_session(served.runtime.store, TenantId("default"), SessionId(task["sessionId"]), is_settled=True)
    assert served.runtime.counts.failed == 0


def _take_all(dsn: str, hoard: list[psycopg.Connection[Any]]) -> None:
    while True:
        try:
            hoard.append(psycopg.connect(dsn, autocommit=True))
            hoard[-1].execute("SELECT 'hoard'")
        except pg.OperationalError:
            return


async def _is_out_of_connections(served: Served) -> bool:
    return (await served.call("GET", "/sessions")).status_code == 503
