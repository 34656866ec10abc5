"""A PostgreSQL for peers that need one: the programs that agentcore finds, the settings as they come, on loopback."""

import subprocess
import time
from pathlib import Path

import psycopg
from psycopg import sql

from agentcore_adapters.postgres import binaries, runas
from agentcore_adapters.postgres.runas import RunAs

PORT, USER = 54777, "postgres"
READY_S = 30.0


def ensure(folder: Path) -> int:
    """Make and start the server unless it runs; return the process id of its postmaster. It dies with this process."""
    data = folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    found = binaries.find(binaries.major_of(data))
    run_as = runas.choose(data, found.path("initdb"))
    if not data.exists():
        data.mkdir()
        run_as.own(data)
        made = run_as.run([found.path("initdb"), "-D", str(data), "-U", USER, "--auth=trust"])
        if made.returncode:
            raise RuntimeError(made.stderr)
    if (pid := _running(data)) is None:
        pid = _start(run_as, found.path("postgres"), folder, data)
    return pid


def recreate(name: str) -> None:
    """Make an empty database."""
    with psycopg.connect(url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def url(name: str) -> str:
    """Return the address of a database."""
    return f"postgresql://{USER}:{USER}@127.0.0.1:{PORT}/{name}"


def _start(run_as: RunAs, program: str, folder: Path, data: Path) -> int:
    options = ["-p", str(PORT), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    with (folder / "log").open("ab") as output:
        child = run_as.start([program, "-D", str(data), *options], output)
    deadline = time.monotonic() + READY_S
    while _running(data) is None:
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start, see {folder / 'log'}")
        time.sleep(0.05)
    return child.pid


def _running(data: Path) -> int | None:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        with psycopg.connect(url("postgres"), connect_timeout=3):
            return int(lines[0])
    except (OSError, psycopg.Error, subprocess.SubprocessError, ValueError, IndexError):
        return None
