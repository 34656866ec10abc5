"""Whether the server can work, and what it says from being told to go until it is gone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx2
import psycopg
import pytest
from attrs import evolve
from tests.support.database import Server
from tests.support.flaky import a_fate, a_served_fate
from tests.support.server import Served, serving

from agentcore.bus import BusState
from agentcore.testing.chaos import Fate, Flaky
from agentcore_adapters.postgres.store import postgres_store
from agentcore_http.routes import health

pytestmark = pytest.mark.anyio
fate, served = a_fate, a_served_fate


async def ready(served: Served) -> tuple[int, list[str], str | None]:
    answer = await served.http.get(served.url + "/readyz")
    said = answer.json()
    assert said == {"ready": not said["reasons"], "reasons": said["reasons"], "degraded": []}
    return answer.status_code, answer.json()["reasons"], answer.headers.get("retry-after")


async def test_E10_readiness_says_why_and_nothing_more(
    served: Served, fate: Fate, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = served.runtime.house
    assert await ready(served) == (200, [], None)
    fate.is_store_away = True
    assert await ready(served) == (503, ["store_unavailable"], "1")
    house.is_draining = True
    assert await ready(served) == (503, ["shutting_down", "store_unavailable"], "5")
    fate.is_store_away = False
    assert await ready(served) == (503, ["shutting_down"], "5")
    assert (await served.http.get(served.url + "/healthz")).status_code == 200
    refused = await served.call("POST", "/tasks", {"prompt": "x"})
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "shutting_down", "5")
    house.is_draining = False
    states = [evolve(state, is_available=False) for state in house.engines.states()]
    monkeypatch.setattr(type(house.engines), "states", lambda _: states)
    assert await ready(served) == (503, ["engine_unavailable"], "30")


async def test_C5_who_is_told_to_go_works_on_and_says_that_nobody_should_come(served: Served) -> None:
    served.runtime.house.is_leaving = True
    assert await ready(served) == (503, ["shutting_down"], "5")
    assert (await served.done("[[say:ok]]"))["status"] == "completed"


async def test_E7_a_server_without_its_bus_is_ready_and_says_what_it_lacks(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unready, a bus that is away would take all nodes away, though it costs time and nothing else."""
    monkeypatch.setattr(type(served.runtime.house.bus), "state", lambda _: BusState(is_connected=False))
    answer = await served.http.get(served.url + "/readyz")
    assert (answer.status_code, answer.json()["degraded"]) == (200, ["bus_unavailable"])


async def test_E10_a_store_that_hangs_is_one_that_is_away(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(Flaky, "ping", hang, raising=False)
    monkeypatch.setattr(health, "PATIENCE_S", 0.05)
    assert await ready(served) == (503, ["store_unavailable"], "1")


async def test_E10_a_schema_from_before_this_release_is_said(postgres: Server) -> None:
    """As after a restore of an old backup under a server that runs."""
    owner, service = postgres.fresh()
    async with postgres_store(service) as stores, serving(*stores) as served:
        assert await ready(served) == (200, [], None)
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute("DELETE FROM agentcore.schema_migration WHERE id = '0015_pre_owner'")
            assert await ready(served) == (503, ["schema_outdated"], "30")
            connection.execute("DROP TABLE agentcore.schema_migration")
            assert await ready(served) == (503, ["schema_outdated"], "30")


@contextmanager
def a_process(folder: Path, notice_s: float) -> Iterator[tuple["subprocess.Popen[str]", httpx2.Client]]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTCORE_", "OTEL_"))}
    environ |= {"AGENTCORE_DATA_DIR": str(folder), "ANTHROPIC_API_KEY": "k", "AGENTCORE_NOTICE_SECONDS": str(notice_s)}
    command = [sys.executable, "-m", "agentcore_http", "serve", "--port", "0", "--store", "memory"]
    with subprocess.Popen(command, env=environ, cwd=folder, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[-1]
            with httpx2.Client(base_url=url, timeout=10.0) as http:
                yield process, http
        finally:
            process.kill()


async def until_it_leaves(http: httpx2.Client) -> httpx2.Response:
    with anyio.fail_after(10):
        while (answer := http.get("/readyz")).status_code == 200:
            await anyio.sleep(0.01)
    return answer


async def test_C5_from_sigterm_on_a_balancer_is_told_and_everybody_else_is_served(tmp_path: Path) -> None:
    with a_process(tmp_path, 1.5) as (process, http):
        process.send_signal(signal.SIGTERM)
        answer = await until_it_leaves(http)
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["shutting_down"])
        assert answer.headers["retry-after"] == "5"
        with httpx2.Client(base_url=http.base_url) as another:  # the listener lives
            assert another.get("/healthz").status_code == 200
            assert another.post("/api/v1/agent/tasks", json={"prompt": "x"}).status_code == 201
            assert "agentcore_draining 1.0" in another.get("/metrics").text
        assert process.wait(30) == 0


async def test_C5_told_twice_it_waits_no_more(tmp_path: Path) -> None:
    with a_process(tmp_path, 600) as (process, http):
        process.send_signal(signal.SIGTERM)
        await until_it_leaves(http)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
