"""The proxy of ``deploy/compose`` for real, on loopback, in front of whatever a test puts there."""

import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import SocketStream
from attrs import define, field

from tests.support.deployed import DEPLOY, program

ANSWER = b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\nContent-Type: text/plain\r\n\r\n%s"

ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"


@define(eq=False)
class Upstream:
    """A server that answers with its name, and counts what it is asked."""

    name: str
    port: int = 0
    is_ready: bool = True
    cuts: bool = False  #: It breaks off instead of answering, when it has read the request.
    asked: Counter[str] = field(factory=Counter)
    heads: list[bytes] = field(factory=list)
    left: anyio.Event = field(factory=anyio.Event)  #: Who read from it without end has gone.

    async def answer(self, stream: SocketStream) -> None:
        async with stream:
            kept = b""
            while True:
                while b"\r\n\r\n" not in kept:
                    try:
                        kept += await stream.receive()
                    except (anyio.EndOfStream, anyio.BrokenResourceError):
                        return
                head, _, kept = kept.partition(b"\r\n\r\n")
                method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
                if path == "/readyz":
                    await stream.send(ANSWER % (200 if self.is_ready else 503, 0, b""))
                    continue
                self.asked[f"{method} {path}"] += 1
                self.heads.append(head.lower())
                if self.cuts:
                    return
                if path == "/endless":
                    await stream.send(ENDLESS)
                    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                        await stream.receive()
                    self.left.set()
                    return
                name = self.name.encode()
                await stream.send(ANSWER % (200, len(name), name))


@asynccontextmanager
async def upstreams(*names: str) -> AsyncIterator[list[Upstream]]:
    """Run some of them."""
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        found = []
        for name in names:
            listener = await stack.enter_async_context(await anyio.create_tcp_listener(local_host="127.0.0.1"))
            upstream = Upstream(name, port=listener.extra(anyio.abc.SocketAttribute.local_port))
            tasks.start_soon(listener.serve, upstream.answer)
            found.append(upstream)
        yield found
        tasks.cancel_scope.cancel()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def configured(text: str) -> str:
    """The Caddyfile as it is, but that it listens on loopback, asks nobody for orders, and looks more often."""
    changed = text.replace("\n{\n", "\n{\n\tadmin off\n\tdefault_bind 127.0.0.1\n", 1)
    changed = changed.replace("health_interval 2s", "health_interval 100ms")
    assert changed.count("\n") == text.count("\n") + 2
    return changed


@asynccontextmanager
async def proxied(folder: Path, ports: Sequence[int]) -> AsyncIterator[str]:
    """Run the proxy in front of what listens on these ports; yield its address."""
    path, port = folder / "Caddyfile", free_port()
    path.write_text(configured((DEPLOY / "compose/Caddyfile").read_text()))
    environ = {
        "SITE_ADDRESS": f"http://127.0.0.1:{port}",
        "NODES": " ".join(f"127.0.0.1:{port}" for port in ports),
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(path)]
    with (folder / "caddy.log").open("wb") as log:
        child = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        with anyio.fail_after(20):
            while True:
                assert child.poll() is None, (folder / "caddy.log").read_text()
                try:
                    async with await anyio.connect_tcp("127.0.0.1", port):
                        break
                except OSError:
                    await anyio.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
