"""What every Books promises: the ledger read back, and the outbox."""

from datetime import timedelta
from decimal import Decimal

import pytest
from attrs import evolve

from agentcore.books import Delivery, DeliveryState, GroupBy, Tried, UsageRecorded
from agentcore.commands import Cancel, Recover
from agentcore.events import CallClosed, CallCounted, CallOpened, Finished, TextDelta
from agentcore.ids import EngineName, TaskId, TenantId
from agentcore.obey import obey
from agentcore.ports import Leases, Store
from agentcore.task import OnCrash
from agentcore.testing.making import OTHER, TENANT, Talk, a_prompt, a_talk, an_id, now
from agentcore.usage import Fidelity, Outcome, Price, Usage, UsageRecord

PRICE = Price(input=Decimal(3), output=Decimal(15), cached_input=Decimal("0.3"))
OPENED = CallOpened(model="m", input_tokens=9, price=PRICE)
USAGE = Usage(model="m", input_tokens=1_000, output_tokens=100, cached_input_tokens=400)
COST = Decimal("0.00342")  # 600 at 3, 400 at 0.3 and 100 at 15 dollars a million


async def a_call(store: Store, leases: Leases, message_id: str = "p1") -> Talk:
    """Run a task with one call."""
    talk = a_talk(store, leases)
    await talk.admit()
    grant = await talk.take()
    closed = CallClosed(usage=USAGE, provider_message_id=message_id)
    await talk.say(grant.turn, grant.lease, OPENED, TextDelta("x"), closed, Finished())
    return talk


