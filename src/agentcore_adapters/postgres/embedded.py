"""A PostgreSQL server of our own, in the data folder.

Law: it dies with its owner and loses nothing by that; whoever comes second attaches and never stops it; nothing
is ever deleted to make it start.

Story: ``DATA/postgres`` holds the cluster, ``DATA/postgres.lock`` is held by the owner as long as it lives.  The
server listens on a Unix socket in a folder only its user may enter, which is the whole authentication.
"""

import fcntl
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import psycopg
from anyio import fail_after
from attrs import define, field, frozen
from psycopg import sql

from agentcore_adapters.postgres import binaries, runas
from agentcore_adapters.postgres.errors import StoreStartError
from agentcore_adapters.postgres.process import Postmaster, socket_folder, start_command

OWNER, SERVICE, DATABASE = "agentcore", "agentcore_service", "agentcore"
READY_S = 30.0
RESTART_S = (0.1, 0.5, 1.0, 2.0, 5.0)  # back-off of the supervisor
POLL_S = 0.02


@frozen(kw_only=True)
class EmbeddedServer:
    """A server that answers."""

    dsn_owner: str  #: For migrations: the role that owns the schema.
    dsn: str  #: For the service: a role that owns nothing.
    owned: bool  #: Whether this process has started it, and stops it.
    first_start: bool


@asynccontextmanager
async def embedded_server(data_dir: Path, *, durable: bool = True) -> AsyncIterator[EmbeddedServer]:
    """Run the server of *data_dir*, or attach to it if another process runs it.

    Not *durable*: for throw-away test servers. Raises StoreStartError that says what to do.
    """
    cluster = Cluster(data_dir.expanduser().resolve(), durable=durable)
    async with AsyncExitStack() as stack:
        lock = cluster.lock()
        if lock is None:
            yield await cluster.attach()
            return
        stack.callback(os.close, lock)
        first_start = cluster.create()
        stack.callback(cluster.stop)
        cluster.start()
        server = await cluster.ready(owned=True, first_start=first_start)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.supervise)
            try:
                yield server
            finally:
                tasks.cancel_scope.cancel()


@define(eq=False)
class Cluster:
    """One data folder and what runs on it."""

    folder: Path
    durable: bool
    process: Postmaster | None = None
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

    def lock(self) -> int | None:
        """Become the owner; None if another process is."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.folder / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreStartError(
                f"The data folder cannot be used ({error.strerror}). Choose another with --data-dir."
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def create(self) -> bool:
        """Make the cluster if there is none; return whether it was made."""
        version = self.data / "PG_VERSION"
        is_there = version.exists()
        self._binaries = binaries.find(int(version.read_text().split(".")[0]) if is_there else None)
        self._run_as = runas.choose(self.data)
        if is_there:
            return False
        # initdb works in a folder beside it: a start that was killed midway leaves no half of a cluster behind.
        fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.folder))
        self._run_as.own(fresh)
        command = [self._binaries.path("initdb"), "-D", str(fresh), "-U", OWNER, "--auth=trust", "--encoding=UTF8"]
        command += ["--locale=C", "--data-checksums", *([] if self.durable else ["--no-sync"])]
        done = self._run_as.run(command)
        if done.returncode:
            raise StoreStartError(f"PostgreSQL could not make its data folder: {_tail(done.stdout + done.stderr)}")
        fresh.rename(self.data)
        return True

    def start(self) -> None:
        """Start the server; from the main thread."""
        assert self._binaries is not None
        sockets = socket_folder(self.data)
        self._run_as.own(sockets)
        with self.log.open("ab") as output:
            child = self._run_as.start(start_command(self._binaries, self.data, sockets, self.durable), output)
        self.process = Postmaster(child, sockets)

    def stop(self) -> None:
        """Stop it: fast, then at once."""
        if self.process is not None:
            self.process.stop()

    async def supervise(self) -> None:
        """Start it again whenever it dies."""
        tries = 0
        while True:
            await anyio.sleep(RESTART_S[0])
            if self.process is not None and self.process.child.poll() is not None:
                await anyio.sleep(RESTART_S[min(tries, len(RESTART_S) - 1)])
                self.start()
                tries += 1
            elif tries:
                tries -= 1

    async def ready(self, *, owned: bool, first_start: bool) -> EmbeddedServer:
        """Wait until a query is answered, and see to it that role and database are there."""
        try:
            with fail_after(READY_S):
                sockets = await self._answering(owned=owned)
                await _prepare(_dsn(sockets, OWNER, "postgres"))
        except TimeoutError:
            raise StoreStartError(f"PostgreSQL did not answer in {READY_S:.0f} s: {self._said()}") from None
        return EmbeddedServer(
            dsn_owner=_dsn(sockets, OWNER, DATABASE),
            dsn=_dsn(sockets, SERVICE, DATABASE),
            owned=owned,
            first_start=first_start,
        )

    async def attach(self) -> EmbeddedServer:
        """Use the server that another process runs."""
        return await self.ready(owned=False, first_start=False)

    async def _answering(self, *, owned: bool) -> Path:
        tries = 0
        while True:
            if owned and self.process is not None and self.process.child.poll() is not None:
                # After a kill -9, old children may still hold the folder: the lock file is theirs, so wait for them.
                tries += 1
                if "postmaster.pid" not in self._said() or tries > READY_S:
                    raise StoreStartError(f"PostgreSQL did not start: {self._said()}")
                await anyio.sleep(0.5)
                self.start()
            sockets = self.process.sockets if self.process is not None else _sockets_of(self.data)
            if sockets is not None and await _answers(_dsn(sockets, OWNER, "postgres")):
                return sockets
            await anyio.sleep(POLL_S)

    def _said(self) -> str:
        return _tail(self.log.read_text(errors="replace")) if self.log.exists() else "it said nothing"


def _sockets_of(data: Path) -> Path | None:
    """Read where the running server listens from its own lock file (line 5; line 8 says whether it is ready)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    return Path(lines[4]) if len(lines) > 7 and "ready" in lines[7] else None  # noqa: PLR2004 - line numbers


def _dsn(sockets: Path, user: str, database: str) -> str:
    return psycopg.conninfo.make_conninfo("", host=str(sockets), port=5432, user=user, dbname=database)


async def _answers(dsn: str) -> bool:
    try:
        async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=3) as connection:
            await connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


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


def _tail(text: str, lines: int = 20) -> str:
    return " | ".join(text.strip().splitlines()[-lines:]) or "it said nothing"


__all__ = ["Cluster", "EmbeddedServer", "embedded_server"]
