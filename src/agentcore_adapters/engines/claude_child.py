"""A Claude Code process, started for one answer.

Law: it is gone, with everything it has started, when the answer is over, however it ends; it is told nothing of the
server's environment.  Its transcript is written for it and thrown away: the database keeps it.

Story: the tools that it runs are leaders of sessions of their own, so a signal to its process group does not reach
them.  Asked with SIGTERM it ends them itself (measured: 0.1 s); closing its input does not.  What a SIGKILL would
leave behind is found by a mark in the environment, which is inherited, and killed.  A tool that clears its
environment and detaches itself gets away: this is no sandbox.

The key goes through a pipe that is read once: the tools inherit the environment, but neither this descriptor nor what
was in it.  (The program's own ``CLAUDE_CODE_SUBPROCESS_ENV_SCRUB`` needs bubblewrap, which few machines have.)
"""

import asyncio
import importlib.util
import json
import os
import re
import shutil
import signal
import tempfile
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import structlog
from anyio import CancelScope
from attrs import define, field, frozen

from agentcore.changes import Conversation
from agentcore_adapters.orphans import die_with_parent

log = structlog.get_logger("agentcore.claude")
Frame = dict[str, Any]
MARK = "RUN_OF_AGENTCORE"  # not AGENTCORE_*: a server that is started by a tool would refuse it as a setting
LINE_BYTES = 64 << 20  # a tool's result is one line
END_S = 1.0  # to end by itself, and once more to end when it is told to
FIXED = {
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",  # then it connects to the provider only
    "CLAUDE_CODE_MAX_RETRIES": "2",  # of 10 with doubling pauses, which it makes even when a key is refused
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",  # else a broken stream is asked for again without streaming
}


@frozen(kw_only=True)
class Program:
    """Which program is run, where, and what it needs to know."""

    binary: Path
    folder: Path  #: In the data dir; each session has one of its own in it.
    api_key: str = field(repr=False)
    base_url: str | None = None

    def workplace(self, session_id: str) -> Path:
        """Return the folder that the tools of a session work in; it stays between answers."""
        place = self.folder / str(UUID(session_id)) / "work"
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        return place


def find_binary(chosen: Path | None) -> Path | None:
    """Return the program: the chosen one, else the one that comes with the SDK, else the one on the path."""
    if chosen is not None:
        return chosen if os.access(chosen, os.X_OK) and chosen.is_file() else None
    package = importlib.util.find_spec("claude_agent_sdk")  # found, not imported: that takes a second
    for folder in package.submodule_search_locations or () if package else ():
        if os.access(bundled := Path(folder) / "_bundled" / "claude", os.X_OK):
            return bundled
    found = shutil.which("claude")
    return Path(found) if found else None


def frame_of(line: bytes) -> Frame | None:
    """Read a line of its output; None if it is no frame."""
    try:
        frame = json.loads(line)
    except (ValueError, RecursionError):
        log.warning("claude.no_json", chars=len(line))
        return None
    return frame if isinstance(frame, dict) else None


