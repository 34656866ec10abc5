"""What the server answers.

Law: a Struct per answer, made from the core's values here and nowhere else.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Struct

from agentcore.approval import Approval
from agentcore.engine import EngineState
from agentcore.ids import EngineName
from agentcore.messages import Message, Role, TextPart
from agentcore.ports import SessionView, TaskView
from agentcore.runtime import Accepted
from agentcore.session import SessionStatus
from agentcore.speech import Speech
from agentcore.task import LIVE, ErrorCode, StopCode, TaskStatus
from agentcore.usage import Fidelity, Usage
from agentcore_http.wire.json import timestamp
from agentcore_http.wire.parts import PartAnswer, part
from agentcore_http.wire.words import Count, Id, Object, Sha256, Time, described, one_of

ACTIVITIES = ["idle", "queued", *(status.value for status in TaskStatus if status in LIVE)]


class Answer(Struct, rename="camel", kw_only=True):
    """Base of all answers."""


class AcceptedAnswer(Answer):
    """A prompt was accepted."""

    session_id: Id
    task_id: Id
    session_created: bool
    status: Annotated[str, one_of(TaskStatus)]


class InjectedAnswer(Answer):
    """A message was injected."""

    session_id: Id
    task_id: Id
    injected: bool = True


class HeardAnswer(Answer):
    """What is said in a recording."""

    text: str
    language: str | None
    duration_seconds: float
    no_speech_probability: float


class SpokenAnswer(Answer):
    """What was said was accepted as a prompt."""

    session_id: Id
    task_id: Id
    transcript: str
    session_created: bool


class StoppedAnswer(Answer):
    """What DELETE /tasks/{id} has found or done."""

    task_id: Id
    status: Annotated[str, one_of(TaskStatus)]
    message: str | None = None


class DecidedAnswer(Answer):
    """A decision was taken."""

    message: str
    task_id: Id
    approval_id: str


class ErrorAnswer(Answer):
    """Why a task failed."""

    code: Annotated[str, one_of(ErrorCode)]
    message: str


class UsageAnswer(Answer):
    """What a task has cost so far."""

    input_tokens: Count
    output_tokens: Count
    total_tokens: Count
    cached_input_tokens: Count
    cache_write_input_tokens: Count
    reasoning_tokens: Count
    cost_usd: float | None
    model: str
    fidelity: Annotated[str, one_of(Fidelity)]


class ApprovalAnswer(Answer):
    """A call that waits for a decision."""

    approval_id: str
    tool_use_id: str
    tool_name: str
    input: Object
    input_sha256: Sha256
    expires_at: Time


class TaskAnswer(Answer):
    """A task."""

    id: Id
    session_id: Id
    status: Annotated[str, one_of(TaskStatus)]
    prompt: str
    engine_type: str
    result: str | None
    error: ErrorAnswer | None
    stop_code: Annotated[str, one_of(StopCode)] | None
    usage: UsageAnswer
    created_at: Time
    started_at: Time | None
    completed_at: Time | None
    pending_approvals: list[ApprovalAnswer]


class SessionAnswer(Answer):
    """A session."""

    id: Id
    title: str
    status: Annotated[str, one_of(SessionStatus)]
    activity: Annotated[str, described(enum=ACTIVITIES)]
    engine_type: str
    voice_mode: bool
    agent_instance_id: Id | None
    created_at: Time
    updated_at: Time


class MessageAnswer(Answer):
    """A message of the history."""

    id: str
    seq: Count
    role: Annotated[str, one_of(Role)]
    content: list[PartAnswer]
    interrupted: bool
    task_id: Id
    created_at: Time


class PageAnswer(Answer):
    """A page of a list."""

    items: Sequence[Answer]
    next_cursor: str | None


class SessionsAnswer(PageAnswer):
    """A page of sessions, newest first."""

    items: Sequence[SessionAnswer]


class TasksAnswer(PageAnswer):
    """A page of tasks, in the order in which they came."""

    items: Sequence[TaskAnswer]


class MessagesAnswer(PageAnswer):
    """A page of a session's history."""

    items: Sequence[MessageAnswer]


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
    expires_at: Time


class AliveAnswer(Answer):
    """The process is up."""

    status: str


class ReadyAnswer(Answer):
    """Whether requests can be served, and if not why."""

    ready: bool
    reasons: list[str]


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
