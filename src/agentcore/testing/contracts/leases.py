"""What every Leases promises."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from datetime import timedelta

import anyio
import pytest
from attrs import evolve

from agentcore.admission import OnBusy, admit
from agentcore.changes import Changes
from agentcore.commands import Cancel, Decide, Recover
from agentcore.errors import SessionNotFound, TaskNotFound
from agentcore.events import ApprovalRequired, Broke, CallClosed, CallOpened, Ended, Finished, TextDelta
from agentcore.ids import ApprovalId, ChangeId, NodeId, SessionId, TaskId
from agentcore.messages import Message
from agentcore.obey import obey
from agentcore.ports import Fenced, Grant, Lease, Leases, Stale, Store
from agentcore.receive import announce, receive
from agentcore.session import SessionStatus
from agentcore.task import Decision, OnCrash, TaskStatus
from agentcore.testing.making import NODE, OTHER, TENANT, a_prompt, a_talk, an_approval, an_id, now
from agentcore.turn import Turn
from agentcore.usage import OpenCall, Usage

NODE_2 = NodeId("node-2")
OPENED = CallOpened(model="m", input_tokens=7)
Expire = Callable[[Lease], Awaitable[None]]


class LeasesContract:
    """Give it fixtures ``store``, ``leases`` and ``expire``: a function that makes a lease run out."""

    pytestmark = pytest.mark.anyio

    async def test_taking_begins_the_task_as_the_domain_says(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit()
        before = await store.turn(TENANT, task.id)
        grant = await talk.take()
        started = grant.turn.task.started_at
        assert started is not None
        expected, changes = before.begin(started)
        assert grant.turn == expected
        assert [entry.event for entry in grant.entries] == [logged.event for logged in changes.log]
        assert not grant.is_takeover
        assert grant.lease.epoch > 0

    async def test_what_is_submitted_alone_is_begun_in_the_same_step(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        for number in range(2):  # in a new session, and in one that has a history
            task, changes = await talk.decided()
            committed, grant = await leases.submit(changes, NODE)
            assert grant is not None
            logged = [entry.event for entry in (*committed.entries, *grant.entries)]
            assert logged == [entry.event for entry in (await store.log(*talk.place, 1, 99)).entries][-len(logged) :]
            assert [entry.seq for entry in committed.entries][-1] == grant.turn.task.number
            assert await store.turn(TENANT, task.id) == grant.turn
            assert grant.turn.task.status is TaskStatus.RUNNING
            assert not grant.is_takeover
            if grant.history is not None:
                assert list(grant.history) == await store.history(*talk.place, task.params.max_context_messages)
                assert len(grant.history) == 2 * number + 1
            assert await leases.renew([grant.lease])
            await talk.say(grant.turn, grant.lease, TextDelta("so"), Finished())

    @pytest.mark.parametrize("limit", [1, 2, 3, 20])
    async def test_what_is_added_to_a_beginning_is_stored_with_it(
        self, store: Store, leases: Leases, limit: int
    ) -> None:
        talk = a_talk(store, leases)
        shown: list[list[Message]] = []

        def also(turn: Turn, history: Sequence[Message]) -> tuple[Turn, Changes]:
            shown.append(list(history))
            return announce(turn, OPENED, now())

        for number in range(3):
            prompt = a_prompt()
            prompt = evolve(prompt, params=evolve(prompt.params, max_context_messages=limit))
            task, changes = await talk.decided(prompt)
            _, grant = await leases.submit(changes, NODE, also=also)
            assert grant is not None
            assert grant.turn.call == OpenCall(key="1:1", model="m", input_tokens=7, start=2 * number, is_sent=False)
            stored = await store.turn(TENANT, task.id)
            assert (stored.call, stored.calls) == (evolve(grant.turn.call, is_sent=True), 1)
            assert evolve(stored, call=grant.turn.call) == grant.turn
            assert shown[-1] == await store.history(*talk.place, limit)
            assert shown[-1][-1].task_id == task.id
            await talk.say(grant.turn, grant.lease, OPENED, TextDelta("so"), Finished())
        assert len(shown) == 3

    async def test_nothing_is_added_to_what_waits_or_is_refused(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)

        def also(turn: Turn, history: Sequence[Message]) -> tuple[Turn, Changes]:
            raise AssertionError((turn, history))

        await talk.admit()
        old = (await talk.decided())[1]
        task, changes = await talk.decided()
        assert (await leases.submit(changes, NODE, also=also))[1] is None
        assert (await store.turn(TENANT, task.id)).calls == 0
        with pytest.raises(Stale):
            await leases.submit(old, NODE, also=also)
        full = a_talk(store, leases)
        assert (await leases.submit((await full.decided())[1], NODE, 0, also))[1] is None

    async def test_what_is_submitted_behind_another_waits(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        first = await talk.admit()
        task, changes = await talk.decided()
        committed, grant = await leases.submit(changes, NODE)
        assert grant is None
        assert committed.entries
        assert (await store.task(TENANT, task.id)).task.status is TaskStatus.QUEUED
        assert (await talk.take()).turn.task.id == first.id

    async def test_what_is_submitted_on_an_old_reading_is_refused_whole(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        await talk.say(grant.turn, grant.lease, Finished())
        task, changes = await talk.decided()
        await talk.admit()
        with pytest.raises(Stale):
            await leases.submit(changes, NODE)
        with pytest.raises(TaskNotFound):
            await store.task(TENANT, task.id)

    @pytest.mark.parametrize("submitted", [True, False])
    async def test_what_was_decided_for_an_idle_session_is_stale_in_a_busy_one(
        self, store: Store, leases: Leases, submitted: bool
    ) -> None:
        talk = a_talk(store, leases)
        first = await talk.admit()
        decided, changes = admit(talk.session, (), a_prompt(), OnBusy.INTERRUPT, now())
        for idle in (True, False):
            changes = evolve(changes, idle=idle)
            with pytest.raises(Stale) if idle else nullcontext():
                await (leases.submit(changes, NODE) if submitted else store.commit(changes))
        _, turns = await store.open_turns(*talk.place)
        assert {turn.task.id for turn in turns} == {first.id, decided.id}

    @pytest.mark.parametrize("closed", [None, CallClosed(usage=Usage(model="m", input_tokens=8))])
    async def test_the_end_of_a_task_says_whether_another_is_open(
        self, store: Store, leases: Leases, closed: CallClosed | None
    ) -> None:
        talk, other = a_talk(store, leases), a_talk(store, leases)
        await other.admit()  # which is another session's, and none of these
        for _ in range(2):
            await talk.admit()
        for is_last in (False, True):
            grant = await talk.take()
            opened = [OPENED] if closed is not None else []
            said = TextDelta("x" * 5000)
            turn, committed = await talk.say(grant.turn, grant.lease, *opened, said, Finished(closed=closed))
            assert [one.is_idle for one in committed] == [*[False for _ in opened], False, is_last]
            assert evolve(await store.turn(TENANT, turn.task.id), answer=turn.answer) == turn
            assert [row.record.key for row in (await store.records(TENANT, [turn.task.id]))[1]] == ["1:1"] * len(opened)
            assert len(await store.history(*talk.place, 99)) == 4 - 2 * (not is_last)

    async def test_an_end_bills_a_call_that_was_never_announced(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        closed = CallClosed(usage=Usage(model="m", input_tokens=8))
        turn, (committed,) = await talk.say(grant.turn, grant.lease, TextDelta("so"), Finished(closed=closed))
        assert committed.is_idle
        stored = await store.turn(TENANT, turn.task.id)
        assert (stored.calls, stored.call, stored.usage.input_tokens) == (1, None, 8)

    async def test_an_end_changes_all_that_it_decides(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        failed, _ = await talk.say(grant.turn, grant.lease, OPENED, Broke())
        assert (await store.session(*talk.place)).session.status is SessionStatus.ERROR
        asking = a_talk(store, leases)
        task = await asking.admit()
        grant = await asking.take()
        await asking.say(grant.turn, grant.lease, OPENED, an_approval())
        stopped = await asking.ask(task.id, Cancel())
        await asking.say(stopped, grant.lease, Ended())
        approvals, _ = await store.records(TENANT, [task.id])
        assert [approval.decision for approval in approvals] == [Decision.SUPERSEDED]
        _, rows = await store.records(TENANT, [failed.task.id, task.id])
        assert [row.record.usage.input_tokens for row in rows] == [7, 7]

    async def test_an_end_is_refused_whole(self, store: Store, leases: Leases, expire: Expire) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, _ = await talk.say(grant.turn, grant.lease, OPENED)
        _, changes = receive(turn, Finished(closed=CallClosed(usage=Usage(model="m"))), now())
        changes = evolve(changes, id=ChangeId(an_id()))
        nowhere = evolve(changes, session_id=SessionId(an_id()))
        for wrong, refused in ((nowhere, SessionNotFound), (evolve(changes, text_start=7), Stale)):
            with pytest.raises(refused):
                await store.commit(wrong, grant.lease)
        with pytest.raises(Fenced):
            await store.commit(changes, evolve(grant.lease, task_id=TaskId(an_id())))
        await expire(grant.lease)
        assert await leases.take(*talk.place, NODE_2) is not None
        with pytest.raises(Fenced):
            await store.commit(changes, grant.lease)
        assert (await store.records(TENANT, [turn.task.id]))[1] == []
        assert (await store.turn(TENANT, turn.task.id)).call is not None

    async def test_nothing_is_taken_twice(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        await talk.admit()
        await talk.take()
        assert await leases.take(*talk.place, NODE_2) is None
        assert await leases.waiting(10) == []

    async def test_what_was_given_in_a_lost_answer_is_given_again(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        lost = await talk.take()
        again = await leases.take(*talk.place, lost.lease.node)
        assert again is not None
        assert again.is_takeover
        assert again.turn.task.version == lost.turn.task.version
        assert not await leases.renew([lost.lease])
        await talk.say(again.turn, again.lease, Finished())

    async def test_nothing_is_taken_where_nothing_waits(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        await talk.say(grant.turn, grant.lease, Finished())
        assert await leases.take(*talk.place, NODE_2) is None
        assert await leases.waiting(10) == []
        await talk.admit()  # and what is over hides nothing
        assert await leases.waiting(10) == [talk.place]
        assert await leases.take(TENANT, SessionId(an_id()), NODE_2) is None

    async def test_of_many_takers_one_wins(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grants: list[Grant | None] = []

        async def take(number: int) -> None:
            grants.append(await leases.take(*talk.place, NodeId(f"n{number}")))

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(take, number)
        assert len([grant for grant in grants if grant is not None]) == 1

    async def test_a_lost_lease_is_taken_over(self, store: Store, leases: Leases, expire: Expire) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        first = await talk.take()
        assert await leases.take(*talk.place, NODE_2) is None
        await expire(first.lease)
        assert await leases.waiting(10) == [talk.place]
        second = await leases.take(*talk.place, NODE_2)
        assert second is not None
        assert second.is_takeover
        assert second.entries == ()
        assert second.lease.epoch > first.lease.epoch
        assert second.turn.task.version == first.turn.task.version
        assert not await leases.renew([first.lease])
        with pytest.raises(Fenced):
            await talk.say(first.turn, first.lease, Finished())
        await talk.say(second.turn, second.lease, Finished())

    async def test_nobody_prolongs_what_is_anothers(self, store: Store, leases: Leases, expire: Expire) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        first = await talk.take()
        await expire(first.lease)
        second = await leases.take(*talk.place, NODE_2)
        assert second is not None
        await expire(second.lease)
        for other in (first.lease, evolve(second.lease, node=NODE), evolve(second.lease, epoch=first.lease.epoch)):
            assert await leases.renew([other]) == {}
            assert await leases.waiting(10) == [talk.place]
        assert await leases.renew([second.lease]) != {}
        assert await leases.waiting(10) == []

    async def test_a_recovered_task_goes_first(self, store: Store, leases: Leases, expire: Expire) -> None:
        talk = a_talk(store, leases)
        lost = await talk.admit(a_prompt(on_crash=OnCrash.RESUME))
        await talk.admit()
        first = await talk.take()
        turn, _ = await talk.say(first.turn, first.lease, TextDelta("so far"))
        turn, flushed = turn.checkpoint(now())
        await store.commit(flushed, first.lease)
        await expire(first.lease)
        second = await leases.take(*talk.place, NODE_2)
        assert second is not None
        _, changes = obey(second.turn, Recover(), now())
        await store.commit(changes, second.lease)
        third = await leases.take(*talk.place, NODE_2)
        assert third is not None
        assert (third.turn.task.id, third.turn.task.attempt, third.is_takeover) == (lost.id, 2, False)
        assert third.lease.epoch > second.lease.epoch

    async def test_the_queue_goes_by_priority_then_by_number(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        first, second = await talk.admit(), await talk.admit()
        hurried = await talk.admit(
            also=lambda changes: evolve(changes, tasks=tuple(evolve(task, priority=1) for task in changes.tasks))
        )
        order = []
        for _ in range(3):
            grant = await talk.take()
            order.append(grant.turn.task.id)
            await talk.say(grant.turn, grant.lease, Finished())
        assert order == [hurried.id, first.id, second.id]

    async def test_a_parked_task_waits_for_a_person(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit()
        grant = await talk.take()
        asked = ApprovalRequired(
            approval_id=ApprovalId(an_id()),
            tool_use_id="1",
            tool_name="rm",
            input={"path": "/"},
            expires_at=now() + timedelta(hours=1),
        )
        turn, _ = await talk.say(grant.turn, grant.lease, asked, Ended())
        assert (turn.task.status, turn.task.driven) == (TaskStatus.AWAITING_APPROVAL, False)
        assert await leases.take(*talk.place, NODE_2) is None
        assert await leases.waiting(10) == []
        assert [approval.tool_name for approval in (await store.task(TENANT, task.id)).approvals] == ["rm"]
        await talk.ask(task.id, Decide(approved=True, by="me"))
        again = await talk.take()
        assert (again.turn.task.id, again.turn.task.attempt) == (task.id, 2)
        assert [approval.decision for approval in again.turn.approvals] == ["approved"]

    async def test_renewing_tells_the_version(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit()
        grant = await talk.take()
        lease, version = (await leases.renew([grant.lease]))[task.id]
        assert version == grant.turn.task.version
        assert lease.trusted_until >= grant.lease.trusted_until
        await talk.ask(task.id, Cancel())
        assert (await leases.renew([grant.lease]))[task.id][1] == version + 1
        assert await leases.renew([]) == {}

    async def test_tenants_take_turns(self, store: Store, leases: Leases) -> None:
        for tenant in (TENANT, TENANT, TENANT, OTHER):
            await a_talk(store, leases, tenant).admit()
        waiting = await leases.waiting(2)
        assert {tenant for tenant, _ in waiting} == {TENANT, OTHER}
        assert len(await leases.waiting(10)) == 4
