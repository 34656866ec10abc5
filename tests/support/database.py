"""One PostgreSQL server for a test run, a database of its own for each test that asks."""

import itertools
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import psycopg
from anyio import fail_after
from attrs import define, field
from psycopg import conninfo

from agentcore.ports import Lease
from agentcore_adapters.postgres.embedded import Cluster, EmbeddedServer
from agentcore_adapters.postgres.migrate import migrate

KEPT = ["schema_migration", "task_transition"]
# For tests that follow each other in one database: quicker than a new one for each.
EMPTY = f"""
    DO $$ DECLARE t text; BEGIN
      SET LOCAL session_replication_role = replica;  -- no trigger, no reference
      FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'agentcore'::regnamespace AND relkind IN ('r', 'p')
        AND NOT relispartition AND relname <> ALL (ARRAY{KEPT}) LOOP
        EXECUTE format('DELETE FROM agentcore.%I', t);
      END LOOP; END $$"""


@define
class Server:
    """A running server with a template whose schema is up to date."""

    running: EmbeddedServer
    template: str = "agentcore"
    prefix: str = "t"
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1))

    def fresh(self) -> tuple[str, str]:
        """Make a database; return its address for the owner and for the service."""
        name = f"{self.prefix}{next(self._numbers)}"
        admin = conninfo.make_conninfo(self.running.dsn_owner, dbname="postgres")
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {self.template}".encode())
        return (
            conninfo.make_conninfo(self.running.dsn_owner, dbname=name),
            conninfo.make_conninfo(self.running.dsn, dbname=name),
        )


@contextmanager
def running_server(_: Path) -> Iterator[Server]:
    """Run a throw-away server, and stop it."""
    # Not in pytest's folder: its path can be too long for a socket, and an unprivileged user may have to enter it.
    folder = Path(tempfile.mkdtemp(prefix="ac-"))
    folder.chmod(0o711)
    cluster = Cluster(folder, durable=False)
    try:
        running = anyio.run(cluster.open)  # in the main thread, which outlives the event loop
        anyio.run(migrate, running.dsn_owner)
        yield Server(running)
    finally:
        cluster.close()
        shutil.rmtree(folder)


def expiring(owner: str) -> Callable[[Lease], Awaitable[None]]:
    """Return what lets a lease run out."""

    async def expire(lease: Lease) -> None:
        async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as connection:
            await connection.execute(
                "UPDATE agentcore.task SET lease_expires_at = now() - interval '1 s' WHERE id = %s", [lease.task_id]
            )

    return expire


def ask(dsn: str, query: str) -> Any:
    """Return the first value of the first row, if there is one."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


async def ask_until_answered(dsn: str, query: str) -> Any:
    """Return the same of a server that is on its way."""
    with fail_after(30):
        while True:
            try:
                return ask(dsn, query)
            except psycopg.OperationalError:
                await anyio.sleep(0.05)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    with fail_after(30):
        while not condition():
            await anyio.sleep(0.02)
