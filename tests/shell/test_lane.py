"""One session on one node: who holds it, who is told, what is stored once."""

from typing import Any

import anyio
import pytest
from attrs import define, evolve, field
from tests.support.node import ME, Node, a_node, settled

from agentcore.admission import OnBusy
from agentcore.asking import Ask
from agentcore.changes import Changes
from agentcore.commands import Cancel, Decide, Deliver, HandBack
from agentcore.errors import EngineFailed, StoreUnavailable
from agentcore.events import CallOpened, Finished, TextDelta
from agentcore.follow import Entry, Live
from agentcore.ids import InstanceId, NodeId, SessionId, TaskId, TenantId
from agentcore.node import drain
from agentcore.obey import obey
from agentcore.ports import Committed, Grant, Lease
from agentcore.reply import Reply
from agentcore.task import ErrorCode, OnCrash, TaskStatus
from agentcore.testing.making import TENANT, Talk, a_prompt, a_session, an_approval
from agentcore.testing.puppet import NAME

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
    await node.runtime.lanes.reconcile(TENANT, task.session_id)  # and there is nothing to take
    assert len(node.runtime.lanes) == 0


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
    lanes = node.runtime.lanes
    assert [live.text for live in await lanes.tail(TENANT, task.session_id) or ()] == ["so far"]
    assert [live.text for live in await lanes.tail(TENANT, other.session_id) or ()] == ["else"]
    assert await lanes.tail(TenantId("another"), other.session_id) is None
    await node.say(task, Finished())
    assert await lanes.tail(TENANT, task.session_id) is None


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


async def test_a_reply_that_came_while_nobody_drove_its_task_ends_it_and_nothing_is_asked_again(node: Node) -> None:
    talk = Talk(node.store, node.leases, evolve(a_session(), engine=NAME), node=NodeId("another"))
    prompt = evolve(a_prompt(), engine=NAME)
    task = await talk.admit(evolve(prompt, params=evolve(prompt.params, on_crash=OnCrash.RESUME)))
    grant = await talk.take()
    await talk.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=1))
    await talk.ask(task.id, HandBack())
    await talk.ask(task.id, Deliver(reply=Reply(ok=True, text="hi"), receipt="r"))
    await node.runtime.lanes.reconcile(*talk.place)
    await settled()
    assert not node.puppet.runs
    view = await node.store.task(TENANT, task.id)
    assert (view.task.status, view.task.result) == (TaskStatus.COMPLETED, "hi")


async def test_whoever_drives_a_session_elsewhere_is_woken(node: Node) -> None:
    task = await node.ask()
    woken: list[tuple[str, str, bool]] = []

    async def ask(_: TenantId, __: SessionId) -> tuple[Live, ...] | None:
        return None

    def wake(tenant_id: TenantId, session_id: SessionId, /, *, waits: bool) -> None:
        woken.append((tenant_id, session_id, waits))

    with node.runtime.house.bus.serve(ask, wake):
        await node.runtime.rename(ME, task.session_id, "driven here")
        await settled()
        assert woken == []
        await node.say(task, Finished())
        await node.runtime.rename(ME, task.session_id, "driven by nobody here")
        await settled()
    assert woken == [(TENANT, task.session_id, False)]
    with node.runtime.lanes.at(TENANT, task.session_id) as lane:
        assert lane.tail() is None
        lane.let_go()


async def test_what_was_taken_is_driven_though_who_asked_has_gone(node: Node) -> None:
    gate, leases = anyio.Event(), node.leases

    class Slow:
        async def take(self, *place: Any) -> Grant | None:
            grant = await leases.take(*place)
            await gate.wait()
            return grant

    session = await node.queue()
    node.runtime.house.leases = Slow()  # type: ignore[assignment]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(node.runtime.lanes.reconcile, TENANT, session.id)
        await settled()
        tasks.cancel_scope.cancel()
        gate.set()
    node.runtime.house.leases = leases
    await settled()
    assert len(list(node.runtime.lanes.reading())) == 1


async def test_the_next_task_is_read_when_the_first_has_ended(node: Node) -> None:
    first = await node.ask()
    second = await node.runtime.execute(ME, Ask(text="next"), session_id=first.session_id, on_busy=OnBusy.ENQUEUE)
    await node.say(first, Finished())
    _, reading = node.reading()
    assert reading.lease.task_id == second.task_id
    await node.say(second, TextDelta("x"))
    assert reading.turn.tail


async def test_an_engine_hears_only_decisions_that_are_stored(node: Node) -> None:
    task = await node.ask()
    await node.say(task, an_approval())
    _, reading = node.reading()
    reading.lease = evolve(reading.lease, epoch=99)
    await node.runtime.decide(ME, task.task_id, Decide(approved=True, by="me"))
    await settled()
    assert reading.is_lost
    assert node.run(task).answered == []


async def test_an_approval_that_expires_is_no_answer(node: Node) -> None:
    task = await node.ask()
    await node.say(task, an_approval(expires_in_s=5))
    node.clock.advance(10)
    await node.runtime.pulse.tick()
    await settled()
    assert await node.status(task) is TaskStatus.CANCELLED
    assert node.run(task).answered == []


@pytest.mark.parametrize("is_waiting", [False, True])
async def test_a_node_that_goes_away_hands_its_tasks_back(node: Node, is_waiting: bool) -> None:
    task = await node.ask()
    if is_waiting:
        await node.say(task, an_approval())
    await drain(node.runtime.house, node.runtime.lanes, 0.0)
    view = await node.store.task(TENANT, task.task_id)
    assert view.task.status is (TaskStatus.AWAITING_APPROVAL if is_waiting else TaskStatus.QUEUED)
    assert not view.task.driven
    assert not list(node.runtime.lanes.reading())


