"""A session as lines of JSON, for somebody to take away.

Law: each line says what it is; the last is ``end`` and counts the lines before it, so that a file that was cut off is
seen to be.  Names and forms are those of the other answers.
"""

import base64
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, assert_never

import structlog
from msgspec import to_builtins

from agentcore.approval import Approval
from agentcore.books import UsageRecorded
from agentcore.changes import Blob
from agentcore.errors import NotFound, Unavailable
from agentcore.events import TextSaid
from agentcore.follow import Entry
from agentcore.instances import Instance
from agentcore.messages import Message
from agentcore.ports import SessionView, TaskView
from agentcore.takeout import Whole
from agentcore.tenancy import Tenant
from agentcore_http.wire import answers, instances
from agentcore_http.wire.frames import event_payload, usage_payload
from agentcore_http.wire.json import encode, timestamp

log = structlog.get_logger("agentcore.http")
END = b'{"type":"end"'
MEDIA_TYPE = "application/x-ndjson"
Json = dict[str, Any]
Thing = Tenant | Instance | SessionView | TaskView | Approval | UsageRecorded | Blob | Message | Entry


async def lines(taken: AsyncIterator[Thing | Whole]) -> AsyncGenerator[bytes, None]:
    """Yield a line for each thing; without the last one if the store, or the session, has gone on the way."""
    count = 0
    try:
        async for thing in taken:
            line = {"type": "end", "lines": count} if isinstance(thing, Whole) else _line(thing)
            count += 1
            yield encode(line) + b"\n"
    except (Unavailable, NotFound) as error:
        log.warning("export.cut", code=error.code, lines=count)


def _line(thing: Thing) -> Json:
    match thing:
        case Tenant():
            return {"type": "tenant", "id": thing.id, "defaultEngineType": thing.default_engine}
        case Instance():
            return {"type": "instance", **to_builtins(instances.instance(thing))}
        case SessionView():
            return {"type": "session", **to_builtins(answers.session(thing)), "owner": thing.session.owner}
        case TaskView():
            return {"type": "task", **to_builtins(answers.task(thing)), "requester": thing.task.params.requester}
        case Approval():
            return {"type": "approval", "taskId": thing.task_id} | _approval(thing)
        case UsageRecorded():
            return {"type": "usage", "taskId": thing.task_id, "sessionId": thing.session_id} | _usage(thing)
        case Blob():
            data = base64.b64encode(thing.data).decode()
            return {"type": "attachment", "sha256": thing.sha256, "mediaType": thing.media_type, "base64Data": data}
        case Message():
            return {"type": "message", **to_builtins(answers.message(thing))}
        case Entry():
            return {"type": "event", "event": _event(thing)}
        case _:
            assert_never(thing)


def _approval(value: Approval) -> Json:
    decided = {
        "decision": value.decision.value if value.decision else None,
        "by": value.by,
        "reason": value.reason,
        "decidedAt": timestamp(value.decided_at) if value.decided_at else None,
    }
    return {**to_builtins(answers.approval(value)), **decided}


def _usage(row: UsageRecorded) -> Json:
    cost = row.record.usage.cost_usd
    counts = to_builtins(usage_payload(row.record.usage))
    del counts["type"]  # the line has one of its own
    return {
        "call": row.record.key,
        "engineType": row.engine,
        "outcome": row.record.outcome.value,
        **counts,
        "costUsd": None if cost is None else f"{cost.normalize():f}",
        "at": timestamp(row.at),
    }


def _event(entry: Entry) -> Json:
    text = entry.event.text if isinstance(entry.event, TextSaid) else ""
    payload = to_builtins(event_payload(entry.event, text))
    about = {"taskId": entry.task_id} if entry.task_id is not None else {}
    return {"type": payload["type"], "seq": entry.seq, **about, "ts": timestamp(entry.at), **payload}
