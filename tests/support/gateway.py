"""A gateway that speaks the documented frames of OpenClaw's protocol 4, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
from attrs import define, field
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Json = dict[str, Any]


@define(eq=False)
class FakeGateway:
    """What it was asked, and how it answers: ``say:TEXT``, ``error``, ``hang``, ``drop`` (the connection, once)."""

    url: str = ""
    token: str = "gateway-token"
    connects: list[Json] = field(factory=list)
    sent: list[Json] = field(factory=list)
    aborted: list[str] = field(factory=list)
    runs: set[str] = field(factory=set)
    drops: int = 0
    _told: asyncio.Condition = field(factory=asyncio.Condition)

    async def serve(self, socket: ServerConnection) -> None:
        try:
            await self._event(socket, "connect.challenge", {"nonce": "n", "ts": 1})
            async for text in socket:
                frame = msgspec.json.decode(text)
                assert frame["type"] == "req"
                await getattr(self, "_" + frame["method"].replace(".", "_"))(socket, frame["id"], frame["params"])
        except ConnectionClosed:
            return

    async def _connect(self, socket: ServerConnection, number: str, params: Json) -> None:
        self.connects.append(params)
        is_welcome = params["auth"] == {"token": self.token} and params["minProtocol"] <= 4 <= params["maxProtocol"]
        await self._answer(socket, number, {"type": "hello-ok", "protocol": 4} if is_welcome else None)

    async def _chat_send(self, socket: ServerConnection, number: str, params: Json) -> None:
        async with self._told:
            self.sent.append(params)
            self.runs.add(params["idempotencyKey"])
            self._told.notify_all()
        if self.drops:
            self.drops -= 1
            await socket.close()
            return
        run = {"runId": params["idempotencyKey"], "sessionKey": params["sessionKey"]}
        await self._event(socket, "agent", {"runId": "another", "stream": "lifecycle", "data": {}})
        await self._answer(socket, number, {"runId": run["runId"], "status": "started"})
        how, _, text = params["message"].partition(":")
        if how == "hang":
            return
        if how == "error":
            await self._event(socket, "chat", run | {"state": "error", "errorMessage": "at http://10.9.8.7/"})
            return
        await self._event(socket, "chat", run | {"state": "delta", "deltaText": text[:1]})
        await self._event(socket, "chat", {"runId": "another", "state": "final", "message": "not this"})
        await self._event(socket, "agent", run | {"stream": "usage", "data": {"input": 11, "output": 7}})
        message = {"role": "assistant", "content": [{"type": "text", "text": text}, {"type": "image"}]}
        await self._event(socket, "chat", run | {"state": "final", "message": message})

    async def _chat_abort(self, socket: ServerConnection, number: str, params: Json) -> None:
        async with self._told:
            self.aborted.append(params["runId"])
            self._told.notify_all()
        await self._answer(socket, number, {"aborted": True})

    async def _event(self, socket: ServerConnection, name: str, payload: Json) -> None:
        await socket.send(msgspec.json.encode({"type": "event", "event": name, "payload": payload}).decode())

    async def _answer(self, socket: ServerConnection, number: str, payload: Json | None) -> None:
        outcome = {"ok": True, "payload": payload} if payload else {"ok": False, "error": {"code": "unauthorized"}}
        await socket.send(msgspec.json.encode({"type": "res", "id": number} | outcome).decode())

    async def until_sent(self, key: str) -> None:
        async with self._told:
            with anyio.fail_after(10):
                while key not in self.runs:
                    await self._told.wait()

    async def until_aborted(self, key: str) -> None:
        async with self._told:
            with anyio.fail_after(10):
                while key not in self.aborted:
                    await self._told.wait()


@asynccontextmanager
async def fake_gateway() -> AsyncIterator[FakeGateway]:
    """Run a gateway in this event loop."""
    found = FakeGateway()
    async with serve(found.serve, "127.0.0.1", 0) as server:
        found.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield found
