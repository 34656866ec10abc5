"""A real PgBouncer in front of the run's PostgreSQL."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from attrs import field, frozen
from psycopg import conninfo

from agentcore_adapters.postgres import runas
from tests.support.database import Server

PORT = 6432  # of a socket in a folder of its own
READY_S = 10.0
PLACES = (os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/usr/local/bin")
SETTINGS = {
    "listen_addr": "",
    "listen_port": str(PORT),
    "unix_socket_dir": ".",
    "auth_type": "trust",
    "auth_file": "userlist.txt",
    "pool_mode": "transaction",
    "default_pool_size": "4",
    "max_client_conn": "200",
    "admin_users": "agentcore",
    "query_wait_timeout": "10",
    "server_idle_timeout": "1",  # each test has a database of its own, and the server 60 places
}
USERS = {"agentcore": "", "agentcore_service": ""}


def pgbouncer() -> str:
    """Find the program; without one the test is skipped."""
    found = shutil.which("pgbouncer", path=os.pathsep.join(PLACES))
    if found is None:
        pytest.skip("needs pgbouncer (apt-get install pgbouncer)")
    return found


@frozen
class Pooler:
    """A running PgBouncer, and how to get through it."""

    folder: Path
    users: Mapping[str, str] = field(factory=lambda: dict(USERS))

    def through(self, dsn: str, **more: str) -> str:
        """Return the address that leads to the same database by way of it."""
        return conninfo.make_conninfo(dsn, host=str(self.folder), port=PORT, **more)

    def tell(self, command: str) -> list[tuple[object, ...]]:
        """Tell its console something, and return what it answers."""
        address = conninfo.make_conninfo("", host=str(self.folder), port=PORT, user="agentcore", dbname="pgbouncer")
        with psycopg.ClientCursor(psycopg.connect(address, autocommit=True)) as cursor, cursor.connection:
            cursor.execute(command.encode())
            return list(cursor.fetchall()) if cursor.description else []


@contextmanager
def running_pooler(
    server: Server,
    settings: Mapping[str, str] | None = None,
    *,
    users: Mapping[str, str] | None = None,
    database: str = "",
) -> Iterator[Pooler]:
    """Run a PgBouncer before every database of *server*; *settings* over ours, *database*: how it logs in there."""
    program = pgbouncer()
    known = conninfo.conninfo_to_dict(server.running.dsn_owner)
    folder = Path(tempfile.mkdtemp(prefix="ac-"))  # see ``running_server``
    pooler = Pooler(folder, users or USERS)
    told = SETTINGS | {"unix_socket_dir": str(folder), "auth_file": str(folder / "userlist.txt")} | dict(settings or {})
    lines = ["[databases]", f"* = host={known['host']} port={known['port']} {database}", "[pgbouncer]"]
    (folder / "pgbouncer.ini").write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in told.items())]))
    (folder / "userlist.txt").write_text("".join(f'"{name}" "{word}"\n' for name, word in pooler.users.items()))
    log = (folder / "pgbouncer.log").open("wb")
    folder.chmod(0o711)
    run_as = runas.choose(folder / "pooler", program)  # it refuses to run as root, as PostgreSQL does
    run_as.own(folder)
    child = run_as.start([program, "-q", str(folder / "pgbouncer.ini")], log)
    log.close()
    try:
        until = time.monotonic() + READY_S
        while not (folder / f".s.PGSQL.{PORT}").exists():
            assert child.poll() is None, (folder / "pgbouncer.log").read_text()
            assert time.monotonic() < until, "PgBouncer does not listen"
            time.sleep(0.01)
        yield pooler
    finally:
        child.kill()
        child.wait()
        shutil.rmtree(folder)
