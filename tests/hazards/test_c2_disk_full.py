"""Hazard C2: the disk under the database is full, and later has room again."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import psycopg
import pytest
from tests.support.server import serving

from agentcore.ids import SessionId, TenantId
from agentcore.testing.checker import check_session
from agentcore_adapters.postgres.embedded import embedded_server
from agentcore_adapters.postgres.migrate import migrate
from agentcore_adapters.postgres.store import postgres_store

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
DISK = "128m"


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small disk of its own, in memory; only root may make one."""
    folder = Path(tempfile.mkdtemp(prefix="ac-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0711", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("a disk can be made by root only, in a container that may mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def fill(disk: Path) -> Path:
    """Leave no room on *disk*."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


@pytest.mark.parametrize("is_log_full", [False, True], ids=["tables", "write-ahead log"])
async def test_C2_a_full_disk_is_survived(disk: Path, is_log_full: bool) -> None:
    """With the write-ahead log full too, PostgreSQL panics and cannot come back before there is room."""
    async with embedded_server(disk) as server:
        await migrate(server.dsn_owner)
        async with postgres_store(server.dsn, lease_ttl_s=3.0) as (store, leases), serving(store, leases) as served:
            accepted = [await served.post("[[words:5000]] [[slow:0.001]]") for _ in range(3)]
            for task in accepted:
                await served.said(task["taskId"], "w3 ")
            ballast = fill(disk)
            if is_log_full:
                with psycopg.connect(server.dsn_owner, autocommit=True) as owner, pytest.raises(psycopg.Error):
                    for _ in range(20):
                        owner.execute("SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))")
                        owner.execute("SELECT pg_switch_wal()")
            with anyio.fail_after(60):
                while (answer := await served.call("POST", "/tasks", {"prompt": "x" * 100_000})).status_code == 201:
                    accepted.append(answer.json())
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            assert (await served.http.get(served.url + "/healthz")).status_code == 200
            ballast.unlink()
            with anyio.fail_after(60):
                while (answer := await served.call("POST", "/tasks", {"prompt": "[[say:ok]]"})).status_code != 201:
                    assert answer.status_code == 503
                    await anyio.sleep(0.1)
            accepted.append(answer.json())
            for task in accepted:
                await served.ended(task["taskId"], 60)
                await check_session(store, TenantId("default"), SessionId(task["sessionId"]), is_settled=True)
            assert served.runtime.counts.failed == 0
