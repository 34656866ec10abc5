"""What every Store promises of remote agents and of what they answer."""

from datetime import timedelta

import pytest
from attrs import evolve

from agentcore.admission import OnBusy, admit
from agentcore.commands import Deliver
from agentcore.errors import InstanceNotFound
from agentcore.events import CallOpened, Ended
from agentcore.ids import InstanceId, TenantId
from agentcore.instances import Instance, InstanceStatus
from agentcore.ports import Leases, Stale, Store
from agentcore.reply import Reply
from agentcore.task import TaskStatus
from agentcore.testing.making import OTHER, TENANT, a_prompt, a_session, a_talk, an_id, now
from agentcore.usage import Usage

OWNER = "somebody"  # as in ``a_session``


def an_instance(tenant: TenantId = TENANT, owner: str = OWNER, age_s: float = 0.0) -> Instance:
    """Make one that is not stored."""
    at = now() - timedelta(seconds=age_s)
    return Instance(
        id=InstanceId(an_id()),
        tenant_id=tenant,
        owner=owner,
        name="claw",
        host="bridge.example",
        port=8080,
        created_at=at,
        updated_at=at,
    )


class InstancesContract:
    """Give it fixtures ``store`` and ``leases`` over the same, empty truth."""

    pytestmark = pytest.mark.anyio

    async def test_an_instance_comes_back_as_it_was(self, store: Store) -> None:
        full, bare = an_instance(), evolve(an_instance(), host=None, port=None, status=InstanceStatus.ERROR)
        for made in (full, bare):
            await store.keep_instance(made)
            assert await store.instance(TENANT, made.id) == made

    async def test_an_instance_steps_one_version_at_a_time(self, store: Store) -> None:
        made = an_instance()
        await store.keep_instance(made)
        with pytest.raises(Stale):
            await store.keep_instance(made)
        changed = made.changed(now(), name="other", status=InstanceStatus.STOPPED)
        await store.keep_instance(changed)
        for wrong in (changed, evolve(changed, version=4)):
            with pytest.raises(Stale):
                await store.keep_instance(wrong)
        assert await store.instance(TENANT, made.id) == changed

    async def test_another_tenants_instance_is_a_missing_one(self, store: Store) -> None:
        made = an_instance()
        await store.keep_instance(made)
        await store.drop_instance(OTHER, made.id)
        with pytest.raises(InstanceNotFound):
            await store.instance(OTHER, made.id)
        with pytest.raises(InstanceNotFound):
            await store.instance(TENANT, an_instance().id)
        assert await store.instances(OTHER, OWNER, 10) == []
        await store.keep_instance(evolve(made, tenant_id=OTHER))  # ids are the tenant's own
        assert (await store.instance(TENANT, made.id)).tenant_id == TENANT

    async def test_an_owner_sees_its_own_newest_first(self, store: Store) -> None:
        made = [an_instance(age_s=age) for age in (3, 1, 2)]
        for instance in (*made, an_instance(owner="another"), an_instance(OTHER)):
            await store.keep_instance(instance)
        found = await store.instances(TENANT, OWNER, 10)
        assert [instance.id for instance in found] == [made[1].id, made[2].id, made[0].id]
        assert await store.instances(TENANT, OWNER, 2) == found[:2]

    async def test_what_is_dropped_is_gone_and_its_sessions_stay(self, store: Store, leases: Leases) -> None:
        made = an_instance()
        await store.keep_instance(made)
        talk = a_talk(store, leases)
        talk.session = evolve(talk.session, instance=made.id)
        await talk.admit()
        for _ in range(2):
            await store.drop_instance(TENANT, made.id)
        with pytest.raises(InstanceNotFound):
            await store.instance(TENANT, made.id)
        assert (await store.session(*talk.place)).session.instance == made.id

    async def test_sessions_with_an_instance_are_its_owners(self, store: Store) -> None:
        here, there = InstanceId(an_id()), InstanceId(an_id())
        made: list[str] = []
        for number, (instance, owner) in enumerate(
            [(here, OWNER), (here, "another"), (there, OWNER), (None, OWNER), (here, OWNER), (here, OWNER)]
        ):
            session = a_session(at=now() - timedelta(seconds=number))
            session = evolve(session, instance=instance, owner=owner)
            await store.commit(admit(session, [], a_prompt(), OnBusy.REJECT, now())[1])
            made += [session.id] if (instance, owner) == (here, OWNER) else []
        found = await store.sessions_with(TENANT, OWNER, here, 10)
        assert [view.session.id for view in found] == made
        assert {view.activity for view in found} == {TaskStatus.QUEUED}
        assert await store.sessions_with(TENANT, OWNER, here, 2) == found[:2]
        assert await store.sessions_with(OTHER, OWNER, here, 10) == []

    async def test_a_reply_is_kept_until_its_driver_concludes(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        prompt = a_prompt()
        task = await talk.admit(evolve(prompt, params=evolve(prompt.params, instance=InstanceId(an_id()))))
        grant = await talk.take()
        await talk.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=3))
        usage = Usage(model="claw", input_tokens=5, output_tokens=2)
        reply = Reply(ok=True, text="hi", usage=usage)
        for _ in range(2):
            await talk.ask(task.id, Deliver(reply=reply, receipt="r"))
        turn = await store.turn(TENANT, task.id)
        assert (turn.reply, turn.task.status, turn.task.params) == (reply, TaskStatus.RUNNING, task.params)
        assert [turn.reply for turn in (await store.open_turns(*talk.place))[1]] == [reply]
        await talk.say(turn, grant.lease, Ended())
        view = await store.task(TENANT, task.id)
        assert (view.task.status, view.task.result, view.usage) == (TaskStatus.COMPLETED, "hi", usage)
        assert [m.text for m in await store.messages(*talk.place, (0, 0), 10)] == ["hello", "hi"]
        next_task = await talk.admit()
        assert (await store.turn(TENANT, next_task.id)).reply is None  # a reply is its task's own
        assert [turn.reply for turn in (await store.open_turns(*talk.place))[1]] == [None]
