"""Servers behind a PgBouncer that is set up as the documentation says."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx2
import pytest
from tests.faults.clients import Client, Facts
from tests.faults.site import a_site
from tests.support.database import Server, ask
from tests.support.pooler import Pooler, running_pooler

from agentcore_adapters.postgres.migrate import migrate

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
PAGE = Path(__file__).parents[2] / "docs/how-to/put-pgbouncer-between.md"


@asynccontextmanager
async def as_the_page_says(postgres: Server, owner: str) -> AsyncIterator[tuple[Pooler, dict[str, str]]]:
    """Run one with the file of the page; only where it listens and where the server is are other places."""
    block = PAGE.read_text().split('title="pgbouncer.ini"\n')[1].split("```")[0]
    login, password = f"login_{secrets.token_hex(4)}", secrets.token_hex(8)
    ask(owner, f"CREATE ROLE {login} LOGIN NOINHERIT PASSWORD '{password}'")
    await migrate(owner, service=login)
    told = dict(line.split(" = ", 1) for line in block.split("[pgbouncer]\n")[1].strip().splitlines())
    ours = {name: told.pop(name) for name in ("listen_addr", "listen_port", "auth_file")}
    assert (ours["listen_port"], told["pool_mode"]) == ("6432", "transaction")
    listening: dict[str, Any] = {"admin_users": "", "default_pool_size": told.pop("default_pool_size")}
    with running_pooler(postgres, told | listening, users={login: password}) as pooler:
        yield pooler, {"user": login, "password": password}


async def test_servers_behind_one_that_is_set_up_as_the_page_says(postgres: Server, tmp_path: Path) -> None:
    owner, service = postgres.fresh()
    async with as_the_page_says(postgres, owner) as (pooler, login):
        env = {"AGENTCORE_DATABASE_URL": pooler.through(service, **login), "AGENTCORE_SECRET_KEY": "k" * 32}
        async with (
            a_site(tmp_path, env, "--scripted", nodes=2) as site,
            httpx2.AsyncClient(timeout=10.0) as http,
            anyio.create_task_group() as tasks,
        ):
            client, (first, second) = Client(site, Facts(), http, Random(1)), site.nodes
            async with anyio.create_task_group() as starts:
                starts.start_soon(first.start)
                starts.start_soon(second.start)
            with anyio.fail_after(60):
                session, task = await client.post("[[words:40]] [[slow:0.02]]")
                reader = client.read(session, tasks)
                assert await client.ended(reader, task) == "completed"
                _, after = await client.post("[[words:5]]", session)
                assert await client.ended(reader, after) == "completed"
            assert reader.tasks[task].text.split()[:2] == ["w0", "w1"]
            assert reader.resets == []
            tasks.cancel_scope.cancel()
