"""Frames of the event stream, the same JSON on WebSocket, SSE and long poll.

Law: one name of the wire for each event, the envelope first, the payload at top level.  ``seq`` stands on durable
events only.  Live text that is ready together is told in one frame.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import assert_never

from attrs import evolve, frozen

from agentcore.events import (
    Event,
    OAuthPrompted,
    Prompted,
    ResumeLost,
    SessionClosed,
    SessionOpened,
    SessionRenamed,
    TextKind,
    TextSaid,
    ToolResult,
    ToolUse,
    UsageSettled,
)
from agentcore.feed import Beat, Frame, Restarted, Subscribed
from agentcore.follow import Shown
from agentcore.ids import SessionId
from agentcore.messages import TextPart
from agentcore.ports import Snapshot
from agentcore.session import SessionStatus
from agentcore.task import (
    ApprovalRequested,
    ApprovalResolved,
    CancelRequested,
    ReplyDelivered,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskParked,
    TaskQueued,
    TaskRequeued,
    TaskResumed,
    TaskStarted,
    TaskStatus,
)
from agentcore.usage import Usage
from agentcore_http.wire import answers
from agentcore_http.wire import events as wire
from agentcore_http.wire.json import encode, timestamp
from agentcore_http.wire.parts import part

HIDDEN_FROM_VOICE = frozenset({"thinking", "tool_use", "tool_result"})
STATUS: dict[type[Event], TaskStatus] = {
    TaskQueued: TaskStatus.QUEUED,
    TaskStarted: TaskStatus.RUNNING,
    TaskParked: TaskStatus.AWAITING_APPROVAL,
    TaskResumed: TaskStatus.RUNNING,
    TaskRequeued: TaskStatus.QUEUED,
    CancelRequested: TaskStatus.CANCELLING,
    ReplyDelivered: TaskStatus.RUNNING,  # its content is told as text when it is concluded
}
SAID: dict[TextKind, type[wire.Text | wire.Thinking]] = {TextKind.TEXT: wire.Text, TextKind.THINKING: wire.Thinking}


@frozen
class Encoded:
    """A frame ready to be sent."""

    cursor: str
    type: str
    body: bytes


@frozen
class Encoder:
    """Encodes the frames of one session for one subscriber."""

    session_id: SessionId
    hides: frozenset[str] = frozenset()

    def encode(self, frames: Iterable[Frame], now: datetime) -> Iterator[Encoded]:
        """Encode what the subscriber is shown; what is hidden from it still moves the cursor of what follows."""
        for frame in _merged(frames):
            payload: wire.Control | wire.Logged
            seq = task = ""
            if not isinstance(frame, Shown):
                payload, at = _control(frame), now
            elif (live := frame.live) is not None:
                payload, at, task = SAID[live.kind](content=frame.text), live.at, f',"taskId":"{live.task_id}"'
            else:
                entry = frame.entry
                assert entry is not None, "a frame shows an entry or live text"
                payload, at, seq = event_payload(entry.event, frame.text), entry.at, f',"seq":{entry.seq}'
                task = f',"taskId":"{entry.task_id}"' if entry.task_id is not None else ""
            name = str(payload.__struct_config__.tag)
            if name in self.hides:
                continue
            # The envelope before the payload, which begins with its type; nothing in it needs an escape.
            cursor, kind = str(frame.cursor), f'{{"type":"{name}"'
            head = f'{kind},"cursor":"{cursor}"{seq},"sessionId":"{self.session_id}"{task},"ts":"{timestamp(at)}"'
            yield Encoded(cursor, name, head.encode() + encode(payload)[len(kind) :])


def _control(frame: Subscribed | Restarted | Beat) -> wire.Control:
    if isinstance(frame, Beat):
        return wire.Heartbeat(head_seq=frame.head)
    page, body = frame.snapshot.page, snapshot_body(frame.snapshot)
    if isinstance(frame, Subscribed):
        return wire.Subscribed(head_seq=page.head, oldest_seq=page.oldest, snapshot=body)
    return wire.StreamReset(reason=frame.reason.value, head_seq=page.head, oldest_seq=page.oldest, snapshot=body)


def event_payload(event: Event, text: str) -> wire.Logged:
    """Say a logged event in the wire's words; *text* is what is shown of a TextSaid."""
    if isinstance(event, TextSaid):
        return SAID[event.kind](content=text)
    if (status := STATUS.get(type(event))) is not None:
        return wire.TaskInfo(status=status.value)
    match event:
        case SessionOpened():
            return wire.SessionInfo()
        case SessionRenamed(title):
            return wire.SessionInfo(title=title)
        case SessionClosed():
            return wire.SessionInfo(status=SessionStatus.CLOSED.value)
        case Prompted():
            return wire.UserMessage(message_id=event.message_id, content=[part(p) for p in event.parts])
        case ToolUse():
            return wire.ToolUse(tool_use_id=event.tool_use_id, tool_name=event.tool_name, input=event.input)
        case ToolResult():
            return wire.ToolResult(tool_use_id=event.tool_use_id, output=event.output, is_error=event.is_error)
        case ApprovalRequested():
            return wire.ApprovalRequired(
                approval_id=event.approval_id,
                tool_use_id=event.tool_use_id,
                tool_name=event.tool_name,
                input=event.input,
                input_sha256=event.input_sha256,
                expires_at=timestamp(event.expires_at),
            )
        case ApprovalResolved():
            return wire.ApprovalResolved(approval_id=event.approval_id, decision=event.decision.value, by=event.by)
        case UsageSettled():
            return usage_payload(event.usage)
        case TaskCompleted():
            return wire.Completed(
                summary=event.summary,
                tokens_used=event.input_tokens + event.output_tokens,
                input_tokens=event.input_tokens,
                output_tokens=event.output_tokens,
                cost_usd=None if event.cost_usd is None else float(event.cost_usd),
                model=event.model,
            )
        case TaskFailed():
            return wire.Failed(message=event.message, code=event.code.value)
        case TaskCancelled():
            return wire.Cancelled(message=event.message, code=event.code.value)
        case OAuthPrompted():
            return wire.OAuthPrompt(provider=event.provider, url=event.url)
        case ResumeLost():
            return wire.ResumeLost(engine_type=event.engine)
        case TaskQueued() | TaskStarted() | TaskParked() | TaskResumed() | TaskRequeued():
            raise AssertionError("named by STATUS")
        case CancelRequested() | ReplyDelivered():
            raise AssertionError("named by STATUS")
        case _:
            assert_never(event)


