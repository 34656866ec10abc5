"""What the server's answers are made of.

Law: a Struct per answer.  Clients read with these too, so nothing here needs more of the core than its words; the
answers are made in ``answers``.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Struct

from agentcore.errors import EngineUnavailable, SchemaOutdated, ShuttingDown, StoreUnavailable
from agentcore.messages import Role
from agentcore.session import SessionStatus
from agentcore.task import LIVE, ErrorCode, StopCode, TaskStatus
from agentcore.usage import Fidelity
from agentcore_http.wire.parts import PartAnswer
from agentcore_http.wire.words import Count, Id, Object, Sha256, Time, described, one_of

#: Why a server may be not ready.
DEGRADED = ["bus_unavailable"]
REASONS = [kind.code for kind in (ShuttingDown, EngineUnavailable, StoreUnavailable, SchemaOutdated)]
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


class ConsentAnswer(Answer):
    """The person is asked for consent."""

    message: str


class SwitchedAnswer(Answer):
    """New sessions use another engine."""

    message: str
    engine_type: str


class TicketAnswer(Answer):
    """What opens one WebSocket."""

    ticket: str
    expires_at: Time


class AliveAnswer(Answer):
    """The process is up."""

    status: str


class ReadyAnswer(Answer):
    """Whether requests can be served, and if not why; and what makes them slower and nothing worse."""

    ready: bool
    reasons: list[Annotated[str, described(enum=REASONS)]]
    degraded: list[Annotated[str, described(enum=DEGRADED)]]
