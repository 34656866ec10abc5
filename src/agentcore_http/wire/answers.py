"""What the server answers.

Law: a Struct per answer, made from the core's values here and nowhere else.
"""

from collections.abc import Sequence

from msgspec import Struct

from agentcore.approval import Approval
from agentcore.engine import EngineState
from agentcore.ids import EngineName
from agentcore.messages import (
    FilePart,
    Message,
    Part,
    TextPart,
    ThinkingPart,
    ToolResultPart,
    ToolUsePart,
)
from agentcore.ports import SessionView, TaskView
from agentcore.runtime import Accepted
from agentcore.speech import Speech
from agentcore.task import TaskStatus
from agentcore.usage import Usage
from agentcore_http.wire.json import timestamp


class Answer(Struct, rename="camel", kw_only=True):
    """Base of all answers."""


class AcceptedAnswer(Answer):
    """A prompt was accepted."""

    session_id: str
    task_id: str
    session_created: bool
    status: str


class InjectedAnswer(Answer):
    """A message was injected."""

    session_id: str
    task_id: str
    injected: bool = True


class HeardAnswer(Answer):
    """What is said in a recording."""

    text: str
    language: str | None
    duration_seconds: float
    no_speech_probability: float


class SpokenAnswer(Answer):
    """What was said was accepted as a prompt."""

    session_id: str
    task_id: str
    transcript: str
    session_created: bool


class StoppedAnswer(Answer):
    """What DELETE /tasks/{id} has found or done."""

    task_id: str
    status: str
    message: str | None = None


class DecidedAnswer(Answer):
    """A decision was taken."""

    message: str
    task_id: str
    approval_id: str


class ErrorAnswer(Answer):
    """Why a task failed."""

    code: str
    message: str


