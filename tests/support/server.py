"""The whole server on a loopback port, in the test's own loop, with scripted engines."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

import anyio
import httpx2
import msgspec
import uvicorn
from attrs import define, evolve, field
from litestar import Litestar
from websockets.asyncio.client import ClientConnection, connect

from agentcore.books import Sink
from agentcore.engine import Engines
from agentcore.gate import MOST
from agentcore.ids import EngineName, NodeId, TenantId
from agentcore.limits import Limits, Own
from agentcore.node import open_runtime
from agentcore.policy import Policy
from agentcore.ports import Hosts, Leases, Store
from agentcore.prompts import PromptBuilder
from agentcore.pulse import Periods
from agentcore.runtime import Runtime
from agentcore.seal import Seal
from agentcore.speech import Transcriber
from agentcore.testing.making import NODE, an_id
from agentcore.testing.scripted import ScriptedEngine, ScriptedEngines
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import SystemClock
from agentcore_http.app import API, create_app
from agentcore_http.auth.identity import Fetch
from agentcore_http.serve import KEEP_ALIVE_S, SOCKETS
from agentcore_http.settings import Settings
from agentcore_http.telemetry import Telemetry

FINAL = {"completed", "error", "cancelled"}
Json = dict[str, Any]
QUICK = Periods(tick=0.02, beat=0.2, heads=0.1, expire=0.1, sweep=0.1, relay=0.05, limits=0.1)


@define
class Served:
    """A running server, and hands to use it."""

    url: str
    runtime: Runtime
    engine: ScriptedEngine
    other: ScriptedEngine
    http: httpx2.AsyncClient
    headers: dict[str, str] = field(factory=dict)

    def as_tenant(self, name: str) -> "Served":
        return Served(self.url, self.runtime, self.engine, self.other, self.http, {"X-Tenant-Id": name})

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> httpx2.Response:
        more = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.request(method, self.url + API + path, json=body, headers=more)

    async def post(self, prompt: str, session_id: str | None = None, **more: object) -> Json:
        body = {"prompt": prompt, **more} | ({"sessionId": session_id} if session_id else {})
        response = await self.call("POST", "/tasks", body)
        assert response.status_code == 201, response.text
        answer: Json = response.json()
        return answer

    async def get(self, path: str) -> Json:
        response = await self.call("GET", path)
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        return answer

    async def task(self, task_id: str) -> Json:
        return await self.get(f"/tasks/{task_id}")

    async def ended(self, task_id: str, within_s: float = 15.0) -> Json:
        return await self.until(task_id, {"completed", "failed", "cancelled"}, within_s)

    async def until(self, task_id: str, statuses: set[str], within_s: float = 15.0) -> Json:
        with anyio.fail_after(within_s):
            while (task := await self.task(task_id))["status"] not in statuses:
                await anyio.sleep(0.01)
        return task

    async def done(self, prompt: str, session_id: str | None = None, **more: object) -> Json:
        return await self.ended((await self.post(prompt, session_id, **more))["taskId"])

    async def messages(self, session_id: str) -> list[Json]:
        items: list[Json] = (await self.get(f"/sessions/{session_id}/messages?limit=200"))["items"]
        return items

    async def log(self, session_id: str, query: str = "") -> list[Json]:
        items: list[Json] = (await self.get(f"/sessions/{session_id}/events?limit=1000{query}"))["items"]
        return items

    def socket(self, session_id: str, after: str | None = None, query: str = "") -> connect:
        address = self.url.replace("http", "ws") + f"{API}/sessions/{session_id}/stream"
        parts = "&".join(part for part in (f"after={after}" if after else "", query) if part)
        return connect(address + (f"?{parts}" if parts else ""), additional_headers=self.headers, max_size=None)

    async def said(self, task_id: str, at_least: str) -> None:
        """Wait until a task has said something."""
        session_id = (await self.task(task_id))["sessionId"]
        async with self.socket(session_id) as socket:
            text = ""
            with anyio.fail_after(10):
                while at_least not in text:
                    frame = await receive(socket)
                    if frame.get("taskId") == task_id and frame["type"] == "text":
                        text += frame["content"]


async def receive(socket: ClientConnection) -> Json:
    return msgspec.json.decode(await socket.recv(), type=dict[str, Any])


async def until_final(socket: ClientConnection, task_id: str) -> list[Json]:
    """Read frames up to the end of a task."""
    frames: list[Json] = []
    with anyio.fail_after(20):
        while not (frames and frames[-1].get("taskId") == task_id and frames[-1]["type"] in FINAL):
            frames.append(await receive(socket))
    return frames


def text_of(frames: list[Json], task_id: str | None = None) -> str:
    return "".join(f["content"] for f in frames if f["type"] == "text" and task_id in {None, f.get("taskId")})


class QuietServer(uvicorn.Server):
    """Leaves signals to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(
    opener: Callable[[], AbstractAsyncContextManager[Runtime]],
    settings: Settings,
    slow_s: float = 20.0,
    *,
    keys: Fetch | None = None,
    telemetry: Telemetry | None = None,
) -> AsyncIterator[str]:
    """Serve the application on a free port."""
    app = create_app(opener, settings, slow_s=slow_s, fetch_keys=keys, telemetry=telemetry)
    async with listening_on(app) as url:
        yield url


