"""What is told of a reading: in order, and before more is decided."""

import anyio
import pytest
from attrs import evolve
from tests.support.bench import USE, Answering, Bench, the_bench

from agentcore.changes import Changes
from agentcore.events import TextDelta
from agentcore.follow import Entry, Heard, Live
from agentcore.ports import Committed, Lease

pytestmark = pytest.mark.anyio
bench = the_bench


async def beginning(bench: Bench) -> tuple[Entry, ...]:
    """Have the beginning untold, as when a lane has just begun to drive."""
    page = await bench.store.log(*bench.talk.place, 1, 100)
    bench.reading.telling.untold = page.entries
    return tuple(page.entries)


async def test_the_beginning_is_told_before_text(bench: Bench) -> None:
    entries = await beginning(bench)
    await bench.say(TextDelta("so"))
    assert bench.bus.said[: len(entries)] == list(entries)
    assert bench.texts() == ["so"]
    bench.reading.telling.begin()
    assert len(bench.bus.said) == len(entries) + 1  # once


async def test_the_beginning_is_told_before_what_is_logged(bench: Bench) -> None:
    entries = await beginning(bench)
    await bench.say(USE)
    told = [item for item in bench.bus.said if isinstance(item, Entry)]
    assert [entry.seq for entry in told] == [*(entry.seq for entry in entries), entries[-1].seq + 1]


async def test_who_was_told_text_has_it_before_more_is_stored(bench: Bench) -> None:
    """Storing takes longer than telling, and a reader of the first word should not wait for the end of the task."""
    heard: list[Heard] = []
    before: list[list[Heard]] = []

    async def read() -> None:
        with bench.listen() as ear:
            while True:
                heard.extend(await ear.hear())

    async def store(changes: Changes, lease: Lease | None = None) -> Committed:
        before.append(list(heard))
        return await bench.store.commit(changes, lease)

    bench.reading.house = evolve(bench.house, store=Answering(bench.store, store))  # type: ignore[arg-type]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await bench.say(TextDelta("so"))
        await bench.say(USE)
        tasks.cancel_scope.cancel()
    assert [[item.text for item in found if isinstance(item, Live)] for found in before] == [["so"]]
