"""A page followed by somebody who pastes its blocks, one after the other, into one shell in one folder.

What is not as in the page: the server listens on a free port instead of 8000, keeps what it stores in memory unless
the page names a database, and stays in the background; the provider is the stub; ``pip install`` looks whether what
it is asked for exists, because everything is installed already; and the words of ``Page.words`` are replaced.
"""

import json
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from attrs import define, field, frozen
from tests.docs.blocks import PARSED, ROOT, Block, blocks
from tests.support.nats import nats_server

PROBLEM = re.compile(r'"status":\s*[45]\d\d')

AGENTCORE = r"""#!/bin/bash
real() { exec {python} -m agentcore_http "$@"; }
behind() {  # in the background, until it says where it is
  name=$1; shift
  if [ -f "$STORY/$name.pid" ]; then
    pid=$(cat "$STORY/$name.pid"); kill "$pid" 2>/dev/null
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
  fi
  rm -f "$STORY/$name.out" "$STORY/$name.err"  # what the one before has said there
  setsid {python} -m agentcore_http "$@" >"$STORY/$name.out" 2>"$STORY/$name.err" </dev/null &
  echo $! >"$STORY/$name.pid"
  for _ in $(seq 400); do
    grep -qs "://" "$STORY/$name.out" "$STORY/$name.err" && { cat "$STORY/$name.out"; exit 0; }
    kill -0 $! 2>/dev/null || break
    sleep 0.05
  done
  cat "$STORY/$name.err" >&2
  exit 1
}
case "$1" in
  serve)
    port=8000; for word in "$@"; do [ "$last" = --port ] && port=$word; last=$word; done
    store=; [ -n "$AGENTCORE_DATABASE_URL" ] || store="--store memory"
    behind "serve-$port" "$@" $store $([ "$port" = 8000 ] && echo "--port $PORT") ;;
  openclaw-bridge) behind bridge "$@" --port "$BRIDGE" ;;
  chat) case "$*" in *--url*) real "$@" ;; *) real "$@" --url "http://127.0.0.1:$PORT" ;; esac ;;
  *) real "$@" ;;
esac
"""
UVICORN = r"""#!/bin/bash
port=8000; for word in "$@"; do [ "$last" = --port ] && port=$word; last=$word; done
name=uvicorn-$port
if [ -f "$STORY/$name.pid" ]; then
  pid=$(cat "$STORY/$name.pid"); kill -INT "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
fi
rm -f "$STORY/$name.err"  # what the one before has said there: it is looked at before the new one has opened it
setsid {python} -m uvicorn "$@" >"$STORY/$name.out" 2>"$STORY/$name.err" </dev/null &
echo $! >"$STORY/$name.pid"
for _ in $(seq 800); do
  grep -qs "running on" "$STORY/$name.err" && exit 0
  kill -0 $! 2>/dev/null || break
  sleep 0.05
done
cat "$STORY/$name.err" >&2
exit 1
"""
NATS = r"""#!/bin/bash
setsid {nats} "$@" >"$STORY/nats.out" 2>"$STORY/nats.err" </dev/null &
echo $! >"$STORY/nats.pid"
for _ in $(seq 200); do
  grep -q "Server is ready" "$STORY/nats.err" && exit 0
  sleep 0.05
done
cat "$STORY/nats.err" >&2
exit 1
"""
PIP = r"""#!/bin/bash
set -e
for word in "$@"; do
  [ "$last" = -r ] && test -f "{root}/$word"
  last=$word
  case "$word" in
    agentcore\[*)
      for extra in $(echo "$word" | sed 's/.*\[//; s/\]//; s/,/ /g'); do
        grep -q "^$extra = \[" "{root}/pyproject.toml"
      done ;;
  esac
done
"""
PYTHON = r"""#!/bin/bash
[ "$1 $2" = "-m venv" ] || exec {python} "$@"
mkdir -p "$3" && ln -sfn "$STORY" "$3/bin" && : >"$3/bin/activate"
"""