class BooksContract:
    """Give it fixtures ``store`` and ``leases`` over the same, empty truth."""

    pytestmark = pytest.mark.anyio

    async def test_usage_is_added_up_by_what_is_asked_for(self, store: Store, leases: Leases) -> None:
        first, second = await a_call(store, leases), await a_call(store, leases)
        by_session = await store.usage(TENANT, None, None, GroupBy.SESSION)
        assert [item.key for item in by_session.items] == sorted([first.session.id, second.session.id])
        assert {(item.tasks, item.calls, item.cost_usd) for item in by_session.items} == {(1, 1, COST)}
        assert (by_session.total.tasks, by_session.total.calls, by_session.total.cost_usd) == (2, 2, 2 * COST)
        assert (by_session.total.input_tokens, by_session.total.output_tokens) == (2_000, 200)
        for group_by, key in ((GroupBy.MODEL, "m"), (GroupBy.ENGINE, "scripted"), (GroupBy.DAY, None)):
            report = await store.usage(TENANT, None, None, group_by)
            assert [item.key for item in report.items] == [key or report.items[0].key]
            assert sum(item.calls for item in report.items) == 2
        assert (await store.usage(TENANT, None, None, GroupBy.DAY)).items[0].key == now().date().isoformat()

    async def test_usage_is_cut_out_by_time_and_never_another_tenants(self, store: Store, leases: Leases) -> None:
        before = now()
        await a_call(store, leases)
        after = now() + timedelta(seconds=1)
        assert (await store.usage(TENANT, before, after, GroupBy.DAY)).total.calls == 1
        for since, until in ((after, None), (None, before)):
            report = await store.usage(TENANT, since, until, GroupBy.DAY)
            assert (report.items, report.total.calls, report.total.cost_usd) == ([], 0, None)
        assert (await store.usage(OTHER, None, None, GroupBy.DAY)).total.calls == 0

    async def test_each_row_of_the_ledger_is_in_the_outbox_once(self, store: Store, leases: Leases) -> None:
        talk = await a_call(store, leases)
        (delivery,) = await store.deliveries(TENANT, None, 10)
        event = delivery.event
        assert (delivery.state, delivery.attempts, event.session_id) == (DeliveryState.PENDING, 0, talk.session.id)
        assert (event.record.usage, event.record.outcome) == (evolve(USAGE, cost_usd=COST), Outcome.COMPLETED)
        assert await store.deliveries(OTHER, None, 10) == []

    async def test_a_message_that_is_named_twice_is_paid_once(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        closed = CallClosed(usage=USAGE, provider_message_id="p1")
        turn, _ = await talk.say(grant.turn, grant.lease, OPENED, closed, OPENED, closed)
        stored = await store.turn(TENANT, turn.task.id)
        assert (stored.call, stored.calls, stored.usage) == (None, 2, turn.usage)
        assert stored.usage.cost_usd == COST
        await talk.say(turn, grant.lease, OPENED, evolve(closed, provider_message_id="p2"), Finished())
        assert (await store.usage(TENANT, None, None, GroupBy.DAY)).total.cost_usd == 2 * COST
        assert len(await store.deliveries(TENANT, None, 10)) == 3

    async def test_calls_whose_provider_gives_no_id_are_all_paid(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, closed = grant.turn, CallClosed(usage=USAGE)
        for _ in range(2):
            await talk.say(turn, grant.lease, OPENED, closed)
            turn = await store.turn(TENANT, turn.task.id)
        assert turn.usage.cost_usd == 2 * COST
        assert (await store.usage(TENANT, None, None, GroupBy.DAY)).total.cost_usd == 2 * COST

    async def test_what_has_no_price_adds_nothing_to_the_cost(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        closed = CallClosed(usage=USAGE)
        await talk.say(grant.turn, grant.lease, evolve(OPENED, price=None), closed, OPENED, closed)
        total = (await store.usage(TENANT, None, None, GroupBy.DAY)).total
        assert (total.calls, total.cost_usd) == (2, COST)

    async def test_a_cut_call_is_billed_by_what_the_provider_had_counted(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        counted = CallCounted(usage=evolve(USAGE, output_tokens=1), provider_message_id="p1")
        turn, _ = await talk.say(grant.turn, grant.lease, OPENED, counted, TextDelta("x" * 300))
        turn, changes = obey(turn, Cancel(), now())
        await store.commit(changes)
        await talk.say(turn, grant.lease, Finished())
        (delivery,) = await store.deliveries(TENANT, None, 10)
        usage, record = delivery.event.record.usage, delivery.event.record
        assert (usage.input_tokens, usage.output_tokens, usage.fidelity) == (1_000, 100, Fidelity.ESTIMATED)
        assert (usage.cost_usd, record.outcome, record.provider_message_id) == (COST, Outcome.CANCELLED, "p1")

    async def test_a_call_of_a_lost_node_is_billed_with_its_price(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit(a_prompt(on_crash=OnCrash.FAIL))
        grant = await talk.take()
        await talk.say(grant.turn, grant.lease, OPENED)
        _, changes = obey(await store.turn(TENANT, task.id), Recover(), now())
        await store.commit(changes, grant.lease)
        (delivery,) = await store.deliveries(TENANT, None, 10)
        usage = delivery.event.record.usage
        assert (usage.input_tokens, usage.cost_usd) == (9, Decimal("0.000027"))
        assert (delivery.event.record.outcome, usage.fidelity) == (Outcome.FAILED, Fidelity.ESTIMATED)

    async def test_a_recording_is_no_task_and_is_paid_once(self, store: Store, leases: Leases) -> None:
        talk = await a_call(store, leases)
        usage = Usage(model="w", audio_s=Decimal("3.250"), cost_usd=Decimal("0.01"))
        heard = UsageRecorded(
            tenant_id=TENANT,
            session_id=None,
            task_id=TaskId(an_id()),
            engine=EngineName("stt"),
            record=UsageRecord(key="1", usage=usage, outcome=Outcome.COMPLETED),
            at=now(),
        )
        for _ in range(2):
            await store.enter(heard)
        await store.enter(evolve(heard, record=evolve(heard.record, key="2")))
        await store.enter(evolve(heard, tenant_id=OTHER))
        report = await store.usage(TENANT, None, None, GroupBy.SESSION)
        assert [(item.key, item.tasks, item.calls, item.audio_s) for item in report.items] == [
            ("", 0, 2, Decimal("6.5")),
            (talk.session.id, 1, 1, 0),
        ]
        total = report.total
        assert (total.tasks, total.calls, total.audio_s, total.cost_usd) == (
            1,
            3,
            Decimal("6.5"),
            COST + Decimal("0.02"),
        )
        events = [d.event for d in await store.deliveries(TENANT, None, 10) if d.event.session_id is None]
        assert sorted(event.record.key for event in events) == ["1", "2"]
        assert {(event.id == heard.id, event.record.usage == usage) for event in events} == {
            (True, True),
            (False, True),
        }
        assert (await store.usage(OTHER, None, None, GroupBy.DAY)).total.audio_s == Decimal("3.25")
        assert (await store.usage(TenantId("third"), None, None, GroupBy.DAY)).total.audio_s == 0

    async def test_an_event_is_taken_by_one_relay_at_a_time(self, store: Store, leases: Leases) -> None:
        await a_call(store, leases)
        await a_call(store, leases)
        first = await store.take_events(1, 60.0)
        second = await store.take_events(10, 0.0)
        assert len(first) == len(second) == 1
        assert first[0].event.id != second[0].event.id
        assert [d.event for d in await store.take_events(10, 60.0)] == [second[0].event]  # its hold is over
        assert await store.take_events(10, 60.0) == []

    async def test_what_was_delivered_stays_so(self, store: Store, leases: Leases) -> None:
        await a_call(store, leases)
        (delivery,) = await store.take_events(10, 0.0)
        await store.tried([_tried(delivery)])
        await store.tried([evolve(_tried(delivery), error="late", retry_in_s=0.0)])
        assert await store.take_events(10, 0.0) == []
        (found,) = await store.deliveries(TENANT, DeliveryState.DELIVERED, 10)
        assert (found.event, found.error) == (delivery.event, None)
        assert not await store.redeliver(TENANT, found.event.id)

    async def test_deliveries_are_told_apart_by_their_state(self, store: Store, leases: Leases) -> None:
        for _ in range(3):
            await a_call(store, leases)
        delivered, dead, pending = await store.take_events(10, 60.0)
        await store.tried([_tried(delivered), evolve(_tried(dead), error="gone", retry_in_s=None)])
        assert not await store.redeliver(TENANT, pending.event.id)
        for state, one in (
            (DeliveryState.DELIVERED, delivered),
            (DeliveryState.DEAD, dead),
            (DeliveryState.PENDING, pending),
        ):
            assert [found.event for found in await store.deliveries(TENANT, state, 10)] == [one.event]
        assert len(await store.deliveries(TENANT, None, 10)) == 3

    async def test_what_failed_is_tried_again_and_at_last_kept_for_a_person(self, store: Store, leases: Leases) -> None:
        await a_call(store, leases)
        (delivery,) = await store.take_events(10, 0.0)
        await store.tried([evolve(_tried(delivery), error="500", retry_in_s=0.0)])
        (again,) = await store.take_events(10, 0.0)
        assert (again.event, again.attempts, again.error) == (delivery.event, 1, "500")
        await store.tried([evolve(_tried(delivery), error="500", retry_in_s=60.0)])
        assert await store.take_events(10, 0.0) == []
        await store.tried([evolve(_tried(delivery), error="gone", retry_in_s=None)])
        (dead,) = await store.deliveries(TENANT, DeliveryState.DEAD, 10)
        assert (dead.attempts, dead.error) == (3, "gone")
        assert not await store.redeliver(OTHER, dead.event.id)
        assert await store.redeliver(TENANT, dead.event.id)
        assert [d.attempts for d in await store.take_events(10, 0.0)] == [0]

    async def test_old_events_are_forgotten_and_the_ledger_is_not(self, store: Store, leases: Leases) -> None:
        await a_call(store, leases)
        await a_call(store, leases)
        forgotten, _ = await store.deliveries(TENANT, None, 10)
        assert await store.forget_events(3600.0, 10) == 0
        assert await store.forget_events(-3600.0, 1) == 1
        assert await store.forget_events(-3600.0, 10) == 1
        assert await store.deliveries(TENANT, None, 10) == []
        await store.tried([_tried(forgotten)])
        assert not await store.redeliver(TENANT, forgotten.event.id)
        assert (await store.usage(TENANT, None, None, GroupBy.DAY)).total.calls == 2


def _tried(delivery: Delivery) -> Tried:
    return Tried(tenant_id=delivery.event.tenant_id, event_id=delivery.event.id)
