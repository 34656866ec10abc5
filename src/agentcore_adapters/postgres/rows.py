"""Rows as domain values."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from agentcore.approval import Approval, OnReject
from agentcore.books import Delivery, DeliveryState, Totals, UsageRecorded
from agentcore.changes import Blob
from agentcore.events import TextKind, TextSaid, ToolUse
from agentcore.follow import Entry
from agentcore.ids import ApprovalId, EngineName, InstanceId, SessionId, TaskId, TenantId
from agentcore.instances import Instance, InstanceStatus
from agentcore.messages import (
    Message,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    ToolUsePart,
    joined,
)
from agentcore.session import Session, SessionStatus
from agentcore.task import Decision, ErrorCode, StopCode, Task, TaskRequeued, TaskStatus
from agentcore.usage import Fidelity, OpenCall, Outcome, Usage, UsageRecord
from agentcore_adapters import codec

Row = Mapping[str, Any]
ROLES = {role.value: role for role in Role}  # looked up: making one of its value takes ten times as long
_json = msgspec.json.Decoder().decode


def session(row: Row) -> Session:
    """Read a session."""
    return Session(
        id=SessionId(str(row["id"])),
        tenant_id=TenantId(row["tenant_id"]),
        owner=row["owner_sub"],
        engine=EngineName(row["engine"]),
        title=row["title"],
        voice_mode=row["voice_mode"],
        status=SessionStatus(row["status"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        instance=InstanceId(str(row["instance_id"])) if row["instance_id"] is not None else None,
    )


def instance(row: Row) -> Instance:
    """Read an instance."""
    return Instance(
        id=InstanceId(str(row["id"])),
        tenant_id=TenantId(row["tenant_id"]),
        owner=row["owner_sub"],
        name=row["name"],
        host=row["host"],
        port=row["port"],
        status=InstanceStatus(row["status"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def task(row: Row) -> Task:
    """Read a task."""
    return Task(
        id=TaskId(str(row["id"])),
        tenant_id=TenantId(row["tenant_id"]),
        session_id=SessionId(str(row["session_id"])),
        engine=EngineName(row["engine"]),
        params=codec.params(row["params"]),
        prompt=codec.parts(row["prompt"]),
        deadline=row["deadline"],
        created_at=row["created_at"],
        number=row["number"],
        priority=row["priority"],
        status=TaskStatus(row["status"]),
        version=row["version"],
        attempt=row["attempt"],
        crashes=row["crashes"],
        driven=row["lease_owner"] is not None,
        stop_code=StopCode(row["stop_code"]) if row["stop_code"] else None,
        error_code=ErrorCode(row["error_code"]) if row["error_code"] else None,
        result=row["result"],
        attachments_refused=row["attachments_refused"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
    )


def approval(row: Row) -> Approval:
    """Read an approval."""
    return Approval(
        id=ApprovalId(str(row["id"])),
        task_id=TaskId(str(row["task_id"])),
        tool_use_id=row["tool_use_id"],
        tool_name=row["tool_name"],
        input=row["input"],
        input_sha256=row["input_sha256"],
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        decision=Decision(row["decision"]) if row["decision"] else None,
        on_reject=OnReject(row["on_reject"]),
        by=row["decided_by"],
        reason=row["reason"],
        decided_at=row["decided_at"],
        used=row["used"],
    )


def message(row: tuple[Any, ...]) -> Message:
    """Read a message: the columns of HISTORY, or of MESSAGES, which does not ask about attachments."""
    seq, n, message_id, task_id, role, parts, interrupted, at, *refused = row
    return Message(
        id=message_id,
        task_id=task_id,
        role=ROLES[role],
        parts=codec.parts(_json(parts)),
        at=at,
        interrupted=interrupted,
        attachments_refused=refused == [True],
        seq=seq,
        n=n,
    )


def entry(row: tuple[Any, ...]) -> Entry:
    """Read an entry of the log: the columns of LOG and SAID."""
    seq, position, task_id, attempt, event, at = row
    return Entry(seq=seq, position=position, event=codec.event(event), at=at, task_id=task_id, attempt=attempt)


def blob(row: Row) -> Blob:
    """Read an attachment."""
    return Blob(sha256=row["sha256"], media_type=row["media_type"], data=bytes(row["data"]))


def open_call(row: Row) -> OpenCall:
    """Read a call that was begun."""
    return OpenCall(
        key=row["call_key"],
        model=row["model"],
        input_tokens=row["input_tokens"],
        start=row["start"],
        price=codec.price(row["price"]) if row["price"] else None,
    )


def usage(row: Row) -> Usage:
    """Read one row of the ledger."""
    return Usage(
        model=row["model"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cached_input_tokens=row["cached_input_tokens"],
        cache_write_input_tokens=row["cache_write_input_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
        audio_s=row["audio_seconds"],
        cost_usd=row["cost_usd"],
        fidelity=Fidelity(row["fidelity"]),
    )


def delivery(row: Row) -> Delivery:
    """Read an event of the outbox, with its row of the ledger."""
    state = DeliveryState.PENDING if row["due_at"] is not None else DeliveryState.DEAD
    state = DeliveryState.DELIVERED if row["delivered_at"] is not None else state
    return Delivery(event=recorded(row), state=state, attempts=row["attempts"], error=row["error"])


def recorded(row: Row) -> UsageRecorded:
    """Read one row of the ledger, with what it belongs to."""
    record = UsageRecord(
        key=row["call_key"],
        usage=usage(row),
        outcome=Outcome(row["outcome"]),
        provider_message_id=row["provider_message_id"],
    )
    return UsageRecorded(
        tenant_id=TenantId(row["tenant_id"]),
        session_id=SessionId(str(row["session_id"])) if row["session_id"] is not None else None,
        task_id=TaskId(str(row["task_id"])),
        engine=EngineName(row["engine"]),
        record=record,
        at=row["created_at"],
    )


def totals(row: Row) -> Totals:
    """Read a group of rows of the ledger."""
    return Totals(
        key=row["key"] or "",
        tasks=row["tasks"],
        calls=row["calls"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        audio_s=row["audio_seconds"] or Decimal(0),
        cost_usd=row["cost_usd"],
    )


def total(rows: Sequence[Row]) -> Usage:
    """Add up rows of the ledger."""
    total = Usage()
    for row in rows:
        total = total.plus(usage(row))
    return total


def said(entries: Sequence[Entry]) -> tuple[Part, ...]:
    """Return what a task has said, from its log entries after its last message."""
    parts: list[Part] = []
    for found in entries:
        match found.event:
            case TextSaid(kind=kind, text=text):
                parts.append(TextPart(text) if kind is TextKind.TEXT else ThinkingPart(text))
            case ToolUse() as use:
                parts.append(ToolUsePart(tool_use_id=use.tool_use_id, tool_name=use.tool_name, input=use.input))
            case TaskRequeued(restart=True):
                parts = []
    return joined(parts)
