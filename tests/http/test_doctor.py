"""The doctor finds real faults, and says what to set."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.support.database import Server

from agentcore_http import doctor, logs
from agentcore_http.__main__ import main
from agentcore_http.settings import Settings

Found = tuple[int, dict[str, str]]
Doctor = Callable[..., Found]


@pytest.fixture
def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Run the command with these variables; return its status, and state and text of each thing."""
    for name in list(os.environ):
        if name.startswith(("AGENTCORE_", "OPENAI_", "ANTHROPIC_")):
            monkeypatch.delenv(name)

    monkeypatch.setattr(logs, "set_up", lambda **_: None)  # of the whole process, which is the tests'

    def run(*arguments: str, **variables: str) -> Found:
        whole = {"AGENTCORE_DATA_DIR": str(tmp_path), "ANTHROPIC_API_KEY": "sk-ant-x", **variables}
        for name, value in whole.items():
            monkeypatch.setenv(name, value)
        status = main(["doctor", "--json", "--port", "0", *arguments])
        told: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert told["ok"] is (status == 0)
        return status, {one["name"]: f"{one['state']} {one['text']}" for one in told["findings"]}

    return run


def test_where_all_is_well_it_says_so(examined: Doctor, postgres: Server) -> None:
    status, found = examined(AGENTCORE_DATABASE_URL=postgres.fresh()[1])
    assert (status, found["store"]) == (0, "ok PostgreSQL, AGENTCORE_DATABASE_URL")
    assert found["clock"] == "ok as the database's"
    assert found["port"].startswith("ok")
    assert found["data dir"].startswith("ok")
    assert "free" in found["disk"]
    assert "key" not in found


def test_what_it_prints_is_json_and_nothing_else(postgres: Server, tmp_path: Path) -> None:
    """The service may not make days ahead, which is logged: elsewhere."""
    owner, service = postgres.fresh()
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("DELETE FROM agentcore.schema_migration WHERE id = '0015_pre_owner'")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AGENTCORE_")}
    environ |= {"AGENTCORE_DATABASE_URL": service, "AGENTCORE_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "agentcore_http", "doctor", "--port", "0"]
    ended = subprocess.run([*command, "--json"], check=False, env=environ, cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, json.loads(ended.stdout)["ok"], ended.stderr) == (1, False, "")


def test_no_database_answers(examined: Doctor) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = nobody.getsockname()[1]
        status, found = examined(AGENTCORE_DATABASE_URL=f"postgresql://u:hush@127.0.0.1:{port}/x")
    assert (status, found["store"].split()[0]) == (1, "missing")
    assert "AGENTCORE_DATABASE_URL: the server does not answer" in found["store"]
    assert "hush" not in str(found)
    assert "clock" not in found


def test_a_database_that_is_not_there(examined: Doctor, postgres: Server) -> None:
    status, found = examined(AGENTCORE_DATABASE_URL=make_conninfo(postgres.fresh()[1], dbname="nowhere"))
    assert (status, "no such user or database" in found["store"]) == (1, True)


@pytest.mark.parametrize(
    ("code", "said", "text"),
    [
        ("28P01", 'password authentication failed for user "u"', "refuses user or password"),
        ("28000", 'no pg_hba.conf entry for host "127.0.0.1"', "pg_hba.conf"),
        ("53300", "sorry, too many clients already", "no connection left"),
        ("57P03", "the database system is starting up", "is starting"),
        ("58000", "something else", "does not answer"),
    ],
)
def test_why_a_server_lets_nobody_in(examined: Doctor, code: str, said: str, text: str) -> None:
    """The throw-away server asks for no password, so this one refuses as PostgreSQL does, byte for byte."""
    fields = b"".join(b"%b\0" % part.encode() for part in ("SFATAL", "VFATAL", f"C{code}", f"M{said}")) + b"\0"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)

        thread = threading.Thread(target=refuse)
        thread.start()
        address = f"host=127.0.0.1 port={server.getsockname()[1]} user=u password=hush sslmode=disable"
        status, found = examined(AGENTCORE_DATABASE_URL=address + " gssencmode=disable")
        thread.join(10)
    assert (status, text in found["store"]) == (1, True), found["store"]
    assert not {word for word in ("hush", "127.0.0.1") if word in found["store"]}


