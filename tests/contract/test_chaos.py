"""In calm weather the failing world is the world: what wraps a port keeps its promises."""

from collections.abc import AsyncIterator
from random import Random
from typing import cast

import pytest

from agentcore.bus import Bus
from agentcore.ports import Leases, Store
from agentcore.testing.chaos import CALM, Fate, Flaky, Weather, chaos_bus
from agentcore.testing.contracts import BusContract, InstancesContract, ReadingContract, StoreContract
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore

AT_ONCE = Weather(delay_s=1e-6)


@pytest.fixture
def fate() -> Fate:
    return Fate(Random(1), AT_ONCE)


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore(SystemClock())


@pytest.fixture
def store(memory: MemoryStore, fate: Fate) -> Store:
    return cast("Store", Flaky(memory, fate))


@pytest.fixture
def leases(memory: MemoryStore, fate: Fate) -> Leases:
    return cast("Leases", Flaky(MemoryLeases(memory.state, memory.clock), fate))


@pytest.fixture
async def bus(fate: Fate) -> AsyncIterator[Bus]:
    fate.weather = CALM
    async with chaos_bus(MemoryBus(), fate) as bus:
        yield bus


class TestFlakyStore(StoreContract):
    pass


class TestFlakyInstances(InstancesContract):
    pass


class TestFlakyReading(ReadingContract):
    pass


class TestChaosBus(BusContract):
    pass
