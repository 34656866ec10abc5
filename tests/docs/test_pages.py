"""Every block of the documentation does what its page says."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest
from attrs import evolve
from psycopg.conninfo import conninfo_to_dict
from tests.docs.blocks import LEFT_OUT, ROOT, Block, blocks, pages
from tests.docs.story import PROBLEM, Page, Place, a_place, a_port, expect, follow
from tests.support.database import Server, ask, running_server

from agentcore.task import StopCode

API = "/api/v1/agent"
COUNTING, SECOND, BRIDGE, BUS = (str(a_port()) for _ in range(4))


def asked(place: Place, text: str) -> Mapping[str, str]:
    """A session, and a task in it that has ended."""
    if "SESSION" not in text or "SESSION=" in text:
        return {}
    task = place.call(f"{API}/tasks", {"prompt": "hello"})
    place.until(f"{API}/tasks/{task['taskId']}", lambda found: found["status"] == "completed")
    return {"SESSION_ID": task["sessionId"], "$SESSION": task["sessionId"]}


def waiting(place: Place, text: str) -> Mapping[str, str]:
    """A task that waits for a person, and what it asks; the prompts of this page, as the stub understands them."""
    found = {A_WIKI: '"command": "python", "args": ["clock_server.py"]', "many lamps": f"many {A_CALL} lamps"}
    if "$TASK" not in text:
        return found
    task = place.call(f"{API}/tasks", {"prompt": "[[tool:clock__today:{}]]"})["taskId"]
    asked = place.until(f"{API}/tasks/{task}", lambda each: each["pendingApprovals"])["pendingApprovals"][0]
    ids = {f'"{name}": "…"': f'"{name}": "{asked[name]}"' for name in ("approvalId", "inputSha256")}
    return found | {"$TASK": task} | ids


def a_bridge(place: Place, text: str) -> Mapping[str, str]:
    """Loopback in place of the networks of the page, and the id of the agent that it has registered."""
    near = {"10.0.0.0/8": "127.0.0.0/8", "10.0.0.5": "127.0.0.1", "https://agents.example": place.url("")}
    if "INSTANCE_ID" in text:
        near["INSTANCE_ID"] = place.call(f"{API}/instances")[0]["id"]
    return near


A_WIKI = '"url": "https://mcp.example.org/mcp", "headers": {"Authorization": "Bearer …"}'
A_CALL = '[[tool:shop__stock:{\\"article\\": \\"lamp\\"}]]'
PAGES = {
    "README.md": Page(
        given=asked,
        until={"curl -sN": "event: completed", ".venv/bin/websockets": '"completed"'},
        prints={"curl -s http": '"sessionCreated":true'},
    ),
    "docs/tutorial/first-conversation.md": Page(prints={"from": "You said: What is the capital of France?"}),
    "docs/tutorial/embed-an-agent.md": Page(words={"9000": COUNTING}),
    "docs/how-to/use-the-client.md": Page(prints={"import anyio": "You said: What is the capital of France?"}),
    "docs/how-to/embed.md": Page(prints={"import uuid": "You said: hello"}),
    "docs/how-to/export-and-erase.md": Page(given=asked),
    "docs/how-to/authenticate.md": Page(serves=False, prints={"curl": '"items":[]'}),
    "docs/how-to/give-it-tools.md": Page(
        given=waiting,
        prints={"agentcore doctor": "clock: 2 tools", "curl": "Command approved", "import os\nimport uuid": "'3'"},
    ),
    "docs/how-to/run-a-remote-agent.md": Page(
        given=a_bridge,
        serves=False,
        words={"8787": BRIDGE},
        env={"BRIDGE": BRIDGE},
        prints={"curl -s http://127.0.0.1:8000/api/v1/agent/instances/": '"taskId"'},
    ),
    "docs/how-to/scale-out.md": Page(
        serves=False,
        needs_database=True,
        words={"8001": SECOND, "4222": BUS, "sleep 3": "sleep 8", "a long story": "[[words:900]][[slow:0.1]]"},
        prints={"AGENTCORE_DATABASE_URL": "NATS, AGENTCORE_NATS_URL"},
    ),
    "docs/how-to/use-your-own-postgresql.md": Page(serves=False, needs_database=True),
    "docs/how-to/use-a-gateway.md": Page(
        serves=False, words={"10.0.0.5": "127.0.0.1"}, refused=("curl -s http",), prints={"GATEWAY": '"items":[]'}
    ),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A provider that says what it is told to."""
    command = [sys.executable, "-m", "agentcore_adapters.testing.provider", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        yield child.stdout.readline().split()[-1]
        child.terminate()


def test_each_block_is_run_or_left_out_for_a_reason() -> None:
    found = [block for page in pages() for block in blocks(page)]
    assert [f"{block.page}:{block.line}" for block in found if block.fate is None] == []
    for page, start in LEFT_OUT:
        assert sum(block.page == page and block.text.startswith(start) for block in found) == 1, (page, start)
    assert set(PAGES) <= set(pages())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the pages that name a database."""
    with running_server(tmp_path_factory.mktemp("pg")) as server:
        yield server


def a_database(server: Server, name: str) -> Mapping[str, str]:
    """Addresses of an empty database, as they stand in the pages."""
    name = re.sub(r"\W", "_", name)
    ask(server.running.dsn_owner, f"ALTER ROLE agentcore_service RENAME TO not_{name}")
    if "scale" in name:  # it builds on the other
        ask(server.running.dsn_owner, "CREATE ROLE agentcore_service LOGIN NOINHERIT")
    ask(server.running.dsn_owner, f'CREATE DATABASE "{name}" TEMPLATE template0')
    known = conninfo_to_dict(server.running.dsn_owner)
    query = urlencode({"host": known["host"], "port": known["port"]})
    owner = {"owner": known["user"], "agentcore_service": "agentcore_service"}
    return {f"postgresql://{a}@host/database": f"'postgresql://{b}@/{name}?{query}'" for a, b in owner.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in pages() if any(True for _ in blocks(name))])
def test_the_page_can_be_followed_word_for_word(
    name: str, provider: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    page = PAGES.get(name, Page())
    shell = "\n".join(block.text for block in blocks(name) if block.language == "sh" and not block.reason)
    for program in ("curl", "jq", "openssl", "psql"):
        if re.search(rf"\b{program}\b", shell) and shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    if page.needs_database:
        addresses = a_database(request.getfixturevalue("cluster"), name)
        page = evolve(page, words={**page.words, **addresses})
    with a_place(tmp_path, provider, page.env) as place:
        follow(name, page, place)


def test_what_a_page_says_is_printed_is_compared() -> None:
    block = Block("a.md", 1, "text", None, "one …\nthree\n")
    expect(block, block.text, "zero\none two\nthree\n")
    with pytest.raises(AssertionError, match="wanted"):
        expect(block, block.text, "one two\n3\n")


def test_a_block_in_a_language_that_nobody_knows_is_forgotten() -> None:
    assert Block("a.md", 1, "fortran", None, "END\n").fate is None
    assert Block("a.md", 1, "", None, "$ true\n").fate is None


@pytest.mark.slow
def test_a_block_that_fails_or_is_refused_fails_its_page(provider: str, tmp_path: Path) -> None:
    with a_place(tmp_path, provider, {}) as place:
        with pytest.raises(AssertionError, match="does-not-exist"):
            place.sh("pip install 'agentcore[does-not-exist]'\ntrue")
        place.sh("agentcore serve\nWHO=me; cd /tmp")
        assert place.sh("echo $WHO in $PWD") == "me in /tmp\n"
        assert PROBLEM.search(place.sh(f"curl -s {place.url(API)}/tasks/0"))
        with pytest.raises(AssertionError, match="never printed"):
            place.sh("echo a", until="b")


def test_moving_from_the_original_leaves_no_route_and_no_event_out() -> None:
    page = (ROOT / "docs/how-to/migrate-from-the-original.md").read_text()
    openapi = json.loads((ROOT / "docs/reference/openapi.json").read_text())
    named = set(re.findall(r"/[\w{}/-]+", page))
    for path in openapi["paths"]:
        route = re.sub(r"{\w+}", "{id}", path.removeprefix(API))
        tail = "/" + route.rpartition("/")[2]
        assert route in named or (route.startswith("/sessions/{id}/") and tail in named), route
    body = openapi["paths"][f"{API}/tasks"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    told = re.findall(r"^\| `(\w+)`", (ROOT / "docs/reference/events.md").read_text(), re.MULTILINE)
    for word in {*body["properties"], *told, *StopCode, "subscribed", "heartbeat", "stream_reset"}:
        assert f"`{word}`" in page or f"`{word}:" in page or f"{word}," in page, word
