"""Hazard C2: PostgreSQL stands still, falls over and comes back, under running tasks and posting clients."""

import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import psycopg
import pytest
from attrs import frozen
from tests.support.server import Json, Served, serving

from agentcore.ids import SessionId, TenantId
from agentcore.testing.checker import check_session
from agentcore.testing.making import an_id
from agentcore_adapters.postgres.embedded import embedded_server
from agentcore_adapters.postgres.migrate import migrate
from agentcore_adapters.postgres.store import postgres_store

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TASKS, POSTS = 20, 20


@frozen
class Home:
    """A database server of our own, and ours on it."""

    served: Served
    dsn_owner: str
    postmaster: int

    def backends(self) -> list[int]:
        with psycopg.connect(self.dsn_owner, autocommit=True) as connection:
            rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()").fetchall()
        return [self.postmaster, *(pid for (pid,) in rows)]


@asynccontextmanager
async def home(lease_ttl_s: float) -> AsyncIterator[Home]:
    with tempfile.TemporaryDirectory(prefix="ac-", ignore_cleanup_errors=True) as folder:
        async with embedded_server(Path(folder)) as server:
            await migrate(server.dsn_owner)
            async with postgres_store(server.dsn, lease_ttl_s=lease_ttl_s) as stores, serving(*stores) as served:
                pid = int((Path(folder) / "postgres" / "postmaster.pid").read_text().splitlines()[0])
                yield Home(served, server.dsn_owner, pid)


@contextmanager
def standing_still(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_C2_a_server_that_stands_still_hangs_nobody() -> None:
    async with home(lease_ttl_s=3.0) as home_:
        served = home_.served
        task = await served.post("[[say:half]] [[hang]]")
        await served.said(task["taskId"], "half")
        with standing_still(home_.backends()):
            answers = []
            for method, path, body in (("GET", "/sessions", None), ("POST", "/tasks", {"prompt": "x"})):
                answers.append(await served.call(method, path, body, Idempotency_Key=an_id()))
            assert [(a.status_code, a.json()["code"]) for a in answers] == [(503, "store_unavailable")] * 2
            assert (await served.http.get(served.url + "/healthz")).status_code == 200
            ready = await served.http.get(served.url + "/readyz")
            assert (ready.status_code, ready.json()) == (
                503,
                {"ready": False, "reasons": ["store_unavailable"], "degraded": []},
            )
            with anyio.fail_after(20):  # nobody can vouch for the lease any more: the engine is stopped
                while not (served.runtime.counts.lost and served.engine.runs[0].is_over):
                    await anyio.sleep(0.02)
        with anyio.fail_after(30):
            while (answer := await served.call("GET", f"/tasks/{task['taskId']}")).status_code != 200:
                await anyio.sleep(0.05)
        ended = await served.ended(task["taskId"])
        assert (ended["status"], ended["error"]["code"]) == ("failed", "NODE_LOST"), answer.text
        texts = [part["text"] for part in (await served.messages(task["sessionId"]))[-1]["content"]]
        assert texts == ["half"]
        assert (await served.get("/usage"))["total"]["calls"] == 1
        await check_session(served.runtime.store, TenantId("default"), SessionId(task["sessionId"]), is_settled=True)
        assert (await served.done("[[say:ok]]"))["status"] == "completed"
        assert served.runtime.counts.failed == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
async def test_C2_a_restart_loses_nothing_that_was_accepted(how: signal.Signals) -> None:
    """Tasks stream and clients post, each prompt under a key and again until it is accepted."""
    async with home(lease_ttl_s=6.0) as home_:
        served = home_.served
        streaming = [await served.post("[[words:150]] [[slow:0.01]]") for _ in range(TASKS)]
        accepted: list[Json] = []
        statuses: set[int] = set()

        async def client(name: str) -> None:
            for number in range(POSTS):
                task = await persistent_post(served, f"{name} {number} {an_id()}", statuses)
                accepted.append(task)

        async with anyio.create_task_group() as clients:
            for name in "abcdefgh":
                clients.start_soon(client, name)
            while len(accepted) < POSTS:
                await anyio.sleep(0.005)
            os.kill(home_.postmaster, how)
        assert statuses <= {201, 409, 503}
        assert len({task["taskId"] for task in accepted}) == 8 * POSTS
        for task in [*streaming, *accepted]:
            assert (await served.ended(task["taskId"], 60))["status"] in {"completed", "failed"}
            await check_session(
                served.runtime.store, TenantId("default"), SessionId(task["sessionId"]), is_settled=True
            )
        sessions = (await served.get("/sessions?limit=200"))["items"]
        assert len(sessions) == TASKS + 8 * POSTS
        assert served.runtime.counts.failed == 0


async def persistent_post(served: Served, key: str, statuses: set[int]) -> Json:
    """Post until it is accepted, as a client does that was told to come back."""
    with anyio.fail_after(90):
        while True:
            answer = await served.call("POST", "/tasks", {"prompt": "[[say:ok]]"}, Idempotency_Key=key)
            statuses.add(answer.status_code)
            if answer.status_code == 201:
                accepted: Json = answer.json()
                return accepted
            assert answer.status_code == 503 or answer.json()["code"] == "idempotency_in_flight", answer.text
            await anyio.sleep(0.1)
