"""One node on manual time, whose rounds a test makes, and whose engine it moves by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from attrs import define, evolve

from agentcore.admission import OnBusy, admit
from agentcore.asking import Accepted, Ask
from agentcore.caller import Caller, Role
from agentcore.lane import Lane
from agentcore.node import open_runtime
from agentcore.pulse import Periods
from agentcore.reading import Reading
from agentcore.runtime import Runtime
from agentcore.seal import Seal
from agentcore.session import Session
from agentcore.task import TaskStatus
from agentcore.testing.making import NODE, TENANT, a_prompt, a_session, an_id, now
from agentcore.testing.puppet import NAME, Puppet, PuppetRun
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import ManualClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore

NEVER = Periods(tick=1e6, beat=1e6, heads=1e6, expire=1e6, sweep=1e6, relay=1e6, forget=1e6, limits=1e6)
ME = Caller(tenant_id=TENANT, subject="me", roles=frozenset(Role))


@define(eq=False)
class Node:
    """One node whose rounds a test makes."""

    clock: ManualClock
    store: MemoryStore
    leases: MemoryLeases
    puppet: Puppet
    runtime: Runtime

    async def ask(self, text: str = "hello") -> Accepted:
        accepted = await self.runtime.execute(ME, Ask(text=text))
        await settled()
        return accepted

    async def queue(self) -> Session:
        """Queue a task past this node, as another one does."""
        session = evolve(a_session(), engine=NAME)
        _, changes = admit(session, [], evolve(a_prompt(), engine=NAME), OnBusy.REJECT, self.clock.now())
        await self.store.commit(changes)
        return session

    def run(self, accepted: Accepted) -> PuppetRun:
        return self.puppet.runs[accepted.task_id][-1]

    async def say(self, accepted: Accepted, *events: object) -> None:
        for event in events:
            self.run(accepted).say(event)  # type: ignore[arg-type]
        await settled()

    def reading(self) -> tuple[Lane, Reading]:
        ((lane, reading),) = self.runtime.lanes.reading()
        return lane, reading

    async def status(self, accepted: Accepted) -> TaskStatus:
        return (await self.store.task(TENANT, accepted.task_id)).task.status


async def settled() -> None:
    for _ in range(50):
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def opened_node() -> AsyncIterator[Node]:
    clock, puppet = ManualClock(now()), Puppet()
    store = MemoryStore(clock)
    leases = MemoryLeases(store.state, clock, ttl_s=1e5)
    async with open_runtime(
        store=store, leases=leases, bus=MemoryBus(), engines=puppet, clock=clock, node=NODE, new_id=an_id,
        seal=Seal(b"k" * 32), periods=NEVER, drain_s=0.0,
    ) as runtime:  # fmt: skip
        yield Node(clock, store, leases, puppet, runtime)
        for runs in puppet.runs.values():
            for run in runs:
                run.say(None)
        await settled()


@pytest.fixture(name="node")
async def a_node() -> AsyncIterator[Node]:
    async with opened_node() as node:
        yield node
        assert node.runtime.counts.failed == 0  # work that runs on its own fails unheard
