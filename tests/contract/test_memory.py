"""The memory adapters keep the promises of their ports."""

from collections.abc import Awaitable, Callable

import pytest

from agentcore.events import ToolResult
from agentcore.ports import Engine, Lease
from agentcore.testing.contracts import (
    BooksContract,
    BusContract,
    EngineContract,
    LeasesContract,
    ReadingContract,
    StoreContract,
)
from agentcore.testing.scripted import ScriptedEngine
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(SystemClock())


@pytest.fixture
def leases(store: MemoryStore) -> MemoryLeases:
    return MemoryLeases(store.state, store.clock)


@pytest.fixture
def expire(store: MemoryStore) -> Callable[[Lease], Awaitable[None]]:
    async def expire(lease: Lease) -> None:
        shelf = store.state.shelf(lease.tenant_id, lease.session_id)
        shelf.holds[lease.task_id].expires_at = store.clock.now()

    return expire


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


class TestMemoryStore(StoreContract):
    pass


class TestMemoryReading(ReadingContract):
    pass


class TestMemoryBooks(BooksContract):
    pass


class TestMemoryLeases(LeasesContract):
    pass


class TestMemoryBus(BusContract):
    pass


class TestScriptedEngine(EngineContract):
    TOOL_PROMPT = '[[tool:look:{"at": 1}]] [[say:so]]'
    ASK_PROMPT = '[[ask:rm:{"path": "x"}]] [[say:so]]'

    def effects(self, engine: Engine) -> int:
        assert isinstance(engine, ScriptedEngine)
        said = [event for run in engine.runs for event in run.said]
        return sum(isinstance(event, ToolResult) and not event.is_error for event in said)
