"""What is measured: a server, or a client that has none.

A target is a class ``TARGET`` in ``benchmarks/targets/NAME.py``.  It says how its server is started, how a session is
made and how a prompt is run; what the product has besides (cancel, attach, history, status) it may say, and what it
does not say is reported as absent.  The prompt must reach the model unchanged: it carries the stub's directive.
"""

import asyncio
import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
from benchmarks.places import environment_python, home

START_S, STOP_S, PORT_S = 120.0, 5.0, 5.0
SECRETS = ("_API_KEY", "_TOKEN")


class NotSupportedError(Exception):
    """The product has no such thing."""


class Target:
    """One server under test."""

    name = "base"
    venv = ""  #: Environment that the server runs in; empty: the one that runs this.
    ready_path = "/health"
    notes = ""  #: How it is configured, for the report.
    variants: tuple[str, ...] = ("",)

    def __init__(self, port: int, stub_url: str, variant: str = "") -> None:
        """Prepare a server on *port* whose model is at *stub_url*."""
        if variant not in self.variants:
            raise SystemExit(f"{self.name} has no variant {variant}; it has: {', '.join(self.variants)}")
        self.port, self.stub_url, self.variant = port, stub_url, variant
        self.label = f"{self.name}:{variant}" if variant else self.name
        self.base = f"http://127.0.0.1:{port}"
        self.work = home() / "work" / f"{self.label.replace(':', '-')}-{port}"
        self.log = home() / "logs" / f"{self.label.replace(':', '-')}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.run_ids: dict[str, str] = {}  #: Of each session the latest run.
        self._http: aiohttp.ClientSession | None = None

    # ------------------------------------------------------------------------------------------- said by each target
    def command(self) -> Sequence[str]:
        """Return the command that starts the server."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Return the variables that it needs."""
        return {}

    async def prepare(self, *, fresh: bool) -> None:
        """Write files, or make a database; *fresh*: with empty storage."""

    async def create_session(self) -> str:
        """Make a session and return how it is called."""
        raise NotImplementedError

    def run(self, session: str, prompt: str) -> AsyncIterator[str]:
        """Run a prompt: yield each piece of text once, in order, until the run has ended."""
        raise NotImplementedError

    async def cancel(self, session: str) -> None:  # noqa: ARG002
        """Stop the run of a session."""
        raise NotSupportedError

    def attach(self, session: str) -> AsyncIterator[str]:  # noqa: ARG002
        """Join the run of a session as a second client."""
        raise NotSupportedError

    async def history(self, session: str) -> str:  # noqa: ARG002
        """Return what is stored of a session, as it comes."""
        raise NotSupportedError

    async def status(self, session: str) -> str:  # noqa: ARG002
        """Return what is said of the latest run of a session."""
        raise NotSupportedError

    def helpers(self) -> Sequence[int]:
        """Return processes such as a database's, which are counted apart."""
        return ()

    # ----------------------------------------------------------------------------------------------------- the same
    @property
    def http(self) -> aiohttp.ClientSession:
        """The client, without a limit of connections."""
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=180)
            self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        return self._http

    def program(self, name: str) -> str:
        """Return the path of a program of the server's environment."""
        return str(environment_python(self.venv).with_name(name))

    def pids(self) -> Sequence[int]:
        """Return the server's process."""
        return [self.process.pid] if self.process is not None and self.process.poll() is None else []

    async def ready(self) -> bool:
        """Say whether the server answers."""
        async with self.http.get(self.base + self.ready_path) as response:
            return response.status < 300

    async def start(self, *, fresh: bool = True) -> float:
        """Start the server; return the seconds until it was ready."""
        if fresh and self.work.exists():
            shutil.rmtree(self.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        await _port_is_free(self.port)
        await self.prepare(fresh=fresh)
        variables = {
            name: value
            for name, value in os.environ.items()
            if name != "PYTHONDONTWRITEBYTECODE" and not name.endswith(SECRETS) and not name.startswith("AGENTCORE_")
        }
        variables |= {
            "STUB_URL": self.stub_url,
            "OPENAI_API_KEY": "sk-stub",
            "ANTHROPIC_API_KEY": "sk-stub",
            "OPENAI_BASE_URL": self.stub_url + "/v1",
            "NO_PROXY": "*",
            "DO_NOT_TRACK": "1",
            "OTEL_SDK_DISABLED": "true",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            **self.environment(),
        }
        began = time.monotonic()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - the command is the target's
                self.command(),
                cwd=self.work,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        await self._wait(self.process, began)
        return time.monotonic() - began

    async def _wait(self, process: "subprocess.Popen[bytes]", began: float) -> None:
        while True:
            try:
                if await self.ready():
                    return
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            if process.poll() is not None:
                raise RuntimeError(f"{self.label}: the server ended with {process.returncode}, see {self.log}")
            if time.monotonic() - began > START_S:
                await self.stop()
                raise RuntimeError(f"{self.label}: not ready in {START_S:.0f} s, see {self.log}")
            await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """Kill the server and what is in its process group, which was made for it."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            await asyncio.to_thread(self.process.wait)
        await self._close()

    async def stop(self) -> None:
        """Ask the server to end; then kill what is left of its group."""
        await self._close()
        if self.process is None or self.process.poll() is not None:
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while self.process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await asyncio.to_thread(self.process.wait)

    async def _close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None


async def _port_is_free(port: int) -> None:
    """Wait until nobody has it, so that never somebody else's server is measured."""
    deadline = time.monotonic() + PORT_S
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                if time.monotonic() > deadline:
                    raise
            else:
                return
        await asyncio.sleep(0.1)


async def sse(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield event and data of an event stream, cheaply."""
    if response.status >= 300:
        raise RuntimeError(f"HTTP {response.status}: {(await response.text())[:500]}")
    buffer = b""
    async for part in response.content.iter_any():
        buffer = buffer + part if buffer else part
        if b"\r" in buffer:
            buffer = buffer.replace(b"\r\n", b"\n")
        *frames, buffer = buffer.split(b"\n\n")
        for frame in frames:
            event, data = b"", b""
            for line in frame.split(b"\n"):
                if line.startswith(b"data:"):
                    text = line[5:].removeprefix(b" ")
                    data = data + b"\n" + text if data else text
                elif line.startswith(b"event:"):
                    event = line[6:].strip()
            yield event, data


async def answered(response: aiohttp.ClientResponse) -> str:
    """Return the body, or raise what went wrong."""
    text = await response.text()
    if response.status >= 300:
        raise RuntimeError(f"HTTP {response.status}: {text[:500]}")
    return text


def load(name: str, port: int, stub_url: str) -> Target:
    """Make the target ``NAME`` or ``NAME:VARIANT``."""
    module_name, _, variant = name.partition(":")
    try:
        kind: type[Target] = importlib.import_module(f"benchmarks.targets.{module_name}").TARGET
    except ModuleNotFoundError as error:
        if error.name != f"benchmarks.targets.{module_name}":
            raise
        known = sorted(path.stem for path in (Path(__file__).parent / "targets").glob("*.py"))
        raise SystemExit(f"There is no target {module_name}; there are: {', '.join(known)}") from None
    if kind.venv and not environment_python(kind.venv).exists():
        raise SystemExit(f"{name} is not installed: {Path(sys.executable).name} -m benchmarks.install {kind.venv}")
    return kind(port, stub_url, variant)
