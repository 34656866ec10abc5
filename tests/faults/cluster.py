"""Three servers on one PostgreSQL and three NATS servers."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import anyio
import httpx2
from anyio import to_thread
from anyio.abc import TaskGroup
from attrs import define
from tests.faults.clients import Client, Facts
from tests.faults.judge import Verdict, judge
from tests.faults.network import a_machine_apart
from tests.faults.site import Node, Site, a_site, environment
from tests.support.consumer import Consumer, consumer
from tests.support.nats import a_nats_cluster

from agentcore_adapters.postgres.embedded import embedded_server
from agentcore_adapters.postgres.migrate import migrate
from agentcore_adapters.testing.provider import StubProvider, stub_provider


@define(eq=False)
class Cluster:
    """The servers, with their clients."""

    site: Site
    client: Client  #: Asks any node.
    facts: Facts
    provider: StubProvider
    books: Consumer
    tasks: TaskGroup
    http: httpx2.AsyncClient

    def at(self, *nodes: Node) -> Client:
        """Return a client that asks only some of the nodes."""
        only = Site(self.site.folder, list(nodes), self.site.database)
        return Client(only, self.facts, self.http, Random(1))

    async def verdict(self) -> Verdict:
        """Judge what was done; it must be good."""
        found = await judge(self.site, self.facts, self.provider, self.books)
        assert found.is_good, found
        return found


@asynccontextmanager
async def a_cluster(
    *options: str,
    nodes: int = 3,
    servers: int = 3,
    template: Path | None = None,
    is_apart: bool = False,
    drain_s: float = 0.2,
    more: dict[str, str] | None = None,
) -> AsyncIterator[Cluster]:
    """Start so many nodes and NATS *servers* (0: no bus between the nodes); *is_apart*: the last on its own machine.

    *template*: a data folder with a database that is up to date.
    """
    async with AsyncExitStack() as stack:
        # Not in pytest's folder: its path can be too long for a socket.
        made = stack.enter_context(tempfile.TemporaryDirectory(prefix="ac-", ignore_cleanup_errors=True))
        folder = Path(made)
        if template is not None:
            await to_thread.run_sync(lambda: shutil.copytree(template, folder / "database", symlinks=True))
        database = await stack.enter_async_context(embedded_server(folder / "database"))
        await migrate(database.dsn_owner)
        nats = stack.enter_context(a_nats_cluster(folder / "nats", servers)) if servers else None
        provider = await stack.enter_async_context(stub_provider())
        books = await stack.enter_async_context(consumer())
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=10.0))
        apart = await stack.enter_async_context(a_machine_apart()) if is_apart else None
        env = environment(provider.url, books.url, drain_s) | (more or {})
        addresses = (database.dsn, database.dsn_owner)
        site = await stack.enter_async_context(
            a_site(folder, env, *options, nodes=nodes, database=addresses, nats=nats, apart=apart)
        )
        async with anyio.create_task_group() as starting:
            for node in site.nodes:
                starting.start_soon(node.start)
        async with anyio.create_task_group() as tasks:
            facts = Facts()
            yield Cluster(site, Client(site, facts, http, Random(1)), facts, provider, books, tasks, http)
            tasks.cancel_scope.cancel()
