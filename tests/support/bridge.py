"""A bridge on loopback: writes down what it was asked, dispatches each key once, and answers when it is told to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import httpx2
import msgspec
from attrs import define, field, frozen

from agentcore.engine import Engine, EngineState
from agentcore.errors import UnknownEngine
from agentcore.ids import EngineName
from agentcore.ports import Leases, Store
from agentcore.seal import Seal
from agentcore.testing.scripted import ScriptedEngine
from agentcore_adapters.engines.openclaw import CALLBACK, OpenClaw
from agentcore_adapters.netguard import Guard, allow_list
from agentcore_adapters.testing.listening import listening
from agentcore_adapters.testing.provider import read_request
from agentcore_http.app import API
from tests.support.server import FINAL, Json, Served, serving

GUARD = Guard(allow_list(["127.0.0.0/8"]))
RECEIVED = {"received": True}
SEAL = Seal(b"k" * 32)
COUNTS = {"inputTokens": 11, "outputTokens": 7, "model": "claw-1"}


@define(eq=False)
class StubBridge:
    """What was asked."""

    port: int = 0
    connections: int = 0
    asked: list[Json] = field(factory=list)  #: Bodies of /task-async, repeats included.
    withdrawn: list[str] = field(factory=list)
    troubles: list[str] = field(factory=list)  #: What happens to the next requests: a status, or a word of ``_fail``.
    says: Json = field(factory=dict)  #: What it answers to a dispatch.
    _told: asyncio.Condition = field(factory=asyncio.Condition)

    @property
    def keys(self) -> set[str]:
        return {body["idempotencyKey"] for body in self.asked}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await read_request(reader)) is not None:
                _, path, _, content = request
                body = msgspec.json.decode(content)
                async with self._told:
                    if path == "/task-cancel":
                        self.withdrawn.append(body["idempotencyKey"])
                    else:
                        self.asked.append(body)
                    self._told.notify_all()
                trouble = self.troubles.pop(0) if self.troubles else "202"
                if not await self._fail(trouble, reader, writer):
                    break
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _fail(self, trouble: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        match trouble:
            case "hang":
                await reader.read()  # until the client goes
                return False
            case "reset":
                writer.transport.abort()
                return False
            case "garbage":
                writer.write(b"\x00\x01 nonsense\r\n\r\n")
                return False
            case "endless":
                writer.write(b"HTTP/1.1 202 X\r\n\r\n" + b"x" * 200_000)
                return False
        text = msgspec.json.encode(self.says)
        more = f"location: http://127.0.0.1:{self.port}/elsewhere\r\n" if trouble == "302" else ""
        head = f"HTTP/1.1 {trouble} X\r\n{more}content-length: {len(text)}\r\n\r\n"
        writer.write(head.encode() + text)
        await writer.drain()
        return True

    async def until_asked(self, task_id: str, times: int = 1) -> Json:
        """Wait until it was asked to do a task, so often."""
        async with self._told:
            with anyio.fail_after(10):
                while len(found := [body for body in self.asked if body["idempotencyKey"] == task_id]) < times:
                    await self._told.wait()
        return found[-1]

    async def until_withdrawn(self, task_id: str) -> None:
        async with self._told:
            with anyio.fail_after(10):
                while task_id not in self.withdrawn:
                    await self._told.wait()


@asynccontextmanager
async def stub_bridge() -> AsyncIterator[StubBridge]:
    """Run a bridge in this event loop."""
    found = StubBridge()
    async with listening(found.serve) as found.port:
        yield found


@frozen
class SomeEngines:
    """Any engines, the first of which is the default."""

    engines: Sequence[Engine]

    def named(self, name: EngineName) -> Engine:
        for engine in self.engines:
            if engine.name == name:
                return engine
        raise UnknownEngine("There is no engine of that name.")

    def states(self) -> list[EngineState]:
        return [EngineState(name=e.name, abilities=e.abilities, is_available=True) for e in self.engines]

    def default(self) -> EngineName:
        return self.engines[0].name


def an_engine(guard: Guard, url: str = "") -> OpenClaw:
    """Make the engine, quick to give up."""
    return OpenClaw(seal=SEAL, guard=guard, callback_url=url, retries_s=(0.01, 0.02), try_s=0.3)


@define
class RemoteServed:
    """A server, a bridge, and an instance that lives there."""

    served: Served
    bridge: StubBridge
    engine: OpenClaw
    instance: str = ""

    async def add(self, host: str = "127.0.0.1", **more: object) -> Json:
        body = {"name": "claw", "serverHost": host, "hostPort": self.bridge.port, **more}
        response = await self.served.call("POST", "/instances", body)
        assert response.status_code == 201, response.text
        made: Json = response.json()
        return made

    async def post(self, prompt: str, session_id: str | None = None, **more: object) -> Json:
        body = {"prompt": prompt, **more} | ({"sessionId": session_id} if session_id else {})
        response = await self.served.call("POST", f"/instances/{self.instance}/tasks", body)
        assert response.status_code == 201, response.text
        answer: Json = response.json()
        return answer

    async def asked(self, prompt: str, session_id: str | None = None, **more: object) -> tuple[Json, Json]:
        """Send a prompt, and wait until the bridge has it; return the task, and what the bridge was asked."""
        task = await self.post(prompt, session_id, **more)
        return task, await self.bridge.until_asked(task["taskId"])

    async def answer(self, asked: Json, **more: Any) -> httpx2.Response:
        """Call back, as a bridge does."""
        body = {"ok": True, "callbackData": asked["callbackData"], **more}
        return await self.served.http.post(asked["callbackUrl"], json=body)

    async def done(self, prompt: str, **more: Any) -> Json:
        task, asked = await self.asked(prompt)
        response = await self.answer(asked, **more)
        assert (response.status_code, response.json()) == (200, {"received": True}), response.text
        return await self.served.ended(task["taskId"])


@asynccontextmanager
async def serving_remote(
    store: Store, leases: Leases, allowed: Sequence[str] = ("127.0.0.0/8",)
) -> AsyncIterator[RemoteServed]:
    """Serve a store with the scripted engine and remote agents."""
    guard = Guard(allow_list(allowed))
    engine, scripted = an_engine(guard), ScriptedEngine()
    async with stub_bridge() as bridge:
        async with serving(store, leases, engines=SomeEngines([scripted, engine]), hosts=guard) as served:
            served.engine = scripted
            engine.callback_url = served.url + API + CALLBACK
            found = RemoteServed(served, bridge, engine)
            if allowed:
                found.instance = (await found.add())["id"]
            yield found
        await engine.close()


async def everything(remote: RemoteServed, session_id: str) -> tuple[list[Json], list[Json]]:
    """Return all that could change in a session."""
    return await remote.served.log(session_id), await remote.served.messages(session_id)


def finals(log: list[Json]) -> list[str]:
    return [entry["type"] for entry in log if entry["type"] in FINAL]
