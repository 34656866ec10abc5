"""Every block of the documentation does what its page says."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.docs.blocks import LEFT_OUT, RUN, blocks, pages
from tests.docs.story import Page, Place, a_place, a_port, follow

API = "/api/v1/agent"
COUNTING = str(a_port())


def asked(place: Place, text: str) -> Mapping[str, str]:
    """A session, and a task in it that has ended."""
    if "SESSION" not in text or "SESSION=" in text:
        return {}
    task = place.call(f"{API}/tasks", {"prompt": "hello"})
    place.until(f"{API}/tasks/{task['taskId']}", lambda found: found["status"] == "completed")
    return {"SESSION_ID": task["sessionId"], "$SESSION": task["sessionId"]}


def an_instance(place: Place, text: str) -> Mapping[str, str]:
    """The id of the agent that the page has registered."""
    return {"INSTANCE_ID": place.call(f"{API}/instances")["items"][0]["id"]} if "INSTANCE_ID" in text else {}


def waiting(place: Place, text: str) -> Mapping[str, str]:
    """A task that waits for a person, and what it asks."""
    if "$TASK" not in text:
        return {}
    prompt = '[[tool:wiki__now:{}]]' if False else "[[tool:clock__today:{}]] go"
    task = place.call(f"{API}/tasks", {"prompt": prompt})["taskId"]
    found = place.until(f"{API}/tasks/{task}", lambda each: each["pendingApprovals"])["pendingApprovals"][0]
    return {"$TASK": task, '"approvalId": "…"': f'"approvalId": "{found["approvalId"]}"',
            '"inputSha256": "…"': f'"inputSha256": "{found["inputSha256"]}"'}  # fmt: skip


PAGES = {
    "README.md": Page(
        given=asked,
        until={"curl -sN": "event: completed", ".venv/bin/websockets": '"completed"'},
        prints={"curl -s http": '"sessionCreated":true'},
    ),
    "docs/tutorial/first-conversation.md": Page(prints={"from": "You said: What is the capital of France?"}),
    "docs/tutorial/embed-an-agent.md": Page(words={"9000": COUNTING}),
    "docs/how-to/use-the-client.md": Page(prints={"import anyio": "You said: What is the capital of France?"}),
    "docs/how-to/export-and-erase.md": Page(given=asked),
    "docs/how-to/authenticate.md": Page(serves=False, prints={"curl": '"items":[]'}),
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


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in pages() if any(True for _ in blocks(name))])
def test_the_page_can_be_followed_word_for_word(name: str, provider: str, tmp_path: Path) -> None:
    page = PAGES.get(name, Page())
    with a_place(tmp_path, provider, page.env) as place:
        follow(name, page, place)
