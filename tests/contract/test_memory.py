"""The memory adapters keep the promises of their ports."""

from collections.abc import Awaitable, Callable

import pytest

from agentcore.changes import Receipt
from agentcore.engine import Engine
from agentcore.errors import KeyInFlight
from agentcore.events import ToolResult
from agentcore.ports import RESERVED_S, Lease, Stale
from agentcore.testing.contracts import (
    BooksContract,
    BusContract,
    EngineContract,
    InstancesContract,
    KeysContract,
    LeasesContract,
    LimitsContract,
    ReadingContract,
    StoreContract,
)
from agentcore.testing.making import a_key, a_talk, now
from agentcore.testing.scripted import ScriptedEngine
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import ManualClock, SystemClock
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


class TestMemoryKeys(KeysContract):
    pass


class TestMemoryReading(ReadingContract):
    pass


class TestMemoryBooks(BooksContract):
    pass


class TestMemoryInstances(InstancesContract):
    pass


class TestMemoryLeases(LeasesContract):
    pass


class TestMemoryLimits(LimitsContract):
    pass


class TestMemoryBus(BusContract):
    pass


class TestScriptedEngine(EngineContract):
    TOOL_PROMPT = '[[tool:look:{"at": 1}]] [[say:so]]'
    ASK_PROMPT = '[[ask:rm:{"path": "x"}]] [[say:so]]'
    FORESEES = True

    def effects(self, engine: Engine) -> int:
        assert isinstance(engine, ScriptedEngine)
        said = [event for run in engine.runs for event in run.said]
        return sum(isinstance(event, ToolResult) and not event.is_error for event in said)


@pytest.mark.anyio
async def test_a_reservation_and_an_answer_run_out() -> None:
    clock = ManualClock()
    store = MemoryStore(clock)
    assert await store.begin(a_key()) is None
    clock.advance(RESERVED_S - 1)
    with pytest.raises(KeyInFlight):
        await store.begin(a_key(holder="two"))
    clock.advance(1)
    assert await store.begin(a_key(holder="two")) is None
    await store.keep(Receipt(key=a_key(holder="two"), status=201, body="{}"))
    clock.advance(24 * 3600 - 1)
    assert await store.begin(a_key()) is not None
    clock.advance(1)
    assert await store.begin(a_key()) is None


@pytest.mark.anyio
async def test_a_session_has_at_most_one_task_that_has_begun(store: MemoryStore, leases: MemoryLeases) -> None:
    talk = a_talk(store, leases)
    await talk.admit()
    second = await talk.admit()
    await talk.take()
    _, changes = (await store.turn(second.tenant_id, second.id)).begin(now())
    with pytest.raises(Stale):
        await store.commit(changes)
