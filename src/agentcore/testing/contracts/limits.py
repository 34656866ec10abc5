"""What every Store and Leases promise of limits."""

import hashlib
from collections.abc import Callable

import anyio
import pytest
from attrs import evolve

from agentcore.admission import OnBusy
from agentcore.changes import Blob, Changes
from agentcore.commands import Cancel
from agentcore.errors import OverLimit, SessionNotFound
from agentcore.events import Finished
from agentcore.ids import NodeId, TenantId
from agentcore.limits import Room
from agentcore.ports import AtLimit, Grant, Leases, Store
from agentcore.testing.contracts.leases import Expire
from agentcore.testing.making import NODE, OTHER, TENANT, Talk, a_prompt, a_talk

THIRD = TenantId("tenant-c")


class LimitsContract:
    """Give it fixtures ``store``, ``leases`` and ``expire`` over the same, empty truth."""

    pytestmark = pytest.mark.anyio

    @pytest.mark.parametrize("most", [7, 130])
    async def test_however_many_come_at_once_no_more_are_open_than_may_be(
        self, store: Store, leases: Leases, most: int
    ) -> None:
        talks = [a_talk(store, leases) for _ in range(most + 20)]
        refused: list[Talk] = []

        async def admit(talk: Talk) -> None:
            try:
                await talk.admit(also=_at_most(most))
            except OverLimit:
                refused.append(talk)

        async with anyio.create_task_group() as tasks:
            for talk in talks:
                tasks.start_soon(admit, talk)
        assert len(refused) == 20
        assert len(await store.sessions(TENANT, None, most + 50)) == most
        for talk in refused:
            with pytest.raises(SessionNotFound):
                await store.session(*talk.place)
        await a_talk(store, leases, OTHER).admit(also=_at_most(1))

    async def test_what_ends_or_stops_for_a_prompt_makes_room_for_it(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit(also=_at_most(1))
        await talk.admit(on_busy=OnBusy.INTERRUPT, also=_at_most(1))
        with pytest.raises(OverLimit):
            await talk.admit(on_busy=OnBusy.ENQUEUE, also=_at_most(1))
        grant = await talk.take()
        await talk.admit(on_busy=OnBusy.INTERRUPT, also=_at_most(1))
        assert grant.turn.task.id in {task.task.id for task in await store.tasks(*talk.place, 0, 10)}

    async def test_what_is_over_makes_room_for_others(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        first = await talk.admit(also=_at_most(1))
        await talk.ask(first.id, Cancel())
        await a_talk(store, leases).admit(also=_at_most(1))
        with pytest.raises(OverLimit):
            await a_talk(store, leases).admit(also=_at_most(1))

    @pytest.mark.parametrize("most", [3, 104])
    async def test_however_many_are_begun_at_once_no_more_run_than_may(
        self, store: Store, leases: Leases, most: int
    ) -> None:
        talks = [a_talk(store, leases) for _ in range(most + 6)]
        for talk in talks:
            await talk.admit()
        grants: list[Grant] = []
        refused: list[Talk] = []

        async def take(talk: Talk, node: NodeId) -> None:
            try:
                grant = await leases.take(*talk.place, node, most)
            except AtLimit:
                refused.append(talk)
            else:
                assert grant is not None
                grants.append(grant)

        async with anyio.create_task_group() as tasks:
            for i, talk in enumerate(talks):
                tasks.start_soon(take, talk, NodeId(f"node-{i % 2}"))
        assert (len(grants), len(refused)) == (most, 6)
        assert all(g.lease.epoch > 0 for g in grants)
        await Talk(store, leases, grants[0].turn.session).say(grants[0].turn, grants[0].lease, Finished())
        assert await leases.take(*refused[0].place, NODE, most) is not None
        with pytest.raises(AtLimit):
            await leases.take(*refused[1].place, NODE, most)

    async def test_what_is_lost_is_taken_over_at_the_limit_too(
        self, store: Store, leases: Leases, expire: Expire
    ) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        lost = await talk.take()
        await expire(lost.lease)
        again = await leases.take(*talk.place, NodeId("node-2"), 0)
        assert again is not None
        assert again.is_takeover

    async def test_who_runs_the_fewest_comes_first(self, store: Store, leases: Leases) -> None:
        old = [a_talk(store, leases) for _ in range(5)]
        for talk in old:
            await talk.admit()
        for talk in old[:2]:
            await talk.take()
        young = [a_talk(store, leases, OTHER) for _ in range(3)]
        for talk in young:
            await talk.admit()
        # tenant-a runs two: its oldest comes with the third of tenant-b, which runs none
        assert await leases.waiting(10) == [talk.place for talk in (*young[:2], old[2], young[2], *old[3:])]
        assert await leases.waiting(2) == [talk.place for talk in young[:2]]

    async def test_a_tenant_waits_while_it_runs_what_it_may(self, store: Store, leases: Leases) -> None:
        full = [a_talk(store, leases) for _ in range(4)]
        free, paused = a_talk(store, leases, OTHER), a_talk(store, leases, THIRD)
        for talk in (*full, free, paused):
            await talk.admit()
        await full[0].take()
        assert await leases.waiting(10, Room(most=1, tenants={THIRD: 0})) == [free.place]
        room = Room(most=2, tenants={THIRD: 0})
        assert await leases.waiting(10, room) == [free.place, full[1].place]
        assert await leases.waiting(10, Room(tenants={TENANT: 3}), only={TENANT}) == [t.place for t in full[1:3]]
        assert await leases.waiting(10, only={THIRD}) == [paused.place]
        assert await leases.waiting(10, only=()) == []

    async def test_what_is_lost_waits_for_no_room(self, store: Store, leases: Leases, expire: Expire) -> None:
        queued, talk = a_talk(store, leases, OTHER), a_talk(store, leases)
        await queued.admit()
        await talk.admit()
        grant = await talk.take()
        await expire(grant.lease)
        assert await leases.waiting(10, Room(most=0)) == [talk.place]
        assert await leases.waiting(10) == [talk.place, queued.place]

    async def test_within_a_tenant_it_goes_by_priority_and_age(self, store: Store, leases: Leases) -> None:
        first, second, hurried = (a_talk(store, leases) for _ in range(3))
        await first.admit()
        await second.admit()
        await hurried.admit(also=lambda c: evolve(c, tasks=tuple(evolve(t, priority=1) for t in c.tasks)))
        assert await leases.waiting(10) == [hurried.place, first.place, second.place]

    async def test_limits_of_a_tenant_are_kept_and_taken_back(self, store: Store) -> None:
        assert await store.limits() == {}
        await store.set_limits(TENANT, {"max_running": 3, "cost_per_day_usd": "1.50", "tokens_per_day": None})
        await store.set_limits(OTHER, {"max_queued": 1})
        await store.set_limits(OTHER, {"max_running": 2})
        assert await store.limits() == {
            TENANT: {"max_running": 3, "cost_per_day_usd": "1.50", "tokens_per_day": None},
            OTHER: {"max_running": 2},
        }
        await store.set_limits(TENANT, {})
        assert set(await store.limits()) == {OTHER}

    async def test_bytes_are_counted_for_their_tenant(self, store: Store, leases: Leases) -> None:
        async def keep(tenant: TenantId, data: bytes) -> None:
            blob = Blob(sha256=hashlib.sha256(data).hexdigest(), media_type="image/png", data=data)
            await a_talk(store, leases, tenant).admit(evolve(a_prompt(), blobs=(blob,)))

        assert await store.stored_bytes(TENANT) == 0
        await keep(TENANT, b"12345")
        await keep(TENANT, b"12345")
        await keep(TENANT, b"123")
        await keep(OTHER, b"1")
        assert await store.stored_bytes(TENANT) == 8


def _at_most(most: int) -> Callable[[Changes], Changes]:
    return lambda changes: evolve(changes, most_open=most)
