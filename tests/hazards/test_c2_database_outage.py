"""Hazard C2: the database is killed under running tasks."""

import os
import signal
import tempfile
from pathlib import Path

import anyio
import pytest
from tests.support.server import serving

from agentcore.ids import SessionId, TenantId
from agentcore.testing.checker import check_session
from agentcore.testing.making import an_id
from agentcore_adapters.postgres.embedded import embedded_server
from agentcore_adapters.postgres.migrate import migrate
from agentcore_adapters.postgres.store import postgres_store

pytestmark = pytest.mark.anyio
TASKS = 20


@pytest.mark.slow
async def test_C2_database_outage_survived() -> None:
    with tempfile.TemporaryDirectory(prefix="ac-", ignore_cleanup_errors=True) as folder:
        async with embedded_server(Path(folder)) as server:
            await migrate(server.dsn_owner)
            async with postgres_store(server.dsn, lease_ttl_s=6.0) as (store, leases), serving(store, leases) as served:
                posted = [await served.post("[[words:150]] [[slow:0.01]]") for _ in range(TASKS)]
                pid = int((Path(folder) / "postgres" / "postmaster.pid").read_text().splitlines()[0])
                os.kill(pid, signal.SIGKILL)
                with anyio.fail_after(60):
                    ends: set[str] = set()
                    while len(ends) < TASKS:
                        for task in posted:
                            answer = await served.call("GET", f"/tasks/{task['taskId']}")
                            assert answer.status_code in {200, 503}
                            if answer.status_code == 200 and answer.json()["completedAt"]:
                                ends.add(task["taskId"])
                        await anyio.sleep(0.2)
                for task in posted:
                    session_id = SessionId(task["sessionId"])
                    await check_session(store, TenantId("default"), session_id, is_settled=True)
                assert (await served.done(f"after it {an_id()}"))["status"] == "completed"
