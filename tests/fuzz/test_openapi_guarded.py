"""A server that asks who comes is attacked from its OpenAPI document: by an admin, by a user, and by nobody."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore
from agentcore_adapters.postgres.store import postgres_store
from agentcore_http.app import API
from tests.fuzz.ground import Ground, broken_tokens, guarded_ground
from tests.fuzz.test_openapi import attack
from tests.support.database import Server

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
HOOKS = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks"}


@frozen
class Attack:
    """One run."""

    ground: Ground
    folder: Path

    async def by(self, tokens: list[str | None], marks: list[str], refusal: Any = None) -> Counter[str]:
        """Attack; return how often each status was answered."""
        told, seen = self.folder / "told.json", self.folder / "seen.json"
        planted = self.ground.planted
        others = {"session_id": [one.session_id for one in planted], "task_id": [one.task_id for one in planted]}
        said = {"tokens": tokens, "marks": marks, "others": others, "refusal": refusal, "seen": str(seen)}
        told.write_text(json.dumps(said))
        complaints = await attack(self.ground.served, more=HOOKS | {"AGENTCORE_FUZZ_TOLD": str(told)})
        if complaints:
            pytest.fail(complaints, pytrace=False)
        return Counter(json.loads(seen.read_text()))


async def test_an_admin_reads_nothing_of_another_tenant(tmp_path: Path) -> None:
    clock = SystemClock()
    store = MemoryStore(clock)
    async with guarded_ground(store, MemoryLeases(store.state, clock)) as ground:
        token = ground.token("admin")
        seen = await Attack(ground, tmp_path).by([f"Bearer {token}"], [*ground.marks("admin"), token])
        assert seen["200"] > 50, seen
        assert seen["201"] > 20, seen
        assert seen["404"] > 20, seen
        assert not seen["401"], seen
        await ground.is_as_it_was(touched=True)


async def test_a_user_reads_nothing_of_another_user(tmp_path: Path, postgres: Server) -> None:
    async with postgres_store(postgres.fresh()[1]) as stores, guarded_ground(*stores) as ground:
        token = ground.token("user")
        seen = await Attack(ground, tmp_path).by([f"Bearer {token}"], [*ground.marks("user"), token])
        assert seen["200"] > 50, seen
        assert seen["201"] > 20, seen
        assert seen["403"] > 5, seen  # what only an admin may
        assert not seen["401"], seen
        await ground.is_as_it_was()


async def test_nobody_is_answered_with_the_one_refusal(tmp_path: Path) -> None:
    clock = SystemClock()
    store = MemoryStore(clock)
    async with guarded_ground(store, MemoryLeases(store.state, clock)) as ground:
        refusal = (await ground.served.http.get(f"{ground.served.url}{API}/sessions")).json()
        refusal.pop("instance")
        tokens = broken_tokens(ground.issuer)
        seen = await Attack(ground, tmp_path).by(tokens, ground.marks("nobody"), refusal)
        assert seen["401"] > 300, seen
        assert not seen["201"], seen
        await ground.is_as_it_was()