class UsageAnswer(Answer):
    """What a task has cost so far."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_input_tokens: int
    cache_write_input_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    model: str
    fidelity: str


class ApprovalAnswer(Answer):
    """A call that waits for a decision."""

    approval_id: str
    tool_use_id: str
    tool_name: str
    input: dict[str, object]
    input_sha256: str
    expires_at: str


class TaskAnswer(Answer):
    """A task."""

    id: str
    session_id: str
    status: str
    prompt: str
    engine_type: str
    result: str | None
    error: ErrorAnswer | None
    stop_code: str | None
    usage: UsageAnswer
    created_at: str
    started_at: str | None
    completed_at: str | None
    pending_approvals: list[ApprovalAnswer]


class SessionAnswer(Answer):
    """A session."""

    id: str
    title: str
    status: str
    activity: str
    engine_type: str
    voice_mode: bool
    agent_instance_id: str | None
    created_at: str
    updated_at: str


class MessageAnswer(Answer):
    """A message of the history."""

    id: str
    seq: int
    role: str
    content: list[dict[str, object]]
    interrupted: bool
    task_id: str
    created_at: str


class PageAnswer(Answer):
    """A page of a list."""

    items: Sequence[Answer]
    next_cursor: str | None


class EngineAnswer(Answer):
    """An engine."""

    engine_type: str
    available: bool
    default: bool
    reason: str | None
    models: list[str]
    capabilities: dict[str, bool]


class EnginesAnswer(Answer):
    """All engines."""

    engines: list[EngineAnswer]


class SaidAnswer(Answer):
    """Something was done that has nothing more to say than that."""

    message: str
    engine_type: str | None = None


class TicketAnswer(Answer):
    """What opens one WebSocket."""

    ticket: str
    expires_at: str


def heard(speech: Speech) -> HeardAnswer:
    """Show what is said in a recording."""
    return HeardAnswer(
        text=speech.text,
        language=speech.language,
        duration_seconds=round(speech.seconds, 3),
        no_speech_probability=round(speech.no_speech, 3),
    )


def accepted(value: Accepted) -> AcceptedAnswer:
    """Answer POST /tasks."""
    return AcceptedAnswer(
        session_id=value.session_id,
        task_id=value.task_id,
        session_created=value.session_created,
        status=value.status.value,
    )


def session(view: SessionView) -> SessionAnswer:
    """Show a session."""
    value = view.session
    return SessionAnswer(
        id=value.id,
        title=value.title,
        status=value.status.value,
        activity=view.activity.value if view.activity else "idle",
        engine_type=value.engine,
        voice_mode=value.voice_mode,
        agent_instance_id=value.instance,
        created_at=timestamp(value.created_at),
        updated_at=timestamp(value.updated_at),
    )


def task(view: TaskView) -> TaskAnswer:
    """Show a task."""
    value = view.task
    failed = value.status is TaskStatus.FAILED and value.error_code is not None
    error = ErrorAnswer(code=value.error_code or "", message=value.result or "") if failed else None
    return TaskAnswer(
        id=value.id,
        session_id=value.session_id,
        status=value.status.value,
        prompt="".join(part.text for part in value.prompt if isinstance(part, TextPart)),
        engine_type=value.engine,
        result=None if failed else value.result,
        error=error,
        stop_code=value.stop_code,
        usage=usage(view.usage),
        created_at=timestamp(value.created_at),
        started_at=timestamp(value.started_at) if value.started_at else None,
        completed_at=timestamp(value.completed_at) if value.completed_at else None,
        pending_approvals=[approval(a) for a in view.approvals if a.is_pending],
    )


def usage(value: Usage) -> UsageAnswer:
    """Show what was used."""
    return UsageAnswer(
        input_tokens=value.input_tokens,
        output_tokens=value.output_tokens,
        total_tokens=value.total_tokens,
        cached_input_tokens=value.cached_input_tokens,
        cache_write_input_tokens=value.cache_write_input_tokens,
        reasoning_tokens=value.reasoning_tokens,
        cost_usd=None if value.cost_usd is None else float(value.cost_usd),
        model=value.model,
        fidelity=value.fidelity.value,
    )


def approval(value: Approval) -> ApprovalAnswer:
    """Show an approval."""
    return ApprovalAnswer(
        approval_id=value.id,
        tool_use_id=value.tool_use_id,
        tool_name=value.tool_name,
        input=value.input,
        input_sha256=value.input_sha256,
        expires_at=timestamp(value.expires_at),
    )


def message(value: Message) -> MessageAnswer:
    """Show a message."""
    return MessageAnswer(
        id=value.id,
        seq=value.seq,
        role=value.role.value,
        content=[part(p) for p in value.parts],
        interrupted=value.interrupted,
        task_id=value.task_id,
        created_at=timestamp(value.at),
    )


def part(value: Part) -> dict[str, object]:
    """Show a part of a message."""
    match value:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ThinkingPart(text):
            return {"type": "thinking", "text": text}
        case FilePart():
            kind = "image" if value.is_image else "file"
            name = {"fileName": value.file_name} if value.file_name else {}
            return {"type": kind, "mediaType": value.media_type, **name, "sha256": value.sha256, "size": value.size}
        case ToolUsePart():
            use = {"toolUseId": value.tool_use_id, "toolName": value.tool_name, "input": value.input}
            return {"type": "tool_use", **use}
        case ToolResultPart():
            result = {"toolUseId": value.tool_use_id, "output": value.output, "isError": value.is_error}
            return {"type": "tool_result", **result}


def engines(states: Sequence[EngineState], default: EngineName | None) -> EnginesAnswer:
    """Show the engines."""
    shown = [
        EngineAnswer(
            engine_type=state.name,
            available=state.is_available,
            default=state.name == default,
            reason=state.reason,
            models=list(state.models),
            capabilities={
                "streaming": state.abilities.streaming,
                "tools": state.abilities.tools,
                "approvals": state.abilities.approvals,
                "resume": state.abilities.resume,
                "attachments": state.abilities.attachments,
                "usage": state.abilities.usage,
                "pureUntilTool": state.abilities.pure_until_tool,
            },
        )
        for state in states
    ]
    return EnginesAnswer(engines=shown)
