"""What engines say, and what the log keeps.

Law: two closed unions.  ``EngineEvent`` is the whole vocabulary of an engine; ``Event`` is everything that can
stand in a session's log.  Each logged event is told to clients under one name of the wire.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from agentcore.ids import ApprovalId, EngineName, MessageId
from agentcore.messages import Part
from agentcore.task import (
    ErrorCode,
    TaskEnd,
    TaskEvent,
    TaskParked,
    TaskQueued,
    TaskRequeued,
    TaskStarted,
)
from agentcore.usage import Outcome, Price, Usage


# ------------------------------------------------------------------------------------------------ an engine says
@frozen
class TextDelta:
    """A piece of the answer."""

    text: str


@frozen
class ThinkingDelta:
    """A piece of what the model thinks aloud."""

    text: str


@frozen
class BlockEnded:
    """A block of text or thinking is whole; *signature* belongs to thinking and goes back to its provider."""

    signature: str | None = None


@frozen(kw_only=True)
class ToolUse:
    """The engine calls a tool."""

    tool_use_id: str
    tool_name: str
    input: dict[str, Any]


@frozen(kw_only=True)
class ToolResult:
    """What came of a call."""

    tool_use_id: str
    output: str
    is_error: bool = False


@frozen(kw_only=True)
class ApprovalRequired:
    """The engine wants to act and will not before it is allowed to."""

    approval_id: ApprovalId
    tool_use_id: str
    tool_name: str
    input: dict[str, Any]
    expires_at: datetime


@frozen
class DecisionUsed:
    """A decision made before this attempt is about to be acted on; it is not given to another attempt."""

    approval_id: ApprovalId


@frozen(kw_only=True)
class Resumable:
    """The engine has a conversation of its own that it can take up again, with all that was said up to here.

    *lines* are what is new in its transcript, from line *start* on; with them any node can go on with it.
    """

    reference: str
    start: int = 0  #: 0 replaces what was kept before.
    lines: tuple[str, ...] = field(default=(), repr=False)


@frozen
class ResumeLost:
    """The engine could not take up its conversation again; it was shown the history in its place."""

    engine: EngineName


@frozen(kw_only=True)
class CallOpened:
    """A request to a provider is about to be sent; it is sent when the engine is asked for its next event."""

    model: str
    input_tokens: int  #: Estimated.
    price: Price | None = None  #: What it is billed by if its end is not heard.


@frozen(kw_only=True)
class CallCounted:
    """What the provider has counted so far, in total: better than our estimate, should the call be cut."""

    usage: Usage
    provider_message_id: str | None = None


@frozen(kw_only=True)
class CallClosed:
    """The provider has answered, in full or not, and this is what it cost."""

    usage: Usage
    outcome: Outcome = Outcome.COMPLETED
    provider_message_id: str | None = None


@frozen(kw_only=True)
class Finished:
    """The engine has answered; *summary* counts as the answer if no text was said.

    An engine that knows which call is its last says with its answer how that ended: one commit holds both.
    """

    summary: str = ""
    closed: CallClosed | None = None


@frozen(kw_only=True)
class Broke:
    """The engine could not answer."""

    code: ErrorCode = ErrorCode.EXECUTION_ERROR
    message: str = "The engine failed."
    attachments_refused: bool = False


@frozen
class Suspended:
    """The engine ends its stream because calls wait for a decision: a new attempt begins with what was decided.

    It is said once all that waits was asked for.  The end of a stream while a call waits means the same; but a person
    may be so quick that by then none waits any more, and only this word tells such an end from one that is too early.
    """


@frozen
class Ended:
    """The engine's stream is over; said by the lane, for every stream that has not said its end itself."""


EngineEvent = (
    TextDelta
    | ThinkingDelta
    | BlockEnded
    | ToolUse
    | ToolResult
    | ApprovalRequired
    | DecisionUsed
    | Resumable
    | ResumeLost
    | CallOpened
    | CallCounted
    | CallClosed
    | Finished
    | Broke
    | Suspended
    | Ended
)


# ------------------------------------------------------------------------------------------------- the log keeps
class TextKind(StrEnum):
    """The two kinds of text that have a position in the log."""

    TEXT = "text"
    THINKING = "thinking"


@frozen
class SessionOpened:
    """The session exists."""


@frozen
class SessionRenamed:
    """The session has another title."""

    title: str


@frozen
class SessionClosed:
    """The session takes no more tasks."""


@frozen(kw_only=True)
class Prompted:
    """A task's prompt has entered the history."""

    message_id: MessageId
    parts: tuple[Part, ...]


@frozen(kw_only=True)
class TextSaid:
    """A segment of text or thinking has become durable."""

    kind: TextKind
    text: str


@frozen(kw_only=True)
class UsageSettled:
    """A provider call is paid for."""

    usage: Usage


@frozen(kw_only=True)
class OAuthPrompted:
    """The agent asks the person to give consent at an address."""

    provider: str
    url: str


Event = (
    TaskQueued
    | TaskEvent
    | SessionOpened
    | SessionRenamed
    | SessionClosed
    | Prompted
    | TextSaid
    | ToolUse
    | ToolResult
    | UsageSettled
    | OAuthPrompted
    | ResumeLost
)


def bounds_attempt(event: Event, attempt: int) -> bool:
    """Tell whether *event* begins or ends an attempt of its task.

    Text that was told live and is not in the log by then is lost.  A task that ends in the queue (attempt 0)
    has said nothing, so its end says nothing about another task's text.
    """
    return attempt > 0 and isinstance(event, TaskStarted | TaskParked | TaskRequeued | TaskEnd)
