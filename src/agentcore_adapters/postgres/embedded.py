"""A PostgreSQL server of our own, in the data folder.

Law: it dies with its owner and loses nothing by that; whoever comes second attaches and never stops it, and takes
over when the owner is gone; nothing of a cluster is ever deleted to make it start.

Story: ``DATA/postgres`` holds the cluster, ``DATA/postgres.lock`` is held by the owner as long as it lives.  The
server listens on a Unix socket in a folder only its user may enter, which is the whole authentication.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import psycopg
from anyio import fail_after
from attrs import define, field, frozen
from psycopg import sql

from agentcore_adapters.postgres import binaries, runas
from agentcore_adapters.postgres.errors import EmbeddedServerError, StoreStartError, advised, explained
from agentcore_adapters.postgres.process import Postmaster, socket_folder, start_command

OWNER, SERVICE, DATABASE = "agentcore", "agentcore_service", "agentcore"
READY_S = 30.0
RESTART_S = (0.1, 0.5, 1.0, 2.0, 5.0)  # back-off of the supervisor
LEFTOVERS_S = 15.0  # how long the children of a killed server may hold its folder
POLL_S = 0.02
TAIL_BYTES = 20_000
LEFTOVERS = ("postmaster.pid", "pre-existing shared memory")  # what a server says that finds such children


@frozen(kw_only=True)
class EmbeddedServer:
    """A server that answers."""

    dsn_owner: str  #: For migrations: the role that owns the schema.
    dsn: str  #: For the service: a role that owns nothing.
    owned: bool  #: Whether this process has started it, and stops it.
    first_start: bool  #: Whether the cluster was made just now.


@asynccontextmanager
async def embedded_server(data_dir: Path, *, durable: bool = True) -> AsyncIterator[EmbeddedServer]:
    """Run the server of *data_dir*, or attach to it if another process runs it.

    Call it in the main thread: the server dies with the thread that has started it. Not *durable*: for throw-away
    test servers. Raises StoreStartError that says what to do.
    """
    cluster = Cluster(data_dir.expanduser().resolve(), durable=durable)
    try:
        server = await cluster.open()
        async with beside(cluster.supervise):
            yield server
    finally:
        cluster.close()


@define(eq=False)
class Cluster:
    """One data folder and what runs on it."""

    folder: Path
    durable: bool
    process: Postmaster | None = None
    _sockets: Path | None = None  #: Stays the same over restarts: it is in the addresses that were given out.
    _descriptor: int | None = None  #: Of the lock; None: another process is the owner.
    _is_new: bool = False
    _binaries: binaries.Binaries | None = None
    _run_as: runas.RunAs = field(factory=runas.RunAs)

    @property
    def data(self) -> Path:
        """The cluster itself."""
        return self.folder / "postgres"

    @property
    def log(self) -> Path:
        """What the server says before it has a log of its own."""
        return self.folder / "postgres.log"

    async def open(self) -> EmbeddedServer:
        """Start the server, or attach to it."""
        self._take()
        return await self.ready()

    def lock(self) -> bool:
        """Become the owner; tell whether this process is it."""
        if self._descriptor is not None:
            return True
        with explained(f"The data folder {self.folder} cannot be used"):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.folder / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                if isinstance(error, BlockingIOError):
                    return False
                raise
        self._descriptor = descriptor
        return True

    def create(self) -> bool:
        """Make the cluster if there is none; return whether it was made."""
        with explained("PostgreSQL's data folder cannot be made"):
            made = binaries.major_of(self.data)
            self._binaries = binaries.find(made)
            initdb = self._binaries.path("initdb")
            self._run_as = runas.choose(self.data, initdb)
            if made is not None:
                return False
            # initdb works in a folder beside it: a start that was killed midway leaves no half of a cluster behind.
            for half in self.folder.glob("postgres.new-*"):
                shutil.rmtree(half, ignore_errors=True)
            fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.folder))
            self._run_as.own(fresh)
            command = [initdb, "-D", str(fresh), "-U", OWNER, "--auth=trust", "--encoding=UTF8", "--locale=C"]
            done = self._run_as.run([*command, "--data-checksums", *([] if self.durable else ["--no-sync"])])
            if done.returncode:
                shutil.rmtree(fresh, ignore_errors=True)
                raise EmbeddedServerError(advised("PostgreSQL could not make its folder", done.stdout + done.stderr))
            fresh.rename(self.data)
            if self.durable:
                _sync(self.folder)  # or a power failure could take the name back, with all that was stored since
            return True

    def start(self) -> None:
        """Start the server; from the main thread."""
        assert self._binaries is not None
        with explained("PostgreSQL cannot be started"):
            self._sockets = self._sockets or socket_folder(self.data)
            self._sockets.mkdir(mode=0o700, exist_ok=True)  # gone, if an owner before us has tidied up
            self._run_as.own(self._sockets)
            command = start_command(self._binaries, self.data, self._sockets, self.durable)
            with self.log.open("wb") as output:
                self.process = Postmaster(self._run_as.start(command, output), self._sockets)

    def close(self) -> None:
        """Stop what was started here, fast, then at once; and be the owner no more."""
        if self.process is not None:
            self.process.stop()
            self.process = None
            if self._sockets is not None and self._sockets.parent != self.folder:
                shutil.rmtree(self._sockets, ignore_errors=True)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def supervise(self) -> None:
        """Start the server again whenever it dies; one that is not ours, when its owner is gone too."""
        tries = 0
        while True:
            await anyio.sleep(RESTART_S[0])
            try:
                if await self._is_cared_for():
                    tries = max(0, tries - 1)
                    continue
                await anyio.sleep(RESTART_S[min(tries, len(RESTART_S) - 1)])
                tries += 1
                if binaries.major_of(self.data):  # was it deleted? then never begin anew behind the service's back
                    self._take()
            except StoreStartError:
                continue  # a full disk, a missing program: may be mended while the service waits

    async def ready(self) -> EmbeddedServer:
        """Wait until a query is answered, and see to it that role and database are there."""
        with self._patient(), fail_after(READY_S):
            while True:
                sockets = await self._first_answer()
                try:
                    await _prepare(_dsn(sockets, OWNER, "postgres"))
                except psycopg.OperationalError as error:
                    if error.sqlstate is not None and not error.sqlstate.startswith("57P"):
                        raise EmbeddedServerError(advised("PostgreSQL could not be set up", str(error))) from None
                    await anyio.sleep(POLL_S)  # it went down between two questions
                    continue
                return EmbeddedServer(
                    dsn_owner=_dsn(sockets, OWNER, DATABASE),
                    dsn=_dsn(sockets, SERVICE, DATABASE),
                    owned=self.process is not None,
                    first_start=self._is_new,
                )

    async def _first_answer(self) -> Path:
        waiting_until = anyio.current_time() + LEFTOVERS_S
        while True:
            running = await _answering(self.data)
            if running is None and self.process is None:
                self._take()  # its owner may have gone just now
            dead = self.process is not None and self.process.child.poll() is not None
            if running is not None and (dead or self.process is None):
                # Another process runs it; or nobody does, as after the death of an owner that had no death signal.
                self.process, self._sockets = None, running.sockets
                return running.sockets
            if running is not None and self.process is not None and running.pid == self.process.child.pid:
                return running.sockets
            if dead:
                # After a kill -9, old children may still hold the folder: the lock file is theirs, so wait for them.
                said = self._said()
                if not any(word in said for word in LEFTOVERS) or anyio.current_time() > waiting_until:
                    raise EmbeddedServerError(advised("PostgreSQL did not start", said))
                await anyio.sleep(RESTART_S[1])
                self.start()
            await anyio.sleep(POLL_S)

    def _take(self) -> None:
        """Start the server, unless another process is the owner."""
        if self.lock():
            self._is_new = self.create() or self._is_new
            self.start()

    async def _is_cared_for(self) -> bool:
        if self.process is not None:
            return self.process.child.poll() is None
        return not self.lock() or await _answering(self.data) is not None

    @contextmanager
    def _patient(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise EmbeddedServerError(advised(f"PostgreSQL did not answer in {READY_S:.0f} s", self._said())) from None

    def _said(self) -> str:
        """Return what the server said since its start: on its way up, then in its log."""
        if not self.log.exists():
            return ""
        logs = [self.log, *sorted((self.data / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)[-1:]]
        fresh = [path for path in logs if path.stat().st_mtime >= self.log.stat().st_mtime]
        return "\n".join(path.read_bytes()[-TAIL_BYTES:].decode(errors="replace") for path in fresh)


@frozen
class _Running:
    pid: int
    sockets: Path


async def _answering(data: Path) -> _Running | None:
    """Find the server of *data* by its own lock file (line 1: who, 5: where, 8: is it ready), and ask it something."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        running = _Running(int(lines[0]), Path(lines[4]))
        if "ready" not in lines[7]:
            return None
        async with await psycopg.AsyncConnection.connect(_dsn(running.sockets, OWNER, "postgres")) as connection:
            await connection.execute("SELECT 1")
    except (OSError, ValueError, IndexError, psycopg.Error):
        return None
    return running


def _dsn(sockets: Path, user: str, database: str) -> str:
    return psycopg.conninfo.make_conninfo(
        "", host=str(sockets), port=5432, user=user, dbname=database, connect_timeout=3
    )


async def _prepare(dsn: str) -> None:
    """Make the service's role and the database, once."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("SELECT pg_advisory_lock(hashtext('agentcore.prepare'))")
        found = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [SERVICE])
        if await found.fetchone() is None:
            await connection.execute(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(sql.Identifier(SERVICE)))
        found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if await found.fetchone() is None:
            await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


@asynccontextmanager
async def beside(work: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[None]:
    """Run *work* beside the body; what the body raises stays what it is, though a task group would wrap it."""
    raised: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again below, outside the group
            raised = error
        tasks.cancel_scope.cancel()
    if raised is not None:
        raise raised


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["Cluster", "EmbeddedServer", "beside", "embedded_server"]
