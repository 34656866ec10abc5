"""An engine being read: when it is stopped, and what counts of what it says."""

import anyio
import pytest
from attrs import evolve
from tests.support.bench import USE, Answering, Asked, Bench, a_bench, the_bench

from agentcore.changes import Changes
from agentcore.commands import Cancel, HandBack, Recover
from agentcore.errors import StoreUnavailable
from agentcore.events import Broke, CallOpened, Ended, EngineEvent, Finished, TextDelta
from agentcore.obey import obey
from agentcore.ports import Committed, Lease
from agentcore.reading import IDLE, STUCK_S
from agentcore.receive import announce
from agentcore.task import StopCode, TaskStatus
from agentcore.testing.making import an_approval
from agentcore.usage import Usage

pytestmark = pytest.mark.anyio
bench = the_bench


OPENED = CallOpened(model="m", input_tokens=1_000)


async def rows(bench: Bench) -> list[tuple[str, int]]:
    _, ledger = await bench.store.records(bench.reading.lease.tenant_id, [bench.reading.lease.task_id])
    return [(row.record.key, row.record.usage.input_tokens) for row in ledger]


async def announced(bench: Bench) -> None:
    """Let the task have begun with a call that is announced."""
    turn, changes = announce(bench.reading.turn, OPENED, bench.clock.now())
    await bench.store.commit(changes)
    bench.reading.turn = turn


# ---------------------------------------------------------------------------------------------------------- announced
async def test_a_call_that_was_announced_is_made_without_a_commit(bench: Bench) -> None:
    await announced(bench)
    bench.house.store = Answering(bench.store, None)  # type: ignore[assignment]
    assert await bench.say(OPENED)
    assert bench.reading.turn.call is not None
    assert bench.reading.turn.call.is_sent


async def test_a_call_that_was_announced_is_not_made_without_trust(bench: Bench) -> None:
    await announced(bench)
    bench.reading.lease = evolve(bench.reading.lease, trusted_until=bench.clock.monotonic())
    assert not await bench.say(OPENED)
    assert bench.reading.is_muted


@pytest.mark.parametrize("made", [False, True])
async def test_what_is_stopped_before_its_call_is_made_pays_nothing(bench: Bench, made: bool) -> None:
    await announced(bench)
    if made:
        await bench.say(OPENED)
    await bench.ask()
    bench.reading.stop(Ended())
    await bench.reading.end()
    assert (await bench.task()).status is TaskStatus.CANCELLED
    assert await rows(bench) == [("1:1", 1_000 * made)]


async def test_a_call_that_was_announced_is_not_made_when_the_budget_is_used_up(bench: Bench) -> None:
    await announced(bench)
    bench.reading.turn = evolve(bench.reading.turn, usage=Usage(output_tokens=5))
    task = bench.reading.turn.task
    bench.reading.turn = evolve(bench.reading.turn, task=evolve(task, params=evolve(task.params, max_output_tokens=5)))
    await bench.say(OPENED)
    assert bench.reading.turn.task.stop_code is StopCode.BUDGET
    await bench.reading.end()
    assert await rows(bench) == [("1:1", 0)]


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


async def test_a_last_word_is_stored_even_by_a_node_that_goes_away(bench: Bench) -> None:
    bench.reading.last = Finished(summary="done")
    with anyio.CancelScope() as node:
        node.cancel()
        await bench.reading.end()
    assert (await bench.task()).status is TaskStatus.COMPLETED


async def test_what_an_engine_needs_is_asked_for_only_while_the_lease_is_trusted(bench: Bench) -> None:
    asked: list[bool] = []

    async def away() -> None:
        asked.append(bench.reading._may_tell())
        if len(asked) == 2:
            bench.reading.lease = evolve(bench.reading.lease, trusted_until=0.0)
        raise StoreUnavailable("away")

    with anyio.fail_after(5), pytest.raises(StoreUnavailable):
        await bench.reading._patiently(away)
    assert asked == [True, True]
