"""The chat without a terminal: prompts come in, answers go out, everything else is told on standard error.

Law: a line is a prompt; of a pipe, all of it is one.  What nobody can decide is rejected.
"""

import signal
import sys
from contextlib import aclosing

import anyio

from agentcore_http.chat import Wish, kept
from agentcore_http.chat.safe import Pieces, exact, line, strange
from agentcore_http.client import (
    ApprovalRequired,
    AsyncClient,
    Cancelled,
    Event,
    Failed,
    StreamReset,
    TaskOptions,
    Text,
    ToolResult,
    ToolUse,
)

YES = frozenset({"y", "yes"})
FAILED = 1


async def talk(client: AsyncClient, wish: Wish) -> int:
    """Answer what comes on standard input; return the exit status."""
    session_id = wish.session_id or (kept.last_session(wish.url) if wish.continues else None)
    after = await client.latest(session_id) if session_id else None
    options: TaskOptions = {"engine": wish.engine} if wish.engine else {}
    status = 0
    while (prompt := await _prompt()) is not None:
        if not prompt.strip():
            continue
        task = await client.create_task(prompt, session_id, **options)
        after = None if task.session_created else after
        session_id = task.session_id
        kept.remember(wish.url, session_id)
        plain = _Plain(client, task.task_id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_interrupt, client, task.task_id)
            async with aclosing(client.follow(session_id, task.task_id, after, on_lost=_lost)) as events:
                async for event in events:
                    after = event.cursor
                    await plain.show(event)
            tasks.cancel_scope.cancel()
        status = FAILED if plain.has_failed else 0
    return status


class _Plain:
    """Shows one answer."""

    def __init__(self, client: AsyncClient, task_id: str) -> None:
        self._client, self._task_id, self._pieces, self.has_failed = client, task_id, Pieces(), False

    async def show(self, event: Event) -> None:
        """Show an event of the task."""
        match event.payload:
            case Text(content=content):
                _write(self._pieces.feed(content))
            case StreamReset(snapshot=snapshot):
                _note("The answer begins again.")
                _write("\n" + self._pieces.feed(snapshot.text))
            case ToolUse() as call:
                _note(f"{line(call.tool_name)} {line(str(call.input))}")
            case ToolResult(output=output, is_error=is_error):
                _note(f"{'failed: ' if is_error else ''}{line(output)}")
            case ApprovalRequired() as asked:
                await self._decide(asked)
            case Failed(message=message, code=code) | Cancelled(message=message, code=code):
                self.has_failed = True
                _note(f"{line(message)} [{line(code)}]")
        if event.is_final:
            _write(self._pieces.rest() + "\n")

    async def _decide(self, asked: ApprovalRequired) -> None:
        _note(f"{line(asked.tool_name)} {exact(asked.input)}\nsha256 {line(asked.input_sha256)}")
        for char in strange(asked.input):
            _note(f"not ASCII: {char}")
        answer = await _ask("Allow it? [y/N] ") if sys.stdin.isatty() else None
        if (answer or "").strip().lower() in YES:
            await self._client.approve(self._task_id, asked)
        else:
            _note("Rejected.")
            await self._client.reject(self._task_id, asked)


async def _prompt() -> str | None:
    if sys.stdin.isatty():
        return await _ask("> ")
    return await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True) or None


async def _ask(question: str) -> str | None:
    """Read a line; None at the end of the input, or at Ctrl-C."""
    try:
        return await anyio.to_thread.run_sync(input, question, abandon_on_cancel=True)
    except (EOFError, KeyboardInterrupt):
        return None


async def _stop_on_interrupt(client: AsyncClient, task_id: str) -> None:
    with anyio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            await client.cancel_task(task_id)


def _lost(error: Exception, pause_s: float) -> None:  # noqa: ARG001 - the form of a listener
    _note("The connection is lost; trying again.")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the command line
