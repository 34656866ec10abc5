"""What every Store promises of its writes."""

import hashlib

import anyio
import pytest
from attrs import evolve

from agentcore.changes import Blob, Changes, Logged
from agentcore.commands import Cancel, Decide
from agentcore.errors import SessionNotFound
from agentcore.events import (
    CallClosed,
    CallOpened,
    Ended,
    Finished,
    OAuthPrompted,
    TextDelta,
    TextKind,
    TextSaid,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from agentcore.ids import ChangeId, NodeId, TaskId
from agentcore.messages import FilePart, Role, TextPart, ThinkingPart
from agentcore.ports import Fenced, Leases, Stale, Store
from agentcore.receive import receive
from agentcore.task import Decision, TaskStatus
from agentcore.testing.contracts.conversation import ConversationContract
from agentcore.testing.contracts.erasing import ErasingContract
from agentcore.testing.making import OTHER, TENANT, a_prompt, a_talk, an_approval, an_id, now
from agentcore.usage import Usage

USAGE = Usage(model="m", input_tokens=10, output_tokens=5)


class StoreContract(ErasingContract, ConversationContract):
    """Give it fixtures ``store`` and ``leases`` over the same, empty truth."""

    pytestmark = pytest.mark.anyio

    async def test_a_prompt_opens_a_session_and_queues_a_task(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit()
        view = await store.task(TENANT, task.id)
        assert (view.task.status, view.task.number, view.task.version) == (TaskStatus.QUEUED, 2, 1)
        assert evolve(view.task, number=0) == task
        assert (await store.session(*talk.place)).session == talk.session
        page = await store.log(*talk.place, 1, 10)
        assert [entry.seq for entry in page.entries] == [1, 2]

    async def test_an_old_session_is_refused_and_leaves_nothing(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        old, head = talk.session, (await store.log(*talk.place, 1, 10)).head
        await talk.admit()
        session = old.touched(now())
        at = now()
        stale = Changes(
            tenant_id=TENANT,
            session_id=old.id,
            at=at,
            session=session,
            log=(Logged(event=OAuthPrompted(provider="p", url="u")),),
        )
        with pytest.raises(Stale):
            await store.commit(stale)
        assert (await store.log(*talk.place, 1, 10)).head == head + 1

    async def test_an_old_task_is_refused_and_leaves_nothing(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit()
        old = await store.turn(TENANT, task.id)
        await talk.take()
        head = (await store.log(*talk.place, 1, 10)).head
        _, changes = old.begin(now())
        with pytest.raises(Stale):
            await store.commit(changes)
        page = await store.log(*talk.place, 1, 10)
        assert page.head == head
        assert len(await store.messages(*talk.place, (0, 0), 10)) == 1

    async def test_a_commit_under_an_old_epoch_is_fenced(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        zombie = evolve(grant.lease, epoch=grant.lease.epoch - 1)
        for event in (TextDelta("x" * 5000), CallOpened(model="m", input_tokens=1), Finished()):
            with pytest.raises(Fenced):
                await talk.say(grant.turn, zombie, event)
        assert not (await store.turn(TENANT, grant.turn.task.id)).said

    async def test_letting_go_ends_the_lease(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, _ = await talk.say(grant.turn, grant.lease, TextDelta("hi"), Finished())
        assert turn.task.status is TaskStatus.COMPLETED
        assert not await leases.renew([grant.lease])
        late = Changes(
            tenant_id=TENANT, session_id=talk.session.id, at=now(),
            log=(Logged(event=TextSaid(kind=TextKind.TEXT, text="late"), task_id=turn.task.id),),
            text_start=turn.position,
        )  # fmt: skip
        with pytest.raises(Fenced):
            await store.commit(late, grant.lease)

    async def test_text_begins_where_the_log_ends(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, _ = await talk.say(grant.turn, grant.lease, TextDelta("Hello 🙂 "))
        told, flushed = turn.checkpoint(now())
        committed = await store.commit(flushed, grant.lease)
        assert [entry.position for entry in committed.entries] == [8]
        with pytest.raises(Stale):
            await store.commit(flushed, grant.lease)
        stored = await store.turn(TENANT, grant.turn.task.id)
        assert (stored.position, stored.said) == (8, (TextPart("Hello 🙂 "),))
        assert told.position == 8

    async def test_segments_of_both_kinds_keep_their_order(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, _ = await talk.say(grant.turn, grant.lease, ThinkingDelta("hm "), TextDelta("so"), ThinkingDelta("well"))
        _, flushed = turn.checkpoint(now())
        committed = await store.commit(flushed, grant.lease)
        assert [entry.position for entry in committed.entries] == [3, 5, 9]
        said = (await store.turn(TENANT, grant.turn.task.id)).said
        assert said == (ThinkingPart("hm "), TextPart("so"), ThinkingPart("well"))

    async def test_many_writers_leave_no_gap(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        done: list[int] = []

        async def write(number: int) -> None:
            event = OAuthPrompted(provider=str(number), url="u")
            changes = Changes(tenant_id=TENANT, session_id=talk.session.id, at=now(), log=(Logged(event=event),))
            done.extend(entry.seq for entry in (await store.commit(changes)).entries)

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(write, number)
        page = await store.log(*talk.place, 1, 100)
        assert [entry.seq for entry in page.entries] == list(range(1, 23))
        assert sorted(done) == list(range(3, 23))

    async def test_messages_are_numbered_by_their_entry(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        use = ToolUse(tool_use_id="1", tool_name="t", input={"a": [1, None, "x"]})
        result = ToolResult(tool_use_id="1", output="done")
        await talk.say(grant.turn, grant.lease, TextDelta("let me"), use, result, TextDelta("so"), Finished())
        messages = await store.messages(*talk.place, (0, 0), 10)
        assert [message.role for message in messages] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT]
        places = [(message.seq, message.n) for message in messages]
        assert places == sorted(places)
        assert places[1][0] == places[2][0]
        assert [m.id for m in messages] == [f"{grant.turn.task.id}.{n}" for n in range(4)]
        assert await store.messages(*talk.place, places[1], 10) == messages[2:]

    async def test_the_ledger_takes_each_call_once(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        closed = CallClosed(usage=USAGE, provider_message_id="p1")
        opened = CallOpened(model="m", input_tokens=9)
        turn, _ = await talk.say(grant.turn, grant.lease, opened)
        stored = await store.turn(TENANT, turn.task.id)
        assert (stored.call, stored.calls) == (turn.call, 1)
        turn, _ = await talk.say(turn, grant.lease, closed, opened, closed)  # the provider has said it twice
        stored = await store.turn(TENANT, turn.task.id)
        assert (stored.usage.input_tokens, stored.usage.output_tokens, stored.calls) == (10, 5, 2)

    async def test_the_last_change_of_a_driver_can_be_asked_for(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, _ = await talk.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=9))
        change = await store.last_change(TENANT, turn.task.id)
        assert change is not None
        with pytest.raises(Fenced):
            await talk.say(turn, evolve(grant.lease, epoch=99), Finished())
        assert await store.last_change(TENANT, turn.task.id) == change

    async def test_a_command_needs_no_lease(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit()
        grant = await talk.take()
        assert (await talk.ask(task.id, Cancel())).task.status is TaskStatus.CANCELLING
        with pytest.raises(Stale):
            await talk.say(grant.turn, grant.lease, Finished())

    async def test_blobs_are_kept_once_per_tenant(self, store: Store, leases: Leases) -> None:
        data = b"\x89PNG\r\n\x1a\n" + b"0" * 100
        digest = hashlib.sha256(data).hexdigest()
        blob = Blob(sha256=digest, media_type="image/png", data=data)
        talk = a_talk(store, leases)
        await talk.admit(also=lambda changes: evolve(changes, blobs=(blob,)))
        await talk.admit(also=lambda changes: evolve(changes, blobs=(blob,)))
        assert await store.blobs(TENANT, [digest, "f" * 64]) == {digest: blob}
        assert await store.blobs(OTHER, [digest]) == {}

    async def test_only_what_no_session_refers_to_is_forgotten(self, store: Store, leases: Leases) -> None:
        data = b"picture"
        digest = hashlib.sha256(data).hexdigest()
        blob = Blob(sha256=digest, media_type="image/png", data=data)
        talk = a_talk(store, leases)
        part = FilePart(sha256=digest, media_type="image/png", size=len(data))
        await talk.admit(evolve(a_prompt(), parts=(part,), blobs=(blob,)))
        assert await store.forget_blobs(0.0, 10) == 0
        assert await store.blobs(TENANT, [digest]) == {digest: blob}

    async def test_a_driver_that_knows_too_little_is_refused(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, _ = await talk.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=9))
        use = Logged(event=ToolUse(tool_use_id="1", tool_name="t", input={}), task_id=turn.task.id, attempt=1)
        head = (await store.log(*talk.place, 1, 100)).head
        changes = evolve(turn.nothing(now()), log=(use,), id=ChangeId(an_id()))
        with pytest.raises(Stale):
            await store.commit(evolve(changes, follows=ChangeId(an_id())), grant.lease)
        assert (await store.log(*talk.place, 1, 100)).head == head
        follows = await store.last_change(TENANT, turn.task.id)
        await store.commit(evolve(changes, follows=follows), grant.lease)
        with pytest.raises(Stale):  # nor is it new if it says nothing of what it follows
            await store.commit(changes, grant.lease)
        with pytest.raises(Stale):  # the same once more, as after an answer that was lost
            await store.commit(evolve(changes, follows=follows), grant.lease)
        assert (await store.log(*talk.place, 1, 100)).head == head + 1

    async def test_a_lease_is_its_nodes(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        stranger = evolve(grant.lease, node=NodeId("stranger"))
        for event in (CallOpened(model="m", input_tokens=1), Finished()):
            with pytest.raises(Fenced):
                await talk.say(grant.turn, stranger, event)
        unknown = evolve(grant.lease, task_id=TaskId(an_id()))
        with pytest.raises(Fenced):
            await talk.say(grant.turn, unknown, CallOpened(model="m", input_tokens=1))
        assert await leases.renew([stranger, unknown]) == {}
        assert await leases.renew([evolve(grant.lease, epoch=grant.lease.epoch + 1)]) == {}

    async def test_what_comes_with_text_begins_where_the_log_ends_too(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, _ = await talk.say(grant.turn, grant.lease, TextDelta("let me"))
        _, changes = receive(turn, ToolUse(tool_use_id="1", tool_name="t", input={}), now())
        await store.commit(changes, grant.lease)
        with pytest.raises(Stale):
            await store.commit(changes, grant.lease)
        assert (await store.log(*talk.place, 1, 100)).position == len("let me")

    async def test_what_is_over_does_not_change(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, _ = await talk.say(grant.turn, grant.lease, Finished())
        task = evolve(turn.task, version=turn.task.version + 1, result="late")
        with pytest.raises(Stale):
            await store.commit(evolve(turn.nothing(now()), tasks=(task,)))
        assert (await store.task(TENANT, task.id)).task.version == turn.task.version

    async def test_text_alone_is_no_change_of_its_driver(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        for task_id in (grant.turn.task.id, TaskId(an_id())):  # not changed yet, or not there any more
            assert await store.last_change(TENANT, task_id) is None
        turn, _ = await talk.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=9))
        change = await store.last_change(TENANT, turn.task.id)
        turn, _ = await talk.say(turn, grant.lease, TextDelta("x" * 5000))
        assert await store.last_change(TENANT, turn.task.id) == change
        _, unnamed = receive(turn, ToolUse(tool_use_id="1", tool_name="t", input={}), now())
        await store.commit(unnamed, grant.lease)
        prompted = Logged(event=OAuthPrompted(provider="p", url="u"))
        await store.commit(evolve(turn.nothing(now()), id=ChangeId(an_id()), log=(prompted,)))  # nobody's lease
        assert await store.last_change(TENANT, turn.task.id) == change

    async def test_the_ledger_leaves_out_what_it_has(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, _ = await talk.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=9))
        turn, changes = receive(turn, CallClosed(usage=USAGE, provider_message_id="p1"), now())
        (ledger,) = changes.ledgers
        (record,) = ledger.settled
        for other in (record, record, evolve(record, key="1:9"), evolve(record, provider_message_id="p2")):
            await store.commit(evolve(changes, ledgers=(evolve(ledger, settled=(other,)),)), grant.lease)
        stored = await store.turn(TENANT, turn.task.id)
        assert (stored.usage.input_tokens, stored.usage.output_tokens) == (10, 5)
        assert len(await store.deliveries(TENANT, None, 10)) == 1

    async def test_a_call_begins_once(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        turn, changes = receive(grant.turn, CallOpened(model="m", input_tokens=9), now())
        for _ in range(2):
            await store.commit(changes, grant.lease)
        stored = await store.turn(TENANT, turn.task.id)
        assert (stored.calls, stored.call) == (1, turn.call)

    async def test_an_approval_is_decided_once(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit()
        grant = await talk.take()
        await talk.say(grant.turn, grant.lease, an_approval(), Ended())
        turn = await store.turn(TENANT, task.id)
        decided = (await talk.ask(task.id, Decide(approved=True, by="me"))).approvals
        late = turn.approvals[0].decided(Decision.REJECTED, now(), by="another")
        await store.commit(evolve(turn.nothing(now()), approvals=(late,)))
        assert (await store.turn(TENANT, task.id)).approvals == decided

    async def test_what_an_engine_says_of_a_tool_can_be_stored(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        use = ToolUse(tool_use_id="1", tool_name="t\x00", input={"a\ud800": ["\x00b", {"c": float("nan")}]})
        _, (committed,) = await talk.say(grant.turn, grant.lease, use)
        cleaned = ToolUse(tool_use_id="1", tool_name="t", input={"a": ["b", {"c": None}]})
        assert [entry.event for entry in committed.entries] == [cleaned]
        assert (await store.log(*talk.place, 5, 1)).entries[0].event == cleaned

    async def test_what_does_not_exist_cannot_be_changed(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        session = evolve(talk.session, version=7)
        changes = Changes(tenant_id=TENANT, session_id=session.id, at=now(), session=session)
        with pytest.raises(SessionNotFound):
            await store.commit(changes)
        with pytest.raises(SessionNotFound):
            await store.commit(evolve(changes, session=None, log=(Logged(event=OAuthPrompted(provider="p", url="u")),)))
