"""Nodes say that they are there, and what takes something away waits for those that may need it."""

from pathlib import Path

import anyio
import psycopg
import pytest
import structlog
from tests.adapters.test_migrate import write
from tests.support.database import Server, ask

from agentcore import __version__
from agentcore.ids import NodeId
from agentcore.testing.making import NODE, a_talk
from agentcore_adapters.postgres import migrate as runner
from agentcore_adapters.postgres import presence
from agentcore_adapters.postgres.migrate import Migrated, migrate
from agentcore_adapters.postgres.presence import UNKNOWN, beating, listed, older, order
from agentcore_adapters.postgres.store import postgres_store
from agentcore_http import logs
from agentcore_http.__main__ import main

pytestmark = pytest.mark.anyio
OLD = "INSERT INTO agentcore.node (id, release) VALUES ('old', '0.0.9')"
ROWS = "SELECT string_agg(id || ' ' || release, ',' ORDER BY id) FROM agentcore.node"
SEEN = "SELECT seen_at::text FROM agentcore.node"


@pytest.fixture
def addresses(postgres: Server) -> tuple[str, str]:
    return postgres.fresh()


@pytest.fixture
def owner(addresses: tuple[str, str]) -> str:
    return addresses[0]


@pytest.fixture
def service(addresses: tuple[str, str]) -> str:
    return addresses[1]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PERIOD_S", 0.02)


async def nodes(dsn: str) -> dict[str, int]:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        return await beating(connection)


async def changed(owner: str, query: str, was: object) -> object:
    with anyio.fail_after(10):
        while (found := ask(owner, query)) == was:
            await anyio.sleep(0.01)
    return found


@pytest.mark.usefixtures("often")
async def test_a_node_is_there_as_long_as_it_lives_though_it_drives_nothing(owner: str, service: str) -> None:
    async with postgres_store(service, node=NODE):
        assert ask(owner, ROWS) == f"{NODE} {__version__}"
        await changed(owner, SEEN, ask(owner, SEEN))
        assert await nodes(owner) == await nodes(service) == {__version__: 1}
    assert ask(owner, ROWS) is None


async def test_a_node_that_is_cancelled_takes_its_row_along(owner: str, service: str) -> None:
    """Although the flusher, and whatever else is under it, is cancelled with it."""
    with anyio.CancelScope() as scope:
        async with postgres_store(service, node=NODE):
            scope.cancel()
            await anyio.sleep(10)
    assert ask(owner, ROWS) is None


@pytest.mark.usefixtures("often")
async def test_a_node_that_was_forgotten_meanwhile_comes_back(owner: str, service: str) -> None:
    async with postgres_store(service, node=NODE):
        ask(owner, "DELETE FROM agentcore.node")
        assert await changed(owner, ROWS, None) == f"{NODE} {__version__}"


@pytest.mark.usefixtures("often")
async def test_a_node_lives_though_it_cannot_say_so(owner: str, service: str) -> None:
    with structlog.testing.capture_logs() as told:
        ask(owner, "ALTER TABLE agentcore.node RENAME TO elsewhere")
        async with postgres_store(service, node=NODE) as (store, _):
            with anyio.fail_after(10):
                while len(told) < 3:
                    await anyio.sleep(0.01)
            await store.ping()
            ask(owner, "ALTER TABLE agentcore.elsewhere RENAME TO node")
            assert await changed(owner, ROWS, None) == f"{NODE} {__version__}"
    assert {(each["event"], each["kind"]) for each in told} == {("presence.unsaid", "UndefinedTable")}


@pytest.mark.usefixtures("often")
async def test_one_that_was_killed_is_not_counted_for_long_and_forgotten_after_a_day(owner: str, service: str) -> None:
    for name, age in (("fresh", "50 s"), ("killed", "70 s"), ("yesterdays", "25 hours")):
        ask(owner, f"INSERT INTO agentcore.node VALUES ('{name}', '0.1.5', now(), now() - interval '{age}')")
    assert await nodes(owner) == {"0.1.5": 1}
    async with postgres_store(service, node=NodeId("n")):
        assert await changed(owner, "SELECT count(*) FROM agentcore.node", 4) == 3
    assert ask(owner, ROWS) == "fresh 0.1.5,killed 0.1.5"


