"""Who watches hears of what was stored: all of it, once, in order, and is never in the way."""

from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest
from attrs import define, evolve, field
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars
from tests.support.bench import USE, Answering, Bench, the_bench

from agentcore.changes import Changes
from agentcore.errors import StoreUnavailable
from agentcore.events import Finished, TextDelta, ToolUse
from agentcore.lane import Lane
from agentcore.observe import Observers
from agentcore.ports import Committed, Grant, Lease
from agentcore.task import Task, TaskCompleted
from agentcore.usage import OpenCall

pytestmark = pytest.mark.anyio
bench = the_bench


@define(eq=False)
class Watcher:
    """Writes down what it hears, and may raise."""

    raises: bool = False
    commits: list[Changes] = field(factory=list)
    grants: list[Grant] = field(factory=list)
    calls: list[OpenCall] = field(factory=list)
    first: list[float] = field(factory=list)

    def committed(self, changes: Changes, seconds: float) -> None:
        assert seconds >= 0
        self.commits.append(changes)
        self._raise()

    def took(self, grant: Grant) -> None:
        self.grants.append(grant)
        self._raise()

    def called(self, task: Task, call: OpenCall, at: datetime) -> None:
        assert (task.driven, at.tzinfo) == (True, UTC)
        self.calls.append(call)
        self._raise()

    def spoke(self, task: Task, seconds: float) -> None:
        assert task.driven
        self.first.append(seconds)
        self._raise()

    def _raise(self) -> None:
        if self.raises:
            raise RuntimeError("canary")

    def uses(self) -> list[str]:
        return [logged.event.tool_use_id for c in self.commits for logged in c.log if isinstance(logged.event, ToolUse)]


@pytest.fixture
def watcher(bench: Bench) -> Watcher:
    watcher = Watcher()
    bench.house.observers = Observers((watcher,))
    return watcher


async def test_a_delta_costs_nothing_and_the_first_is_noted(bench: Bench, watcher: Watcher) -> None:
    bench.clock.advance(2.5)
    for _ in range(5):
        await bench.say(TextDelta("x"))
    assert watcher.first == [pytest.approx(2.5, abs=0.2)]
    assert watcher.commits == []
    await bench.say(USE)
    assert len(watcher.first) == 1
    assert watcher.uses() == ["1"]


async def test_what_was_refused_or_not_stored_is_not_heard_of(bench: Bench, watcher: Watcher) -> None:
    bench.reading.lease = evolve(bench.reading.lease, epoch=99)
    assert not await bench.say(USE)
    assert (watcher.commits, bench.house.counts.fenced) == ([], 1)


@pytest.mark.parametrize("late", [False, True])
async def test_a_commit_whose_answer_was_lost_is_heard_of_once(bench: Bench, watcher: Watcher, late: bool) -> None:
    tries = 0

    async def lossy(changes: Changes, lease: Lease | None = None) -> Committed:
        nonlocal tries
        tries += 1
        if tries == 1:
            if not late:
                await bench.store.commit(changes, lease)
            raise StoreUnavailable("no answer")
        if tries == 2:
            await bench.store.commit(changes, lease)
        return await bench.store.commit(changes, lease)

    bench.reading.house = evolve(bench.house, store=Answering(bench.store, lossy))  # type: ignore[arg-type]
    assert await bench.say(USE)
    assert watcher.uses() == ["1"]


async def test_who_raises_is_counted_and_stops_nobody(bench: Bench) -> None:
    bad, good = Watcher(raises=True), Watcher()
    bench.house.observers = Observers((bad, good))
    await bench.say(TextDelta("x"))
    await bench.say(Finished())
    await bench.reading.end()
    assert [isinstance(logged.event, TaskCompleted) for logged in good.commits[-1].log][-1]
    assert len(bad.commits) == len(good.commits)
    assert bench.house.observers.failed == 1 + len(bad.commits)
    assert not bench.reading.is_lost


async def test_work_of_its_own_belongs_to_no_request(bench: Bench) -> None:
    """A lane goes on with the next task long after the request that woke it."""
    found: list[dict[str, object]] = []

    async def work() -> None:
        found.append(get_contextvars())

    bind_contextvars(request_id="r")
    bench.house.spawn(work)
    while not found:
        await anyio.lowlevel.checkpoint()
    assert found == [{}]
    assert get_contextvars() == {"request_id": "r"}
    clear_contextvars()


async def test_an_attempt_is_heard_of_when_it_is_taken(bench: Bench, watcher: Watcher) -> None:
    await bench.say(Finished())
    await bench.reading.end()
    await bench.talk.admit()
    lane = Lane(bench.house, *bench.talk.place, lambda _: None)
    await lane.reconcile()
    assert [grant.turn.task.attempt for grant in watcher.grants] == [1]
