"""The stub provider: speaks Anthropic's and OpenAI's streaming wire, and writes down what it was asked.

It controls bytes: it can cut a connection in the middle of a body, fall silent, and notice within milliseconds that
its client has gone.  Run it by hand with ``python -m agentcore_adapters.testing.provider --port 9100``.
"""

import argparse
import asyncio
import itertools
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from attrs import asdict, define, field

from agentcore_adapters.testing.hearing import Heard, Hearing, form_of
from agentcore_adapters.testing.listening import listening
from agentcore_adapters.testing.scenario import (
    Scenario,
    anthropic_events,
    anthropic_message,
    error_frame,
    openai_events,
    scenario_of,
)

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@define
class Call:
    """One request, as it was seen."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    started_at: float  #: Monotonic seconds.
    finished: bool = False
    refused: bool = False  #: Answered with an error, so that it costs nothing.
    disconnected_at: float | None = None  #: When the client was noticed to have gone before the end.


@define(eq=False)
class StubProvider:
    """What runs, and what it has seen."""

    url: str = ""
    calls: list[Call] = field(factory=list)
    hearing: Hearing = field(factory=Hearing)  #: What the next recordings are answered with.
    heard: list[Heard] = field(factory=list)  #: The recordings that were sent.
    _refused: dict[str, int] = field(factory=dict)
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await read_request(reader)) is not None:
                method, path, headers, body = request
                if not await self._answer(method, path, headers, body, reader, writer):
                    break
        writer.close()

    async def _answer(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        if path == "/_calls":
            shown = [asdict(call) for call in self.calls]
            if method == "DELETE":
                self.calls.clear()
            return await _whole(writer, 200, shown)
        if method == "POST" and path.endswith("/audio/transcriptions"):
            return await self._hear(headers, body, reader, writer)
        content = json.loads(body) if body else {}
        call = Call(path, headers, content, time.monotonic())
        self.calls.append(call)
        route = path.partition("?")[0]
        if method == "HEAD":
            return await _whole(writer, 200, None)
        if method == "POST" and route.endswith("/messages/count_tokens"):
            return await _whole(writer, 200, {"input_tokens": 25})
        if method == "POST" and route.endswith("/messages"):
            return await self._model("anthropic", call, reader, writer)
        if method == "POST" and route.endswith("/chat/completions"):
            return await self._model("openai", call, reader, writer)
        if route.endswith("/models"):
            return await _whole(writer, 200, {"object": "list", "data": [{"id": "stub", "object": "model"}]})
        return await _whole(writer, 404, {"error": {"type": "not_found_error", "message": "no such route"}})

    async def _hear(
        self, headers: dict[str, str], body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        self.heard.append(form_of(headers.get("content-type", ""), body))
        if self.hearing.hangs:
            await reader.read(1)  # until the client has gone
            return False
        if self.hearing.status is not None:
            error = {"error": {"type": "invalid_request_error", "message": "stub secret detail"}}
            return await _whole(writer, self.hearing.status, error, {"retry-after": "0"})
        return await _whole(writer, 200, self.hearing.answer())

    async def _model(self, wire: str, call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        scenario = scenario_of(call.body)
        refusal = self._refusal(scenario, json.dumps(call.body.get("messages", ""))[-500:])
        if refusal is not None:
            call.finished = call.refused = True
            kind = "overloaded_error" if refusal == 529 else "invalid_request_error"
            message = "prompt is too long: maximum context length" if "overflow" in scenario else "stub secret detail"
            error = {"type": "error", "error": {"type": kind, "message": message}}
            return await _whole(writer, refusal, error, {"retry-after": "0"})
        message_id = f"msg_{next(self._numbers)}"
        model = str(call.body.get("model", "stub"))
        if wire == "anthropic" and not call.body.get("stream"):
            call.finished = True
            return await _whole(writer, 200, anthropic_message(scenario, model, message_id))
        with_usage = bool(call.body.get("stream_options", {}).get("include_usage"))
        frames = (
            anthropic_events(scenario, model, message_id)
            if wire == "anthropic"
            else openai_events(scenario, model, message_id, with_usage=with_usage)
        )
        gone = asyncio.ensure_future(reader.read(1))  # a client that sends nothing more has gone when this ends
        try:
            call.finished = await self._stream(wire, scenario, frames, writer, gone)
        finally:
            if not call.finished and gone.done():
                call.disconnected_at = time.monotonic()
            gone.cancel()
        return False

    def _refusal(self, scenario: Scenario, key: str) -> int | None:
        if "overflow" in scenario or ("refuse_image" in scenario and scenario.has_image):
            return 400
        if scenario.status is None:
            return None
        status, times = scenario.status
        self._refused[key] = self._refused.get(key, 0) + 1
        return status if self._refused[key] <= times else None

    async def _stream(
        self,
        wire: str,
        scenario: Scenario,
        frames: list[tuple[str, bytes]],
        writer: asyncio.StreamWriter,
        gone: "asyncio.Future[bytes]",
    ) -> bool:
        """Send the frames; return whether the answer was whole."""
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
            b"connection: close\r\nrequest-id: stub\r\n\r\n"
        )
        words = 0
        for kind, frame in frames:
            if kind == "word":
                words += 1
                if scenario.pause_s:
                    await asyncio.wait([gone], timeout=scenario.pause_s)
            if gone.done():
                return False
            if kind == "end" and "eof" in scenario:
                break
            _chunk(writer, frame)
            await writer.drain()
            if kind == "word" and words == 1 and "err_mid" in scenario:
                _chunk(writer, error_frame(wire))
                break
            if kind == "word" and words == 2 and "eof" in scenario:
                break
            if kind == "word" and words == 2 and "drop" in scenario:
                writer.transport.abort()
                return True
            if kind == "word" and words == 2 and "hang" in scenario:
                await gone
                return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


@asynccontextmanager
async def stub_provider(port: int = 0) -> AsyncIterator[StubProvider]:
    """Run a provider in this event loop."""
    provider = StubProvider()
    async with listening(provider.serve, port) as place:
        provider.url = f"http://127.0.0.1:{place}"
        yield provider


@contextmanager
def running_provider() -> Iterator[StubProvider]:
    """Run a provider in a thread of its own, for tests that start real servers."""
    started, stop = threading.Event(), threading.Event()
    found: list[StubProvider] = []

    async def run() -> None:
        async with stub_provider() as provider:
            found.append(provider)
            started.set()
            while not stop.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield found[0]
    finally:
        stop.set()
        thread.join(10)


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes] | None:
    """Read one HTTP request: method, path, headers and body; None when the client has gone."""
    line = await reader.readline()
    if not line.strip():
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (raw := await reader.readline()).strip():
        name, _, value = raw.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def _whole(writer: asyncio.StreamWriter, status: int, body: object, more: dict[str, str] | None = None) -> bool:
    content = json.dumps(body).encode() if body is not None else b""
    headers = {"content-type": "application/json", "content-length": str(len(content))} | (more or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\n{head}\r\n".encode() + content)
    await writer.drain()
    return True


def _chunk(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(frame), frame))


async def _forever(port: int) -> None:
    async with stub_provider(port) as provider:
        print(f"stub provider at {provider.url}", flush=True)  # noqa: T201 - its one line
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=9100)
    with suppress(KeyboardInterrupt):
        asyncio.run(_forever(parser.parse_args().port))
