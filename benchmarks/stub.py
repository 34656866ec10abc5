"""The provider of the benchmarks: fast, and it stamps what it says.

Speaks the frames of the tests' stub provider on both streaming wires, as one ``asyncio.Protocol``.  The prompt
carries what to do; the last directive in the body wins, so that it passes any framework and any history unchanged:

    [[stub id=r17 n=200 size=32 delay_ms=5 ttft_ms=0]]

Each delta is ``@<CLOCK_MONOTONIC ns, 16 digits>:<number, 4 digits>;<padding>``, stamped just before its own write: its
latency in any process of the machine is ``time.monotonic_ns() - stamp``.  ``GET /_stats?id=`` says when a call came,
when its first and last delta left, and when its client was seen to have gone.

Run it by hand: ``python -m benchmarks.stub --port 9100``.
"""

import argparse
import asyncio
import gc
import json
import re
import socket
import time
from contextlib import suppress
from typing import Any

import uvloop
from attrs import asdict, define, field, frozen

from agentcore_adapters.testing.scenario import Scenario, anthropic_events, anthropic_message, openai_events

NOW = time.monotonic_ns
DIRECTIVE = re.compile(rb"\[\[stub ([^\]]*)\]\]")
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
STREAMS = re.compile(rb'"stream"\s*:\s*true')
STAMP_CHARS = 22  # of a stamp, its number and their signs
KEPT = 50_000  # calls that are remembered
WORD = "@WORD@"
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


@frozen
class Wire:
    """The frames of one wire around the deltas."""

    begin: bytes
    before: bytes
    after: bytes
    end: bytes

    @classmethod
    def of(cls, frames: list[tuple[str, bytes]]) -> "Wire":
        """Cut an answer of one word at its word."""
        (at,) = [i for i, (kind, _) in enumerate(frames) if kind == "word"]
        before, after = frames[at][1].split(WORD.encode())
        return cls(b"".join(f for _, f in frames[:at]), before, after, b"".join(f for _, f in frames[at + 1 :]))


ONE = Scenario(words=(WORD,))
WIRES = {
    "openai": Wire.of(openai_events(ONE, "stub", "chatcmpl-stub", with_usage=True)),
    "anthropic": Wire.of(anthropic_events(ONE, "stub", "msg_stub")),
}


@define
class Call:
    """One call, in nanoseconds of the monotonic clock."""

    api: str
    stream: bool
    t_req: int
    body_bytes: int
    t_first: int | None = None
    t_last: int | None = None
    n_sent: int = 0
    done: bool = False
    t_closed: int | None = None  #: Only if the client has gone before the end.


