"""The proxy of the cluster, as it runs: what it lets through, and what it does when a node goes."""

import os
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import httpx2
import pytest
from attrs import evolve
from tests.support.proxy import free_port, proxied, upstreams
from tests.support.server import receive, serving, text_of

from agentcore.events import Finished, TextDelta
from agentcore.testing.scripted import Gate
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore
from agentcore_adapters.testing.provider import StubProvider
from agentcore_http.app import API

pytestmark = pytest.mark.anyio
SESSIONS = [f"/sessions/00000000-0000-4000-8000-{number:012}" for number in range(24)]


async def test_streams_pass_as_they_are_said(tmp_path: Path) -> None:
    """Over both ways the first word is there while the model is silent before its second."""
    clock = SystemClock()
    store = MemoryStore(clock)
    async with serving(store, MemoryLeases(store.state, clock)) as node:
        async with proxied(tmp_path, [int(node.url.rpartition(":")[2])]) as url:
            through = evolve(node, url=url)
            go_on = anyio.Event()
            node.engine.script = [TextDelta("one "), Gate(go_on), TextDelta("two"), Finished()]
            asked = await through.post("count")
            with anyio.fail_after(20):
                async with (
                    through.socket(asked["sessionId"], after="0") as socket,
                    node.http.stream(
                        "GET",
                        f"{url}{API}/sessions/{asked['sessionId']}/events",
                        headers={"Accept": "text/event-stream"},
                    ) as events,
                ):
                    lines = events.aiter_lines()
                    while '"content":"one "' not in await anext(lines):
                        pass
                    frames = [await receive(socket)]
                    while text_of(frames) != "one ":
                        frames.append(await receive(socket))
                    assert (await through.task(asked["taskId"]))["status"] == "running"
                    go_on.set()
                    while '"two"' not in await anext(lines):
                        pass
                    while text_of(frames) != "one two":
                        frames.append(await receive(socket))
            assert (await through.ended(asked["taskId"]))["result"] == "one two"


async def test_the_requests_of_a_session_go_to_one_node_whatever_the_client_says(tmp_path: Path) -> None:
    async with upstreams("a", "b") as (a, b), proxied(tmp_path, [a.port, b.port]) as url, httpx2.AsyncClient() as http:
        for path in SESSIONS:
            answers = {
                (await http.get(f"{url}{API}{path}{more}", headers={"X-Session-Hash": name})).text
                for more, name in (("", "x"), ("/events", "y"), ("/messages", "z"))
            }
            assert len(answers) == 1, path
        assert a.asked
        assert b.asked
        forged = {"X-Session-Hash": "x"}
        assert {(await http.get(f"{url}{API}/sessions", headers=forged)).text for _ in range(40)} == {"a", "b"}
        assert not [head for upstream in (a, b) for head in upstream.heads if b"x-session-hash" in head]


async def test_a_refused_connection_is_tried_elsewhere_whatever_the_method(tmp_path: Path) -> None:
    async with upstreams("a") as (a,), proxied(tmp_path, [free_port(), a.port]) as url, httpx2.AsyncClient() as http:
        for _ in range(8):
            assert (await http.post(f"{url}{API}/tasks", json={})).text == "a"
        assert a.asked.total() == 8


async def test_what_was_sent_is_never_sent_twice_if_it_asks_for_work(tmp_path: Path) -> None:
    async with upstreams("a", "b") as (a, b), proxied(tmp_path, [a.port, b.port]) as url, httpx2.AsyncClient() as http:
        a.cuts = b.cuts = True
        answer = await http.post(f"{url}{API}/tasks", json={})
        assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (502, 502, "no_node")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "2"
        assert a.asked.total() + b.asked.total() == 1


async def test_a_question_is_asked_again_elsewhere(tmp_path: Path) -> None:
    async with upstreams("a", "b") as (a, b), proxied(tmp_path, [a.port, b.port]) as url, httpx2.AsyncClient() as http:
        a.cuts = True
        assert {(await http.get(f"{url}{API}{path}")).text for path in SESSIONS} == {"b"}
        assert a.asked


