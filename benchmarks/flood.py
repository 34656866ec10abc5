"""One tenant floods, another works: what the other one notices, and what the flood costs.  Nothing is asserted.

A server of its own on PostgreSQL, with a scripted engine.  The flood: as many prompts as asked for, as fast as its
connections can.  The other: a prompt every 100 ms; how long until it is accepted, and until its first text is there.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import anyio
import httpx2
import structlog
import uvicorn
from attrs import define, field

from agentcore.testing.scripted import ScriptedEngine, ScriptedEngines
from agentcore_http import serve, wiring
from agentcore_http.app import API, create_app
from agentcore_http.settings import load

PERIOD_S, QUIET_S = 0.1, 10.0


def server(listener: int, data: Path) -> None:
    """Serve with a scripted engine until told to stop."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    settings = load({"AGENTCORE_DATA_DIR": str(data), "AGENTCORE_LIMITS_REQUESTS_PER_MINUTE": "1200"})
    opened = socket.socket(fileno=listener)
    place = wiring.Place(port=opened.getsockname()[1])
    engines = ScriptedEngines([ScriptedEngine()])
    app = create_app(lambda: wiring.postgres_runtime(settings, place, engines), settings)
    config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="on", **serve.SOCKETS)
    loop = serve.loop_factory()
    with asyncio.Runner(loop_factory=loop) as runner:
        with contextlib.suppress(KeyboardInterrupt):  # told to stop
            runner.run(uvicorn.Server(config).serve(sockets=[opened]))


@define
class Seen:
    """What somebody has seen of the server."""

    codes: Counter[int] = field(factory=Counter)
    accepted_ms: list[float] = field(factory=list)
    text_ms: list[float] = field(factory=list)

    def figures(self) -> str:
        """Show the latencies."""
        return f"accepted {_spread(self.accepted_ms)}, first text {_spread(self.text_ms)}"


def _spread(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms ({len(values)})"


async def work(url: str, seconds: float, until: anyio.Event | None = None) -> Seen:
    """Post a prompt every 100 ms, and wait for its first text."""
    seen = Seen()
    async with httpx2.AsyncClient(timeout=60.0, headers={"X-Tenant-Id": "other"}) as http:

        async def one() -> None:
            began = time.perf_counter()
            answer = await http.post(url + API + "/tasks", json={"prompt": "[[words:5]]"})
            seen.codes[answer.status_code] += 1
            if answer.status_code != 201:
                return
            seen.accepted_ms.append((time.perf_counter() - began) * 1000)
            path = f"{API}/sessions/{answer.json()['sessionId']}/events?after=0"
            async with http.stream("GET", url + path, headers={"Accept": "text/event-stream"}) as events:
                async for line in events.aiter_lines():
                    if line == "event: text":
                        break
            seen.text_ms.append((time.perf_counter() - began) * 1000)

        async with anyio.create_task_group() as tasks:
            end = time.monotonic() + seconds
            while time.monotonic() < end or (until is not None and not until.is_set()):
                tasks.start_soon(one)
                await anyio.sleep(PERIOD_S)
    return seen


async def flood(url: str, posts: int, connections: int) -> Counter[int]:
    """Post as fast as so many connections can."""
    codes: Counter[int] = Counter()
    left = iter(range(posts))
    headers = {"X-Tenant-Id": "flood", "Content-Type": "application/json"}
    body = b'{"prompt": "[[words:5]][[slow:0.2]]"}'

    async def connection(http: httpx2.AsyncClient) -> None:
        for _ in left:
            codes[(await http.post(url + API + "/tasks", content=body)).status_code] += 1

    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx2.AsyncClient(timeout=60.0, headers=headers, limits=limits) as http:
        async with anyio.create_task_group() as tasks:
            for _ in range(connections):
                tasks.start_soon(connection, http)
    return codes


def rss_mb(pid: int) -> float:
    """Read the memory of the server."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


async def main(posts: int, connections: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        listener.set_inheritable(True)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, __file__, "--listener", str(listener.fileno()), "--data", folder]
        process = await asyncio.create_subprocess_exec(*command, pass_fds=[listener.fileno()])
        try:
            await work(url, 3.0)  # until all is warm
            alone = await work(url, QUIET_S)
            print(f"alone:       {alone.figures()}")
            before, over, found = rss_mb(process.pid), anyio.Event(), []

            async def other() -> None:
                found.append(await work(url, 0.0, over))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(other)
                began = time.monotonic()
                codes = await _in_a_process(url, posts, connections)
                seconds = time.monotonic() - began
                over.set()
            under = found[0]
            print(f"under flood: {under.figures()}")
            for name in ("accepted_ms", "text_ms"):
                a, b = (statistics.quantiles(getattr(seen, name), n=100) for seen in (alone, under))
                print(f"  {name}: p50 x {b[49] / a[49]:.2f}, p99 x {b[98] / a[98]:.2f}")
            print(f"the flood: {posts} posts in {seconds:.1f} s over {connections} connections: {codes.strip()}")
            print(f"the other: {dict(under.codes)}; the server: {before:.0f} MB, then {rss_mb(process.pid):.0f} MB")
        finally:
            process.send_signal(signal.SIGINT)
            await process.wait()


async def _in_a_process(url: str, posts: int, connections: int) -> str:
    """Flood from a process of its own, so that the one who measures is not slowed by it."""
    command = [sys.executable, __file__, "--url", url, "--posts", str(posts), "--connections", str(connections)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--posts", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--listener", type=int)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--url")
    options = parser.parse_args()
    if options.listener is not None:
        server(options.listener, options.data)
    elif options.url:
        print(dict(anyio.run(flood, options.url, options.posts, options.connections)))
    else:
        anyio.run(main, options.posts, options.connections)
