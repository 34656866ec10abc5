"""A real server with real tools is killed: a call that was begun is not made again, one that waits still waits."""

import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from tests.faults.site import Node, a_site
from tests.support.database import Server

from agentcore_adapters.testing.provider import StubProvider, running_provider
from agentcore_http.app import API

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
SERVER = str(Path(__file__).parent.parent / "support" / "mcp_server.py")


@pytest.fixture
def outside() -> Iterator[StubProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
async def node(tmp_path: Path, postgres_dsn: str, outside: StubProvider) -> AsyncIterator[Node]:
    """A server with an MCP server of its own and leases of two seconds."""
    servers = {"tests": {"command": sys.executable, "args": [SERVER]}}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    env = {
        "AGENTCORE_DATABASE_URL": postgres_dsn,
        "AGENTCORE_TOOLS_MCP_CONFIG": str(tmp_path / "mcp.json"),
        "AGENTCORE_TOOLS_RULES": "tests.slow=auto",
        "ANTHROPIC_BASE_URL": outside.url,
    }
    async with a_site(tmp_path, env, "--ttl", "5") as site:
        await site.nodes[0].start()
        yield site.nodes[0]


@pytest.fixture
def postgres_dsn(postgres: Server) -> str:
    return postgres.fresh()[1]


async def call(node: Node, method: str, path: str, body: object = None) -> Any:
    async with httpx2.AsyncClient(timeout=30.0) as http:
        response = await http.request(method, node.url + API + path, json=body)
    assert response.status_code < 300, response.text
    return response.json()


async def until(node: Node, task_id: str, *statuses: str) -> Any:
    with anyio.fail_after(40):
        while (task := await call(node, "GET", f"/tasks/{task_id}"))["status"] not in statuses:
            await anyio.sleep(0.05)
    return task


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


async def test_a_call_that_was_cut_by_a_kill_is_not_made_again(
    node: Node, tmp_path: Path, outside: StubProvider
) -> None:
    effect = tmp_path / "effect"
    prompt = f"[[tool:tests__slow:{json.dumps({'path': str(effect), 'seconds': 30})}]][[after:I see]]"
    task_id = (await call(node, "POST", "/tasks", {"prompt": prompt, "onCrash": "resume"}))["taskId"]
    with anyio.fail_after(30):
        while not lines(effect):
            await anyio.sleep(0.02)
    await node.kill()
    await node.start()
    task = await until(node, task_id, "completed", "failed")
    assert (task["status"], task["result"]) == ("completed", "I see")
    assert lines(effect) == ["begun"]
    assert "its effect is not known" in str(outside.calls[-1].body["messages"])


async def test_P8_what_waits_survives_a_kill_and_runs_once(node: Node, tmp_path: Path) -> None:
    effect = tmp_path / "effect"
    prompt = f"[[tool:tests__note:{json.dumps({'path': str(effect), 'text': 'a'})}]][[after:done]]"
    task_id = (await call(node, "POST", "/tasks", {"prompt": prompt}))["taskId"]
    waiting = await until(node, task_id, "awaiting_approval")
    await node.kill()
    await node.start()
    (asked,) = (await call(node, "GET", f"/tasks/{task_id}"))["pendingApprovals"]
    assert asked == waiting["pendingApprovals"][0]
    body = {"approved": True, "approvalId": asked["approvalId"], "inputSha256": asked["inputSha256"]}
    await call(node, "POST", f"/tasks/{task_id}/approve", body)
    assert (await until(node, task_id, "completed", "failed"))["result"] == "done"
    assert lines(effect) == ["a"]
