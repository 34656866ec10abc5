"""How a session grows, on PostgreSQL: turn 100 against turn 5, and deltas a second. Ratios count, not seconds."""

import statistics
import tempfile
import time
import uuid
from pathlib import Path

import anyio

from agentcore.asking import Ask
from agentcore.caller import Caller
from agentcore.ids import NodeId, SessionId, TenantId
from agentcore.node import open_runtime
from agentcore.runtime import Runtime
from agentcore.seal import Seal
from agentcore.task import TaskEnd
from agentcore.testing.scripted import ScriptedEngine, ScriptedEngines
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.postgres.embedded import embedded_server
from agentcore_adapters.postgres.migrate import migrate
from agentcore_adapters.postgres.store import postgres_store

CALLER = Caller(tenant_id=TenantId("bench"), subject="bench")
TURNS, WORDS = 100, 20_000


async def one(runtime: Runtime, text: str, session_id: SessionId | None) -> tuple[SessionId, float]:
    """Post a prompt, read its stream to the end, return how long that took."""
    began = time.perf_counter()
    accepted = await runtime.execute(CALLER, Ask(text=text), session_id=session_id)
    feed = await runtime.views.subscribe(CALLER, accepted.session_id)
    feed.after = None
    async for batch in feed.batches():
        ends = [getattr(frame, "entry", None) for frame in batch]
        if any(e is not None and e.task_id == accepted.task_id and isinstance(e.event, TaskEnd) for e in ends):
            break
    return accepted.session_id, time.perf_counter() - began


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_server(Path(folder)) as server:
            await migrate(server.dsn_owner)
            async with postgres_store(server.dsn) as (store, leases), open_runtime(
                store=store,
                leases=leases,
                bus=MemoryBus(),
                engines=ScriptedEngines([ScriptedEngine()]),
                clock=SystemClock(),
                node=NodeId("bench"),
                new_id=lambda: str(uuid.uuid4()),
                seal=Seal(b"k" * 32),
            ) as runtime:  # fmt: skip
                session_id: SessionId | None = None
                taken: list[float] = []
                for _ in range(TURNS):
                    session_id, seconds = await one(runtime, "[[words:20]]", session_id)
                    taken.append(seconds)
                early, late = statistics.median(taken[2:7]), statistics.median(taken[-5:])
                print(f"turn 5: {early * 1000:.1f} ms, turn {TURNS}: {late * 1000:.1f} ms, ratio {late / early:.2f}")
                _, seconds = await one(runtime, f"[[words:{WORDS}]]", None)
                print(f"{WORDS / seconds:,.0f} deltas a second, one run, one reader, durable")


if __name__ == "__main__":
    anyio.run(main)
