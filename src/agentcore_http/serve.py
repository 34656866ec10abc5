"""``agentcore serve``: everything on one machine."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from attrs import evolve

from agentcore.runtime import Runtime
from agentcore_adapters.engines.catalog import prepare
from agentcore_http import logs, wiring
from agentcore_http.app import create_app
from agentcore_http.auth.choice import check, warn
from agentcore_http.settings import Settings, SettingsError
from agentcore_http.sockets import Sockets
from agentcore_http.telemetry import Telemetry, open_telemetry

MAX_FRAME_BYTES = 64 * 1024  # of a client on a WebSocket; a prompt with attachments is posted
SOCKETS: dict[str, Any] = {
    "ws": Sockets,
    "ws_per_message_deflate": False,  # a small message must not become a large one
    "ws_max_size": MAX_FRAME_BYTES,
    "ws_ping_interval": 20,
}
KEEP_ALIVE_S = 30
SHUTDOWN_S = 10
COLLECT = (20_000, 20, 20)  # Python's own: 700, 10, 10


class Server(uvicorn.Server):
    """uvicorn that says where it listens, and leaves signals to us."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        """Serve *config*; *url* is what a person is told."""
        super().__init__(config)
        self.url = url

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: ``_stop_on_signal`` does, so that the runtime is closed in order."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then say so."""
        await super().startup(sockets)
        _collect_rarely()
        if not self.should_exit:
            say(f"agentcore is at {self.url}")


def _collect_rarely() -> None:
    """Keep the collector of cycles away from what stays as long as the process, and let it look less often.

    What a delta makes is gone when it is told, by its references; a seventh of the time went into looking for cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)


def say(line: str) -> None:
    """Tell the person at the terminal."""
    print(line, flush=True)  # noqa: T201 - this is the command line


def run(settings: Settings, place: wiring.Place) -> int:
    """Serve until told to stop; return the exit status."""
    check(settings, place.host, keeps_keys=wiring.keeps_keys(settings, place))
    listener = _listen(place)
    place = evolve(place, port=listener.getsockname()[1])
    with open_telemetry() as telemetry, asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(settings, place, listener, telemetry))


async def _serve(settings: Settings, place: wiring.Place, listener: socket.socket, telemetry: Telemetry) -> int:
    logs.listen_to_loop(asyncio.get_running_loop())
    if place.store == "postgres" or settings.default_engine == "local":
        Path(settings.data).mkdir(parents=True, exist_ok=True, mode=0o700)
    await prepare(wiring.engine_settings(settings), say)
    opener = wiring.memory_runtime if place.store == "memory" else wiring.postgres_runtime
    failure: list[BaseException] = []
    running: list[Runtime] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[Runtime]:
        try:
            async with opener(settings, place, telemetry=telemetry) as runtime:
                warn(settings)
                running.append(runtime)
                yield runtime
        except Exception as error:
            failure.append(error)
            raise

    def open_runtime() -> AbstractAsyncContextManager[Runtime]:
        return opened()

    config = uvicorn.Config(
        create_app(open_runtime, settings, fetch_keys=wiring.fetch_keys(settings), telemetry=telemetry),
        log_config=None,
        log_level="critical",  # what it would say, ``front`` and ``_reason`` do
        access_log=False,
        **SOCKETS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        lifespan="on",
        server_header=False,
    )
    server = Server(config, place.url)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, server, running, settings.notice_seconds)
        try:
            await server.serve(sockets=[listener])
        except SystemExit:  # so uvicorn ends when the application cannot be opened
            if not failure:
                raise
        tasks.cancel_scope.cancel()
    if failure:
        print(f"agentcore cannot start: {_reason(failure[0])}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _stop_on_signal(server: Server, running: Sequence[Runtime], notice_s: float | None) -> None:
    """Say that the server goes, then let it go; asked again it goes at once, and once more it waits for nobody."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as tasks:
            is_told = False
            async for _ in signals:
                server.force_exit = server.should_exit
                for runtime in running:
                    runtime.house.is_leaving = True
                if is_told or notice_s is None or not running:
                    server.should_exit = True
                else:
                    tasks.start_soon(_stop_later, server, notice_s)
                is_told = True


async def _stop_later(server: Server, notice_s: float) -> None:
    await anyio.sleep(notice_s)
    server.should_exit = True


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return str(error) or type(error).__name__


def _listen(place: wiring.Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    # Named, because the loop of the standard library turns Nagle's delay off only where it sees the protocol.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((place.host, place.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"Port {place.port} cannot be listened on ({error.strerror}). Choose another with --port."
        ) from None
    return listener


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the event loop."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