@asynccontextmanager
async def listening_on(app: Litestar) -> AsyncIterator[str]:
    """Serve any application on a free port."""
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # the loop sends at once only where the protocol is named
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        log_level="critical",
        **SOCKETS,
        timeout_keep_alive=KEEP_ALIVE_S,
        lifespan="on",
    )
    server = QuietServer(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listener])
        with anyio.fail_after(20):
            while not server.started:
                await anyio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
    listener.close()


@asynccontextmanager
async def serving(
    store: Store,
    leases: Leases,
    settings: Settings | None = None,
    slow_s: float = 20.0,
    *,
    engines: Engines | None = None,
    policy: Policy | None = None,
    sink: Sink | None = None,
    hosts: Hosts | None = None,
    transcriber: Transcriber | None = None,
    keys: Fetch | None = None,
    telemetry: Telemetry | None = None,
    limits: Limits | None = None,
    tenants: Mapping[TenantId, Own] | None = None,
    most_driven: int = MOST,
    node: str = NODE,
    slow_rounds: bool = False,
) -> AsyncIterator[Served]:
    """Serve *store* with *engines*, else with two scripted ones, ``scripted`` and ``other``."""
    engine, other = ScriptedEngine(), ScriptedEngine(name=EngineName("other"))
    telemetry = telemetry or Telemetry()
    found: list[Runtime] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[Runtime]:
        async with open_runtime(
            store=store,
            leases=leases,
            bus=MemoryBus(),
            engines=engines or ScriptedEngines([engine, other]),
            clock=SystemClock(),
            node=NodeId(node),
            new_id=an_id,
            seal=Seal(b"k" * 32),
            prompts=PromptBuilder(api_url="http://127.0.0.1/api/v1/agent"),
            policy=policy,
            periods=evolve(QUICK, sweep=60.0) if slow_rounds else QUICK,
            sink=sink,
            hosts=hosts,
            transcriber=transcriber,
            limits=limits or Limits(stt_seconds=60.0, requests_per_minute=10**6),
            tenants=tenants,
            most_driven=most_driven,
            drain_s=0.05,
            observers=telemetry.observers,
        ) as runtime:
            telemetry.know(runtime.house.engines.states())
            found.append(runtime)
            yield runtime

    async with listening(opened, settings or Settings(), slow_s, keys=keys, telemetry=telemetry) as url:
        connections = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(timeout=30.0, limits=connections) as http:
            yield Served(url, found[0], engine, other, http)