def test_an_old_schema_and_a_login_that_nothing_binds(examined: Doctor, postgres: Server) -> None:
    owner, service = postgres.fresh()
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("DELETE FROM agentcore.schema_migration WHERE id = '0015_pre_owner'")
    status, found = examined(AGENTCORE_DATABASE_URL=service)
    assert status == 1
    assert "lacks the migration 0015_pre_owner. Run: agentcore migrate" in found["store"]
    status, found = examined(AGENTCORE_DATABASE_URL=owner)
    assert (status, "superuser" in found["store"]) == (1, True)


def test_a_data_dir_that_cannot_be_written(examined: Doctor, postgres: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    database = postgres.fresh()[1]
    status, found = examined(AGENTCORE_DATABASE_URL=database, AGENTCORE_DATA_DIR=str(tmp_path / "file" / "x"))
    assert (status, found["data dir"].split()[0]) == (1, "missing")
    assert "AGENTCORE_DATA_DIR" in found["data dir"]
    assert list(tmp_path.glob(".doctor-*")) == []


def test_a_port_that_is_used_may_be_ours(examined: Doctor, postgres: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        status, found = examined("--port", port, AGENTCORE_DATABASE_URL=postgres.fresh()[1])
    assert (status, found["port"].split()[0]) == (0, "odd")
    assert "--port" in found["port"]
    status, found = examined("--host", "192.0.2.1", AGENTCORE_DATABASE_URL=postgres.fresh()[1], AGENTCORE_AUTH="none")
    assert (status, found["port"].split()[0], found["auth"].split()[0]) == (1, "missing", "missing")


def test_what_would_stop_the_start_is_bad(examined: Doctor, postgres: Server, tmp_path: Path) -> None:
    database = postgres.fresh()[1]
    for variable, value, name in (
        ("AGENTCORE_TOOLS_MCP_CONFIG", str(tmp_path / "nowhere.json"), "tools"),
        ("AGENTCORE_STT", "openai", "voice"),
        ("AGENTCORE_USAGE_WEBHOOK", "http://127.0.0.1:9", "usage"),
    ):
        status, found = examined(AGENTCORE_DATABASE_URL=database, **{variable: value})
        assert (status, found[name].split()[0]) == (1, "missing"), name


def test_keys_are_judged_by_their_shape_where_they_go_to_their_own_provider() -> None:
    def odd(**more: str) -> list[str]:
        return [finding.text.split()[0] for finding in doctor.keys(Settings(**more))]  # type: ignore[arg-type]

    assert odd(anthropic_api_key="sk-ant-x", openai_api_key="sk-x") == []
    assert odd(anthropic_api_key="sk-x", openai_api_key='"sk-x"') == ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]
    assert odd(openai_api_key="sk-x y") == ["OPENAI_API_KEY"]
    assert odd(anthropic_api_key="k", anthropic_base_url="http://127.0.0.1:9") == []


def test_clocks_that_differ_are_said() -> None:
    assert doctor.clock(0.5).state == doctor.clock(-1.9).state == doctor.OK
    assert "30 s ahead of" in doctor.clock(30.0).text
    assert "4 s behind" in doctor.clock(-4.0).text
    assert doctor.clock(-4.0).state == doctor.ODD
    assert not doctor.clock(-4.0).is_bad


def test_an_extra_that_is_missing_is_named(examined: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    status, found = examined()
    assert (status, found["store"]) == (1, "missing PostgreSQL: pip install 'agentcore[postgres]'")
    assert found["engines"].startswith("missing")


def test_a_full_disk_is_odd(examined: Doctor, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "FREE_BYTES", 1 << 60)
    status, found = examined(AGENTCORE_DATABASE_URL=postgres.fresh()[1])
    assert (status, found["disk"].split()[0]) == (0, "odd")
    assert "AGENTCORE_DATA_DIR" in found["disk"]