def usage_payload(usage: Usage) -> wire.UsageSettled:
    """Show the counts of one provider call."""
    return wire.UsageSettled(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_input_tokens=usage.cache_write_input_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=None if usage.cost_usd is None else float(usage.cost_usd),
        model=usage.model,
        fidelity=usage.fidelity.value,
    )


def snapshot_body(snapshot: Snapshot) -> wire.SnapshotAnswer:
    """Show a session as it stands."""
    task = snapshot.task
    return wire.SnapshotAnswer(
        session=answers.session(snapshot.view),
        task=answers.task(task) if task else None,
        pending_approvals=[answers.approval(a) for a in (task.approvals if task else ()) if a.is_pending],
        text="".join(part.text for part in snapshot.said if isinstance(part, TextPart)),
    )


def _merged(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Join neighbouring live text of one kind: under load one frame carries what is ready."""
    held: Shown | None = None
    for frame in frames:
        if isinstance(frame, Shown) and frame.live is not None:
            if held is not None and _continues(held, frame):
                held = evolve(frame, text=held.text + frame.text)
                continue
            if held is not None:
                yield held
            held = frame
            continue
        if held is not None:
            yield held
            held = None
        yield frame
    if held is not None:
        yield held


def _continues(held: Shown, frame: Shown) -> bool:
    if held.live is None or frame.live is None:
        return False
    return (held.live.kind, held.live.task_id) == (frame.live.kind, frame.live.task_id)
