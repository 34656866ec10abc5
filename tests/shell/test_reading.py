"""An engine being read: when it is stopped, what counts of what it says, and what is stored of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from attrs import define, evolve, field

from agentcore.changes import Changes
from agentcore.commands import Cancel, HandBack, Recover
from agentcore.errors import StoreUnavailable
from agentcore.events import Broke, Ended, EngineEvent, Finished, TextDelta, ToolUse
from agentcore.follow import Entry, Head, Live
from agentcore.house import House
from agentcore.ids import SessionId
from agentcore.obey import obey
from agentcore.ports import Committed, Lease
from agentcore.reading import IDLE, STUCK_S, Reading
from agentcore.task import StopCode, Task, TaskStatus
from agentcore.testing.making import NODE, Talk, a_prompt, a_session, an_approval, an_id, now
from agentcore.testing.puppet import NAME, Puppet, PuppetRun
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import ManualClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore

pytestmark = pytest.mark.anyio
USE = ToolUse(tool_use_id="1", tool_name="t", input={})


@define(eq=False)
class Told(MemoryBus):
    """A bus that writes down what it is told."""

    said: list[Entry | Live | Head] = field(factory=list)

    def tell(self, session_id: SessionId, said: Sequence[Entry | Live | Head]) -> None:
        self.said += said


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
        yield Bench(clock, store, bus, talk, house, Reading.granted(house, anyio.Lock(), grant))
        tasks.cancel_scope.cancel()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as bench:
        bench.reading.lease = evolve(bench.reading.lease, trusted_until=1e9)
        yield bench


# ----------------------------------------------------------------------------------------------------------- stopping
async def test_the_first_word_counts(bench: Bench) -> None:
    bench.reading.stop(Broke())
    bench.clock.advance(5)
    bench.reading.stop(HandBack())
    bench.reading.lose()
    assert bench.reading.last == Broke()
    assert bench.reading.stopped_at == bench.clock.seconds - 5


async def test_an_engine_that_has_ended_has_said_its_last_word(bench: Bench) -> None:
    bench.reading.last = Finished(summary="done")
    bench.reading.ended.set()
    bench.reading.stop(Broke())
    assert bench.reading.last == Finished(summary="done")
    assert not bench.reading.is_stopping


@pytest.mark.parametrize(
    ("has_run", "grace_s", "is_asked"), [(True, 2.0, True), (False, 2.0, True), (True, 0.0, True), (True, 2.0, False)]
)
async def test_only_a_task_that_was_asked_may_end_by_itself(
    bench: Bench, has_run: bool, grace_s: float, is_asked: bool
) -> None:
    run = Asked(request=None)  # type: ignore[arg-type]
    bench.reading.run, bench.reading._grace_s = (run if has_run else None), grace_s
    if is_asked:
        await bench.ask()
    bench.reading.stop(Ended())
    is_let = has_run and grace_s > 0 and is_asked
    assert (run.interrupted, bench.is_cancelled) == (int(is_let), not is_let)
    bench.reading.stop(Ended())  # once more is no more
    assert (run.interrupted, bench.is_cancelled) == (int(is_let), not is_let)


async def test_a_reading_is_distrusted_once_and_not_when_it_is_lost(bench: Bench) -> None:
    bench.reading.distrust()
    bench.reading.distrust()
    assert bench.house.counts.lost == 1
    assert (bench.reading.is_muted, bench.is_cancelled, bench.reading.last) == (True, True, Recover())
    async with a_bench() as other:
        other.reading.lose()
        other.reading.distrust()
        assert (other.house.counts.lost, other.reading.is_muted) == (0, False)


async def test_a_lease_is_trusted_for_its_time_and_a_task_that_is_over_needs_none(bench: Bench) -> None:
    bench.reading.lease = evolve(bench.reading.lease, trusted_until=bench.clock.seconds + 10)
    bench.clock.advance(9)
    bench.reading.look_at_the_clock(bench.clock.now(), bench.clock.monotonic())
    assert not bench.reading.is_muted
    bench.clock.advance(1)
    bench.reading.look_at_the_clock(bench.clock.now(), bench.clock.monotonic())
    assert bench.reading.is_muted
    async with a_bench() as other:
        await other.say(Finished())
        other.clock.advance(1e6)
        other.reading.look_at_the_clock(other.clock.now(), other.clock.monotonic())
        assert not other.reading.is_muted


async def test_an_engine_that_does_not_stop_is_left_behind_and_nothing_is_due_meanwhile(bench: Bench) -> None:
    bench.reading._grace_s = 3.0
    bench.reading.stop(Ended())
    bench.reading.heard_at = bench.clock.monotonic() + STUCK_S
    bench.clock.advance(STUCK_S + 2)
    late = bench.reading.turn.task.deadline
    assert not bench.reading.look_at_the_clock(late, bench.clock.monotonic())
    assert not bench.reading.ended.is_set()
    bench.clock.advance(1)
    for _ in range(2):
        assert not bench.reading.look_at_the_clock(late, bench.clock.monotonic())
    assert bench.reading.ended.is_set()
    assert bench.house.counts.stuck == 1
    assert not await bench.say(TextDelta("late"))
    assert bench.house.counts.late == 1


async def test_an_engine_that_has_ended_is_not_left_behind(bench: Bench) -> None:
    bench.reading.stop(Ended())
    bench.reading.ended.set()
    bench.clock.advance(STUCK_S * 2)
    bench.reading.look_at_the_clock(bench.clock.now(), bench.clock.monotonic())
    assert bench.house.counts.stuck == 0


async def test_an_engine_that_is_silent_on_its_turn_is_stopped(bench: Bench) -> None:
    def look(seconds: float) -> None:
        bench.clock.advance(seconds)
        bench.reading.look_at_the_clock(bench.clock.now(), bench.clock.monotonic())

    await bench.say(TextDelta("x"))
    look(99)
    assert not bench.reading.is_stopping
    async with bench.reading.lock:  # what it said is being stored just now
        look(1)
    assert not bench.reading.is_stopping
    look(0)
    assert bench.reading.last == IDLE


@pytest.mark.parametrize("event", [USE, an_approval()], ids=["a tool is at work", "a person decides"])
async def test_an_engine_that_waits_for_another_may_be_silent(bench: Bench, event: EngineEvent) -> None:
    await bench.say(event)
    bench.clock.advance(150)
    bench.reading.look_at_the_clock(bench.clock.now(), bench.clock.monotonic())
    assert not bench.reading.is_stopping


async def test_what_is_due_goes_before_silence(bench: Bench) -> None:
    bench.clock.advance(1e5)
    assert bench.reading.look_at_the_clock(bench.clock.now(), bench.clock.monotonic())
    assert not bench.reading.is_stopping


# -------------------------------------------------------------------------------------------------------------- words
@pytest.mark.parametrize("why", ["lost", "muted", "over"])
async def test_nothing_is_heard_of_an_engine_that_does_not_count(bench: Bench, why: str) -> None:
    if why == "over":
        await bench.say(Finished())
    else:
        (bench.reading.lose if why == "lost" else bench.reading.distrust)()
    assert not await bench.say(TextDelta("late"))
    assert not await bench.say(Ended())
    assert bench.house.counts.late == 1
    assert bench.texts() == []


async def test_a_lease_that_runs_out_under_a_word_mutes_it(bench: Bench) -> None:
    bench.reading.lease = evolve(bench.reading.lease, trusted_until=bench.clock.seconds)
    assert not await bench.say(TextDelta("late"))
    assert bench.texts() == []
    assert bench.reading.is_muted


async def test_the_last_word_is_stored_under_a_lease_that_is_not_trusted_and_told_then(bench: Bench) -> None:
    await bench.say(TextDelta("half"))
    bench.reading.distrust()
    bench.reading.last = Finished(summary="")
    await bench.reading.end()
    assert (await bench.task()).status is TaskStatus.COMPLETED
    assert bench.texts() == ["half"]


async def test_a_summary_is_not_told_live_by_a_muted_reading(bench: Bench) -> None:
    bench.reading.distrust()
    bench.reading.last = Finished(summary="all at once")
    await bench.reading.end()
    assert (await bench.task()).result == "all at once"
    assert bench.texts() == []


async def test_a_lost_reading_stores_nothing_more(bench: Bench) -> None:
    bench.reading.lose()
    bench.reading.last = Finished()
    with anyio.fail_after(2):
        await bench.reading.end()
    assert not await bench.reading.move(lambda turn, at: obey(turn, Cancel(), at), is_last=True)
    assert (await bench.task()).status is TaskStatus.RUNNING


async def test_an_end_that_could_not_be_stored_is_still_the_last_word(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.reading.lease = evolve(bench.reading.lease, trusted_until=bench.clock.seconds + 0.5)
    with monkeypatch.context() as patch:

        async def away(changes: Changes, lease: Lease | None = None) -> Committed:
            bench.clock.advance(1)
            raise StoreUnavailable("away")

        wire = evolve(bench.house, store=Answering(bench.store, away))  # type: ignore[arg-type]
        patch.setattr(bench.reading, "house", wire)
        assert not await bench.say(TextDelta("x" * 5000))
        assert bench.reading.last == Recover()
    async with a_bench() as other:
        other.reading.lease = evolve(other.reading.lease, trusted_until=other.clock.seconds + 0.5)

        async def gone(changes: Changes, lease: Lease | None = None) -> Committed:
            other.clock.advance(1)
            raise StoreUnavailable("away")

        house = other.reading.house
        other.reading.house = evolve(house, store=Answering(other.store, gone))  # type: ignore[arg-type]
        assert not await other.say(Finished(summary="done"))
        assert other.reading.last == Finished(summary="done")
        other.reading.house = house
        await other.reading.end()
        assert (await other.task()).status is TaskStatus.COMPLETED


async def test_a_word_out_of_turn_stops_its_engine_unless_a_stop_was_asked(bench: Bench) -> None:
    await bench.say(an_approval())
    stored = await bench.store.turn(bench.reading.lease.tenant_id, bench.reading.lease.task_id)
    await bench.ask()
    assert stored.task.status is TaskStatus.AWAITING_APPROVAL
    assert await bench.say(an_approval())  # it cannot ask any more, and its stop is on its way
    assert bench.house.counts.refused == 1
    assert not bench.reading.is_stopping


# ------------------------------------------------------------------------------------------------------------ storing
@define(eq=False)
class Answering:
    """A store whose commits a test answers."""

    target: MemoryStore
    commit: object

    def __getattr__(self, name: str) -> object:
        return getattr(self.target, name)


async def test_who_is_fenced_is_lost(bench: Bench) -> None:
    bench.reading.lease = evolve(bench.reading.lease, epoch=99)
    assert not await bench.say(USE)
    assert bench.reading.is_lost


async def test_a_commit_whose_answer_was_lost_is_found_and_not_repeated(bench: Bench) -> None:
    commits: list[Changes] = []

    async def lose_the_answer(changes: Changes, lease: Lease | None = None) -> Committed:
        commits.append(changes)
        await bench.store.commit(changes, lease)
        raise StoreUnavailable("lost")

    bench.reading.house = evolve(bench.house, store=Answering(bench.store, lose_the_answer))  # type: ignore[arg-type]
    assert await bench.say(USE)
    assert len(commits) == 1
    bench.reading.house = bench.house
    assert await bench.say(evolve(USE, tool_use_id="2"))
    page = await bench.store.log(*bench.talk.place, 1, 100)
    assert [entry.event.tool_use_id for entry in page.entries if isinstance(entry.event, ToolUse)] == ["1", "2"]


async def test_what_others_have_stored_is_taken_over_and_decided_again(bench: Bench) -> None:
    await bench.talk.ask(bench.reading.lease.task_id, Cancel())
    assert not await bench.say(Finished(summary="too late"))
    assert (await bench.task()).status is TaskStatus.CANCELLED


async def test_what_is_told_says_what_its_driver_has_logged(bench: Bench) -> None:
    await bench.say(TextDelta("let me"))
    (first,) = (item for item in bench.bus.said if isinstance(item, Live))
    assert first.after == (await bench.store.log(*bench.talk.place, 1, 100)).head
    await bench.say(USE)
    await bench.say(TextDelta("x"))
    (_, live) = (item for item in bench.bus.said if isinstance(item, Live))
    assert (live.since, live.after) == (bench.reading.since, bench.reading.after)
    page = await bench.store.log(*bench.talk.place, 1, 100)
    assert live.after == page.head
    assert live.since == page.bound
    assert [item for item in bench.bus.said if isinstance(item, Entry)] == list(page.entries[-2:])


@pytest.mark.parametrize("tries", [1, 2])
async def test_an_end_is_stored_though_its_node_goes_away(bench: Bench, tries: int) -> None:
    gate, reached, commits = anyio.Event(), anyio.Event(), 0
    bench.reading.lease = evolve(bench.reading.lease, trusted_until=bench.clock.seconds + 1)

    async def slow(changes: Changes, lease: Lease | None = None) -> Committed:
        nonlocal commits
        commits += 1
        if commits < tries:
            bench.clock.advance(2)
            raise StoreUnavailable("away")
        reached.set()
        await gate.wait()
        return await bench.store.commit(changes, lease)

    bench.reading.house = evolve(bench.house, store=Answering(bench.store, slow))  # type: ignore[arg-type]
    bench.reading.last = Finished()
    bench.reading.ended.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.reading.end)
        with anyio.fail_after(5):
            await reached.wait()
        tasks.cancel_scope.cancel()
        gate.set()
    assert (await bench.task()).status is TaskStatus.COMPLETED


async def test_a_delta_is_told_and_nothing_is_stored(bench: Bench) -> None:
    async def refuse(changes: Changes, lease: Lease | None = None) -> Committed:
        raise AssertionError(changes)

    bench.reading.house = evolve(bench.house, store=Answering(bench.store, refuse))  # type: ignore[arg-type]
    assert await bench.say(TextDelta("x"))
    assert bench.texts() == ["x"]


async def test_what_is_stored_is_kept_though_its_engine_is_cancelled(bench: Bench) -> None:
    gate, stored = anyio.Event(), anyio.Event()

    async def answer_late(changes: Changes, lease: Lease | None = None) -> Committed:
        committed = await bench.store.commit(changes, lease)
        stored.set()
        await gate.wait()
        return committed

    bench.reading.house = evolve(bench.house, store=Answering(bench.store, answer_late))  # type: ignore[arg-type]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.say, USE)
        await stored.wait()
        tasks.cancel_scope.cancel()
        gate.set()
    bench.reading.house = bench.house
    turn = await bench.store.turn(bench.reading.lease.tenant_id, bench.reading.lease.task_id)
    assert bench.reading.turn.said == turn.said != ()


async def test_a_driver_knows_its_last_change_and_text_is_none(bench: Bench) -> None:
    for event in (USE, TextDelta("x" * 5000), TextDelta("y")):
        await bench.say(event)
        known = await bench.store.last_change(bench.reading.lease.tenant_id, bench.reading.lease.task_id)
        assert bench.reading._change == known is not None


async def test_a_commit_that_arrives_late_is_adopted_and_not_repeated(bench: Bench) -> None:
    tries = 0
    await bench.say(USE)

    async def arrive_late(changes: Changes, lease: Lease | None = None) -> Committed:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StoreUnavailable("under way")
        if tries == 2:
            await bench.store.commit(evolve(changes), lease)
        return await bench.store.commit(changes, lease)

    bench.reading.house = evolve(bench.house, store=Answering(bench.store, arrive_late))  # type: ignore[arg-type]
    assert await bench.say(evolve(USE, tool_use_id="2"))
    assert tries == 2
    page = await bench.store.log(*bench.talk.place, 1, 100)
    assert [entry.event.tool_use_id for entry in page.entries if isinstance(entry.event, ToolUse)] == ["1", "2"]
    assert len(bench.reading.turn.said) == 2


@pytest.mark.parametrize("why", ["lost", "muted"])
async def test_nothing_but_the_last_word_moves_a_reading_that_may_not_tell(bench: Bench, why: str) -> None:
    (bench.reading.lose if why == "lost" else bench.reading.distrust)()
    assert not await bench.reading.move(lambda turn, at: obey(turn, Cancel(), at))
    assert (await bench.task()).status is TaskStatus.RUNNING
