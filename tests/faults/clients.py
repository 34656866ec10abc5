"""Clients of a site: they write down what they were told, and come back with their cursor whatever happens.

Law: a fact is written down only when its answer has arrived.  Every request carries an Idempotency-Key and is repeated
until it is answered; a reader appends what it gets and keeps its last cursor, over all three transports in turn.
"""

import itertools
import uuid
from collections.abc import Iterator
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import msgspec
from anyio.abc import TaskGroup
from attrs import define, field
from tests.faults.site import Site
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from agentcore_http.app import API

FINAL = {"completed", "error", "cancelled"}
Json = dict[str, Any]
AGAIN = {409, 429, 500, 502, 503, 504}  # in flight, or not now


@define(eq=False)
class Seen:
    """What one reader has put together of one task."""

    text: str = ""
    since: str | None = None  #: Text of the snapshot it began anew from; None: it has all from the beginning.
    end: str | None = None
    after_end: int = 0


@define(eq=False)
class Reader:
    """A subscriber of one session."""

    session_id: str
    cursor: str = "0"
    tasks: dict[str, Seen] = field(factory=dict)
    seqs: dict[int, str] = field(factory=dict)  #: Type of each durable event that was shown.
    resets: list[str] = field(factory=list)
    reset_heads: list[int] = field(factory=list)
    cuts: int = 0

    def take(self, frame: Json) -> None:
        """Append what it says."""
        self.cursor = frame["cursor"]
        task_id = frame.get("taskId")
        if frame["type"] == "stream_reset":
            self.resets.append(frame["reason"])
            self.reset_heads.append(frame["headSeq"])
            task = frame["snapshot"]["task"]
            for known, seen in self.tasks.items():
                if seen.end is None and (task is None or known != task["id"]):
                    seen.since, seen.text = "", ""
            if task is not None:
                self.tasks[task["id"]] = Seen(since=frame["snapshot"]["text"])
            return
        if "seq" in frame:
            assert self.seqs.setdefault(frame["seq"], frame["type"]) == frame["type"], "I4: one seq, two events"
        if task_id is None:
            return
        seen = self.tasks.setdefault(task_id, Seen())
        seen.after_end += seen.end is not None
        if frame["type"] == "text":
            seen.text += frame["content"]
        if frame["type"] in FINAL:
            seen.end = frame["type"]


@define(eq=False)
class Facts:
    """What all clients know."""

    accepted: dict[str, str] = field(factory=dict)  #: Task and the mark of its prompt.
    sessions: dict[str, str] = field(factory=dict)  #: Task and its session.
    stopped: set[str] = field(factory=set)
    decided: dict[str, bool] = field(factory=dict)
    readers: list[Reader] = field(factory=list)
    refused: int = 0  #: Answers 503 and connections refused.
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1))

    def mark(self) -> str:
        """Make a mark that a prompt can be known by."""
        return f"#{next(self._numbers):05d}"


