"""One session on one node: who holds it, who is told, what is stored once."""

import anyio
import pytest
from attrs import define, field
from tests.support.node import ME, Node, a_node, settled

from agentcore.asking import Ask
from agentcore.changes import Changes
from agentcore.commands import Cancel, Decide
from agentcore.errors import StoreUnavailable
from agentcore.events import Finished, TextDelta
from agentcore.follow import Entry
from agentcore.ports import Committed, Lease
from agentcore.task import TaskStatus
from agentcore.testing.making import TENANT, an_approval

pytestmark = pytest.mark.anyio
node = a_node


@define(eq=False)
class MemoryCommit:
    """The node's store, whose callers do not hear of their commits."""

    node: Node
    stores: bool = True
    loses: bool = True
    waits: bool = False
    gate: anyio.Event = field(factory=anyio.Event)

    async def commit(self, changes: Changes, lease: Lease | None = None) -> Committed:
        if self.waits:
            await self.gate.wait()
        committed = await self.node.store.commit(changes, lease) if self.stores or lease else Committed()
        if self.loses and lease is None:
            raise StoreUnavailable("lost")
        return committed

    def __getattr__(self, name: str) -> object:
        return getattr(self.node.store, name)


async def test_a_lane_is_kept_while_it_drives_and_forgotten_then(node: Node) -> None:
    task = await node.ask()
    assert len(node.runtime.lanes) == 1
    await node.say(task, TextDelta("x"), Finished())
    assert len(node.runtime.lanes) == 0
    assert node.runtime.lanes.is_quiet


async def test_a_lane_is_one_for_a_session(node: Node) -> None:
    task = await node.ask()
    lane, reading = node.reading()
    assert node.runtime.lanes.at(TENANT, task.session_id) is lane
    assert node.runtime.lanes.is_quiet  # an engine is read, and says nothing
    async with lane._inside():
        assert not node.runtime.lanes.is_quiet
    with lane:
        assert not node.runtime.lanes.is_quiet
    assert lane.reading is reading


async def test_a_tail_is_told_by_who_has_it(node: Node) -> None:
    task, other = await node.ask(), await node.ask()
    await node.say(task, TextDelta("so far"))
    await node.say(other, TextDelta("else"))
    assert [live.text for live in await node.runtime.lanes.tail(task.session_id)] == ["so far"]
    assert [live.text for live in await node.runtime.lanes.tail(other.session_id)] == ["else"]
    await node.say(task, Finished())
    assert await node.runtime.lanes.tail(task.session_id) == ()


async def test_a_tail_of_what_does_not_count_is_not_stored(node: Node) -> None:
    task = await node.ask()
    await node.say(task, TextDelta("so far"))
    lane, reading = node.reading()
    reading.is_muted = True
    await lane.checkpoint()
    assert (await node.store.log(TENANT, task.session_id, 1, 1)).position == 0
    reading.is_muted = False
    await lane.checkpoint()
    assert (await node.store.log(TENANT, task.session_id, 1, 1)).position == 6
    await lane.checkpoint()  # and there is nothing more


async def test_what_is_stored_is_told_once(node: Node) -> None:
    task = await node.ask()
    with node.runtime.house.bus.listen(TENANT, task.session_id) as ear:
        await node.runtime.rename(ME, task.session_id, "another")
        await node.say(task, Finished())
        heard = await ear.hear()
    page = await node.store.log(TENANT, task.session_id, 1, 100)
    assert [item for item in heard if isinstance(item, Entry)] == list(page.entries[-2:])


async def test_a_decision_is_answered_to_an_engine_that_waits(node: Node) -> None:
    task = await node.ask()
    asked = an_approval()
    await node.say(task, asked)
    assert await node.status(task) is TaskStatus.AWAITING_APPROVAL
    await node.runtime.decide(ME, task.task_id, Decide(approved=True, by="me"))
    await settled()
    assert [approval.id for approval in node.run(task).answered] == [asked.approval_id]
    assert await node.status(task) is TaskStatus.RUNNING
    again = an_approval()
    await node.say(task, again)
    await node.runtime.decide(ME, task.task_id, Decide(approved=True, by="me"))
    await settled()
    assert {approval.id for approval in node.run(task).answered} == {asked.approval_id, again.approval_id}


async def test_a_caller_whose_answer_was_lost_is_looked_for(node: Node) -> None:
    commit = MemoryCommit(node)
    node.runtime.house.store = commit  # type: ignore[assignment]
    task = await node.ask("first")  # it was stored, and the answer was lost
    assert (await node.store.task(TENANT, task.task_id)).task.status is TaskStatus.RUNNING
    commit.stores = False
    with pytest.raises(StoreUnavailable):
        await node.runtime.execute(ME, Ask(text="second"), session_id=task.session_id)
    with pytest.raises(StoreUnavailable):
        await node.runtime.cancel(ME, task.task_id, 0.0)
    node.runtime.house.store = node.store
    assert len(await node.store.tasks(TENANT, task.session_id, 0, 10)) == 1


async def test_a_decision_whose_answer_was_lost_is_looked_for(node: Node) -> None:
    task = await node.ask()
    await node.say(task, an_approval(), None)
    commit = MemoryCommit(node, stores=False)
    node.runtime.house.store = commit  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        await node.runtime.decide(ME, task.task_id, Decide(approved=True, by="me"))
    commit.stores = True
    await node.runtime.decide(ME, task.task_id, Decide(approved=True, by="me"))
    node.runtime.house.store = node.store
    assert not (await node.store.task(TENANT, task.task_id)).approvals


async def test_a_caller_that_goes_away_leaves_nothing_half_done(node: Node) -> None:
    commit = MemoryCommit(node, loses=False, waits=True)
    node.runtime.house.store = commit  # type: ignore[assignment]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(node.runtime.execute, ME, Ask(text="hello"))
        await settled()
        tasks.cancel_scope.cancel()
        commit.gate.set()
    node.runtime.house.store = node.store
    await settled()
    ((lane, _),) = node.runtime.lanes.reading()
    assert (await node.store.session(TENANT, lane.session_id)).activity is TaskStatus.RUNNING


async def test_what_stops_is_not_asked_again(node: Node) -> None:
    task = await node.ask()
    lane, reading = node.reading()
    reading._scope = anyio.CancelScope()  # an engine that does not stop at once
    await lane.obey(task.task_id, Cancel())
    await settled()
    stopped = reading.stopped_at
    assert stopped is not None
    node.clock.advance(1)
    await lane.reconcile()
    assert (reading.stopped_at, lane.reading) == (stopped, reading)
    await node.say(task, None)
