"""What the server answers.

Law: an answer is made from the core's values here and nowhere else.
"""

from collections.abc import Sequence

from agentcore.approval import Approval
from agentcore.asking import Accepted
from agentcore.engine import EngineState
from agentcore.ids import EngineName
from agentcore.messages import Message, TextPart
from agentcore.ports import SessionView, TaskView
from agentcore.speech import Speech
from agentcore.task import TaskStatus
from agentcore.usage import Usage
from agentcore_http.wire.json import timestamp
from agentcore_http.wire.parts import part
from agentcore_http.wire.shapes import (
    AcceptedAnswer,
    ApprovalAnswer,
    EngineAnswer,
    EnginesAnswer,
    ErrorAnswer,
    HeardAnswer,
    MessageAnswer,
    SessionAnswer,
    TaskAnswer,
    UsageAnswer,
)


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
