"""agentcore: ``agentcore serve`` as users start it, with its embedded PostgreSQL and default settings.

variants: WIRE-READER or WIRE-READER-full: the provider's wire, and how the client hears.
    ws    the session exists (a run of one delta has made it) and its socket is open; a prompt is a frame
    sse   the first prompt makes the session by ``POST /tasks``, then its event stream is opened and stays open
    full  with a window of 500 messages, the largest there is; else that of 20 which is the default
"""

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import ClientResponse, ClientWebSocketResponse
from attrs import define
from benchmarks.target import Target, answered, sse

API = "/api/v1/agent"
ENGINES = {"openai": "openai", "anthropic": "claude_api"}
WINDOW = 500
decode = msgspec.json.decode


@define
class Held:
    """What a client keeps of one session."""

    id: str = ""
    task: str = ""
    socket: ClientWebSocketResponse | None = None
    response: ClientResponse | None = None
    events: AsyncIterator[tuple[bytes, bytes]] | None = None


class Agentcore(Target):
    """One server with everything durable."""

    name = "agentcore"
    ready_path = "/readyz"
    notes = "agentcore serve, embedded PostgreSQL, default settings"
    variants = tuple(f"{wire}-{reader}{full}" for wire in ENGINES for reader in ("ws", "sse") for full in ("", "-full"))

    def __init__(self, port: int, stub_url: str, variant: str = "openai-ws") -> None:
        """Read the variant."""
        super().__init__(port, stub_url, variant or "openai-ws")
        wire, self.reader, *full = self.variant.split("-")
        self.engine = ENGINES[wire]
        self.window = {"maxContextMessages": WINDOW} if full else {}
        self.held: dict[str, Held] = {}
        self.made = 0

    def command(self) -> Sequence[str]:
        """Start it as the console script does."""
        options = ["serve", "--port", str(self.port), "--data-dir", str(self.work / "data")]
        return [sys.executable, "-m", "agentcore_http", *options]

    def environment(self) -> Mapping[str, str]:
        """Say where the providers are; the engine is that of the wire."""
        return {"ANTHROPIC_BASE_URL": self.stub_url, "AGENTCORE_DEFAULT_ENGINE": self.engine}

    def helpers(self) -> Sequence[int]:
        """Return the embedded PostgreSQL."""
        try:
            lines = (self.work / "data" / "postgres" / "postmaster.pid").read_text().splitlines()
        except OSError:
            return ()
        return [int(lines[0])]

    async def prepare(self, *, fresh: bool) -> None:
        """Forget the connections to the server before; the sessions are still known if its data are."""
        for held in self.held.values():
            held.socket = held.response = held.events = None
        if fresh:
            self.held.clear()

    async def stop(self) -> None:
        """Hang up first."""
        for held in self.held.values():
            self._hang_up(held)
            if held.socket is not None and not held.socket.closed:
                await held.socket.close()
        await super().stop()

    async def create_session(self) -> str:
        """Make a session, if the client is to have a socket before it asks anything."""
        self.made += 1
        name = f"s{self.made}"
        held = self.held[name] = Held()
        if self.reader == "ws":
            await self._post(held, "hello [[stub n=1]]")
            async for _ in self._socket_until_end(held, await self._connect(held, "0")):
                pass
        return name

    async def run(self, session: str, prompt: str) -> AsyncIterator[str]:
        """Ask, and listen until the task has ended."""
        held = self.held[session]
        if self.reader == "ws":
            socket = held.socket if held.socket is not None else await self._connect(held, "latest")
            held.task = ""
            frame = {"type": "prompt", "id": "1", "prompt": prompt, **self.window}
            await socket.send_str(msgspec.json.encode(frame).decode())
            async for text in self._socket_until_end(held, socket):
                yield text
            return
        if held.id and held.events is None:
            await self._listen(held, "latest")
        await self._post(held, prompt)
        if held.events is None:
            await self._listen(held, "0")
        try:
            async for text in self._events_until_end(held):
                yield text
        except GeneratorExit:  # a client that goes away closes its connection
            self._hang_up(held)
            raise

    async def cancel(self, session: str) -> None:
        """Cancel the task, and wait as clients do."""
        async with self.http.delete(f"{self.base}{API}/tasks/{self.held[session].task}") as response:
            await answered(response)

    async def attach(self, session: str) -> AsyncIterator[str]:
        """Hear the session from its first event on."""
        known = self.held[session]
        held = Held(id=known.id, task=known.task)
        await self._listen(held, "0")
        async for text in self._events_until_end(held):
            yield text

    async def history(self, session: str) -> str:
        """Return the messages."""
        url = f"{self.base}{API}/sessions/{self.held[session].id}/messages"
        async with self.http.get(url, params={"limit": 200}) as response:
            return await answered(response)

    async def status(self, session: str) -> str:
        """Return the status of the task."""
        return await self.task(self.held[session].task)

    async def task(self, task_id: str) -> str:
        """Return the status of a task."""
        async with self.http.get(f"{self.base}{API}/tasks/{task_id}") as response:
            task = decode(await answered(response))
        return f"{task['status']} {task.get('errorCode') or ''}".strip()

    async def post(self, prompt: str) -> str:
        """Let a prompt make a session of its own, that nobody hears; return the id of its task."""
        held = Held()
        await self._post(held, prompt)
        return held.task

    async def _post(self, held: Held, prompt: str) -> None:
        body = {"prompt": prompt, **self.window} | ({"sessionId": held.id} if held.id else {})
        async with self.http.post(f"{self.base}{API}/tasks", json=body) as response:
            accepted = decode(await answered(response))
        held.id, held.task = accepted["sessionId"], accepted["taskId"]

    async def _connect(self, held: Held, after: str) -> ClientWebSocketResponse:
        url = f"{self.base}{API}/sessions/{held.id}/stream"
        held.socket = await self.http.ws_connect(url, params={"after": after}, max_msg_size=0)
        return held.socket

    async def _listen(self, held: Held, after: str) -> None:
        url = f"{self.base}{API}/sessions/{held.id}/events"
        held.response = await self.http.get(url, params={"after": after}, headers={"Accept": "text/event-stream"})
        held.events = sse(held.response)

    async def hang_up(self, session: str) -> None:
        """Stop hearing a session, and forget it."""
        held = self.held.pop(session)
        self._hang_up(held)
        if held.socket is not None:
            await held.socket.close()

    def _hang_up(self, held: Held) -> None:
        if held.response is not None:
            held.response.close()
        held.response = held.events = None

    async def _socket_until_end(self, held: Held, socket: ClientWebSocketResponse) -> AsyncIterator[str]:
        try:
            async for message in socket:
                frame: dict[str, Any] = decode(message.data)
                if frame["type"] == "ack":
                    held.task = frame["taskId"]
                elif frame["type"] == "problem":
                    raise RuntimeError(str(frame)[:300])
                elif frame["type"] == "text":
                    yield frame["content"]
                elif _ends(frame, held.task):
                    return
        except GeneratorExit:
            held.socket = None
            await socket.close()
            raise
        raise RuntimeError(f"The socket was closed with {socket.close_code}.")

    async def _events_until_end(self, held: Held) -> AsyncIterator[str]:
        assert held.events is not None
        async for event, data in held.events:
            if event == b"text":
                frame = decode(data)
                if frame["taskId"] == held.task:  # a stream from the first event tells earlier tasks, too
                    yield frame["content"]
            elif event in {b"completed", b"error", b"cancelled"} and _ends(decode(data), held.task):
                return


def _ends(frame: dict[str, Any], task: str) -> bool:
    """Say whether the frame ends the task; raises if it ends without success."""
    if frame["type"] not in {"completed", "error", "cancelled"} or (task and frame["taskId"] != task):
        return False
    if frame["type"] != "completed":
        raise RuntimeError(str(frame)[:300])
    return True


TARGET = Agentcore
