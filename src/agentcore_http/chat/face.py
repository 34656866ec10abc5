"""The chat with a terminal's face.

Law: what is shown of a session is its events, the same whether they are old or new, so that what is opened, followed
and come back to cannot differ; what is typed is shown when the server says that it was said.
"""

import math
from contextlib import aclosing
from typing import Literal

import anyio
from anyio import CancelScope, create_memory_object_stream
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream
from attrs import define, field

from agentcore_http.chat import Wish, kept, paint
from agentcore_http.chat.commands import HELP, run_command
from agentcore_http.chat.safe import line, safe
from agentcore_http.chat.screen import INTERRUPT, LEAVE, Screen
from agentcore_http.chat.telling import Teller
from agentcore_http.client import ApiError, AsyncClient, StreamReset, TaskOptions, TextAnswer, UserMessage

YES, NO = frozenset({"y", "yes"}), frozenset({"n", "no"})


@define(eq=False)
class Talk:
    """A conversation, and what is known of it."""

    client: AsyncClient
    wish: Wish
    screen: Screen
    tasks: TaskGroup
    session_id: str | None = None
    engine: str | None = None
    teller: Teller = field(init=False)
    _following: CancelScope = field(factory=CancelScope)
    _is_stopping: bool = False

    def __attrs_post_init__(self) -> None:
        """Begin with nothing told."""
        self.engine = self.wish.engine
        self.teller = Teller(self.screen)

    def note(self, text: str, style: str = "dim") -> None:
        """Say something."""
        self.screen.show(paint.note(text, style))

    def open(self, session_id: str | None) -> None:
        """Show a session from its first event on, and follow it; None: a new one, with the first prompt."""
        self._following.cancel()
        self._following, self.teller = CancelScope(), Teller(self.screen)
        self.session_id = session_id
        self.screen.live = self.screen.thinking = self.screen.status = ""
        if session_id is not None:
            kept.remember(self.wish.url, session_id)
            self.tasks.start_soon(self._follow, session_id, self._following, self.teller)

    async def hear(self, keys: MemoryObjectReceiveStream[str]) -> None:
        """Do what is typed, until the person leaves."""
        async for text in keys:
            if text == LEAVE or (text == INTERRUPT and (self._is_stopping or self.teller.running is None)):
                return
            try:
                if text == INTERRUPT:
                    self.tasks.start_soon(self._stop, self.teller.running)
                elif self.teller.pending:
                    await self._decide(text)
                elif text.strip() and not await run_command(self, text.strip()):
                    return
            except ApiError as error:
                self.note(f"{error} [{error.code}]", "red")

    async def say(self, prompt: str) -> None:
        """Ask something; what runs is not disturbed."""
        options: TaskOptions = {"on_busy": "enqueue"}
        if self.engine:
            options["engine"] = self.engine
        task = await self.client.create_task(prompt, self.session_id, **options)
        if task.status == "queued":
            self.note("(queued: it is asked when this is answered; /inject TEXT stops this)")
        if task.session_id != self.session_id:
            self.note(f"(session {task.session_id})")
            self.open(task.session_id)

    async def _decide(self, text: str) -> None:
        """Take the answer to what is asked: y, n, or n and why, with which the task goes on."""
        task_id, asked = self.teller.pending[0]
        word, _, reason = text.strip().partition(" ")
        if word.lower() in YES and not reason:
            await self.client.approve(task_id, asked)
        elif word.lower() in NO:
            on_reject: Literal["continue", "cancel"] = "continue" if reason else "cancel"
            await self.client.reject(task_id, asked, on_reject=on_reject, reason=reason or None)
        else:
            self.note("y allows it, n stops the task, n and a reason forbids it and lets the task go on.", "yellow")
            return
        self.teller.decided(asked.approval_id)

    async def _stop(self, task_id: str | None) -> None:
        if task_id is None:
            return
        self._is_stopping, self.screen.status = True, "stopping; Ctrl-C leaves"
        self.screen.redraw()
        try:
            await self.client.cancel_task(task_id)
        except ApiError as error:
            self.note(f"{error} [{error.code}]", "red")
        finally:
            self._is_stopping = False

    async def _follow(self, session_id: str, scope: CancelScope, teller: Teller) -> None:
        def lost(error: ApiError, pause_s: float) -> None:  # noqa: ARG001 - the form of a listener
            teller.lost()

        with scope:
            try:
                told = self.client.events(session_id, include_all=True, on_lost=lost)
                async with aclosing(told) as events:
                    async for event in events:
                        if isinstance(event.payload, UserMessage):
                            parts = event.payload.content
                            texts = [part.text for part in parts if isinstance(part, TextAnswer)]
                            files = [f"[{part.type}]" for part in parts if hasattr(part, "type")]
                            self.screen.show(paint.asked(" ".join(texts + files)))
                        before = teller.running
                        teller.tell(event)
                        if isinstance(event.payload, StreamReset) and before not in {None, teller.running}:
                            await self._catch_up(session_id, str(before))
            except ApiError as error:
                self.note(f"{error} [{error.code}]", "red")
                if self.session_id == session_id:
                    self.session_id = None

    async def _catch_up(self, session_id: str, task_id: str) -> None:
        """Show what became of a task whose end was not told, because the stream began again after it."""
        async for message in self.client.messages(session_id):
            if message.task_id == task_id and message.role == "assistant":
                self.screen.show(paint.said(safe(message.text)))
        task = await self.client.get_task(task_id)
        if task.error is not None:
            self.note(f"({line(task.error.message)}) [{line(task.error.code)}]", "red")
        else:
            self.note(f"({line(task.stop_code or task.status)})")


async def talk(client: AsyncClient, wish: Wish) -> int:
    """Talk until the person leaves; return the exit status. Raises ApiError."""
    session_id = wish.session_id or (kept.last_session(wish.url) if wish.continues else None)
    if session_id is not None:
        await client.get_session(session_id)
    send, receive = create_memory_object_stream[str](math.inf)
    screen = Screen(send)
    async with anyio.create_task_group() as tasks, receive, send:
        one = Talk(client, wish, screen, tasks)
        one.note(HELP)
        one.open(session_id)

        async def until_left() -> None:
            await one.hear(receive)
            screen.app.exit()

        tasks.start_soon(screen.print_always)
        tasks.start_soon(until_left)
        await screen.app.run_async(handle_sigint=False)
        tasks.cancel_scope.cancel()
    screen.write_rest()
    if one.session_id is not None:
        print(f"agentcore chat --session {one.session_id}")  # noqa: T201 - this is the command line
    return 0
