"""What every Store promises of erasing; a part of ``StoreContract``."""

import hashlib

import pytest
from attrs import evolve

from agentcore.changes import Blob, Receipt
from agentcore.errors import SessionNotFound, TaskNotFound
from agentcore.events import CallOpened, Finished, TextDelta
from agentcore.ids import EngineName, InstanceId, TenantId
from agentcore.instances import Instance
from agentcore.messages import FilePart
from agentcore.ports import Leases, Stale, Store
from agentcore.testing.making import OTHER, TENANT, a_key, a_prompt, a_talk, an_id, now


def an_instance(tenant: TenantId) -> Instance:
    """Make an instance of somebody."""
    return Instance(
        id=InstanceId(an_id()),
        tenant_id=tenant,
        owner=f"owner in {tenant}",
        name="",
        host=None,
        port=None,
        created_at=now(),
        updated_at=now(),
    )


class ErasingContract:
    """Give it fixtures ``store`` and ``leases`` over the same, empty truth."""

    pytestmark = pytest.mark.anyio

    async def test_erasing_removes_all_but_the_ledger(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        task = await talk.admit()
        grant = await talk.take()
        with pytest.raises(Stale):
            await store.erase(*talk.place)
        await talk.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=1), TextDelta("x"), Finished())
        await store.erase(*talk.place)
        with pytest.raises(SessionNotFound):
            await store.session(*talk.place)
        with pytest.raises(SessionNotFound):
            await store.log(*talk.place, 1, 10)
        with pytest.raises(TaskNotFound):
            await store.task(TENANT, task.id)
        with pytest.raises(SessionNotFound):
            await store.erase(*talk.place)

    async def test_erasing_removes_attachments_that_nobody_else_has(self, store: Store, leases: Leases) -> None:
        data = b"%PDF-1.7 something"
        digest = hashlib.sha256(data).hexdigest()
        part = FilePart(media_type="application/pdf", sha256=digest, size=len(data))
        blob = Blob(sha256=digest, media_type="application/pdf", data=data)
        talks = [a_talk(store, leases), a_talk(store, leases)]
        for talk in talks:
            prompt = evolve(a_prompt(), parts=(part,), blobs=(blob,))
            await talk.admit(prompt)
            grant = await talk.take()
            await talk.say(grant.turn, grant.lease, Finished())
        await store.erase(*talks[0].place)
        assert await store.blobs(TENANT, [digest]) == {digest: blob}
        await store.erase(*talks[1].place)
        assert await store.blobs(TENANT, [digest]) == {}

    async def test_erasing_leaves_the_calls_of_others(self, store: Store, leases: Leases) -> None:
        erased, other = a_talk(store, leases), a_talk(store, leases)
        for talk in (erased, other):
            await talk.admit()
        grant = await other.take()
        turn, _ = await other.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=1))
        grant = await erased.take()
        await erased.say(grant.turn, grant.lease, Finished())
        await store.erase(*erased.place)
        assert (await store.turn(TENANT, turn.task.id)).call == turn.call

    async def test_erasing_forgets_what_was_answered_about_it(self, store: Store, leases: Leases) -> None:
        erased, other = a_talk(store, leases), a_talk(store, leases)
        ids: list[str] = [erased.session.id]
        for _ in range(10):
            ids.append((await erased.admit()).id)
            grant = await erased.take()
            await erased.say(grant.turn, grant.lease, Finished())
        about = {
            "by task": (f"DELETE /tasks/{ids[-1]}", "{}"),
            "beneath its task": (f"POST /tasks/{ids[1]}/approve", "{}"),
            "by session": ("POST /tasks", f'{{"sessionId":"{ids[0]}"}}'),
            "by route": (f"DELETE /sessions/{ids[0].upper()}", "{}"),
            "another's": ("POST /tasks", f'{{"sessionId":"{other.session.id}","taskId":"{an_id()}"}}'),
        }
        await other.admit()
        keys = {name: evolve(a_key(name), route=route) for name, (route, _) in about.items()}
        theirs = evolve(a_key(tenant=OTHER), route=f"DELETE /sessions/{ids[0]}")
        await a_talk(store, leases, OTHER).admit()
        for key, body in [*((keys[name], body) for name, (_, body) in about.items()), (theirs, ids[0])]:
            assert await store.begin(key) is None
            await store.keep(Receipt(key=key, status=200, body=body))
        asking = evolve(a_key("asking"), route=f"DELETE /sessions/{ids[0]}")
        assert await store.begin(asking) is None
        await store.erase(*erased.place)
        await store.keep(Receipt(key=asking, status=200, body="{}"))  # whoever asks still holds its key
        assert {name: await store.begin(key) is not None for name, key in keys.items()} == {
            "by task": False,
            "beneath its task": False,
            "by session": False,
            "by route": False,
            "another's": True,
        }
        assert await store.begin(theirs) is not None

    async def test_a_tenant_with_a_session_is_not_forgotten(self, store: Store, leases: Leases) -> None:
        agent = an_instance(TENANT)
        await store.keep_instance(agent)
        await a_talk(store, leases).admit()
        with pytest.raises(Stale):
            await store.forget_tenant(TENANT)
        assert await store.instances(TENANT, None, 10) == [agent]

    async def test_a_tenant_without_sessions_can_be_forgotten(self, store: Store, leases: Leases) -> None:
        blob = Blob(sha256=hashlib.sha256(b"x").hexdigest(), media_type="application/pdf", data=b"x")
        key, agents = a_key(), {tenant: an_instance(tenant) for tenant in (TENANT, OTHER)}
        for tenant, agent in agents.items():
            talk = a_talk(store, leases, tenant)
            await talk.admit(also=lambda changes: evolve(changes, blobs=(blob,)))
            await store.keep_instance(agent)
            await store.set_default_engine(tenant, EngineName("one"))
            assert await store.begin(evolve(key, tenant_id=tenant)) is None
            await store.keep(Receipt(key=evolve(key, tenant_id=tenant), status=200, body="{}"))
            if tenant == TENANT:
                with pytest.raises(Stale):
                    await store.forget_tenant(tenant)
                grant = await talk.take()
                await talk.say(grant.turn, grant.lease, CallOpened(model="m", input_tokens=1), Finished())
                await store.erase(*talk.place)
        ledger = await store.ledger(TENANT, None, 10)
        await store.forget_tenant(TENANT)
        assert await store.ledger(TENANT, None, 10) == ledger != []
        assert await store.instances(TENANT, None, 10) == []
        assert await store.default_engine(TENANT) is None
        assert await store.blobs(TENANT, [blob.sha256]) == {}
        assert await store.begin(key) is None
        assert await store.instances(OTHER, None, 10) == [agents[OTHER]]
        assert await store.default_engine(OTHER) == "one"
        assert await store.blobs(OTHER, [blob.sha256]) == {blob.sha256: blob}
        assert await store.begin(evolve(key, tenant_id=OTHER)) is not None

    async def test_erasing_looks_at_no_other_tenant(self, store: Store, leases: Leases) -> None:
        data = b"%PDF-1.7 the same for two"
        digest = hashlib.sha256(data).hexdigest()
        part = FilePart(media_type="application/pdf", sha256=digest, size=len(data))
        blob = Blob(sha256=digest, media_type="application/pdf", data=data)
        mine, theirs = a_talk(store, leases), a_talk(store, leases, OTHER)
        for talk in (mine, theirs):
            await talk.admit(evolve(a_prompt(), parts=(part,), blobs=(blob,)))
            grant = await talk.take()
            await talk.say(grant.turn, grant.lease, Finished())
        await store.erase(*mine.place)
        assert await store.blobs(TENANT, [digest]) == {}
        assert await store.blobs(OTHER, [digest]) == {digest: blob}