async def test_a_node_that_goes_away_waits_for_what_is_nearly_done(node: Node) -> None:
    task = await node.ask()
    waiting = await node.ask()
    await node.say(waiting, an_approval())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drain, node.runtime.house, node.runtime.lanes, 5.0)
        await settled()
        assert [reading.lease.task_id for _, reading in node.runtime.lanes.reading()] == [task.task_id]
        await node.say(task, Finished())
    assert await node.status(task) is TaskStatus.COMPLETED


async def test_a_task_that_another_node_has_lost_is_recovered(node: Node) -> None:
    session = await node.queue()
    lost = await node.leases.take(TENANT, session.id, NodeId("another"))
    assert lost is not None
    node.store.state.shelf(TENANT, session.id).holds[lost.lease.task_id].expires_at = node.clock.now()
    await node.runtime.lanes.reconcile(TENANT, session.id)
    await settled()
    assert node.runtime.counts.recovered == 1
    assert (await node.store.task(TENANT, lost.turn.task.id)).task.crashes == 1


async def test_only_a_lane_that_drives_looks_when_it_is_woken(node: Node) -> None:
    node.runtime.lanes.woken(TENANT, SessionId("unknown"))
    session = await node.queue()
    with node.runtime.lanes.at(TENANT, session.id):
        node.runtime.lanes.woken(TENANT, session.id)
        await settled()
        assert not list(node.runtime.lanes.reading())
    task = await node.ask()
    await node.store.commit(obey(await node.store.turn(TENANT, task.task_id), Cancel(), node.clock.now())[1])
    node.runtime.lanes.woken(TENANT, task.session_id)
    await settled()
    assert await node.status(task) is TaskStatus.CANCELLED


async def test_what_an_engine_breaks_with_is_how_its_task_failed(node: Node) -> None:
    task = await node.ask()
    await node.say(task, EngineFailed("ENGINE_AUTH", "The key is not valid."))
    view = await node.store.task(TENANT, task.task_id)
    assert (view.task.error_code, view.task.result) == (ErrorCode.ENGINE_AUTH, "The key is not valid.")


@pytest.mark.parametrize("why", ["is_muted", "is_lost"])
async def test_a_node_that_goes_away_waits_for_nothing_that_it_cannot_store(node: Node, why: str) -> None:
    task = await node.ask()
    _, reading = node.reading()
    scope, reading._scope = reading._scope, anyio.CancelScope()  # an engine that does not stop
    setattr(reading, why, True)
    with anyio.fail_after(2):
        await drain(node.runtime.house, node.runtime.lanes, 30.0)
    reading.is_lost = True
    scope.cancel()
    await settled()
    assert await node.status(task) is TaskStatus.RUNNING


async def test_a_node_that_goes_away_does_not_wait_for_what_may_wait_anywhere(node: Node) -> None:
    talk = Talk(node.store, node.leases, evolve(a_session(), engine=NAME))
    prompt = evolve(a_prompt(), engine=NAME)
    params = evolve(prompt.params, instance=InstanceId("there"), on_crash=OnCrash.RESUME)
    task = await talk.admit(evolve(prompt, params=params))
    await node.runtime.lanes.reconcile(*talk.place)
    await settled()
    with anyio.fail_after(5):
        await drain(node.runtime.house, node.runtime.lanes, 1e6)
    view = await node.store.task(TENANT, task.id)
    assert (view.task.status, view.task.attempt, view.task.driven) == (TaskStatus.QUEUED, 1, False)


async def test_an_engine_that_waits_is_answered_only_by_who_still_drives_it(node: Node) -> None:
    task = await node.ask()
    await node.say(task, an_approval())
    (lane, reading), run = node.reading(), node.run(task)
    decided = Decide(approved=True, by="me")
    await node.store.commit(obey(await node.store.turn(TENANT, task.task_id), decided, node.clock.now())[1])
    reading.lease = evolve(reading.lease, epoch=99)  # another node has it by now
    await lane.reconcile()
    await settled()
    assert run.answered == []
    assert reading.is_lost


@define(eq=False)
class Overtaken:
    """The node's store, where somebody stops a task before what the node stores next."""

    node: Node
    task_id: TaskId
    is_done: bool = False

    async def commit(self, changes: Changes, lease: Lease | None = None) -> Committed:
        if lease is not None and not self.is_done:
            self.is_done = True
            stored = await self.node.store.turn(TENANT, self.task_id)
            await self.node.store.commit(obey(stored, Cancel(), self.node.clock.now())[1])
        return await self.node.store.commit(changes, lease)

    def __getattr__(self, name: str) -> object:
        return getattr(self.node.store, name)


async def test_what_is_due_is_looked_at_again_when_somebody_was_faster(node: Node) -> None:
    task = await node.ask()
    await node.say(task, an_approval())
    (lane, reading), run = node.reading(), node.run(task)
    decided = Decide(approved=True, by="me")
    await node.store.commit(obey(await node.store.turn(TENANT, task.task_id), decided, node.clock.now())[1])
    node.runtime.house.store = Overtaken(node, task.task_id)  # type: ignore[assignment]
    await lane.reconcile()
    await settled()
    assert run.answered == []
    assert reading.is_stopping
    assert await node.status(task) is TaskStatus.CANCELLED
