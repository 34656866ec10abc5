"""Frames of the event stream, the same JSON on WebSocket, SSE and long poll.

Law: one name of the wire for each event, the envelope first, the payload at top level.  ``seq`` stands on durable
events only.  Live text that is ready together is told in one frame.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, assert_never

from attrs import evolve, frozen

from agentcore.events import (
    Event,
    OAuthPrompted,
    Prompted,
    ResumeLost,
    SessionClosed,
    SessionOpened,
    SessionRenamed,
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
from agentcore_http.wire.json import encode, timestamp

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
            name, payload, at = self._payload(frame, now)
            if name in self.hides:
                continue
            envelope: dict[str, Any] = {"type": name, "cursor": str(frame.cursor)}
            if isinstance(frame, Shown) and frame.entry is not None:
                envelope["seq"] = frame.entry.seq
            envelope["sessionId"] = self.session_id
            task_id = _task_id(frame)
            if task_id is not None:
                envelope["taskId"] = task_id
            envelope["ts"] = timestamp(at)
            yield Encoded(envelope["cursor"], name, encode(envelope | payload))

    def _payload(self, frame: Frame, now: datetime) -> tuple[str, dict[str, Any], datetime]:
        match frame:
            case Shown(live=live) if live is not None:
                return live.kind.value, {"content": frame.text}, live.at
            case Shown(entry=entry) if entry is not None:
                name, payload = event_payload(entry.event, frame.text)
                return name, payload, entry.at
            case Subscribed(snapshot=snapshot):
                return "subscribed", _heads(snapshot) | {"snapshot": snapshot_body(snapshot)}, now
            case Restarted(snapshot=snapshot, reason=reason):
                body = {"reason": reason.value} | _heads(snapshot) | {"snapshot": snapshot_body(snapshot)}
                return "stream_reset", body, now
            case Beat(head=head):
                return "heartbeat", {"headSeq": head}, now
            case _:
                raise AssertionError("a frame shows an entry or live text")


def event_payload(event: Event, text: str) -> tuple[str, dict[str, Any]]:
    """Name a logged event as the wire does, and give its payload; *text* is what is shown of a TextSaid."""
    if (status := STATUS.get(type(event))) is not None:
        return "task_info", {"status": status.value}
    match event:
        case TextSaid(kind=kind):
            return kind.value, {"content": text}
        case SessionOpened():
            return "session_info", {}
        case SessionRenamed(title):
            return "session_info", {"title": title}
        case SessionClosed():
            return "session_info", {"status": "closed"}
        case Prompted():
            return "user_message", {"messageId": event.message_id, "content": [answers.part(p) for p in event.parts]}
        case ToolUse():
            return "tool_use", {"toolUseId": event.tool_use_id, "toolName": event.tool_name, "input": event.input}
        case ToolResult():
            result = {"toolUseId": event.tool_use_id, "output": event.output, "isError": event.is_error}
            return "tool_result", result
        case ApprovalRequested():
            asked = {"toolUseId": event.tool_use_id, "toolName": event.tool_name, "input": event.input}
            bound = {"inputSha256": event.input_sha256, "expiresAt": timestamp(event.expires_at)}
            return "approval_required", {"approvalId": event.approval_id} | asked | bound
        case ApprovalResolved():
            resolved = {"approvalId": event.approval_id, "decision": event.decision.value, "by": event.by}
            return "approval_resolved", resolved
        case UsageSettled():
            return "usage", usage_payload(event.usage)
        case TaskCompleted():
            return "completed", {
                "summary": event.summary,
                "tokensUsed": event.input_tokens + event.output_tokens,
                "inputTokens": event.input_tokens,
                "outputTokens": event.output_tokens,
                "costUsd": None if event.cost_usd is None else float(event.cost_usd),
                "model": event.model,
            }
        case TaskFailed():
            return "error", {"message": event.message, "code": event.code.value}
        case TaskCancelled():
            return "cancelled", {"message": event.message, "code": event.code.value}
        case OAuthPrompted():
            return "oauth_prompt", {"provider": event.provider, "url": event.url}
        case ResumeLost():
            return "resume_lost", {"engineType": event.engine}
        case TaskQueued() | TaskStarted() | TaskParked() | TaskResumed() | TaskRequeued():
            raise AssertionError("named by STATUS")
        case CancelRequested() | ReplyDelivered():
            raise AssertionError("named by STATUS")
        case _:
            assert_never(event)


def usage_payload(usage: Usage) -> dict[str, Any]:
    """Show the counts of one provider call."""
    return {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cachedInputTokens": usage.cached_input_tokens,
        "cacheWriteInputTokens": usage.cache_write_input_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "costUsd": None if usage.cost_usd is None else float(usage.cost_usd),
        "model": usage.model,
        "fidelity": usage.fidelity.value,
    }


def snapshot_body(snapshot: Snapshot) -> dict[str, Any]:
    """Show a session as it stands; ``text`` is what its task has said since the last message of the history."""
    task = snapshot.task
    pending = [answers.approval(a) for a in (task.approvals if task else ()) if a.is_pending]
    text = "".join(part.text for part in snapshot.said if isinstance(part, TextPart))
    return {
        "session": answers.session(snapshot.view),
        "task": answers.task(task) if task else None,
        "pendingApprovals": pending,
        "text": text,
    }


def _heads(snapshot: Snapshot) -> dict[str, int]:
    return {"headSeq": snapshot.page.head, "oldestSeq": snapshot.page.oldest}


def _task_id(frame: Frame) -> str | None:
    if not isinstance(frame, Shown):
        return None
    if frame.live is not None:
        return frame.live.task_id
    return frame.entry.task_id if frame.entry is not None else None


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
