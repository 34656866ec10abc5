"""What PgBouncer between us and the server costs: short tasks directly, without prepared statements, and through it.

Law: the three take turns, so that a machine that is busy for a while is busy for all.  Ratios count, not seconds.
"""

import argparse
import statistics
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import anyio
from benchmarks.growth import one
from tests.support.database import running_server
from tests.support.pooler import running_pooler

from agentcore.ids import NodeId
from agentcore.node import open_runtime
from agentcore.runtime import Runtime
from agentcore.seal import Seal
from agentcore.testing.making import an_id
from agentcore.testing.scripted import ScriptedEngine, ScriptedEngines
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.postgres import connection
from agentcore_adapters.postgres.store import postgres_store
from agentcore_http import logs

PROMPT = "[[say:so it is]]"


@asynccontextmanager
async def a_node(dsn: str) -> AsyncIterator[Runtime]:
    """Run a node on a database."""
    async with (
        postgres_store(dsn) as (store, leases),
        open_runtime(
            store=store,
            leases=leases,
            bus=MemoryBus(),
            engines=ScriptedEngines([ScriptedEngine()]),
            clock=SystemClock(),
            node=NodeId(an_id()),
            new_id=an_id,
            seal=Seal(b"k" * 32),
        ) as runtime,
    ):
        yield runtime


async def measure(addresses: Mapping[str, str], rounds: int, prompts: int) -> dict[str, list[float]]:
    """Return seconds for each prompt, one after the other, of each way in each round."""
    found: dict[str, list[float]] = {name: [] for name in addresses}
    async with AsyncExitStack() as stack:
        nodes: dict[str, Runtime] = {}
        for name, dsn in addresses.items():
            with patch.object(connection, "PREPARED_AFTER", 2 if name == "direct" else None):
                nodes[name] = await stack.enter_async_context(a_node(dsn))
                for _ in range(30):  # so that all its connections are there
                    await one(nodes[name], PROMPT, None)
        for _ in range(rounds):
            for name, runtime in nodes.items():
                taken = [(await one(runtime, PROMPT, None))[1] for _ in range(prompts)]
                found[name].append(statistics.median(taken))
    return found


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--prompts", type=int, default=60)
    options = parser.parse_args()
    logs.set_up(level="error")
    with running_server(Path()) as server, running_pooler(server) as pooler:
        ways = ("direct", "not prepared", "pooled")
        addresses = {name: server.fresh()[1] for name in ways}
        addresses["pooled"] = pooler.through(addresses["pooled"])
        found = anyio.run(measure, addresses, options.rounds, options.prompts)
    for name, taken in found.items():
        ratios = [mine / direct for mine, direct in zip(taken, found["direct"], strict=True)]
        print(f"{name:13}{statistics.median(taken) * 1000:6.2f} ms {statistics.median(ratios):6.2f}")


if __name__ == "__main__":
    main()
