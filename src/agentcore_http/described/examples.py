"""Examples of frames, made by the code that sends and reads them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from agentcore.task import Decision, ErrorCode, StopCode, TaskStatus
from agentcore_http.wire import commands, events, shapes
from agentcore_http.wire.json import timestamp
from agentcore_http.wire.parts import TextAnswer

SESSION, TASK = "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34", "0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46"
APPROVAL = "0190c2d4-7b02-7e88-b1c9-60d4a2f8e5b7"
AT = timestamp(datetime(2026, 1, 1, 9, 30, tzinfo=UTC))
HASH = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
CALL: dict[str, Any] = {"tool_use_id": "call_1", "tool_name": "clock.now"}
COUNTS: dict[str, Any] = {"input_tokens": 12, "output_tokens": 34}
MORE_COUNTS = {**COUNTS, "cached_input_tokens": 0, "cache_write_input_tokens": 0, "reasoning_tokens": 0}
MONEY: dict[str, Any] = {"cost_usd": 0.00042, "model": "a-model"}
SNAPSHOT = events.SnapshotAnswer(
    session=shapes.SessionAnswer(
        id=SESSION,
        title="What is a monad?",
        status="active",
        activity="idle",
        engine_type="claude_api",
        voice_mode=False,
        agent_instance_id=None,
        created_at=AT,
        updated_at=AT,
    ),
    task=None,
    pending_approvals=[],
    text="",
)
HEADS: dict[str, Any] = {"head_seq": 7, "oldest_seq": 1}
FRAMES: tuple[events.Control | events.Logged, ...] = (
    events.Subscribed(snapshot=SNAPSHOT, **HEADS),
    events.StreamReset(reason="cursor_ahead", snapshot=SNAPSHOT, **HEADS),
    events.Heartbeat(head_seq=7),
    events.SessionInfo(),
    events.TaskInfo(status=TaskStatus.RUNNING.value),
    events.UserMessage(message_id=f"{TASK}.0", content=[TextAnswer(text="What is a monad?")]),
    events.Text(content="A monoid in the category of"),
    events.Thinking(content="They want it short."),
    events.ToolUse(input={"zone": "UTC"}, **CALL),
    events.ToolResult(tool_use_id="call_1", output="09:30", is_error=False),
    events.ApprovalRequired(approval_id=APPROVAL, input={}, input_sha256=HASH, expires_at=AT, **CALL),
    events.ApprovalResolved(approval_id=APPROVAL, decision=Decision.APPROVED.value, by="alice"),
    events.UsageSettled(fidelity="exact", **MORE_COUNTS, **MONEY),
    events.Completed(summary="A monoid in the category of endofunctors.", tokens_used=46, **COUNTS, **MONEY),
    events.Failed(message="The engine failed.", code=ErrorCode.EXECUTION_ERROR.value),
    events.Cancelled(message="Stopped by the user.", code=StopCode.USER_CANCEL.value),
    events.OAuthPrompt(provider="calendar", url="https://calendar.example/consent"),
    events.ResumeLost(engine_type="claude_code_cli"),
)
COMMANDS: tuple[commands.Commands, ...] = (
    commands.Prompt(id=1, prompt="What is a monad?", on_busy="enqueue"),
    commands.Cancel(id=2, task_id=TASK),
    commands.Inject(id=3, task_id=TASK, message="Shorter, please."),
    commands.Approve(id=4, task_id=TASK, approved=True, approval_id=APPROVAL, input_sha256=HASH),
    commands.Ping(id=5),
)
REFUSED = "type must be one of prompt, cancel, inject, approve, ping."
ANSWERS: tuple[commands.Answers, ...] = (
    commands.Ack(id=2, task_id=TASK, status=TaskStatus.CANCELLING.value),
    commands.Problem(id=6, status=400, code="invalid_request", detail=REFUSED, message=REFUSED),
)
OF_SESSION = (events.Subscribed, events.StreamReset, events.Heartbeat, events.SessionInfo, events.OAuthPrompt)
UNLOGGED = (events.Subscribed, events.StreamReset, events.Heartbeat)


def of_frame(kind: type[Struct]) -> Mapping[str, Any]:
    """Return a frame that carries a payload of *kind*."""
    payload = _of(kind, FRAMES)
    envelope: dict[str, Any] = {"type": payload["type"], "cursor": "7"}
    if not issubclass(kind, UNLOGGED):
        envelope["seq"] = 7
    envelope["sessionId"] = SESSION
    if not issubclass(kind, OF_SESSION):
        envelope["taskId"] = TASK
    return envelope | {"ts": AT} | payload


def of_command(kind: type[Struct]) -> Mapping[str, Any]:
    """Return a frame of a client."""
    return {name: value for name, value in _of(kind, COMMANDS).items() if value is not None}


def of_answer(kind: type[Struct]) -> Mapping[str, Any]:
    """Return what a frame of a client is answered."""
    return _of(kind, ANSWERS)


def _of(kind: type[Struct], known: tuple[Struct, ...]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(next(example for example in known if type(example) is kind))
    return found
