"""The logins that the cluster's database is made with: enough for each command, and no more."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import psycopg
import pytest
from psycopg import conninfo
from tests.support.database import ask
from tests.support.deployed import DEPLOY, program

from agentcore_adapters.postgres.embedded import Cluster
from agentcore_adapters.postgres.migrate import check_schema
from agentcore_http import settings
from agentcore_http.wiring import migrate_database

SCRIPT = DEPLOY / "compose/postgres/roles.sh"


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    """The address of a superuser of a server in which there is nothing yet."""
    folder = Path(tempfile.mkdtemp(prefix="ac-"))
    folder.chmod(0o711)
    cluster = Cluster(folder, durable=False)
    try:
        running = anyio.run(cluster.open)
        admin = conninfo.make_conninfo(running.dsn_owner, dbname="postgres")
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("DROP DATABASE agentcore")
            connection.execute("DROP ROLE agentcore_service")
        yield admin
    finally:
        cluster.close()
        shutil.rmtree(folder)


def test_the_owner_migrates_and_the_service_serves(bare: str) -> None:
    where = conninfo.conninfo_to_dict(bare)
    environ = {
        "PATH": str(Path(program("psql")).parent) + ":/usr/bin:/bin",
        "PGHOST": str(where["host"]),
        "PGPORT": str(where["port"]),
        "POSTGRES_USER": str(where["user"]),
        "OWNER_PASSWORD": "it's the owner's",
        "SERVICE_PASSWORD": 'a "service" $1',
    }
    done = subprocess.run(["sh", str(SCRIPT)], env=environ, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    owner = conninfo.make_conninfo(bare, user="agentcore_owner", dbname="agentcore")
    service = conninfo.make_conninfo(bare, user="agentcore_service", dbname="agentcore")
    for _ in range(2):  # before the nodes start, and every day
        assert migrate_database(settings.load({"AGENTCORE_DATABASE_URL": owner})) == 0
        anyio.run(check_schema, service)
    for name in ("agentcore_owner", "agentcore_service"):
        query = f"SELECT rolsuper OR rolbypassrls OR rolcreatedb FROM pg_roles WHERE rolname = '{name}'"
        assert ask(bare, query) is False
        assert ask(bare, f"SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = '{name}'") is True
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(service, "CREATE TABLE agentcore.mine (a int)")


def test_no_password_is_in_a_command_line() -> None:
    commands = [line for line in SCRIPT.read_text().splitlines() if line.startswith("psql")]
    assert commands
    assert not [line for line in commands if "PASSWORD" in line]