async def test_a_node_that_goes_is_asked_nothing_more(tmp_path: Path) -> None:
    async with upstreams("a", "b") as (a, b), proxied(tmp_path, [a.port, b.port]) as url, httpx2.AsyncClient() as http:
        a.is_ready = False
        with anyio.fail_after(20):
            while {(await http.get(f"{url}{API}{path}")).text for path in SESSIONS} != {"b"}:
                await anyio.sleep(0.05)
        a.is_ready, b.is_ready = True, False
        with anyio.fail_after(20):
            while {(await http.get(f"{url}{API}{path}")).text for path in SESSIONS} != {"a"}:
                await anyio.sleep(0.05)


async def test_figures_are_not_for_everybody(tmp_path: Path) -> None:
    async with upstreams("a") as (a,), proxied(tmp_path, [a.port]) as url, httpx2.AsyncClient() as http:
        assert (await http.get(f"{url}/metrics")).status_code == 404
        assert (await http.get(f"{url}/")).text == "a"
        assert a.asked.keys() == {"GET /"}


async def test_nobody_is_refused_while_a_node_goes(tmp_path: Path, provider: StubProvider) -> None:
    """Two servers as they are; one is told to stop while clients ask for work without a pause."""
    servers = [a_server(tmp_path, provider.url), a_server(tmp_path, provider.url)]
    answered: Counter[int] = Counter()
    async with AsyncExitStack() as stack, httpx2.AsyncClient(timeout=20) as http:
        for port, child in servers:
            stack.callback(child.wait)
            stack.callback(child.kill)
            await ready(http, port)
        url = await stack.enter_async_context(proxied(tmp_path, [port for port, _ in servers]))

        async def ask() -> None:
            while True:
                answer = await http.post(f"{url}{API}/tasks", json={"prompt": "hello"})
                answered[answer.status_code] += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(ask)
            (_, going), (staying, _) = servers
            while answered.total() < 20:
                await anyio.sleep(0.01)
            going.terminate()
            with anyio.fail_after(30):
                while going.poll() is None:
                    await anyio.sleep(0.02)
            before = answered.total()
            while answered.total() < before + 20:
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert going.returncode == 0
        assert answered.keys() == {201}
        await ready(http, staying)


def a_server(folder: Path, provider: str) -> tuple[int, subprocess.Popen[bytes]]:
    """Start a server that keeps everything in memory and has a second between being told to stop and doing it."""
    port = free_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTCORE_", "ANTHROPIC_"))}
    environ |= {"OPENAI_BASE_URL": provider, "OPENAI_API_KEY": "sk-test", "AGENTCORE_DEFAULT_ENGINE": "openai"}
    environ |= {"AGENTCORE_NOTICE_SECONDS": "1", "AGENTCORE_DRAIN_SECONDS": "1"}
    environ["AGENTCORE_LIMITS_MAX_QUEUED"] = "1000000"  # a slow machine takes up more than it can end meanwhile
    command = [sys.executable, "-m", "agentcore_http", "serve", "--store", "memory", "--port", str(port)]
    with (folder / f"server-{port}.log").open("wb") as log:
        data = ["--data-dir", str(folder / str(port))]
        return port, subprocess.Popen([*command, *data], env=environ, stdout=log, stderr=log)


async def ready(http: httpx2.AsyncClient, port: int) -> None:
    with anyio.fail_after(60):
        while True:
            try:
                if (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            except httpx2.ConnectError:
                await anyio.sleep(0.02)


async def test_who_leaves_a_stream_is_gone_for_the_node_as_well(tmp_path: Path) -> None:
    """Else readers that come back every minute would fill the sockets that a user may have."""
    async with upstreams("a") as (a,), proxied(tmp_path, [a.port]) as url, httpx2.AsyncClient() as http:
        async with http.stream("GET", f"{url}/endless") as events:
            assert await anext(events.aiter_lines()) == "data: 1"
            assert not a.left.is_set()
        with anyio.fail_after(20):
            await a.left.wait()
