"""What time brings about on one node, round by round."""

from datetime import timedelta

import pytest
from attrs import define, evolve
from tests.support.node import Node, a_node, settled

from agentcore.admission import OnBusy, admit
from agentcore.books import SinkFailed, UsageRecorded
from agentcore.commands import Cancel
from agentcore.events import CallClosed, CallOpened, Finished, TextDelta
from agentcore.follow import Head
from agentcore.ids import TenantId
from agentcore.obey import obey
from agentcore.relay import Relay
from agentcore.task import TaskStatus
from agentcore.testing.making import TENANT, a_prompt, a_session, an_approval
from agentcore.testing.puppet import NAME
from agentcore.usage import Usage

pytestmark = pytest.mark.anyio
node = a_node


async def test_a_tail_is_durable_after_a_second(node: Node) -> None:
    task = await node.ask()
    await node.say(task, TextDelta("so far"))
    for seconds, said in ((0.9, 0), (0.1, 6)):
        node.clock.advance(seconds)
        await node.runtime.pulse.tick()
        await settled()
        assert (await node.store.log(TENANT, task.session_id, 1, 1)).position == said


async def test_a_deadline_stops_what_runs(node: Node) -> None:
    task = await node.ask()
    _, reading = node.reading()
    node.clock.at += timedelta(seconds=1e5)
    await node.runtime.pulse.tick()
    await settled()
    assert reading.is_stopping
    assert await node.status(task) is TaskStatus.FAILED


async def test_a_beat_loses_what_is_anothers(node: Node) -> None:
    await node.ask()
    _, reading = node.reading()
    reading.lease = evolve(reading.lease, epoch=99)
    await node.runtime.pulse.beat()
    assert reading.is_lost


async def test_a_beat_renews_and_looks_at_what_others_have_changed(node: Node) -> None:
    task = await node.ask()
    _, reading = node.reading()
    before = reading.lease.trusted_until
    node.clock.advance(10)
    await node.runtime.pulse.beat()
    await settled()
    assert reading.lease.trusted_until == before + 10
    assert not reading.is_stopping
    turn = await node.store.turn(TENANT, task.task_id)
    await node.store.commit(obey(turn, Cancel(), node.clock.now())[1])  # another node's caller, and no wake arrives
    await node.runtime.pulse.beat()
    await settled()
    assert await node.status(task) is TaskStatus.CANCELLED


async def test_a_beat_whose_answer_is_late_loses_nothing(node: Node) -> None:
    task = await node.ask()
    _, reading = node.reading()
    renew = node.leases.renew

    class Late:
        take = node.leases.take

        async def renew(self, leases: object) -> object:
            await node.say(task, Finished())
            return await renew(leases)  # type: ignore[arg-type]

    node.runtime.house.leases = Late()  # type: ignore[assignment]
    await node.runtime.pulse.beat()
    assert not reading.is_lost
    assert await node.status(task) is TaskStatus.COMPLETED
    node.runtime.house.leases = node.leases


async def test_listeners_are_told_how_far_their_logs_go(node: Node) -> None:
    task = await node.ask()
    with node.runtime.house.bus.listen(TENANT, task.session_id) as ear:
        await node.runtime.pulse.heads()
        assert await ear.hear() == [Head((await node.store.log(TENANT, task.session_id, 1, 1)).head)]


async def test_a_node_that_goes_away_expires_and_sweeps_nothing(node: Node) -> None:
    task = await node.ask()
    await node.say(task, an_approval(), None)
    assert await node.status(task) is TaskStatus.AWAITING_APPROVAL
    node.clock.advance(1e5)
    node.runtime.house.is_draining = True
    await node.runtime.pulse.expire()
    await node.runtime.pulse.sweep()
    await settled()
    assert await node.status(task) is TaskStatus.AWAITING_APPROVAL
    node.runtime.house.is_draining = False
    await node.runtime.pulse.expire()
    assert await node.status(task) is TaskStatus.FAILED


async def test_a_node_that_goes_away_takes_nothing(node: Node) -> None:
    node.runtime.house.is_draining = True
    session = evolve(a_session(TenantId("tenant-a")), engine=NAME)
    task, changes = admit(session, [], evolve(a_prompt(), engine=NAME), OnBusy.REJECT, node.clock.now())
    await node.store.commit(changes)
    await node.runtime.lanes.reconcile(TENANT, session.id)
    assert (await node.store.task(TENANT, task.id)).task.status is TaskStatus.QUEUED
    node.runtime.house.is_draining = False
    await node.runtime.pulse.sweep()
    await settled()
    assert (await node.store.task(TENANT, task.id)).task.status is TaskStatus.RUNNING


# -------------------------------------------------------------------------------------------------------------- relay
@define
class Receiver:
    """A sink that looks at the outbox while an event is on its way."""

    node: Node
    answers: list[Exception | None]

    async def publish(self, event: UsageRecorded) -> None:
        found = await self.node.store.deliveries(TENANT, None, 10)
        assert [delivery.state.value for delivery in found] == ["pending"]
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer


async def test_an_event_leaves_the_outbox_only_after_its_receiver_has_it(node: Node) -> None:
    task = await node.ask()
    await node.say(task, CallOpened(model="m", input_tokens=1), CallClosed(usage=Usage(model="m")), Finished())
    relay = Relay(node.store, Receiver(node, [SinkFailed("500"), RuntimeError("odd"), None]), retries_s=(1.0, 1.0))
    assert await Relay(node.store, None).round() == 0
    for tries in (1, 2):
        assert await relay.round() == 1
        (delivery,) = await node.store.deliveries(TENANT, None, 10)
        assert (delivery.state.value, delivery.attempts) == ("pending", tries)
        assert await relay.round() == 0
        node.clock.advance(2)
    assert await relay.round() == 1
    (delivery,) = await node.store.deliveries(TENANT, None, 10)
    assert delivery.state.value == "delivered"


async def test_an_event_that_nobody_takes_is_kept_for_a_person(node: Node) -> None:
    task = await node.ask()
    await node.say(task, CallOpened(model="m", input_tokens=1), CallClosed(usage=Usage(model="m")), Finished())
    relay = Relay(node.store, Receiver(node, [SinkFailed("500"), SinkFailed("500")]), retries_s=(1.0,))
    await relay.round()
    node.clock.advance(2)
    await relay.round()
    (delivery,) = await node.store.deliveries(TENANT, None, 10)
    assert (delivery.state.value, delivery.attempts) == ("dead", 2)
