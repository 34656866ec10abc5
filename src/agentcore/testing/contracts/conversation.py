"""What every Store promises of engines' own conversations and of decisions."""

import pytest
from attrs import evolve

from agentcore.changes import Conversation
from agentcore.commands import Continue, Decide
from agentcore.events import (
    DecisionUsed,
    Ended,
    Finished,
    Resumable,
    ResumeLost,
    TextDelta,
    ToolResult,
    ToolUse,
)
from agentcore.ids import ApprovalId, EngineName, MessageId
from agentcore.ports import Fenced, Leases, Store
from agentcore.testing.making import ENGINE, OTHER, TENANT, a_talk, an_approval, an_id, now


class ConversationContract:
    """A part of ``StoreContract``."""

    pytestmark = pytest.mark.anyio

    async def test_an_engines_conversation_is_kept_and_goes_on(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        grant = await talk.take()
        assert await store.conversation(*talk.place, ENGINE) is None
        told = Resumable(reference="r1", lines=('{"a": "\\u0000"}', "two"))
        turn, _ = await talk.say(grant.turn, grant.lease, told)
        kept = await store.conversation(*talk.place, ENGINE)
        assert kept == Conversation(
            engine=ENGINE, reference="r1", knows=MessageId(f"{turn.task.id}.0"), lines=told.lines
        )
        use, result = ToolUse(tool_use_id="1", tool_name="t", input={}), ToolResult(tool_use_id="1", output="x")
        more = Resumable(reference="r1", start=2, lines=("three",))
        turn, _ = await talk.say(turn, grant.lease, use, result, more, TextDelta("untold"))
        kept = await store.conversation(*talk.place, ENGINE)
        assert kept is not None
        assert (kept.knows, kept.lines) == (f"{turn.task.id}.2", (*told.lines, "three"))
        assert await store.conversation(OTHER, talk.session.id, ENGINE) is None
        assert await store.conversation(*talk.place, EngineName("another")) is None
        with pytest.raises(Fenced):
            await talk.say(turn, evolve(grant.lease, epoch=99), Resumable(reference="zombie"))
        another = Conversation(engine=EngineName("another"), reference="a1", knows=kept.knows, lines=("its", "own"))
        await store.commit(evolve(turn.nothing(now()), conversation=another))
        await talk.say(turn, grant.lease, ResumeLost(ENGINE), Resumable(reference="r2", lines=("new",)), Finished())
        kept = await store.conversation(*talk.place, ENGINE)
        assert kept is not None
        assert (kept.reference, kept.lines) == ("r2", ("new",))
        assert await store.conversation(*talk.place, another.engine) == another
        await store.erase(*talk.place)
        assert await store.conversation(*talk.place, ENGINE) is None

    async def test_a_decision_is_used_once(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit()
        grant = await talk.take()
        asked = an_approval()
        await talk.say(grant.turn, grant.lease, asked, Ended())
        await talk.ask(task.id, Decide(approved=True, by="me", approval_id=asked.approval_id))
        grant = await talk.take()
        assert [approval.used for approval in grant.turn.approvals] == [False]
        again = evolve(asked, approval_id=ApprovalId(an_id()))
        await talk.say(grant.turn, grant.lease, DecisionUsed(asked.approval_id), again)
        assert [approval.used for approval in (await store.turn(TENANT, task.id)).approvals] == [True, False]
        await talk.ask(task.id, Decide(approved=True, by="me", approval_id=again.approval_id))
        await talk.ask(task.id, Continue())
        stored = (await store.turn(TENANT, task.id)).approvals
        assert [(approval.used, approval.by) for approval in stored] == [(True, "me"), (True, "me")]
        changes = (await store.turn(TENANT, task.id)).nothing(now())
        await store.commit(evolve(changes, approvals=tuple(evolve(approval, by="another") for approval in stored)))
        assert (await store.turn(TENANT, task.id)).approvals == stored
