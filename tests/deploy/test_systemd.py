"""The units, as systemd itself reads them."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.deployed import DEPLOY, accepted, env_file, program, stopping

from agentcore_http.__main__ import _parser
from agentcore_http.auth.choice import check

FOLDER = DEPLOY / "systemd"
NODES = ("agentcore.service", "agentcore@.service")
SERVICES = (*NODES, "agentcore-migrate.service")
EXPOSURE = 2.0  # of 10, as systemd-analyze counts; "OK" begins below 5


def lines(name: str) -> list[tuple[str, str]]:
    """What a unit sets, in order: a name may come more than once."""
    text = (FOLDER / name).read_text().replace("%i", "8001")
    return [(key, value) for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)]


def last(name: str, key: str) -> str:
    return [value for found, value in lines(name) if found == key][-1]


def environ(name: str) -> dict[str, str]:
    words = [word for key, value in lines(name) if key == "Environment" for word in shlex.split(value)]
    return dict(word.split("=", 1) for word in words)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program and a user that are there."""
    for path in FOLDER.iterdir():
        text = path.read_text().replace("/opt/agentcore/bin/agentcore", shutil.which("true") or "")
        text = text.replace("User=agentcore\n", "User=daemon\n").replace("Group=agentcore\n", "Group=daemon\n")
        (tmp_path / path.name).write_text(text)
    return tmp_path


def verified(folder: Path) -> str:
    names = ["agentcore.service", "agentcore@8001.service", "agentcore-migrate.service", "agentcore-migrate.timer"]
    command = [program("systemd-analyze"), "verify", "--man=no", *(f"./{name}" for name in names)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    said = [line for line in done.stderr.splitlines() if "agentcore" in line]  # not of units of the machine
    return "\n".join(said)


def test_systemd_finds_nothing_to_say(units: Path) -> None:
    assert verified(units) == ""


def test_systemd_would_say_something(units: Path) -> None:
    unit = units / "agentcore.service"
    unit.write_text(unit.read_text().replace("KillMode=mixed", "KillMode=gently").replace("NoNewPriv", "NoNewPower"))
    said = verified(units)
    assert "gently" in said
    assert "NoNewPowerileges" in said


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_shut_in(units: Path, name: str) -> None:
    command = [program("systemd-analyze"), "security", "--offline=true", "--no-pager", f"./{name}"]
    done = subprocess.run(command, cwd=units, capture_output=True, text=True, check=True, timeout=60)
    (level,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(level) <= EXPOSURE
    assert last(name, "NoNewPrivileges") == "true"
    assert last(name, "ProtectSystem") == "strict"
    assert last(name, "User") == "agentcore"


@pytest.mark.parametrize("name", NODES)
def test_a_node_has_the_time_to_stop_that_it_may_take(name: str) -> None:
    needed = stopping({key: value for key, value in environ(name).items() if key.startswith("AGENTCORE_")})
    assert needed + 5 <= int(last(name, "TimeoutStopSec")) <= 2 * needed
    assert (last(name, "KillMode"), last(name, "KillSignal")) == ("mixed", "SIGTERM")


@pytest.mark.parametrize("name", SERVICES)
def test_the_command_is_one_that_there_is(name: str) -> None:
    program_, *words = shlex.split(last(name, "ExecStart").replace("${LISTEN}", environ(name).get("LISTEN", "")))
    assert program_ == "/opt/agentcore/bin/agentcore"
    options = _parser().parse_args(words)
    if name in NODES:
        assert (options.command, options.host) == ("serve", "127.0.0.1")
        assert options.port == (8001 if "@" in name else 8000)
    else:
        assert options.command == "migrate"


def test_nodes_on_one_machine_share_no_folder() -> None:
    name = "agentcore@.service"
    folders = {environ(name)["AGENTCORE_DATA_DIR"], environ(name)["HOME"], last(name, "WorkingDirectory")}
    assert folders == {f"/var/lib/{last(name, 'StateDirectory')}"} == {"/var/lib/agentcore/8001"}


def test_the_two_kinds_of_node_differ_in_nothing_else() -> None:
    one, several = ([line for line in lines(name) if line[0] != "Description"] for name in NODES)
    assert one == [(key, value.replace("/8001", "").replace("--port 8001", "--port 8000")) for key, value in several]


def test_the_example_is_one_that_a_node_would_start_with() -> None:
    example = env_file(FOLDER / "agentcore.env.example") | {"AGENTCORE_SECRET_KEY": "k" * 64}
    for name in NODES:
        both = {key: value for key, value in (environ(name) | example).items() if key.startswith("AGENTCORE_")}
        check(accepted(both), "10.0.0.5", keeps_keys=False)


def test_only_the_owners_unit_has_the_owners_login() -> None:
    files = {name: last(name, "EnvironmentFile") for name in SERVICES}
    assert files.pop("agentcore-migrate.service") == "/etc/agentcore/owner.env"
    assert set(files.values()) == {"/etc/agentcore/agentcore.env"}
    assert env_file(FOLDER / "owner.env.example").keys() == {"AGENTCORE_DATABASE_URL"}
