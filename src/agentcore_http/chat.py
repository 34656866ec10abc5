"""``agentcore chat``: a conversation in the terminal."""

import os
import signal
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2

from agentcore_http.client import FINAL, ApiError, Client, Token
from agentcore_http.settings import LOOPBACK, SettingsError

HELP = "Type a message. Ctrl-C stops the answer; at the prompt, or with Ctrl-D, it leaves."


def run(url: str, session_id: str | None, engine: str | None, token_file: Path | None = None) -> int:
    """Talk until the person leaves; return the exit status."""
    token = token_of(token_file)
    if token is not None and urlsplit(url).scheme != "https" and urlsplit(url).hostname not in LOOPBACK:
        print("The token is sent without TLS: whoever is on the way can use it.", file=sys.stderr)  # noqa: T201
    return anyio.run(_chat, url, session_id, engine, token)


def token_of(file: Path | None) -> Token | None:
    """Return what says the token: *file*, read for each request because tokens are renewed, else AGENTCORE_TOKEN.

    A token has no place among the arguments, where every user of the machine can read it.
    """
    if file is None:
        found = os.environ.get("AGENTCORE_TOKEN", "").strip()
        return (lambda: found) if found else None

    def read() -> str:
        try:
            return file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--token-file: {file.name} cannot be read ({type(error).__name__}).") from None

    read()
    return read


async def _chat(url: str, session_id: str | None, engine: str | None, token: Token | None) -> int:
    async with Client(url, token=token) as client:
        try:
            cursor = None
            if session_id is not None:
                cursor = await _resume(client, session_id)
            _say(HELP)
            while (prompt := await _ask("\n> ")) is not None:
                if not prompt.strip():
                    continue
                more = {"engineType": engine} if engine else {}
                accepted = await client.execute(prompt, session_id, **more)
                if accepted["sessionCreated"]:
                    cursor = None
                    _say(f"(session {accepted['sessionId']})")
                session_id = accepted["sessionId"]
                cursor = await _answer(client, session_id, accepted["taskId"], cursor)
        except ApiError as error:
            _say(f"{error} [{error.code}]")
            return 1
        except httpx2.TransportError:
            _say(f"There is no server at {url}. Start one with: agentcore serve")
            return 1
    return 0


async def _resume(client: Client, session_id: str) -> str | None:
    """Show what was said, and return where the conversation stands."""
    await client.session(session_id)
    for message in await client.messages(session_id):
        text = "".join(part.get("text", "") for part in message["content"] if part["type"] == "text")
        mark = "> " if message["role"] == "user" else ""
        _say(f"\n{mark}{text}{' [interrupted]' if message['interrupted'] else ''}")
    async for event in client.events(session_id, "latest"):
        return str(event["cursor"])
    return None


async def _answer(client: Client, session_id: str, task_id: str, cursor: str | None) -> str | None:
    """Show the answer of one task as it comes; Ctrl-C stops it."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_interrupt, client, task_id)
        async for event in client.events(session_id, cursor):
            cursor = event["cursor"]
            if event.get("taskId") != task_id:
                continue
            await _show(client, task_id, event)
            if event["type"] in FINAL:
                break
        tasks.cancel_scope.cancel()
    return cursor


async def _show(client: Client, task_id: str, event: dict[str, Any]) -> None:
    match event["type"]:
        case "text":
            sys.stdout.write(event["content"])
            sys.stdout.flush()
        case "tool_use":
            _say(f"\n[{event['toolName']} {event['input']}]")
        case "approval_required":
            answer = await _ask(f"\nAllow {event['toolName']} {event['input']}? [y/N] ")
            await client.approve(task_id, event, approved=(answer or "").strip().lower() in {"y", "yes"})
        case "completed":
            _say("")
        case "error" | "cancelled":
            _say(f"\n({event['message']})")


async def _stop_on_interrupt(client: Client, task_id: str) -> None:
    with anyio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            await client.cancel(task_id)


async def _ask(question: str) -> str | None:
    """Read a line; None at the end of the input, or at Ctrl-C."""
    try:
        return await anyio.to_thread.run_sync(input, question, abandon_on_cancel=True)
    except (EOFError, KeyboardInterrupt):
        return None


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is the command line
