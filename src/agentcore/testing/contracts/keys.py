"""What every Store promises of Idempotency-Keys."""

import anyio
import pytest
from attrs import evolve

from agentcore.changes import Changes, Receipt
from agentcore.errors import KeyInFlight, KeyReused
from agentcore.ports import Leases, Stale, Store
from agentcore.testing.making import OTHER, TENANT, a_key, a_talk, now


class KeysContract:
    """Give it fixtures ``store`` and ``leases`` over the same, empty truth."""

    pytestmark = pytest.mark.anyio

    async def test_a_key_is_reserved_answered_and_replayed(self, store: Store, leases: Leases) -> None:
        key = a_key()
        await a_talk(store, leases).admit()
        assert await store.begin(key) is None
        with pytest.raises(KeyInFlight):
            await store.begin(key)
        with pytest.raises(KeyReused):
            await store.begin(a_key(request="11"))
        receipt = Receipt(key=key, status=201, body='{"a": 1}')
        await store.keep(receipt)
        assert await store.begin(key) == receipt
        await store.release(key)  # too late: it is answered
        assert await store.begin(key) == receipt
        assert await store.begin(a_key(tenant=OTHER)) is None

    async def test_a_released_key_is_free(self, store: Store) -> None:
        assert await store.begin(a_key()) is None
        await store.release(a_key())
        await store.release(a_key())  # and is not released twice
        assert await store.begin(a_key(request="11")) is None

    async def test_old_keys_are_forgotten_and_may_be_used_again(self, store: Store) -> None:
        keys = [a_key(f"key {n}") for n in range(3)]
        for key in keys:
            assert await store.begin(key) is None
        await store.keep(Receipt(key=keys[0], status=201, body="{}"))
        assert await store.forget_keys(3600.0, 10) == 0
        assert await store.begin(keys[0]) is not None
        forgotten: list[int] = []
        with anyio.fail_after(5):
            while sum(forgotten) < len(keys):  # its clock must have moved on
                forgotten.append(await store.forget_keys(0.0, 2))
        assert max(forgotten) == 2
        assert [await store.begin(key) for key in keys] == [None] * 3

    async def test_a_receipt_is_stored_with_the_effect_or_not_at_all(self, store: Store, leases: Leases) -> None:
        key = a_key()
        receipt = Receipt(key=key, status=201, body="{}")
        talk = a_talk(store, leases)
        await talk.admit()
        await store.begin(key)
        stale = Changes(tenant_id=TENANT, session_id=talk.session.id, at=now(), session=talk.session, receipt=receipt)
        with pytest.raises(Stale):
            await store.commit(stale)
        with pytest.raises(KeyInFlight):
            await store.begin(key)
        await talk.admit(also=lambda changes: evolve(changes, receipt=receipt))
        assert await store.begin(key) == receipt

    async def test_an_answer_is_its_holders(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        assert await store.begin(a_key()) is None
        late = Receipt(key=a_key(holder="two"), status=201, body="{}")
        with pytest.raises(KeyInFlight):
            await talk.admit(also=lambda changes: evolve(changes, receipt=late))
        with pytest.raises(KeyInFlight):
            await store.keep(late)
        await store.release(late.key)
        with pytest.raises(KeyInFlight):
            await store.begin(a_key(holder="three"))
        assert len(await store.tasks(*talk.place, 0, 10)) == 1
        await store.keep(Receipt(key=a_key(), status=201, body="{}"))
        replayed = await store.begin(a_key(holder="three"))
        assert replayed is not None
        assert (replayed.status, replayed.body) == (201, "{}")
        with pytest.raises(KeyInFlight):
            await store.keep(Receipt(key=a_key(), status=500, body="another"))
        with pytest.raises(KeyInFlight):
            await talk.admit(also=lambda changes: evolve(changes, receipt=Receipt(key=a_key(), status=201, body="")))

    async def test_a_key_is_one_callers_for_one_route(self, store: Store, leases: Leases) -> None:
        await a_talk(store, leases).admit()
        keys = [a_key(), evolve(a_key(), subject="another"), evolve(a_key(), route="POST /y"), a_key("other")]
        for key in keys:
            assert await store.begin(key) is None
        await store.release(keys[0])
        for key in keys[1:]:
            with pytest.raises(KeyInFlight):
                await store.begin(evolve(key, holder="two"))
        assert await store.begin(keys[0]) is None
        for number, key in enumerate(keys):
            await store.keep(Receipt(key=key, status=200 + number, body="{}"))
        for number, key in enumerate(keys):
            kept = await store.begin(key)
            assert kept is not None
            assert kept.status == 200 + number

    async def test_a_receipt_is_stored_under_a_key_that_is_reserved(self, store: Store, leases: Leases) -> None:
        talk = a_talk(store, leases)
        await talk.admit()
        for other in (evolve(a_key(), subject="another"), evolve(a_key(), route="POST /y"), a_key("other")):
            await store.begin(other)
        receipt = Receipt(key=a_key(), status=201, body="{}")
        with pytest.raises(KeyInFlight):
            await talk.admit(also=lambda changes: evolve(changes, receipt=receipt))
        with pytest.raises(KeyInFlight):
            await store.keep(receipt)

    async def test_fifty_twins_of_a_request_have_one_winner(self, store: Store) -> None:
        won: list[object] = []

        async def begin() -> None:
            try:
                won.append(await store.begin(a_key("twins")))
            except KeyInFlight:
                return

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(begin)
        assert won == [None]
