"""``agentcore chat``: a conversation in the terminal."""

import signal
import sys
from typing import Any

import anyio
import httpx2

from agentcore_http.client import FINAL, ApiError, Client

HELP = "Type a message. Ctrl-C stops the answer; at the prompt, or with Ctrl-D, it leaves."


def run(url: str, session_id: str | None, engine: str | None) -> int:
    """Talk until the person leaves; return the exit status."""
    return anyio.run(_chat, url, session_id, engine)


async def _chat(url: str, session_id: str | None, engine: str | None) -> int:
    async with Client(url) as client:
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
