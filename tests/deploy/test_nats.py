"""The NATS servers of the cluster, as they run."""

import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
import yaml
from tests.support.deployed import DEPLOY, Json, env_file, interpolated, program
from tests.support.proxy import free_port

FOLDER = DEPLOY / "compose"
TEXT = (FOLDER / "nats.conf").read_text()
NAMES = ("nats1", "nats2", "nats3")
DIGITS = "12ab"  # a password that begins with a digit: bare it would be read as a number


def services() -> Json:
    filled = {name: value or DIGITS for name, value in env_file(FOLDER / "env.example").items()}
    found: Json = interpolated(yaml.safe_load((FOLDER / "compose.yaml").read_text()), filled)["services"]
    return found


def environ(name: str) -> dict[str, str]:
    found: dict[str, str] = services()[name]["environment"]
    return found


def test_nats_takes_its_configuration_and_knows_every_word(tmp_path: Path) -> None:
    for number, text in enumerate((TEXT, TEXT.replace("sync_interval", "sync_often"))):
        path = tmp_path / "nats.conf"
        path.write_text(text)
        command = [program("nats-server"), "-t", "-c", str(path)]
        done = subprocess.run(command, env=environ("nats2"), capture_output=True, check=False, timeout=30)
        assert done.returncode == number


def test_nodes_have_the_password_that_nats_asks_for() -> None:
    asked = services()["node1"]["environment"]["AGENTCORE_NATS_URL"].split(",")
    assert asked == [f"nats://agentcore:{DIGITS}@{name}:4222" for name in NAMES]
    assert [environ(name)["NATS_NAME"] for name in NAMES] == list(NAMES)


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[list[int]]:
    """Three servers on loopback, each with its file but for ports and folder; yield where they are watched."""
    ports = {(name, port): free_port() for name in NAMES for port in ("4222", "6222", "8222")}
    async with AsyncExitStack() as stack:
        for name in NAMES:
            place = folder / name
            place.mkdir()
            text = TEXT
            for port in ("4222", "6222", "8222"):
                text = re.sub(rf"[\d.]+:{port}", f"127.0.0.1:{ports[name, port]}", text)
            (place / "nats.conf").write_text(text.replace("/data", str(place)))
            routes = {
                f"NATS_ROUTE{number}": f'"nats://route:{DIGITS}@127.0.0.1:{ports[other, "6222"]}"'
                for number, other in enumerate(NAMES, 1)
            }
            assert routes.keys() <= environ(name).keys()
            with (place / "log").open("wb") as log:
                command = [program("nats-server"), "-c", str(place / "nats.conf")]
                child = subprocess.Popen(command, env=environ(name) | routes, stdout=log, stderr=log)
            stack.callback(child.wait)
            stack.callback(child.kill)
        yield [ports[name, "8222"] for name in NAMES]


@pytest.mark.anyio
async def test_three_of_them_are_one_and_write_before_they_say_so(tmp_path: Path) -> None:
    async with cluster(tmp_path) as watched, httpx2.AsyncClient() as http:
        with anyio.fail_after(60):
            told = [await led(http, port) for port in watched]
        assert {one["meta_cluster"]["leader"] for one in told} < set(NAMES)
        assert [one["meta_cluster"]["cluster_size"] for one in told] == [len(NAMES)] * len(NAMES)
        assert [one["config"]["sync_always"] for one in told] == [True] * len(NAMES)


async def led(http: httpx2.AsyncClient, port: int) -> Json:
    """What a server says when it knows who leads, and is well."""
    while True:
        try:
            told: Json = (await http.get(f"http://127.0.0.1:{port}/jsz")).json()
            is_well = (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
        except httpx2.ConnectError:
            told, is_well = {}, False
        if is_well and told.get("meta_cluster", {}).get("leader"):
            return told
        await anyio.sleep(0.05)


def test_compose_gives_each_the_addresses_of_all() -> None:
    for name in NAMES:
        routes = [environ(name)[f"NATS_ROUTE{number}"] for number in (1, 2, 3)]
        assert routes == [f'"nats://route:{DIGITS}@{other}:6222"' for other in NAMES]
        assert environ(name)["NATS_ROUTE_PASSWORD"] == f'"{DIGITS}"'
