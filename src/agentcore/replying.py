"""How a task of a remote agent comes to its end.

Law: a reply is recorded once, by whoever brings it, and concluded by the task's driver; what comes late or again
changes nothing.  A reply that is stored is the answer, whatever becomes of the connection or of the node.
"""

from collections.abc import Iterable
from datetime import datetime

from attrs import evolve

from agentcore import ending
from agentcore.changes import Changes
from agentcore.events import Event, TextKind
from agentcore.messages import clean
from agentcore.reply import Reply
from agentcore.task import ErrorCode, ReplyDelivered, TaskCompleted, TaskFailed, TaskStatus
from agentcore.turn import Turn
from agentcore.usage import Outcome, UsageRecord

# What the bridge itself says of a failure may hold addresses and prompts, so that it is not shown and not kept.
REFUSED = TaskFailed(code=ErrorCode.BRIDGE_ERROR, message="The remote agent could not answer.")
TIMED_OUT = TaskFailed(code=ErrorCode.BRIDGE_TIMEOUT, message="The remote agent did not answer in time.")
OPEN = frozenset({TaskStatus.RUNNING, TaskStatus.QUEUED})


def reply_in(events: Iterable[Event]) -> Reply | None:
    """Return the reply among the logged events of one task, if it has come."""
    return next((event.reply for event in events if isinstance(event, ReplyDelivered)), None)


def is_wanted(turn: Turn) -> bool:
    """Tell whether the task still waits for its reply: it has begun, and was neither stopped nor answered."""
    return turn.task.has_begun and turn.task.status in OPEN and turn.reply is None


def deliver(turn: Turn, reply: Reply, receipt: str, at: datetime) -> tuple[Turn, Changes]:
    """Record *reply*, with the *receipt* it came under."""
    if not is_wanted(turn):
        return turn, turn.nothing(at)
    reply = evolve(reply, text=clean(reply.text))
    turn, changes = turn.step(ReplyDelivered(reply=reply, receipt=receipt), at)
    return evolve(turn, reply=reply), changes


def conclude(turn: Turn, reply: Reply, at: datetime) -> tuple[Turn, Changes]:
    """End the running task as its *reply* says."""
    changes = turn.nothing(at)
    if reply.ok:
        turn, changes = turn.hear(TextKind.TEXT, reply.text, at)
    turn, settled = _settle(turn, reply, at)
    end = TaskCompleted(summary=reply.text) if reply.ok else TIMED_OUT if reply.is_timeout else REFUSED
    turn, ended = ending.end(turn, end, at)
    # One commit tells it all: nothing of it is told before it is stored.
    return turn, evolve(changes.plus(settled).plus(ended), live=())


def _settle(turn: Turn, reply: Reply, at: datetime) -> tuple[Turn, Changes]:
    """Bill what the remote has counted; if it has not, ending the task bills its open call by estimate."""
    usage, call = reply.usage, turn.call
    if usage is None or call is None:
        return turn, turn.nothing(at)
    turn, flushed = turn.checkpoint(at)
    outcome = Outcome.COMPLETED if reply.ok else Outcome.FAILED
    record = UsageRecord(key=call.key, usage=evolve(usage, model=usage.model or call.model), outcome=outcome)
    turn, settled = ending.settle(turn, record, at)
    return turn, flushed.plus(settled)
