"""What every Store promises of its reads."""

from datetime import timedelta
from hashlib import sha256

import pytest
from attrs import evolve

from agentcore.changes import Blob
from agentcore.commands import Cancel
from agentcore.errors import SessionNotFound, TaskNotFound
from agentcore.events import Broke, CallClosed, CallOpened, Ended, Finished, TextDelta, ToolResult, ToolUse
from agentcore.ids import EngineName
from agentcore.messages import FilePart, Role, TextPart
from agentcore.ports import Leases, Store
from agentcore.session import Session
from agentcore.task import Decision, ErrorCode, TaskStatus
from agentcore.testing.making import OTHER, TENANT, Talk, a_prompt, a_session, a_talk, an_approval, now
from agentcore.usage import Usage


class ReadingContract:
    """Give it fixtures ``store`` and ``leases`` over the same, empty truth."""

    pytestmark = pytest.mark.anyio

    async def test_another_tenants_things_are_missing(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit()
        session_id = talk.session.id
        for read in (store.session, store.snapshot, store.open_turns):
            with pytest.raises(SessionNotFound):
                await read(OTHER, session_id)
        with pytest.raises(SessionNotFound):
            await store.log(OTHER, session_id, 1, 10)
        with pytest.raises(SessionNotFound):
            await store.messages(OTHER, session_id, (0, 0), 10)
        with pytest.raises(SessionNotFound):
            await store.tasks(OTHER, session_id, 0, 10)
        for read_task in (store.task, store.turn):
            with pytest.raises(TaskNotFound):
                await read_task(OTHER, task.id)
        assert await leases.take(OTHER, session_id, talk.node) is None
        assert await store.sessions(OTHER, None, 10) == []
        assert await store.heads([(OTHER, session_id)]) == {}

    async def test_sessions_are_paged_newest_first(self, store: Store, leases: Leases) -> None:
        at, made = now(), []
        for i in range(5):
            talk = Talk(store, leases, a_session(at=at + timedelta(seconds=i // 2)))
            await talk.admit()
            made.append(talk.session)
        expected = sorted(made, key=lambda session: (session.created_at, session.id), reverse=True)
        first = await store.sessions(TENANT, None, 3)
        last = first[-1].session
        rest = await store.sessions(TENANT, (last.created_at, last.id), 3)
        assert [view.session.id for view in first + rest] == [session.id for session in expected]
        assert {view.activity for view in first} == {TaskStatus.QUEUED}

    async def test_an_owners_sessions_are_paged_alone(self, store: Store, leases: Leases) -> None:
        at = now()
        made: list[Session] = []
        for i in range(6):
            owner = "somebody" if i % 2 else "another"
            talk = Talk(store, leases, evolve(a_session(at=at + timedelta(seconds=i)), owner=owner))
            await talk.admit()
            made.insert(0, talk.session)
        for owner in ("somebody", "another"):
            mine = [session.id for session in made if session.owner == owner]
            first = await store.sessions(TENANT, None, 2, owner=owner)
            last = first[-1].session
            rest = await store.sessions(TENANT, (last.created_at, last.id), 2, owner=owner)
            assert [view.session.id for view in first + rest] == mine
        assert await store.sessions(TENANT, None, 10, owner="nobody") == []
        assert await store.sessions(OTHER, None, 10, owner="somebody") == []

    async def test_a_task_names_the_owner_of_its_session(self, store: Store, leases: Leases) -> None:
        talk = Talk(store, leases, evolve(a_session(), owner="whose it is"))
        task = await talk.admit()
        snapshot = await store.snapshot(*talk.place)
        views = [await store.task(TENANT, task.id), *await store.tasks(*talk.place, 0, 10), snapshot.task]
        assert [view.owner for view in views if view is not None] == ["whose it is"] * 3

    async def test_records_are_all_approvals_and_all_that_was_paid(self, store: Store, leases: Leases) -> None:
        talk, other = a_talk(store, leases), a_talk(store, leases)
        for each in (other, talk):
            await each.admit()
            grant = await each.take()
            opened = CallOpened(model="m", input_tokens=3)
            turn, _ = await each.say(grant.turn, grant.lease, opened, an_approval(), an_approval(tool_use_id="2"))
            first = turn.approvals[0].decided(Decision.APPROVED, now(), by="me")
            await store.commit(evolve(turn.nothing(now()), approvals=(first,)))
            turn = await store.turn(TENANT, turn.task.id)
            turn, _ = await each.say(turn, grant.lease, CallClosed(usage=Usage(model="m", input_tokens=3)))
        approvals, ledger = await store.records(TENANT, [turn.task.id])
        assert approvals == list((await store.turn(TENANT, turn.task.id)).approvals)
        assert [approval.decision for approval in approvals] == [Decision.APPROVED, None]
        assert [(row.task_id, row.session_id, row.record.usage.input_tokens) for row in ledger] == [
            (turn.task.id, talk.session.id, 3)
        ]
        assert await store.records(OTHER, [turn.task.id]) == ([], [])
        assert await store.records(TENANT, []) == ([], [])

    async def test_the_ledger_is_paged_in_the_order_of_time(self, store: Store, leases: Leases) -> None:
        for _ in range(2):
            talk = a_talk(store, leases)
            await talk.admit()
            grant = await talk.take()
            for _ in range(2):
                opened = CallOpened(model="m", input_tokens=3)
                turn, _ = await talk.say(grant.turn, grant.lease, opened, CallClosed(usage=Usage(model="m")))
                grant = evolve(grant, turn=turn)
        whole = await store.ledger(TENANT, None, 10)
        places = [(row.at, row.task_id, row.record.key) for row in whole]
        assert len(whole) == 4
        assert places == sorted(places)
        for number, place in enumerate(places):
            assert await store.ledger(TENANT, place, 2) == whole[number + 1 : number + 3]
        assert await store.ledger(OTHER, None, 10) == []

    async def test_activity_is_read_off_the_tasks(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit()
        await talk.admit()
        assert (await store.session(*talk.place)).activity is TaskStatus.QUEUED
        grant = await talk.take()
        assert (await store.session(*talk.place)).activity is TaskStatus.RUNNING
        await talk.ask(task.id, Cancel())
        assert (await store.session(*talk.place)).activity is TaskStatus.CANCELLING
        turn = await store.turn(TENANT, task.id)
        await talk.say(turn, grant.lease, Finished())
        assert (await store.session(*talk.place)).activity is TaskStatus.QUEUED
        assert [view.activity for view in await store.sessions(TENANT, None, 10)] == [TaskStatus.QUEUED]
        grant = await talk.take()
        await talk.say(grant.turn, grant.lease, Finished())
        assert (await store.session(*talk.place)).activity is None
        assert [view.activity for view in await store.sessions(TENANT, None, 10)] == [None]

    async def test_the_log_is_read_page_by_page(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        empty = await store.log(*talk.place, 3, 10)
        assert (empty.entries, empty.head, empty.is_driven, empty.bound, empty.oldest) == ((), 2, False, 0, 1)
        grant = await talk.take()
        page = await store.log(*talk.place, 2, 2)
        assert [entry.seq for entry in page.entries] == [2, 3]
        assert (page.head, page.is_driven, page.bound) == (4, True, 3)
        turn, _ = await talk.say(grant.turn, grant.lease, ToolUse(tool_use_id="1", tool_name="t", input={}))
        assert (await store.log(*talk.place, 5, 10)).bound == 3  # the attempt goes on
        await talk.say(turn, grant.lease, TextDelta("abc"), Finished())
        page = await store.log(*talk.place, 5, 10)
        assert (page.head, page.position, page.is_driven, page.bound) == (7, 3, False, 7)
        assert await store.heads([talk.place]) == {talk.session.id: 7}

    async def test_entries_come_back_as_they_were_told(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit(a_prompt("with “quotes”, 漢字 and 🙂"))
        grant = await talk.take()
        _, committed = await talk.say(grant.turn, grant.lease, TextDelta("x"), Broke(code=ErrorCode.ENGINE_AUTH))
        told = [*grant.entries, *(entry for one in committed for entry in one.entries)]
        page = await store.log(*talk.place, 3, 100)
        assert list(page.entries) == told

    async def test_a_turn_is_rebuilt_as_its_driver_has_it(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        assert grant.turn == await store.turn(TENANT, grant.turn.task.id)
        turn, _ = await talk.say(grant.turn, grant.lease, TextDelta("so "), TextDelta("far"))
        turn, flushed = turn.checkpoint(now())
        await store.commit(flushed, grant.lease)
        assert evolve(await store.turn(TENANT, turn.task.id), answer=turn.answer) == turn

    async def test_what_is_in_a_message_is_not_said_again(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        use, result = ToolUse(tool_use_id="1", tool_name="t", input={}), ToolResult(tool_use_id="1", output="done")
        turn, _ = await talk.say(grant.turn, grant.lease, TextDelta("let me"), use)
        assert (await store.turn(TENANT, turn.task.id)).said == turn.said
        turn, _ = await talk.say(turn, grant.lease, result, TextDelta("so"))
        turn, flushed = turn.checkpoint(now())
        await store.commit(flushed, grant.lease)
        assert (await store.turn(TENANT, turn.task.id)).said == turn.said == (TextPart("so"),)

    async def test_history_goes_back_to_a_user(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        for number in range(4):
            await talk.admit(a_prompt(f"q{number}"))
            grant = await talk.take()
            await talk.say(grant.turn, grant.lease, TextDelta(f"a{number}"), Finished())
        everything = await store.history(*talk.place, 100)
        assert [message.text for message in everything] == ["q0", "a0", "q1", "a1", "q2", "a2", "q3", "a3"]
        last = await store.history(*talk.place, 3)
        assert [message.text for message in last] == ["q2", "a2", "q3", "a3"]
        assert last[0].role is Role.USER

    async def test_refused_attachments_are_marked_in_the_history(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        data = b"a picture"
        digest = sha256(data).hexdigest()
        part = FilePart(sha256=digest, media_type="image/png", size=len(data))
        blob = Blob(sha256=digest, media_type="image/png", data=data)
        for is_refused in (False, True):
            await talk.admit(evolve(a_prompt(), parts=(TextPart("see"), part), blobs=(blob,)))
            grant = await talk.take()
            await talk.say(grant.turn, grant.lease, Broke(attachments_refused=is_refused))
        assert [message.attachments_refused for message in await store.history(*talk.place, 10)] == [False, True]

    async def test_tasks_are_paged_by_number(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        made = [await talk.admit() for _ in range(4)]
        first = await store.tasks(*talk.place, 0, 3)
        rest = await store.tasks(*talk.place, first[-1].task.number, 3)
        assert [view.task.id for view in first + rest] == [task.id for task in made]

    async def test_open_turns_stand_in_queue_order(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        first, second, third = [await talk.admit() for _ in range(3)]
        await talk.take()
        await talk.ask(second.id, Cancel())
        _, turns = await store.open_turns(*talk.place)
        assert [turn.task.id for turn in turns] == [first.id, third.id]

    async def test_a_snapshot_shows_the_open_task_and_what_it_said(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, _ = await talk.say(grant.turn, grant.lease, TextDelta("so far"))
        _, flushed = turn.checkpoint(now())
        await store.commit(flushed, grant.lease)
        snapshot = await store.snapshot(*talk.place)
        assert snapshot.task is not None
        assert snapshot.task.task.id == turn.task.id
        assert snapshot.said == (TextPart("so far"),)
        assert (snapshot.page.head, snapshot.page.position, snapshot.page.bound) == (5, 6, 3)

    async def test_expired_names_what_nobody_drives(self, store: Store, leases: Leases) -> None:
        late, on_time, driven = a_talk(store, leases), a_talk(store, leases), a_talk(store, leases)
        task = await late.admit(a_prompt(deadline_s=-1))
        await on_time.admit()
        await driven.admit(a_prompt(deadline_s=-1))
        await driven.take()
        assert await store.expired(10) == [(*late.place, task.id)]
        await late.ask(task.id, Cancel())
        assert await store.expired(10) == []

    async def test_expired_names_what_waits_for_a_decision_too_long(self, store: Store, leases: Leases) -> None:
        late, decided, on_time, driven = (a_talk(store, leases) for _ in range(4))
        tasks = {}
        for talk, seconds in ((late, -1.0), (decided, -1.0), (on_time, 60.0), (driven, -1.0)):
            await talk.admit()
            grant = await talk.take()
            asked = [an_approval(expires_in_s=seconds), an_approval(tool_use_id="2")]
            turn, _ = await talk.say(grant.turn, grant.lease, *asked, *([] if talk is driven else [Ended()]))
            tasks[talk.session.id] = turn.task.id
            if talk is decided:
                first = turn.approvals[0].decided(Decision.APPROVED, now(), by="me")
                await store.commit(evolve(turn.nothing(now()), approvals=(first,)))
            if talk is late:
                await talk.admit()  # it waits behind, and is not late
        assert await store.expired(10) == [(*late.place, tasks[late.session.id])]
        await late.ask(tasks[late.session.id], Cancel())
        assert await store.expired(10) == []

    async def test_the_default_engine_is_the_tenants_own(self, store: Store) -> None:
        assert await store.default_engine(TENANT) is None
        await store.set_default_engine(TENANT, EngineName("one"))
        await store.set_default_engine(TENANT, EngineName("two"))
        assert await store.default_engine(TENANT) == "two"
        assert await store.default_engine(OTHER) is None

    async def test_what_is_missing_is_not_found(self, store: Store) -> None:
        with pytest.raises(SessionNotFound):
            await store.session(TENANT, a_session().id)
        with pytest.raises(TaskNotFound):
            await store.task(TENANT, a_prompt().task_id)
        await store.ping()
