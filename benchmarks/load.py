"""The load client: prompts that carry directives, stamps read out of what comes back, and what the machine did."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from attrs import define, field, frozen
from benchmarks import proctree
from benchmarks.meter import NOW, Meter
from benchmarks.target import Target

QUIET_CORES = 0.35  # others' work, below which the machine is quiet
ROOT = Path(__file__).parent.parent


@frozen
class Ran:
    """One run."""

    id: str  #: Of its call at the stub.
    began: int
    ended: int
    meter: Meter

    @property
    def ms(self) -> float:
        """How long it took."""
        return (self.ended - self.began) / 1e6


@frozen(kw_only=True)
class Spent:
    """CPU seconds, by who spent them."""

    server: float
    helpers: float
    foreign: float  #: Whoever has nothing to do with this.
    wall: float

    @property
    def foreign_cores(self) -> float:
        """How many cores others kept busy."""
        return self.foreign / self.wall if self.wall else 0.0


@define
class Gauge:
    """CPU time since it was made."""

    target: Target
    stub_pid: int
    _began: dict[str, float] = field(init=False)
    _at: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin."""
        self._began, self._at = self._read(), time.monotonic()

    def spent(self) -> Spent:
        """Return what was spent so far."""
        wall, now = time.monotonic() - self._at, self._read()
        done = {name: now[name] - self._began[name] for name in now}
        foreign = max(0.0, done["machine"] - done["server"] - done["helpers"] - done["stub"] - done["client"])
        return Spent(server=done["server"], helpers=done["helpers"], foreign=foreign, wall=wall)

    def _read(self) -> dict[str, float]:
        own = self.target.pids()  # a client without a server: its tree would count the stub, which is our child
        is_direct = os.getpid() in own
        return {
            "server": time.process_time() if is_direct else proctree.cpu_seconds(own),
            "helpers": proctree.cpu_seconds(self.target.helpers()),
            "stub": proctree.cpu_seconds([self.stub_pid]),
            "client": 0.0 if is_direct else time.process_time(),
            "machine": proctree.machine_busy_s(),
        }


@define(eq=False)
class Load:
    """Runs prompts against targets."""

    stub_url: str
    stub_pid: int
    http: aiohttp.ClientSession
    _runs: int = 0
    _tag: str = field(factory=lambda: f"{os.getpid():x}-{int(time.time()) & 0xFFFFFF:x}")

    def prompt(self, n: int, delay_ms: float = 0.0, size: int = 32) -> tuple[str, str]:
        """Return the id of a call, and a prompt that makes it."""
        self._runs += 1
        call = f"{self._tag}-{self._runs}"
        return call, f"hello [[stub id={call} n={n} size={size} delay_ms={delay_ms}]]"

    async def run(
        self, target: Target, session: str, n: int, *, delay_ms: float = 0.0, keeps: bool = True, limit_s: float = 120.0
    ) -> Ran:
        """Run a prompt to its end."""
        call, prompt = self.prompt(n, delay_ms)
        meter = Meter(keeps)
        began = NOW()
        async with asyncio.timeout(limit_s):
            async for text in target.run(session, prompt):
                meter.feed(text)
        return Ran(call, began, NOW(), meter)

    async def calls(self, call: str) -> list[dict[str, Any]]:
        """Return what the stub knows of a prompt's streams."""
        async with self.http.get(f"{self.stub_url}/_stats", params={"id": call}) as response:
            found: list[dict[str, Any]] = await response.json(content_type=None)
        return [one for one in found if one["stream"]]

    async def quiet(self, target: Target, limit_s: float) -> float:
        """Wait until others let the machine be, at most *limit_s*; return how long that was."""
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            gauge = Gauge(target, self.stub_pid)
            await asyncio.sleep(0.7)
            if gauge.spent().foreign_cores < QUIET_CORES:
                break
        return time.monotonic() - began


@asynccontextmanager
async def stub_and_load(port: int) -> AsyncIterator[Load]:
    """Start the stub, and yield what runs prompts."""
    command = [sys.executable, "-m", "benchmarks.stub", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    stub = subprocess.Popen(  # noqa: S603 - ours, and it is to outlive nothing
        command, stdout=subprocess.DEVNULL, start_new_session=True, env=environment
    )
    try:
        async with aiohttp.ClientSession() as http:
            await _answers(http, url)
            yield Load(url, stub.pid, http)
    finally:
        stub.terminate()
        stub.wait()


async def _answers(http: aiohttp.ClientSession, url: str) -> None:
    for _ in range(200):
        try:
            async with http.get(url + "/healthz"):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
    raise RuntimeError("The stub did not start.")