@frozen(kw_only=True)
class Page:
    """What somebody has to know, or has, who follows a page."""

    words: Mapping[str, str] = {}  #: What stands in the page for something of the reader's own.
    given: "Callable[[Place, str], Mapping[str, str]] | None" = None  #: The same, found out before a block is run.
    env: Mapping[str, str] = {}
    until: Mapping[str, str] = {}  #: How a block begins that does not end: what it has to print.
    needs_database: bool = False
    serves: bool = True  #: A server is there before the page begins, if it does not start one itself.
    refused: tuple[str, ...] = ()  #: How blocks begin that are meant to be refused.
    prints: Mapping[str, str] = {}  #: How a block begins: what it has to print besides.


@define
class Place:
    """The folder and the shell of a reader."""

    folder: Path
    environ: dict[str, str]
    port: int
    outputs: list[str] = field(factory=list)

    @property
    def shims(self) -> Path:
        """Where the stand-ins for programs lie."""
        return Path(self.environ["STORY"])

    @property
    def cwd(self) -> Path:
        """Where the shell is."""
        kept = self.shims / "state.cwd"
        return Path(kept.read_text().strip()) if kept.exists() else self.folder

    def url(self, path: str) -> str:
        """An address of the server."""
        return f"http://127.0.0.1:{self.port}{path}"

    def call(self, path: str, body: object = None) -> Any:
        """Ask the server."""
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self.url(path), data, {"Content-Type": "application/json"}), timeout=20) as answer:
            return json.load(answer)

    def until(self, path: str, found: Callable[[Any], bool]) -> Any:
        """Ask the server until the answer is what was waited for."""
        for _ in range(400):
            if found(answer := self.call(path)):
                return answer
            time.sleep(0.05)
        raise AssertionError(f"{path} is still {answer}")

    def sh(self, script: str, until: str | None = None) -> str:
        """Run a block in the shell that the last one has left; return what it prints."""
        state = self.shims / "state"
        begin, end = (
            'set -eu; [ -f "$STORY/state" ] && . "$STORY/state"; set -a',
            f"export -p >{state}; pwd >{state}.cwd",
        )
        text = f"{begin}\n{script}\nset +a; {end}\n"
        with subprocess.Popen(
            ["bash", "-c", text], cwd=self.cwd, env=self.environ, start_new_session=True, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as shell:  # fmt: skip
            assert shell.stdout is not None
            said = ""
            if until is None:
                said, _ = shell.communicate(timeout=60)
                assert shell.returncode == 0, f"{script}\n{said}{self.errors()}"
                return said
            with timing(shell.pid):
                for line in shell.stdout:
                    said += line
                    if until in line:
                        with suppress(ProcessLookupError):
                            os.killpg(shell.pid, signal.SIGKILL)
                        return said
        raise AssertionError(f"{script}\nnever printed {until}: {said}")

    def errors(self) -> str:
        """What servers had to say."""
        return "".join(path.read_text() for path in self.shims.glob("*.err"))

    def stop(self) -> None:
        """End what runs in the background."""
        pids = [int(path.read_text()) for path in self.shims.glob("*.pid")]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for pid in pids:
            for _ in range(200):
                if not Path(f"/proc/{pid}").exists():
                    break
                time.sleep(0.05)
            else:
                os.kill(pid, signal.SIGKILL)


@contextmanager
def timing(pid: int) -> Iterator[None]:
    """End a process that hangs."""
    watch = subprocess.Popen(["sh", "-c", f"sleep 30; kill -9 -{pid}"], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(watch.pid, signal.SIGKILL)
        watch.wait()


@contextmanager
def a_place(folder: Path, provider: str, env: Mapping[str, str]) -> Iterator[Place]:
    """A reader's folder; in the end nothing of it runs."""
    shims = folder / ".story"
    shims.mkdir()
    ours = {"agentcore": AGENTCORE, "uvicorn": UVICORN, "pip": PIP, "pip3": PIP, "python": PYTHON, "python3": PYTHON}
    ours["nats-server"] = NATS.replace("{nats}", shlex.quote(nats_server()))
    for name, text in ours.items():
        shim = text.replace("{python}", shlex.quote(sys.executable)).replace("{root}", str(ROOT))
        (shims / name).write_text(shim)
        (shims / name).chmod(0o755)
    (shims / "websockets").symlink_to(Path(sys.executable).parent / "websockets")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTCORE_", "OTEL_"))}
    port = a_port()
    environ |= {
        "STORY": str(shims), "HOME": str(folder), "PORT": str(port), "ANTHROPIC_API_KEY": "k",
        "PATH": f"{shims}:{Path(sys.executable).parent}:{os.environ['PATH']}", "ANTHROPIC_BASE_URL": provider,
        "AGENTCORE_DATA_DIR": str(folder / "data"),
    }  # fmt: skip
    place = Place(folder, environ | dict(env), port)
    try:
        yield place
    finally:
        place.stop()


def a_port() -> int:
    """A port that is free, and that no outgoing connection is given meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as taken, suppress(OSError):
            taken.bind(("127.0.0.1", port))
            return port


def follow(name: str, page: Page, place: Place) -> None:
    """Paste every block of a page."""
    todo = [block for block in blocks(name) if block.reason is None]
    if page.serves and any(":8000" in block.text or "agentcore chat" in block.text for block in todo):
        place.sh("agentcore serve")
    program = "\n".join(b.text for b in todo if b.language == "python" and not b.title)
    last = [b for b in todo if b.language == "python" and not b.title][-1:]
    said = ""
    for block in todo:
        text = replaced(block.text, page, place)
        if block.language in PARSED:
            parse(block, text)
        if block.title is not None:
            (place.cwd / block.title).write_text(text)
        elif block.language == "python":
            if [block] == last:
                said = python(replaced(program, page, place), place)
                place.outputs.append(said)
        elif block.language == "text":
            expect(block, replaced(block.text, page, place), said)
        elif block.language == "sh":
            until = next((word for start, word in page.until.items() if block.text.startswith(start)), None)
            said = place.sh(text, until)
            place.outputs.append(said)
            is_refused = PROBLEM.search(said) is not None
            assert is_refused == block.text.startswith(page.refused or ("\0",)), f"{name}:{block.line}: {said}"
        for start, word in page.prints.items():
            assert not block.text.startswith(start) or word in said, f"{name}:{block.line}: {word!r} not in {said}"


def replaced(text: str, page: Page, place: Place) -> str:
    """Put in what is the reader's own."""
    words = dict(page.words) | (dict(page.given(place, text)) if page.given else {})
    for word, value in words.items():
        text = text.replace(word, value)
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{place.port}").replace(
        "localhost:8000", f"127.0.0.1:{place.port}"
    )


def parse(block: Block, text: str) -> None:
    """Read a block in its language, one value or one a line."""
    if block.language == "toml":
        tomllib.loads(text)
        return
    json.loads(text)


def python(program: str, place: Place) -> str:
    """Run a program, or the tests in it."""
    if "def test_" in program:
        (place.cwd / "test_mine.py").write_text(program)
        return place.sh("python -m pytest -q -p no:cacheprovider test_mine.py")
    (place.cwd / "example.py").write_text(program)
    return place.sh("python example.py")


def expect(block: Block, wanted: str, said: str) -> None:
    """Compare what was printed with what the page says; ``…`` is anything."""
    pattern = ".*?".join(re.escape(part) for part in wanted.strip().split("…"))
    assert re.search(pattern, said, re.DOTALL), f"{block.page}:{block.line}: wanted\n{wanted}\nprinted\n{said}"