@define(eq=False)
class Client:
    """One person with one session at a time."""

    site: Site
    facts: Facts
    http: httpx2.AsyncClient
    random: Random
    is_over: bool = False

    async def call(self, method: str, path: str, body: object = None) -> httpx2.Response:
        """Ask until there is an answer."""
        key = str(uuid.uuid4())
        while True:
            node = self.random.choice(self.site.nodes)
            try:
                headers = {"Idempotency-Key": key} if method != "GET" else {}
                answer = await self.http.request(method, node.url + API + path, json=body, headers=headers)
            except httpx2.TransportError:
                self.facts.refused += 1
            else:
                busy = answer.status_code == 409 and answer.json()["code"] != "idempotency_in_flight"
                if answer.status_code not in AGAIN or busy:
                    return answer
                self.facts.refused += 1
            await anyio.sleep(self.random.uniform(0.1, 0.5))

    async def post(self, prompt: str, session_id: str | None = None, **more: str | float) -> tuple[str, str]:
        """Post a prompt; return its session and task."""
        mark = self.facts.mark()
        body = {"prompt": f"{mark} {prompt}", **more} | ({"sessionId": session_id} if session_id else {})
        answer = await self.call("POST", "/tasks", body)
        assert answer.status_code == 201, answer.text
        return self._accept(answer.json(), mark)

    async def inject(self, task_id: str, message: str) -> tuple[str, str] | None:
        """Inject as soon as the task is live; None if it is over."""
        while True:
            mark = self.facts.mark()
            answer = await self.call("POST", f"/tasks/{task_id}/inject", {"message": f"{mark} {message}"})
            if answer.status_code == 201:
                return self._accept(answer.json(), mark)
            if (await self.call("GET", f"/tasks/{task_id}")).json()["completedAt"]:
                return None
            await anyio.sleep(0.1)

    def _accept(self, answer: Json, mark: str) -> tuple[str, str]:
        session_id, task_id = str(answer["sessionId"]), str(answer["taskId"])
        self.facts.accepted[task_id], self.facts.sessions[task_id] = mark, session_id
        return session_id, task_id

    async def stop(self, task_id: str) -> None:
        """Stop a task."""
        answer = await self.call("DELETE", f"/tasks/{task_id}?wait=0")
        assert answer.status_code in {200, 202}, answer.text
        if answer.json()["status"] in {"cancelled", "cancelling"}:
            self.facts.stopped.add(task_id)

    async def approve(self, task_id: str, *, approved: bool) -> None:
        """Decide what a task waits for."""
        answer = await self.call("POST", f"/tasks/{task_id}/approve", {"approved": approved})
        assert answer.status_code == 201, answer.text
        self.facts.decided[task_id] = approved

    def read(self, session_id: str, tasks: TaskGroup) -> Reader:
        """Begin to follow a session."""
        reader = Reader(session_id)
        self.facts.readers.append(reader)
        tasks.start_soon(self.follow, reader)
        return reader

    async def ended(self, reader: Reader, task_id: str) -> str:
        """Wait until a reader has seen the end of a task."""
        while (seen := reader.tasks.get(task_id)) is None or seen.end is None:
            if reader.resets and (await self.call("GET", f"/tasks/{task_id}")).json()["completedAt"]:
                return "over"  # its end lies before the snapshot
            await anyio.sleep(0.02)
        return seen.end

    async def said(self, reader: Reader, task_id: str, chars: int) -> None:
        """Wait until a reader has seen so much text of a task, or its end."""
        while (seen := reader.tasks.get(task_id)) is None or (len(seen.text) < chars and not seen.end):
            if reader.resets:
                return
            await anyio.sleep(0.005)

    async def follow(self, reader: Reader) -> None:
        """Read, vanish, and come back, until cancelled."""
        ways = itertools.cycle([self._socket, self._sse, self._poll])
        for way in ways:
            node = self.random.choice(self.site.nodes)
            with anyio.move_on_after(self.random.choice([0.3, 2.0, 10.0])):  # it vanishes, and comes back
                try:
                    await way(node.url + API + f"/sessions/{reader.session_id}", reader)
                except (OSError, WebSocketException, httpx2.TransportError, EOFError):
                    await anyio.sleep(0.1)
            reader.cuts += 1
            await anyio.lowlevel.checkpoint()

    async def _socket(self, url: str, reader: Reader) -> None:
        address = url.replace("http", "ws", 1) + f"/stream?after={reader.cursor}"
        async with connect(address, max_size=None, open_timeout=3, close_timeout=0.2) as socket:
            async for message in socket:
                reader.take(msgspec.json.decode(message, type=Json))

    async def _sse(self, url: str, reader: Reader) -> None:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": reader.cursor}
        async with self.http.stream("GET", f"{url}/events", headers=headers) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    reader.take(msgspec.json.decode(line[6:], type=Json))

    async def _poll(self, url: str, reader: Reader) -> None:
        while True:
            answer = await self.http.get(f"{url}/events", params={"after": reader.cursor, "wait": 2})
            if answer.status_code != 200:
                await anyio.sleep(0.1)
                return
            page = answer.json()
            for item in page["items"]:
                reader.take(item)
            reader.cursor = page["nextCursor"]
