"""The release before goes on working on today's schema, beside nodes of today's."""

import os
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx2
import psycopg
import pytest
from anyio.abc import TaskGroup
from attrs import frozen
from tests.faults.clients import Client, Facts, Reader
from tests.faults.site import Node, Site
from tests.rolling import freeze
from tests.support.database import EMPTY, Server

from agentcore import __version__
from agentcore_adapters.postgres.migrate import Migrated, folder_of_ours, migrate
from agentcore_adapters.postgres.presence import UNKNOWN, beating, order
from agentcore_adapters.testing.provider import StubProvider, stub_provider

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
TTL_S = 2.5
LONG = "[[words:100]] [[slow:0.02]]"


@frozen
class Before:
    """The release before, and where its sources lie."""

    version: str
    src: Path


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    """Unpack the release before."""
    (archive,) = Path(freeze.__file__).parent.glob("*.tar.xz")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return Before(archive.name.removesuffix(".tar.xz"), folder / "src")


def environment(src: Path, *more: Path) -> dict[str, str]:
    """Return what a process of one release is given."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(map(str, (src, *more)))}


def test_the_archive_is_of_the_release_before(before: Before) -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import agentcore; print(agentcore.__version__, agentcore.__file__)"],
        check=True, capture_output=True, text=True, cwd=before.src.parent, env=environment(before.src),
    ).stdout.split()  # fmt: skip
    assert told == [before.version, str(before.src / "agentcore/__init__.py")]
    assert order(before.version) < order(__version__)


def test_nothing_is_taken_away_from_nodes_that_cannot_be_seen(before: Before) -> None:
    """Nodes keep rows from 0.2.0 on: what takes something away may not come before the release after that."""
    if before.version == "0.1.0":
        assert [file.name for file in folder_of_ours().iterdir() if "_post_" in file.name] == []


def test_the_release_before_keeps_its_promises_on_todays_schema(
    before: Before, postgres: Server, tmp_path: Path
) -> None:
    owner, service = postgres.fresh()
    (tmp_path / "test_contracts.py").write_text((Path(__file__).parent / "contracts.py").read_text())
    given = {"ROLLING_OWNER": owner, "ROLLING_SERVICE": service, "ROLLING_EMPTY": EMPTY}
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", tmp_path, "."],
        check=False, capture_output=True, text=True, cwd=tmp_path, env=environment(before.src) | given,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout[-5000:]
    assert int(told.stdout.strip().splitlines()[-1].split()[0]) >= 60


@frozen
class Sides:
    """A node of each release on one database, with somebody who talks to each."""

    old: Client
    new: Client
    provider: StubProvider
    owner: str
    tasks: TaskGroup

    async def follow(self, reader: Reader, client: Client, task_id: str, chars: int) -> None:
        """Read from one node until so much of a task was told, and go away."""
        async with anyio.create_task_group() as reading:
            reading.start_soon(client.follow, reader)
            await client.said(reader, task_id, chars)
            reading.cancel_scope.cancel()

    async def nodes(self) -> dict[str, int]:
        """Return which there are."""
        async with await psycopg.AsyncConnection.connect(self.owner, autocommit=True) as connection:
            return await beating(connection)


async def page(client: Client, path: str) -> Any:
    """Ask for something that does not change."""
    answer = await client.call("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ended(client: Client, task_id: str) -> str:
    """Wait until a task has ended; return how."""
    while not (task := await page(client, f"/tasks/{task_id}"))["completedAt"]:
        await anyio.sleep(0.02)
    return str(task["status"])


@asynccontextmanager
async def side_by_side(before: Before, postgres: Server, folder: Path) -> AsyncIterator[Sides]:
    """Run a node of each release."""
    owner, service = postgres.fresh()
    async with stub_provider() as provider, httpx2.AsyncClient(timeout=10.0) as http:
        given = {
            "ANTHROPIC_BASE_URL": provider.url,
            "AGENTCORE_DATABASE_URL": service,
            "AGENTCORE_SECRET_KEY": "k" * 32,
            "AGENTCORE_DRAIN_SECONDS": "0.2",
        }
        nodes = [
            Node(folder, environment(src, ROOT) | given, ("--ttl", str(TTL_S), "--release", version),
                 module="tests.rolling.node")
            for src, version in ((before.src, before.version), (ROOT / "src", __version__))
        ]  # fmt: skip
        try:
            async with anyio.create_task_group() as starts:
                for node in nodes:
                    starts.start_soon(node.start)
            facts = Facts()
            old, new = (Client(Site(folder, [node]), facts, http, Random(1)) for node in nodes)
            async with anyio.create_task_group() as tasks:
                with anyio.fail_after(60):
                    yield Sides(old, new, provider, owner, tasks)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                for node in nodes:
                    if node.process is not None:
                        await node.kill()


@pytest.fixture
def contracting(tmp_path: Path) -> Path:
    """Our migrations, and one that takes something away."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    for file in folder_of_ours().iterdir():
        if file.name.endswith(".sql"):
            (folder / file.name).write_text(file.read_text())
    (folder / "8000_post_away.sql").write_text("DROP INDEX session_by_owner;")
    return folder


