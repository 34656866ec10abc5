"""What the events of a session carry.

Law: a Struct per frame, and the union of them is closed: what is not here cannot be sent, and the AsyncAPI document
is printed from it.
"""

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from agentcore.follow import ResetReason
from agentcore.session import SessionStatus
from agentcore.task import Decision, ErrorCode, StopCode, TaskStatus
from agentcore.usage import Fidelity
from agentcore_http.wire.parts import PartAnswer
from agentcore_http.wire.shapes import ApprovalAnswer, SessionAnswer, TaskAnswer
from agentcore_http.wire.words import Count, Id, Object, Place, Sha256, Time, described, one_of


class Envelope(Struct, rename="camel", kw_only=True):
    """What stands around the payload of every frame."""

    type: str
    cursor: Place
    seq: Annotated[int, described(minimum=1)] | UnsetType = UNSET
    session_id: Id
    task_id: Id | UnsetType = UNSET
    ts: Time


class Payload(Struct, rename="camel", kw_only=True, tag_field="type"):
    """Base of all payloads; they stand at the top level of their frame."""


class SnapshotAnswer(Struct, rename="camel", kw_only=True):
    """A session as it stands; ``text`` is what its task has said since the last message of the history."""

    session: SessionAnswer
    task: TaskAnswer | None
    pending_approvals: list[ApprovalAnswer]
    text: str


class Subscribed(Payload, tag="subscribed"):
    """The first frame: where the log stands, and the session as it is."""

    head_seq: Count
    oldest_seq: Count
    snapshot: SnapshotAnswer


class StreamReset(Payload, tag="stream_reset"):
    """What was read so far no longer holds: begin again from the snapshot."""

    reason: Annotated[str, one_of(ResetReason)]
    head_seq: Count
    oldest_seq: Count
    snapshot: SnapshotAnswer


class Heartbeat(Payload, tag="heartbeat"):
    """Nothing was said for a while; the connection lives."""

    head_seq: Count


class SessionInfo(Payload, tag="session_info"):
    """The session exists, has another title, or is closed."""

    title: str | UnsetType = UNSET
    status: Annotated[str, one_of(SessionStatus)] | UnsetType = UNSET


class TaskInfo(Payload, tag="task_info"):
    """A task has another status."""

    status: Annotated[str, one_of(TaskStatus)]


class UserMessage(Payload, tag="user_message"):
    """A prompt has entered the history."""

    message_id: str
    content: list[PartAnswer]


class Text(Payload, tag="text"):
    """A piece of the answer; concatenated they are the answer."""

    content: str


class Thinking(Payload, tag="thinking"):
    """A piece of what the model thinks aloud."""

    content: str


class ToolUse(Payload, tag="tool_use"):
    """The engine calls a tool."""

    tool_use_id: str
    tool_name: str
    input: Object


class ToolResult(Payload, tag="tool_result"):
    """What came of a call."""

    tool_use_id: str
    output: str
    is_error: bool


class ApprovalRequired(Payload, tag="approval_required"):
    """A call waits for a decision."""

    approval_id: str
    tool_use_id: str
    tool_name: str
    input: Object
    input_sha256: Sha256
    expires_at: Time


class ApprovalResolved(Payload, tag="approval_resolved"):
    """A person, or the clock, has decided."""

    approval_id: str
    decision: Annotated[str, one_of(Decision)]
    by: str | None


class UsageSettled(Payload, tag="usage"):
    """A provider call is paid for."""

    input_tokens: Count
    output_tokens: Count
    cached_input_tokens: Count
    cache_write_input_tokens: Count
    reasoning_tokens: Count
    cost_usd: float | None
    model: str
    fidelity: Annotated[str, one_of(Fidelity)]


class Completed(Payload, tag="completed"):
    """The task has answered; nothing of it follows."""

    summary: str
    tokens_used: Count
    input_tokens: Count
    output_tokens: Count
    cost_usd: float | None
    model: str


class Failed(Payload, tag="error"):
    """The task could not answer; nothing of it follows."""

    message: str
    code: Annotated[str, one_of(ErrorCode)]


class Cancelled(Payload, tag="cancelled"):
    """The task was stopped; nothing of it follows."""

    message: str
    code: Annotated[str, one_of(StopCode)]


class OAuthPrompt(Payload, tag="oauth_prompt"):
    """The agent asks the person to give consent at an address."""

    provider: str
    url: str


class ResumeLost(Payload, tag="resume_lost"):
    """The engine could not take up its own conversation again; it was shown the history in its place."""

    engine_type: str


Control = Subscribed | StreamReset | Heartbeat
Logged = (
    SessionInfo
    | TaskInfo
    | UserMessage
    | Text
    | Thinking
    | ToolUse
    | ToolResult
    | ApprovalRequired
    | ApprovalResolved
    | UsageSettled
    | Completed
    | Failed
    | Cancelled
    | OAuthPrompt
    | ResumeLost
)
