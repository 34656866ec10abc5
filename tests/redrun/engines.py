"""The original's engine port over scripted engines.

Law: a stream is known by its session, a stop aborts whichever is active there, and an aborted stream raises.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import anyio
from attrs import define, field

from agentcore.approval import Approval, input_hash
from agentcore.engine import EngineRequest
from agentcore.errors import EngineFailed
from agentcore.events import (
    ApprovalRequired,
    Broke,
    CallClosed,
    EngineEvent,
    Finished,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from agentcore.ids import MessageId, SessionId, TaskId
from agentcore.messages import FilePart, Message, Part, Role, TextPart
from agentcore.task import Decision
from agentcore.testing.making import TENANT, an_id, now
from agentcore.testing.scripted import ScriptedEngine, ScriptedRun
from agentcore.usage import Usage
from tests.redrun.tables import Json

FIRST_EVENT_S = 0.4  # no model answers at once, and whoever wants to hear it must have the time to subscribe


class Aborted(Exception):
    """The stream was aborted while it was read."""


@define(eq=False)
class Stop:
    """How a stream is aborted from outside."""

    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    wanted: bool = False

    def abort(self) -> None:
        self.wanted = True
        self.scope.cancel()


@define(eq=False)
class Engine:
    """The original's engine port over a scripted engine: one active stream a session, known by the session's id."""

    scripted: ScriptedEngine
    active: dict[str, Stop] = field(factory=dict)
    waiting: dict[str, tuple[EngineRequest, ApprovalRequired]] = field(factory=dict)

    @property
    def engine_type(self) -> str:
        return self.scripted.name

    async def cancel_task(self, session_id: str) -> None:
        self.waiting.pop(session_id, None)
        stop = self.active.pop(session_id, None)
        if stop is not None:
            stop.abort()

    async def execute_task(self, request: EngineRequest) -> AsyncGenerator[Json, None]:
        """Stream an answer; where the engine asks for approval this stream ends."""
        async with aclosing(self._stream(request, ())) as stream:
            async for event in stream:
                yield event

    async def continue_session(self, session_id: str) -> AsyncGenerator[Json, None]:
        """Stream what follows the approval of whatever waits now."""
        if session_id not in self.waiting:
            raise Aborted("No active session")
        request, asked = self.waiting[session_id]
        decided = Approval(
            id=asked.approval_id,
            task_id=request.task_id,
            tool_use_id=asked.tool_use_id,
            tool_name=asked.tool_name,
            input=asked.input,
            input_sha256=input_hash(asked.tool_name, asked.input),
            expires_at=asked.expires_at,
            created_at=now(),
            decision=Decision.APPROVED,
        )
        is_behind = False
        async with aclosing(self._stream(request, (decided,))) as stream:
            async for event in stream:
                if is_behind:
                    yield event
                is_behind = is_behind or event["type"] == "approval_required"

    async def _stream(self, request: EngineRequest, decided: Sequence[Approval]) -> AsyncGenerator[Json, None]:
        stop = self.active[request.session_id] = Stop()
        usage = Usage()
        try:
            async with self.scripted.run(request) as run, aclosing(_said(run)) as said:
                if decided:
                    run.answer(decided)
                while (event := await _next(said, stop)) is not None:
                    if isinstance(event, CallClosed):
                        usage = event.usage
                    shown = _shown(event, usage)
                    if shown is not None:
                        yield shown
                    if isinstance(event, ApprovalRequired) and not decided:
                        self.waiting[request.session_id] = (request, event)
                        return
        except EngineFailed as error:
            yield {"type": "error", "message": str(error), "code": error.error_code}
        finally:
            if self.active.get(request.session_id) is stop:
                del self.active[request.session_id]


async def _said(run: ScriptedRun) -> AsyncGenerator[EngineEvent, None]:
    await anyio.sleep(FIRST_EVENT_S)
    async for event in run:
        yield event


async def _next(said: AsyncIterator[EngineEvent], stop: Stop) -> EngineEvent | None:
    # Only the wait for the engine is cut short, as an abort signal does; a handler at work on an event is not.
    stop.scope = anyio.CancelScope()
    if stop.wanted:
        stop.scope.cancel()
    event: EngineEvent | None = None
    with stop.scope:
        event = await anext(said, None)
    if stop.scope.cancelled_caught:
        raise Aborted("The operation was aborted")
    return event


def _shown(event: EngineEvent, usage: Usage) -> Json | None:
    match event:
        case TextDelta(text):
            return {"type": "text", "content": text}
        case ThinkingDelta(text):
            return {"type": "thinking", "content": text}
        case ToolUse():
            return {"type": "tool_use", "toolName": event.tool_name, "input": event.input}
        case ToolResult():
            return {"type": "tool_result", "output": event.output, "isError": event.is_error}
        case ApprovalRequired():
            return {"type": "approval_required", "toolName": event.tool_name, "input": event.input}
        case Finished(summary=summary):
            tokens = {"inputTokens": usage.input_tokens, "outputTokens": usage.output_tokens}
            return {"type": "completed", "summary": summary, "tokensUsed": usage.total_tokens, **tokens}
        case Broke():
            return {"type": "error", "message": event.message, "code": event.code.value}
        case _:
            return None


@define
class EngineRegistry:
    """Engines by name, and which of them is the active one: looking one up makes it so, for everybody."""

    engines: dict[str, Engine]
    active: str

    def switch_engine(self, engine_type: str) -> Engine:
        engine = self.engines[engine_type]
        self.active = engine_type
        return engine

    def get_active_engine(self) -> Engine:
        return self.engines[self.active]


def make_request(
    session_id: str,
    prompt: str,
    history: list[Message],
    *,
    system_prompt: str,
    allowed_tools: list[str] | None = None,
    max_turns: int = 10,
) -> EngineRequest:
    """Make what the engine gets; it adds the prompt unless the history ends with it."""
    has_prompt = bool(history) and any(isinstance(part, FilePart) for part in history[-1].parts)
    asked = () if has_prompt else (make_message(Role.USER, (TextPart(prompt),)),)
    return EngineRequest(
        tenant_id=TENANT,
        session_id=SessionId(session_id),
        task_id=TaskId(an_id()),
        attempt=1,
        system_prompt=system_prompt,
        messages=(*history, *asked),
        blobs={},
        max_turns=max_turns,
        allowed_tools=tuple(allowed_tools) if allowed_tools else None,  # to the original, none is no restriction
        model=None,
    )


def make_message(role: Role, parts: tuple[Part, ...]) -> Message:
    return Message(id=MessageId(an_id()), task_id=TaskId(""), role=role, parts=parts, at=now())