def text_of(reader: Reader, task_id: str) -> list[str]:
    return reader.tasks[task_id].text.split()


async def test_a_session_goes_from_release_to_release_and_what_an_old_node_drove_a_new_one_ends(
    before: Before, postgres: Server, tmp_path: Path, contracting: Path
) -> None:
    async with side_by_side(before, postgres, tmp_path) as sides:
        old, new = sides.old, sides.new
        session, first = await old.post("[[words:60]] [[slow:0.02]] remember 7431")
        reader = Reader(session)
        await sides.follow(reader, old, first, 60)
        assert reader.tasks[first].end is None  # its rest is read from the other node, with the cursor of this one
        sides.tasks.start_soon(new.follow, reader)
        assert await new.ended(reader, first) == "completed"
        assert text_of(reader, first)[:60] == [f"w{n}" for n in range(60)]
        for client, number in ((new, 2), (old, 3)):
            _, task = await client.post(f"[[say:number {number}]]", session)
            assert await new.ended(reader, task) == "completed"
            asked = str(sides.provider.calls[-1].body["messages"])
            assert (asked.count("remember 7431"), "w0 w1 w2 " in asked) == (1, True)
        assert reader.resets == []
        for path in ("events?limit=1000", "messages?limit=200"):
            assert await page(old, f"/sessions/{session}/{path}") == await page(new, f"/sessions/{session}/{path}")

        assert (await sides.nodes()).keys() == {__version__}
        other, lost = await old.post(LONG, onCrash="resume")
        reader = Reader(other)
        await sides.follow(reader, old, lost, 60)
        assert await sides.nodes() == {__version__: 1, UNKNOWN: 1}
        assert await migrate(sides.owner, contracting) == Migrated([], ["8000_post_away"], {UNKNOWN: 1})
        await old.site.nodes[0].kill()
        sides.tasks.start_soon(new.follow, reader)
        assert await ended(new, lost) == "completed"
        assert {*reader.resets} <= {"tail_lost"}  # what was told and not yet stored
        assert (await migrate(sides.owner, contracting)).applied == ["8000_post_away"]


async def test_what_a_new_node_drove_an_old_one_ends(before: Before, postgres: Server, tmp_path: Path) -> None:
    async with side_by_side(before, postgres, tmp_path) as sides:
        old, new = sides.old, sides.new
        session, lost = await new.post(LONG, onCrash="resume")
        reader = Reader(session)
        await sides.follow(reader, new, lost, 60)
        assert await sides.nodes() == {__version__: 1}  # the row is of whoever holds the lease
        await new.site.nodes[0].kill()
        sides.tasks.start_soon(old.follow, reader)
        assert await ended(old, lost) == "completed"
        _, after = await old.post("[[say:so]]", session)
        assert await ended(old, after) == "completed"
        assert {*reader.resets} <= {"tail_lost"}  # what was told and not yet stored
        assert {item["role"] for item in (await page(old, f"/sessions/{session}/messages?limit=200"))["items"]} == {
            "user",
            "assistant",
        }
