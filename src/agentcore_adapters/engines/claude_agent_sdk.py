"""The engine ``claude_agent_sdk``: the same program, driven by Anthropic's SDK.

Law: what is said, allowed, kept and killed is the business of the modules that ``claude_code_cli`` uses too; the SDK
does the control protocol (initialize, hooks, permissions, interrupt).  It is imported on first use: it takes a second.

The process is ours and not the SDK's: its own transport hands the server's whole environment down to the tools, knows
no process group and finds transcripts on this machine only.  Frames are read on their way to the SDK, because its
message classes leave out which text was abandoned.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
from attrs import define, field

from agentcore.changes import Conversation
from agentcore.engine import EngineRequest
from agentcore.ids import EngineName
from agentcore_adapters.engines import claude_turn as turn
from agentcore_adapters.engines.claude_child import Child, Frame, log, running
from agentcore_adapters.engines.claude_code_cli import HOOK_S, ClaudeCodeCli, ClaudeCodeRun
from agentcore_adapters.engines.claude_turn import Desk

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient

NAME = EngineName("claude_agent_sdk")
AHEAD = 16  # frames between the SDK's reader and ours


@define(eq=False)
class ClaudeAgentSdk(ClaudeCodeCli):
    """Answers through the SDK."""

    name: EngineName = NAME

    @asynccontextmanager
    async def run(self, request: EngineRequest) -> AsyncIterator[ClaudeCodeRun]:
        """Answer *request*."""
        run = ClaudeSdkRun(self, request, Desk(request, self.policy.of(request.tenant_id)))
        async with aclosing(run.say()) as run.said:
            yield run


@define(eq=False)
class ClaudeSdkRun(ClaudeCodeRun):
    """One answer under way."""

    _client: "ClaudeSDKClient | None" = None
    _frames: "asyncio.Queue[Frame | None]" = field(factory=lambda: asyncio.Queue(AHEAD))
    _waiting: dict[str, "asyncio.Future[turn.Json]"] = field(factory=dict)
    _tasks: list["asyncio.Task[None]"] = field(factory=list)

    @asynccontextmanager
    async def talking(self, resume: Conversation | None) -> AsyncIterator[AsyncIterator[Frame]]:
        """Start a process, let the SDK drive it, and begin to hear it."""
        await anyio.to_thread.run_sync(_import)
        self._frames = asyncio.Queue(AHEAD)
        program, session_id, prompt = self.engine.program, self.request.session_id, self.request.system_prompt
        async with running(program, session_id, self.options(), resume, prompt) as self.child:
            self._client = _client(Through(self.child, self._frames), self._options())
            try:
                async with aclosing(self._heard()) as frames:
                    yield frames
            finally:
                await self._leave(self._client)

    async def prompt(self, message: Frame) -> None:
        """Let the SDK send what is asked; what comes of it is heard meanwhile, also if it does not get that far."""
        if self._client is not None:
            self._tasks.append(asyncio.create_task(_converse(self._client, message, self._frames)))

    def ticket(self, frame: Frame) -> str:
        """Return what the answer to a question is addressed to: the SDK does not say which request it hands on."""
        asked = frame["request"]
        return f"{asked.get('subtype')} {asked.get('tool_use_id')}"

    def reply(self, ticket: str, answer: turn.Json | None) -> None:
        """Answer a question; what is not understood is answered by the SDK."""
        if answer is not None and not (future := self._future(ticket)).done():
            future.set_result(answer)

    def ask_to_stop(self) -> None:
        """Interrupt the program; returns at once."""
        if self._client is not None:
            self._tasks.append(asyncio.create_task(_interrupt(self._client)))

    def _options(self) -> "ClaudeAgentOptions":
        from claude_agent_sdk import (  # noqa: PLC0415 - heavy
            ClaudeAgentOptions,
            HookMatcher,
            PermissionResultAllow,
            PermissionResultDeny,
        )

        async def hook(_input: Any, tool_use_id: str | None, _context: Any) -> Any:  # noqa: ANN401 - JSON
            return await self._future(f"hook_callback {tool_use_id}")

        async def may(_name: str, _input: turn.Json, context: Any) -> Any:  # noqa: ANN401 - the SDK's union
            answer = await self._future(f"can_use_tool {context.tool_use_id}")
            if answer["behavior"] == "allow":
                return PermissionResultAllow(updated_input=answer["updatedInput"])
            return PermissionResultDeny(message=answer["message"], interrupt=bool(answer.get("interrupt")))

        matcher = HookMatcher(hooks=[hook], timeout=HOOK_S, on_failure="block")
        return ClaudeAgentOptions(
            can_use_tool=may,
            hooks={"PreToolUse": [matcher]},
            system_prompt={"type": "custom", "prompt": self.request.system_prompt, "snapshot": False},
        )

    def _future(self, ticket: str) -> "asyncio.Future[turn.Json]":
        return self._waiting.setdefault(ticket, asyncio.get_running_loop().create_future())

    async def _heard(self) -> AsyncGenerator[Frame, None]:
        while (frame := await self._frames.get()) is not None:
            yield frame

    async def _leave(self, client: "ClaudeSDKClient") -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(1.0):
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks.clear()
            await client.disconnect()


def _import() -> None:
    import claude_agent_sdk  # noqa: F401, PLC0415 - heavy


@define(eq=False)
class Through:
    """Our process, as the SDK sees one: what its abstract ``Transport`` asks for."""

    child: Child
    frames: "asyncio.Queue[Frame | None]"

    async def connect(self) -> None:
        """Nothing to do: it runs."""

    async def write(self, data: str) -> None:
        """Pass on what the SDK says."""
        self.child.send(json.loads(data))

    async def read_messages(self) -> AsyncIterator[Frame]:
        """Yield what the program says, and let our reader have it first."""
        async with aclosing(self.child.frames()) as heard:
            async for frame in heard:
                if frame.get("type") != "control_response":
                    await self.frames.put(frame)
                if frame.get("type") != "transcript_mirror":
                    yield frame
        await self.frames.put(None)

    async def close(self) -> None:
        """Nothing to do: who has started it ends it."""

    def is_ready(self) -> bool:
        """Tell whether it runs."""
        return self.child.process.returncode is None

    async def end_input(self) -> None:
        """Let it know that nothing more is asked."""
        self.child.close_input()


def _client(transport: Through, options: "ClaudeAgentOptions") -> "ClaudeSDKClient":
    from claude_agent_sdk import ClaudeSDKClient  # noqa: PLC0415 - heavy

    return ClaudeSDKClient(options, transport)


async def _converse(client: "ClaudeSDKClient", message: Frame, frames: "asyncio.Queue[Frame | None]") -> None:
    async def one() -> AsyncIterator[Frame]:
        yield message

    try:
        await client.connect()
        await client.query(one())
        async for _ in client.receive_messages():
            continue  # it was heard on its way to the SDK, which reads on only if it is taken from it, too
    except Exception as error:  # noqa: BLE001 - the SDK raises that, too; its text is not for clients
        log.warning("claude.sdk_failed", kind=type(error).__name__)
    await frames.put(None)


async def _interrupt(client: "ClaudeSDKClient") -> None:
    from claude_agent_sdk import ClaudeSDKError  # noqa: PLC0415 - heavy

    with suppress(ClaudeSDKError):  # it has ended, which is what was wanted
        await client.interrupt()
