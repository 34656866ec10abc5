"""One PostgreSQL server for a test run, a database of its own for each test that asks."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psycopg
from attrs import define, field
from psycopg import conninfo

from agentcore_adapters.postgres.embedded import Cluster, EmbeddedServer
from agentcore_adapters.postgres.migrate import migrate


@define
class Server:
    """A running server with a template whose schema is up to date."""

    running: EmbeddedServer
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1))

    def fresh(self) -> tuple[str, str]:
        """Make a database; return its address for the owner and for the service."""
        name = f"t{next(self._numbers)}"
        admin = conninfo.make_conninfo(self.running.dsn_owner, dbname="postgres")
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE agentcore".encode())
        return (
            conninfo.make_conninfo(self.running.dsn_owner, dbname=name),
            conninfo.make_conninfo(self.running.dsn, dbname=name),
        )


@contextmanager
def running_server(_: Path) -> Iterator[Server]:
    """Run a throw-away server, and stop it."""
    # Not in pytest's folder: its path can be too long for a socket, and an unprivileged user may have to enter it.
    folder = Path(tempfile.mkdtemp(prefix="ac-"))
    cluster = Cluster(folder, durable=False)
    lock = cluster.lock()
    assert lock is not None
    try:
        cluster.create()
        cluster.start()
        running = anyio.run(lambda: cluster.ready(owned=True, first_start=True))
        anyio.run(lambda: migrate(running.dsn_owner))
        yield Server(running)
    finally:
        cluster.stop()
        shutil.rmtree(folder)