@define(eq=False)
class Child:
    """The process, its input and its output: a line of JSON for each frame."""

    process: asyncio.subprocess.Process
    mark: str
    is_done: bool = False  #: It has answered and ends by itself when its input is closed.

    def send(self, frame: Frame) -> None:
        """Write a frame; returns at once, and what is written to a process that has gone is lost."""
        stdin = self.process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(json.dumps(frame).encode() + b"\n")

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Yield what it says until it closes its output."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            frame = frame_of(line)
            if frame is not None:
                yield frame

    def close_input(self) -> None:
        """Let it know that nothing more is asked."""
        if self.process.stdin is not None:
            self.process.stdin.close()

    async def stop(self) -> None:
        """End it and all it has started: by itself if it is done, else told to, else killed."""
        self.close_input()
        if self.is_done:
            await self._ends_in(END_S)
        for how in (signal.SIGTERM, signal.SIGKILL):
            if self.process.returncode is None:
                self.signal(how)
                await self._ends_in(END_S)
        left = await anyio.to_thread.run_sync(kill_marked, self.mark)
        if left:
            log.warning("claude.left_behind", processes=left)
        if self.process.stdout is not None:  # up to its end, so that the pipe is closed
            with anyio.move_on_after(END_S):
                await self.process.stdout.read()

    def signal(self, how: signal.Signals) -> None:
        """Send a signal to its process group, if it has not ended."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)

    async def _ends_in(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self.process.wait()


@asynccontextmanager
async def running(
    program: Program, session_id: str, options: Sequence[str], resume: Conversation | None, system_prompt: str = ""
) -> AsyncIterator[Child]:
    """Start the program in its session's folder; with *resume* it finds the transcript where it looks for it.

    The system prompt is given in a file, because options can be read by every user of the machine.
    """
    place = program.workplace(session_id)
    home = Path(tempfile.mkdtemp(prefix="run-", dir=place.parent))
    try:
        if resume is not None:
            await anyio.to_thread.run_sync(_write_transcript, home, place, resume)
        which = f"--resume={resume.reference}" if resume else f"--session-id={UUID(session_id)}"
        options = [*options, which]
        if system_prompt:
            (home / "prompt").write_text(system_prompt, encoding="utf-8")
            options.append(f"--system-prompt-file={home / 'prompt'}")
        with CancelScope(shield=True):  # a start that is broken off would leave a process that nobody waits for
            child = await _start(program, place, home, options)
        try:
            yield child
        finally:
            with CancelScope(shield=True):
                await child.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def _start(program: Program, place: Path, home: Path, options: Sequence[str]) -> Child:
    mark = str(uuid4())
    reads, writes = os.pipe()
    try:
        os.write(writes, program.api_key.encode())
        os.close(writes)
        environment = FIXED | {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "CLAUDE_CONFIG_DIR": str(home / ".claude"),
            "CLAUDE_CODE_TMPDIR": str(home),  # else it leaves folders in the machine's
            "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR": str(reads),
            MARK: mark,
        }
        if program.base_url:
            environment["ANTHROPIC_BASE_URL"] = program.base_url
        process = await asyncio.create_subprocess_exec(
            program.binary,
            *options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LINE_BYTES,
            env=environment,
            cwd=place,
            pass_fds=(reads,),
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),  # it ends its tools itself
        )
    finally:
        os.close(reads)
    return Child(process, mark)


def _write_transcript(home: Path, place: Path, conversation: Conversation) -> None:
    folder = home / ".claude" / "projects" / project_name(os.path.realpath(place))
    folder.mkdir(parents=True, mode=0o700)
    text = "".join(line + "\n" for line in conversation.lines)
    (folder / f"{conversation.reference}.jsonl").write_text(text, encoding="utf-8")


def project_name(path: str) -> str:
    """Return the folder that the program keeps the transcripts of a working folder in.

    Source: the SDK's ``project_key_for_directory``, which says that it does as the program does.
    """
    path = unicodedata.normalize("NFC", path)
    name = re.sub("[^a-zA-Z0-9]", "-", path)
    if len(name) <= 200:
        return name
    number = 0
    for character in path:
        number = (number * 31 + ord(character)) & 0xFFFFFFFF
    number = abs(number - (1 << 32) if number >= 1 << 31 else number)
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return f"{name[:200]}-{digits or '0'}"


def kill_marked(mark: str) -> int:
    """Kill the processes that carry *mark* until there are none; return how many there were."""
    wanted, killed = f"{MARK}={mark}".encode(), set[int]()
    for _ in range(100):  # what is killed may have started another just before
        found = [pid for pid in _pids() if wanted in _environment(pid)]
        if not found:
            break
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed.update(found)
    return len(killed)


def _pids() -> list[int]:
    proc = Path("/proc")
    return [int(place.name) for place in proc.iterdir() if place.name.isdigit()] if proc.is_dir() else []


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is another user's
        return []
