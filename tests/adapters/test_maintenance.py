"""Retention: days of the log are made ahead and dropped when they are old, and readers are told once."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from psycopg import conninfo
from tests.support.database import Server, ask
from tests.support.server import Json, receive, serving, text_of, until_final

from agentcore.errors import AgentcoreError
from agentcore.ports import Leases, Stale, Store
from agentcore_adapters.postgres.embedded import embedded_server
from agentcore_adapters.postgres.errors import translated
from agentcore_adapters.postgres.maintenance import keep_in_order, maintain
from agentcore_adapters.postgres.migrate import migrate
from agentcore_adapters.postgres.store import PostgresStore, postgres_store
from agentcore_http import wiring
from agentcore_http.settings import Settings

pytestmark = pytest.mark.anyio
DAYS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'agentcore.session_event'::regclass"
MAKE = "SELECT agentcore.make_event_partitions(current_date - 10, 1)"
OLD = "SELECT to_regclass('agentcore.session_event_p' || to_char(current_date - 10, 'YYYYMMDD')) IS NOT NULL"
AGE = "UPDATE agentcore.session_event SET created_at = now() - interval '10 days'"


@pytest.fixture
def addresses(postgres: Server) -> tuple[str, str]:
    """Of a fresh database: the owner's and the service's."""
    return postgres.fresh()


@pytest.fixture
def owner(addresses: tuple[str, str]) -> str:
    return addresses[0]


@pytest.fixture
async def store(addresses: tuple[str, str]) -> AsyncIterator[PostgresStore]:
    async with postgres_store(addresses[1]) as (store, _):
        yield store


def forget_to_make_a_day(owner: str) -> None:
    """Take away the last day that was made ahead."""
    assert ask(owner, DAYS) == 9
    day = ask(owner, "SELECT 'agentcore.session_event_p' || to_char(current_date + 7, 'YYYYMMDD')")
    ask(owner, f"DROP TABLE {day}")


async def test_days_are_made_ahead(owner: str) -> None:
    forget_to_make_a_day(owner)
    assert [await maintain(owner), await maintain(owner), ask(owner, DAYS)] == [True, True, 9]


def test_the_owners_command_makes_them(owner: str) -> None:
    forget_to_make_a_day(owner)
    assert wiring.migrate_database(Settings(database_url=owner)) == 0
    assert ask(owner, DAYS) == 9


async def test_the_embedded_server_makes_them() -> None:
    with tempfile.TemporaryDirectory(prefix="ac-", ignore_cleanup_errors=True) as folder:
        settings = Settings(data_dir=Path(folder))
        async with embedded_server(Path(folder)) as server:
            await migrate(server.dsn_owner)
            forget_to_make_a_day(server.dsn_owner)
        async with wiring.database(settings) as dsn:
            owner = conninfo.make_conninfo(dsn, user="agentcore")
            with anyio.fail_after(10):
                while ask(owner, DAYS) != 9:
                    await anyio.sleep(0.02)


async def test_one_does_it_at_a_time(owner: str) -> None:
    with psycopg.connect(owner) as another:
        another.execute("SELECT pg_advisory_xact_lock(hashtext('agentcore.maintain'))")
        assert not await maintain(owner)


async def test_it_is_left_to_the_owner(addresses: tuple[str, str]) -> None:
    with anyio.fail_after(10):
        await keep_in_order(addresses[1])


async def test_it_comes_again_when_the_log_is_in_use(owner: str) -> None:
    ask(owner, MAKE)
    with psycopg.connect(owner) as reader:
        reader.execute("SELECT count(*) FROM agentcore.session_event")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_in_order, owner, 0.1)
            with anyio.fail_after(10):
                while not ask(owner, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                    await anyio.sleep(0.01)
            reader.rollback()
            with anyio.fail_after(10):
                while ask(owner, OLD):
                    await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("is_day_there", [True, False])
async def test_C2_readers_are_told_once_that_the_past_is_gone(
    owner: str, addresses: tuple[str, str], is_day_there: bool
) -> None:
    """The log is forgotten after days; the history and the ledger are not, and the session goes on."""
    async with postgres_store(addresses[1]) as stores, serving(*stores) as served:
        task = await served.done("[[words:5]]")
        session_id = task["sessionId"]
        if is_day_there:
            ask(owner, MAKE)
        ask(owner, AGE)
        assert await maintain(owner)
        assert not ask(owner, OLD)
        assert ask(owner, "SELECT count(*) FROM agentcore.session_event") == 0
        for after in ("", "&after=1", "&after=0"):
            items = await served.log(session_id, after)
            assert [(item["type"], item.get("reason")) for item in items] == [("stream_reset", "cursor_expired")]
        async with served.socket(session_id) as socket:
            assert [(await receive(socket))["type"] for _ in range(2)] == ["subscribed", "stream_reset"]
            again = await served.post("[[say:again]]", session_id)
            frames: list[Json] = await until_final(socket, again["taskId"])
        assert (text_of(frames), [f["type"] for f in frames].count("stream_reset")) == ("again", 0)
        assert [m["role"] for m in await served.messages(session_id)] == ["user", "assistant"] * 2
        assert (await served.get("/usage"))["total"]["calls"] == 2


async def test_a_day_that_an_open_task_needs_stays(owner: str, addresses: tuple[str, str]) -> None:
    async with postgres_store(addresses[1]) as stores, serving(*stores) as served:
        task = await served.post("[[say:half]] [[ask:rm:{}]] [[say:whole]]")
        await served.until(task["taskId"], {"awaiting_approval"})
        ask(owner, MAKE)
        ask(owner, AGE)
        ask(owner, "UPDATE agentcore.task SET created_at = now() - interval '10 days'")
        assert await maintain(owner)
        assert ask(owner, OLD)
        answer = await served.call("POST", f"/tasks/{task['taskId']}/approve", {"approved": True})
        assert answer.status_code == 201
        assert (await served.ended(task["taskId"]))["status"] == "completed"
        assert await maintain(owner)
        assert not ask(owner, OLD)


async def test_every_node_forgets_what_nobody_asks_for(
    stores: tuple[Store, Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(*stores) as served:
        first, second = [
            (await served.call("POST", "/tasks", {"prompt": "x"}, Idempotency_Key="k")).json() for _ in range(2)
        ]
        await served.runtime.pulse.forget()
        third = (await served.call("POST", "/tasks", {"prompt": "x"}, Idempotency_Key="k")).json()
        assert first == second == third
        monkeypatch.setattr("agentcore.pulse.KEYS_KEPT_S", 0.0)
        await served.runtime.pulse.forget()
        again = (await served.call("POST", "/tasks", {"prompt": "x"}, Idempotency_Key="k")).json()
        assert again["taskId"] != first["taskId"]


async def test_unused_attachments_are_forgotten(store: PostgresStore, owner: str) -> None:
    ask(owner, "INSERT INTO agentcore.tenant (id) VALUES ('a')")
    for data, age in (("old", 2), ("young", 0)):
        made = f"INSERT INTO agentcore.blob SELECT 'a', encode(sha256('{data}'), 'hex'), 'image/png', '{data}', "
        ask(owner, f"{made} now() - interval '{age} hours'")
    assert [await store.forget_blobs(3600.0, 10) for _ in range(2)] == [1, 0]
    assert ask(owner, "SELECT convert_from(data, 'UTF8') FROM agentcore.blob") == "young"


def test_an_attachment_that_has_just_been_forgotten_is_stored_again(owner: str) -> None:
    """Whoever wanted to use it decides again, on a new reading, and then brings it along."""
    ask(owner, "INSERT INTO agentcore.tenant (id) VALUES ('a')")
    session = "00000000-0000-0000-0000-000000000001"
    ask(
        owner,
        f"INSERT INTO agentcore.session VALUES ('a', '{session}', 'me', 'e', '', false, 'active', 1, now(), now())",
    )
    refused: Any = None
    try:
        with translated():
            ask(owner, f"INSERT INTO agentcore.blob_ref VALUES ('a', '{session}', 'gone')")
    except AgentcoreError as error:
        refused = error
    assert isinstance(refused, Stale)
