"""``agentcore chat`` in a real terminal, and in a pipe."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from attrs import define
from tests.faults.site import a_site
from tests.support.cutting import Network, between
from tests.support.server import Served, serving
from tests.support.tokens import memory

from agentcore_http.client import AsyncClient

pytestmark = pytest.mark.anyio
TMUX = shutil.which("tmux")
needs_tmux = pytest.mark.skipif(TMUX is None, reason="tmux is not installed: apt-get install tmux")
WITHIN_S = 30.0
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202ereversed"


@define
class Terminal:
    """A terminal of its own, and what is in it."""

    socket: str
    home: Path

    def tmux(self, *command: str) -> str:
        assert TMUX is not None
        done = subprocess.run(
            [TMUX, "-L", self.socket, *command], capture_output=True, text=True, check=False, env=self.env
        )
        return done.stdout

    @property
    def env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        return kept | {
            "HOME": str(self.home), "XDG_STATE_HOME": str(self.home), "TMUX_TMPDIR": str(self.home),
            "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
        }  # fmt: skip

    def start(self, url: str, *options: str) -> None:
        self.tmux("kill-server")
        self.socket += "+"  # the old one may still be on its way out
        command = shlex.join([sys.executable, "-m", "agentcore_http", "chat", "--url", url, *options])
        self.tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "50", f"{command}; echo left with $?; exec cat"
        )

    def type(self, text: str, *keys: str) -> None:
        self.tmux("send-keys", "-l", text)
        self.tmux("send-keys", *(keys or ("Enter",)))

    def key(self, name: str) -> None:
        self.tmux("send-keys", name)

    def text(self) -> str:
        return self.tmux("capture-pane", "-p", "-J", "-S", "-2000")

    async def shows(self, wanted: str, count: int = 1) -> str:
        """Wait until it does."""
        text = ""
        try:
            with anyio.fail_after(WITHIN_S):
                while text.count(wanted) < count:
                    await anyio.sleep(0.05)
                    text = await to_thread.run_sync(self.text)
        except TimeoutError:
            raise AssertionError(f"{wanted!r} is not shown:\n{text}") from None
        return text


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    found = Terminal("chat", tmp_path)
    yield found
    found.tmux("kill-server")


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(*memory()) as found:
        yield found


@pytest.fixture
async def network(served: Served) -> AsyncIterator[Network]:
    async with between(served.url) as found:
        yield found


def words_of(text: str) -> list[int]:
    return [int(word) for word in re.findall(r"\bw(\d+)\b", text)]


@needs_tmux
async def test_a_conversation_is_streamed_decided_interrupted_and_continued(served: Served, terminal: Terminal) -> None:
    terminal.start(served.url)
    await terminal.shows("/help shows")
    terminal.type('[[say:Some **bold** words]] [[think]] [[tool:clock:{"zone":"UTC"}]]')
    text = await terminal.shows("40 tokens")
    assert "Some bold words" in text
    assert "thought: Let me think." in text
    assert '"zone": "UTC"' in text
    assert "clock ran" in text

    terminal.type('[[ask:shell:{"cmd":"ls"}]] [[say:it was done]]')
    await terminal.shows("y/n >")
    assert re.search(r"sha256 [0-9a-f]{64}", terminal.text())
    terminal.type("perhaps")
    await terminal.shows("y allows it")
    terminal.type("y")
    await terminal.shows("shell ran")
    await terminal.shows("40 tokens", 2)

    terminal.type('[[ask:shell:{"cmd":"rm"}]] [[say:never]]')
    await terminal.shows("y/n >")
    terminal.type("n")
    await terminal.shows("USER_REJECT")

    terminal.type("[[words:2000]] [[slow:0.02]]")
    await terminal.shows("w5 ")
    terminal.type("[[say:it was queued]]")
    await terminal.shows("(queued")
    terminal.key("C-c")
    await terminal.shows("USER_CANCEL")
    await terminal.shows("40 tokens", 3)

    terminal.type("[[words:2000]] [[slow:0.02]]")
    await terminal.shows("w1 ", 2)
    terminal.key("C-d")
    await terminal.shows("left with 0")
    session_id = (await served.get("/sessions"))["items"][0]["id"]
    assert f"agentcore chat --session {session_id}" in terminal.text()

    terminal.start(served.url, "--continue")
    await terminal.shows("answering; Ctrl-C stops it")
    for said in ("Some bold words", "clock ran", "shell ran", "USER_REJECT", "it was queued"):
        await terminal.shows(said)
    terminal.type("/inject [[say:injected]]")
    await terminal.shows("40 tokens", 4)
    terminal.key("Up")
    await terminal.shows("> /inject [[say:injected]]")
    terminal.key("C-c")
    terminal.key("C-c")
    await terminal.shows("left with 0")


@needs_tmux
async def test_E4_a_chat_goes_on_where_its_connection_broke(
    served: Served, network: Network, terminal: Terminal
) -> None:
    network.cuts = [9000, 5000, 7000]
    terminal.start(network.url)
    await terminal.shows("/help shows")

    terminal.type("[[words:300]] [[slow:0.01]]")
    text = await terminal.shows("40 tokens")
    assert "connection is lost" in text
    assert "connected again" in text
    told = text.partition("[[slow:0.01]]")[2]
    assert words_of(told) == list(range(300))


@needs_tmux
async def test_SEC20_what_strangers_say_does_nothing_to_the_terminal(served: Served, terminal: Terminal) -> None:
    task = await served.done(f"[[say:{HOSTILE}]] [[tool:t:{{}}]]")
    await served.call("PATCH", f"/sessions/{task['sessionId']}", {"title": HOSTILE})
    terminal.start(served.url, "--session", task["sessionId"])
    text = await terminal.shows("40 tokens")
    assert text.count(r"\x1b]0;owned\x07\x1b[2J\x9b31m\u202ereversed") >= 2
    assert "owned" not in terminal.tmux("display-message", "-p", "#{pane_title}")
    terminal.type("/sessions")
    await terminal.shows(r"idle              \x1b]0;owned")


@needs_tmux
async def test_R_a_server_that_is_killed_and_comes_back_is_talked_to_again(tmp_path: Path, terminal: Terminal) -> None:
    async with a_site(tmp_path, {}, "--scripted", "--ttl", "3") as site:
        (node,) = site.nodes
        await node.start()
        terminal.start(node.url)
        await terminal.shows("/help shows")
        terminal.type("[[words:2000]] [[slow:0.01]]")
        await terminal.shows("w200 ")
        await node.kill()
        await terminal.shows("connection is lost")
        await node.start()
        await terminal.shows("connected again")
        text = await terminal.shows("NODE_LOST")
        told = words_of(text.rpartition("up to now:)")[2] or text.partition("[[slow:0.01]]")[2])
        assert told == list(range(len(told)))
        async with AsyncClient(node.url) as client:
            session = await anext(aiter(client.sessions()))
            kept = "".join([m.text async for m in client.messages(session.id) if m.role == "assistant"])
        assert told == words_of(kept)
        assert len(told) > 20
        terminal.type("[[say:here again]]")
        await terminal.shows("40 tokens")


async def test_a_pipe_is_answered_with_text_alone(served: Served, terminal: Terminal) -> None:
    def chat(prompt: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "agentcore_http", "chat", "--url", served.url, *options]
        return subprocess.run(command, input=prompt.encode(), capture_output=True, check=False, env=terminal.env)

    done = await to_thread.run_sync(chat, f"[[say:one\ntwo {HOSTILE}]] [[tool:clock:{{}}]]")
    assert (done.returncode, done.stdout.decode()) == (
        0,
        "one\ntwo \\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\u202ereversed\n",
    )
    assert b"clock ran" in done.stderr
    again = await to_thread.run_sync(chat, "[[fail:EXECUTION_ERROR]] [[say:half]]", "--continue")
    assert (again.returncode, again.stdout) == (1, b"half\n")
    assert len((await served.get("/sessions"))["items"]) == 1
    asked = await to_thread.run_sync(chat, "[[ask:shell:{}]]")
    assert asked.returncode == 1
    assert b"Rejected." in asked.stderr
    assert b"USER_REJECT" in asked.stderr