@define(eq=False)
class Stub(asyncio.Protocol):
    """One connection."""

    calls: dict[str, list[Call]]
    _buffer: bytearray = field(factory=bytearray)
    _task: "asyncio.Task[None] | None" = None
    _call: Call | None = None
    _writable: "asyncio.Future[None] | None" = None  # while writing is paused
    _transport: Any = None  # asyncio's and uvloop's share no type

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send each write at once."""
        self._transport = transport
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, _: Exception | None) -> None:
        """Note when a client went before the end."""
        if self._call is not None and not self._call.done:
            self._call.t_closed = NOW()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Wait for a slow client."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Go on."""
        waiting, self._writable = self._writable, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Collect a request."""
        self._buffer += data
        self._pump()

    def _pump(self) -> None:
        if self._task is not None and not self._task.done():
            return  # a pipelined request is served when the one before it has ended
        request = self._request()
        if request is None:
            return
        head, body = request
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ", 2)
        path, _, query = target.partition(b"?")
        if method == b"POST" and path.endswith((b"/chat/completions", b"/messages")):
            self._answer("openai" if path.endswith(b"/chat/completions") else "anthropic", body)
        elif path == b"/_stats":
            key = dict(pair.partition(b"=")[::2] for pair in query.split(b"&")).get(b"id", b"").decode()
            self._whole([asdict(call) for call in self.calls.get(key, [])])
        elif path.endswith(b"/models"):
            self._whole({"object": "list", "data": [{"id": "stub", "object": "model", "created": 1}]})
        else:
            self._whole({"status": "ok"})

    def _request(self) -> tuple[bytes, bytes] | None:
        """Take one request out of the buffer: its head and its body; None if it is not all there."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head, at = bytes(self._buffer[:end]), end + 4
        body = bytearray()
        if CHUNKED.search(head):
            while True:
                line = self._buffer.find(b"\r\n", at)
                size = int(self._buffer[at:line], 16) if line >= 0 else 0
                if line < 0 or len(self._buffer) < line + 4 + size:
                    return None
                body += self._buffer[line + 2 : line + 2 + size]
                at = line + 4 + size
                if not size:
                    break
        elif match := LENGTH.search(head):
            size = int(match[1])
            if len(self._buffer) < at + size:
                return None
            body += self._buffer[at : at + size]
            at += size
        del self._buffer[:at]
        return head, bytes(body)

    def _answer(self, api: str, body: bytes) -> None:
        came = NOW()
        last = body.rfind(b"[[stub ")  # from the end: a long history costs nothing
        found = DIRECTIVE.match(body, last) if last >= 0 else None
        told = dict(word.partition("=")[::2] for word in found[1].decode().split()) if found else {}
        at = body.find(b'"stream"')
        call = Call(api, at >= 0 and bool(STREAMS.match(body, at)), came, len(body))
        if "id" in told:
            self.calls.setdefault(told["id"], []).append(call)
            if len(self.calls) > KEPT:
                del self.calls[next(iter(self.calls))]
        self._call = call
        if not call.stream:
            call.done = True
            self._whole(anthropic_message(Scenario(words=("ok",)), "stub", "msg_stub"))
            return
        self._task = asyncio.get_running_loop().create_task(self._stream(WIRES[api], told, call))
        self._task.add_done_callback(lambda task: None if task.cancelled() else self._pump())

    async def _stream(self, wire: Wire, told: dict[str, str], call: Call) -> None:
        n, size, delay = (
            int(told.get("n", 200)),
            int(told.get("size", 32)),
            float(told.get("delay_ms", 0)) / 1000,
        )
        padding = ("abcdefghijklmno " * (size // 16 + 1))[: max(0, size - STAMP_CHARS - 1)].encode()
        if first_s := float(told.get("ttft_ms", 0)) / 1000:
            await asyncio.sleep(first_s)
        write, sleep, loop = self._transport.write, asyncio.sleep, asyncio.get_running_loop()
        began = loop.time()
        before, after = wire.before, padding + wire.after + b"\r\n"
        size_line = b"%x\r\n" % (len(before) + STAMP_CHARS + 1 + len(after) - 2)
        begin = HEAD + _chunk(wire.begin)
        for i in range(n):
            stamp = NOW()
            write(b"%s%s%s@%016d:%04d;%s" % (begin, size_line, before, stamp, i, after))
            if not i:
                begin, call.t_first = b"", stamp
            call.t_last, call.n_sent = stamp, i + 1
            if self._writable is not None:
                await self._writable
            await sleep(max(0.0, began + (i + 1) * delay - loop.time()) if delay else 0)
        call.done = True
        write(begin + _chunk(wire.end) + b"0\r\n\r\n")

    def _whole(self, body: object) -> None:
        content = json.dumps(body).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(content)
        self._transport.write(head + content)


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


async def serve(port: int) -> None:
    """Serve until cancelled."""
    calls: dict[str, list[Call]] = {}
    gc.freeze()
    server = await asyncio.get_running_loop().create_server(lambda: Stub(calls), "127.0.0.1", port, backlog=1024)
    print(f"stub provider at http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=9100)
    with suppress(KeyboardInterrupt):
        uvloop.run(serve(parser.parse_args().port))
