"""One task that is driven by hand: its reading, and all that is around it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager

import anyio
import pytest
from attrs import define, evolve, field

from agentcore.bus import Ear
from agentcore.commands import Cancel
from agentcore.events import EngineEvent, ToolUse
from agentcore.follow import Entry, Head, Live
from agentcore.house import House
from agentcore.ids import SessionId
from agentcore.reading import Reading
from agentcore.task import StopCode, Task
from agentcore.testing.making import NODE, Talk, a_prompt, a_session, an_id, now
from agentcore.testing.puppet import NAME, Puppet, PuppetRun
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import ManualClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore

USE = ToolUse(tool_use_id="1", tool_name="t", input={})


@define(eq=False)
class Told(MemoryBus):
    """A bus that writes down what it is told."""

    said: list[Entry | Live | Head] = field(factory=list)

    def tell(self, session_id: SessionId, said: Sequence[Entry | Live | Head]) -> None:
        self.said += said
        super().tell(session_id, said)


@define(eq=False)
class Asked(PuppetRun):
    """A run that notes that it was asked to stop."""

    interrupted: int = 0

    def interrupt(self) -> None:
        self.interrupted += 1


@define(eq=False)
class Bench:
    """One task that is driven, and all that is around it."""

    clock: ManualClock
    store: MemoryStore
    bus: Told
    talk: Talk
    house: House
    reading: Reading

    @property
    def is_cancelled(self) -> bool:
        return self.reading._scope.cancel_called

    async def ask(self, *, code: StopCode = StopCode.USER_CANCEL) -> None:
        """Let somebody ask the task to stop, and its reading see it."""
        await self.talk.ask(self.reading.lease.task_id, Cancel(code=code))
        await self.reading.refresh()

    def listen(self) -> AbstractContextManager[Ear]:
        return self.bus.listen(*self.talk.place)

    async def say(self, event: EngineEvent) -> bool:
        return await self.reading._receive(event)

    def texts(self) -> list[str]:
        return [item.text for item in self.bus.said if isinstance(item, Live)]

    async def task(self) -> Task:
        return (await self.store.turn(self.reading.lease.tenant_id, self.reading.lease.task_id)).task


@asynccontextmanager
async def a_bench() -> AsyncIterator[Bench]:
    clock, bus = ManualClock(now()), Told()
    store = MemoryStore(clock)
    leases = MemoryLeases(store.state, clock)
    talk = Talk(store, leases, evolve(a_session(), engine=NAME))
    await talk.admit(evolve(a_prompt(), engine=NAME))
    grant = await talk.take()
    async with anyio.create_task_group() as tasks:
        house = House(
            store=store, leases=leases, bus=bus, engines=Puppet(), clock=clock, node=NODE, new_id=an_id, tasks=tasks,
            idle_s=100.0,
        )  # fmt: skip
        yield Bench(clock, store, bus, talk, house, Reading.granted(house, anyio.Lock(fast_acquire=True), grant))
        tasks.cancel_scope.cancel()


@pytest.fixture(name="bench")
async def the_bench() -> AsyncIterator[Bench]:
    async with a_bench() as bench:
        bench.reading.lease = evolve(bench.reading.lease, trusted_until=1e9)
        yield bench


@define(eq=False)
class Answering:
    """A store whose commits a test answers."""

    target: MemoryStore
    commit: object

    def __getattr__(self, name: str) -> object:
        return getattr(self.target, name)
