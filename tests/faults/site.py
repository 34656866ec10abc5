"""Real server processes on one data folder, and what can befall them."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import to_thread
from attrs import define, field, frozen
from tests.faults.network import Apart
from tests.support.consumer import SECRET
from tests.support.nats import NatsCluster

READY_S = 60.0


def free_port() -> int:
    """Find a port that nobody has."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@frozen
class Fault:
    """What was done, and when (seconds since the epoch): *at*, and *until* it was mended."""

    kind: str
    at: float
    until: float


@define(eq=False)
class Node:
    """One place where a server runs, life after life."""

    folder: Path
    env: dict[str, str]
    options: tuple[str, ...]
    port: int = field(factory=free_port)
    prefix: tuple[str, ...] = ()  #: Of its command.
    process: subprocess.Popen[bytes] | None = None
    module: str = "tests.faults.node"  #: What runs it.

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *more: str) -> None:
        """Start a server and wait until it listens; if it was told where to die, it may never do so."""
        log = (self.folder / f"node-{self.port}.log").open("ab")
        command = [*self.prefix, sys.executable, "-m", self.module, "--data-dir", str(self.folder / "data")]
        command += ["--port", str(self.port), *self.options, *more]
        # Started by this thread, which outlives the event loop: see runas.
        self.process = subprocess.Popen(
            command, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=Path(__file__).parents[2]
        )
        log.close()
        with anyio.fail_after(READY_S):
            while self.process.poll() is None and not await to_thread.run_sync(_listens, self.port):
                await anyio.sleep(0.02)

    @property
    def is_up(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server itself."""
        assert self.process is not None
        self.process.send_signal(number)

    async def over(self, within_s: float = 60.0) -> int:
        """Wait until its process has ended; return how."""
        process = self.process
        assert process is not None
        with anyio.fail_after(within_s):
            return await to_thread.run_sync(process.wait, abandon_on_cancel=True)

    async def kill(self) -> None:
        """Kill -9."""
        if self.is_up:
            self.signal(signal.SIGKILL)
        await self.over()


@define(eq=False)
class Site:
    """Some servers on one folder, with their database."""

    folder: Path
    nodes: list[Node]
    database: tuple[str, str] | None = None  #: For the service and for its owner; None: in the folder of the servers.
    nats: NatsCluster | None = None
    apart: Apart | None = None  #: The machine of the last node.
    faults: list[Fault] = field(factory=list)

    def postmaster(self) -> int | None:
        """Return the pid of the database server, if one is up."""
        where = "database" if self.database else "data"
        try:
            return int((self.folder / where / "postgres/postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    async def befall(self, kind: str, node: Node, lasts_s: float) -> None:
        """Let something happen, and mend it as an operator would."""
        at = time.time()
        match kind:
            case "kill -9":
                await node.kill()
                await node.start()
            case "SIGTERM":
                node.signal(signal.SIGTERM)
                await node.over()
                await node.start()
            case "SIGSTOP":
                node.signal(signal.SIGSTOP)
                await anyio.sleep(lasts_s)
                node.signal(signal.SIGCONT)
            case "database kill -9" | "database restart":
                if (pid := self.postmaster()) is not None:
                    number = signal.SIGKILL if kind == "database kill -9" else signal.SIGQUIT  # SIGQUIT: immediate
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:  # it was on its way down already
                        return
            case "NATS kill -9" | "all NATS kill -9":
                assert self.nats is not None
                servers = self.nats.servers if kind.startswith("all") else self.nats.servers[:1]
                self.nats.kill(*servers)
                await anyio.sleep(lasts_s)
                await to_thread.run_sync(self.nats.start, *servers)
            case "partition":
                assert self.apart is not None
                self.apart.cut()
                await anyio.sleep(lasts_s)
                self.apart.mend()
            case _:
                raise AssertionError(kind)
        self.faults.append(Fault(kind, at, time.time()))


def environment(provider_url: str, consumer_url: str, drain_s: float) -> dict[str, str]:
    """Set servers up with a stub for their models and somebody who counts their usage."""
    return {
        "ANTHROPIC_BASE_URL": provider_url,
        "AGENTCORE_USAGE_WEBHOOK": consumer_url,
        "AGENTCORE_USAGE_WEBHOOK_SECRET": SECRET,
        "AGENTCORE_DRAIN_SECONDS": str(drain_s),
    }


@asynccontextmanager
async def a_site(
    folder: Path,
    env: dict[str, str],
    *options: str,
    nodes: int = 1,
    database: tuple[str, str] | None = None,
    nats: NatsCluster | None = None,
    apart: Apart | None = None,
) -> AsyncIterator[Site]:
    """Make a site with nothing running; at the end whatever runs is killed.

    *database*: of its own, for service and owner; *apart*: a machine of its own for the last node.
    """
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    if database is not None:
        env = env | {"AGENTCORE_DATABASE_URL": database[0], "AGENTCORE_SECRET_KEY": "k" * 32}
    if nats is not None:
        env = env | {"AGENTCORE_NATS_URL": nats.urls}
    site = Site(folder, [Node(folder, kept | env, options) for _ in range(nodes)], database, nats, apart)
    if apart is not None:
        last = site.nodes[-1]
        last.env, last.prefix = last.env | await apart.seen_from_there(last.env), apart.prefix
        await apart.let_in(last.port)
    try:
        yield site
    finally:
        with anyio.CancelScope(shield=True):
            for node in site.nodes:
                if node.process is not None:
                    if node.is_up:
                        node.signal(signal.SIGCONT)
                    await node.kill()


def _listens(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        client.request("GET", "/healthz")
        return client.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()
