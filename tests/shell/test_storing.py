"""What a reading stores: once, under its lease, and kept only then."""

import anyio
import pytest
from attrs import evolve
from tests.support.bench import USE, Answering, Bench, the_bench

from agentcore.changes import Changes
from agentcore.commands import Cancel
from agentcore.errors import StoreUnavailable
from agentcore.events import Finished, TextDelta, TextSaid, ToolUse
from agentcore.follow import Entry, Live
from agentcore.obey import obey
from agentcore.ports import Committed, Lease
from agentcore.task import TaskStatus

pytestmark = pytest.mark.anyio
bench = the_bench


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
    assert (live.since, live.after) == (bench.reading.telling.since, bench.reading.telling.after)
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


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_text_whose_commit_lost_its_answer_is_neither_told_nor_stored_twice(
    bench: Bench, *, is_cancelled: bool
) -> None:
    """Of text alone no change is kept by which it could be known: the end of the log's text says that it is there."""
    tries = 0
    await bench.say(TextDelta("so far "))

    async def lose_the_answer(changes: Changes, lease: Lease | None = None) -> Committed:
        nonlocal tries
        tries += 1
        committed = await bench.store.commit(changes, lease)
        if tries == 1:
            if is_cancelled:
                await bench.talk.ask(bench.reading.lease.task_id, Cancel())
            raise StoreUnavailable("lost")
        return committed

    bench.reading.house = evolve(bench.house, store=Answering(bench.store, lose_the_answer))  # type: ignore[arg-type]
    said = "x" * 5000
    assert await bench.say(TextDelta(said))
    assert tries == 2
    assert bench.reading.turn.tail == ()
    assert "".join(bench.texts()) == f"so far {said}"
    page = await bench.store.log(*bench.talk.place, 1, 100)
    stored = "".join(entry.event.text for entry in page.entries if isinstance(entry.event, TextSaid))
    assert stored == f"so far {said}"
    assert bench.reading.turn.position == page.position
    status = TaskStatus.CANCELLING if is_cancelled else TaskStatus.RUNNING
    assert bench.reading.turn.task.status is status


@pytest.mark.parametrize("why", ["lost", "muted"])
async def test_nothing_but_the_last_word_moves_a_reading_that_may_not_tell(bench: Bench, why: str) -> None:
    (bench.reading.lose if why == "lost" else bench.reading.distrust)()
    assert not await bench.reading.move(lambda turn, at: obey(turn, Cancel(), at))
    assert (await bench.task()).status is TaskStatus.RUNNING