async def test_who_drives_something_and_has_no_row_is_of_an_unknown_release(owner: str, service: str) -> None:
    async with postgres_store(service) as (store, leases):
        talk = a_talk(store, leases)
        await talk.admit()
        assert await nodes(owner) == {}
        await talk.take()
        assert await nodes(owner) == {UNKNOWN: 1}
        ask(owner, f"INSERT INTO agentcore.node VALUES ('{talk.node}', '0.2.0')")
        assert await nodes(owner) == {"0.2.0": 1}
        ask(owner, "DELETE FROM agentcore.node")
        ask(owner, "UPDATE agentcore.task SET lease_expires_at = now() - interval '1 s'")
        assert await nodes(owner) == {}


def test_releases_come_in_the_order_of_their_numbers() -> None:
    there = {"0.10.0": 1, "0.9.2": 2, "0.9.10rc1": 3, UNKNOWN: 4}
    assert older(there, "0.10.0") == {"0.9.2": 2, "0.9.10rc1": 3, UNKNOWN: 4}
    assert older(there, "0.9.10") == {"0.9.2": 2, UNKNOWN: 4}
    assert listed(there) == f"4 of {UNKNOWN}, 2 of 0.9.2, 3 of 0.9.10rc1, 1 of 0.10.0"
    assert order("1.2.3.dev4") == (1, 2, 3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Migrations of this release and then one that takes something away, with one after it."""
    for file in runner.folder_of_ours().iterdir():
        if file.name.endswith(".sql"):
            (tmp_path / file.name).write_text(file.read_text())
    write(tmp_path, "8000_post_away", "CREATE TABLE agentcore.away (n int);")
    write(tmp_path, "8001_pre_after", "CREATE TABLE agentcore.after (n int);")
    monkeypatch.setattr(runner, "folder_of_ours", lambda: tmp_path)
    return tmp_path


async def test_what_takes_away_waits_for_nodes_of_an_older_release(owner: str, folder: Path) -> None:
    ask(owner, OLD)
    left = Migrated(["8001_pre_after"], ["8000_post_away"], {"0.0.9": 1})
    assert await migrate(owner, folder) == left
    assert ask(owner, "SELECT to_regclass('agentcore.away')") is None
    assert await migrate(owner, folder) == Migrated([], ["8000_post_away"], {"0.0.9": 1})
    ask(owner, "DELETE FROM agentcore.node")
    assert await migrate(owner, folder) == Migrated(["8000_post_away"], [], {})


@pytest.mark.parametrize(("theirs", "waits"), [("1.0.9", True), ("1.1.0", False), ("1.2.0", False)])
async def test_only_older_ones_are_waited_for(owner: str, folder: Path, theirs: str, *, waits: bool) -> None:
    ask(owner, f"INSERT INTO agentcore.node VALUES ('n', '{theirs}')")
    assert bool((await migrate(owner, folder, release="1.1.0")).left) is waits


async def test_nodes_from_before_there_were_rows_are_there_for_all_that_is_known(owner: str, folder: Path) -> None:
    ask(owner, "DROP TABLE agentcore.node; DELETE FROM agentcore.schema_migration WHERE id = '0017_pre_node'")
    done = await migrate(owner, folder)
    assert (done.left, done.needed_by) == (["8000_post_away"], {UNKNOWN: 1})
    assert (await migrate(owner, folder)).applied == ["8000_post_away"]


async def test_a_new_database_gets_everything(postgres: Server, folder: Path) -> None:
    owner, _ = postgres.fresh()
    ask(owner, "DROP SCHEMA agentcore CASCADE")
    done = await migrate(owner, folder)
    assert (done.applied[-2:], done.left) == (["8000_post_away", "8001_pre_after"], [])


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "set_up", lambda **_: None)  # of the whole process, which is the tests'


def test_the_command_says_whom_it_waits_for(
    owner: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(owner, OLD)
    ask(owner, OLD.replace("'old'", "'older'"))
    monkeypatch.setenv("AGENTCORE_DATABASE_URL", owner)
    assert (main(["migrate"]), (folder / "8000_post_away.sql").exists()) == (0, True)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "applied 8001_pre_after"
    assert "left    8000_post_away: nodes of an older release may need what it takes away (2 of 0.0.9)" in said[1]


@pytest.mark.usefixtures("quiet")
def test_the_doctor_says_how_many_there_are(
    addresses: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTCORE_DATABASE_URL", addresses[1])
    main(["doctor", "--port", "0"])
    assert "nodes     none     none is running" in capsys.readouterr().out
    ask(addresses[0], OLD)
    main(["doctor", "--port", "0"])
    assert "nodes     ok       1 of 0.0.9" in capsys.readouterr().out
