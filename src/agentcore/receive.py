"""What an engine says, and what it does to a turn.

Law: an engine reports, the table decides.  What it says after its task is over is refused with TaskConflict, and
a stop that was accepted before wins over whatever it says last.
"""

from datetime import datetime
from typing import assert_never

from attrs import evolve

from agentcore import ending, replying
from agentcore.approval import Approval, input_hash
from agentcore.changes import Changes, Conversation, Ledger
from agentcore.events import (
    ApprovalRequired,
    BlockEnded,
    Broke,
    CallClosed,
    CallCounted,
    CallOpened,
    DecisionUsed,
    Ended,
    EngineEvent,
    Finished,
    Resumable,
    ResumeLost,
    Suspended,
    TextDelta,
    TextKind,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from agentcore.ids import MessageId
from agentcore.messages import Role, ThinkingPart, ToolResultPart, ToolUsePart, clean, clean_json
from agentcore.task import (
    ApprovalRequested,
    ErrorCode,
    StopCode,
    TaskCompleted,
    TaskFailed,
    TaskParked,
    TaskRequeued,
    TaskStatus,
)
from agentcore.turn import Turn
from agentcore.usage import OpenCall, Outcome, UsageRecord

EOF = TaskFailed(code=ErrorCode.ENGINE_EOF, message="The engine's stream ended without a result.")
FINISHED_WHILE_WAITING = TaskFailed(
    code=ErrorCode.EXECUTION_ERROR, message="The engine finished while it waited for a decision."
)


def receive(turn: Turn, event: EngineEvent, at: datetime) -> tuple[Turn, Changes]:
    """Take in what the engine of *turn* says.

    Raises TaskConflict if the task is over, or if the table has no row for what is said.
    """
    turn.must_be_live()
    if isinstance(event, ToolUse | ApprovalRequired):
        event = evolve(event, tool_name=clean(event.tool_name), input=clean_json(event.input))
    match event:
        case TextDelta(text):
            return turn.hear(TextKind.TEXT, text, at)
        case ThinkingDelta(text):
            return turn.hear(TextKind.THINKING, text, at)
        case BlockEnded(signature):
            return _block_ended(turn, signature, at)
        case ToolUse():
            return _tool_use(turn, event, at)
        case ToolResult():
            return _tool_result(turn, event, at)
        case ApprovalRequired():
            return _approval_required(turn, event, at)
        case DecisionUsed(approval_id):
            used = tuple(evolve(a, used=True) for a in turn.approvals if a.id == approval_id)
            approvals = tuple(evolve(a, used=a.used or a.id == approval_id) for a in turn.approvals)
            return evolve(turn, approvals=approvals), evolve(turn.nothing(at), approvals=used)
        case Resumable():
            return turn, evolve(turn.nothing(at), conversation=_conversation(turn, event))
        case ResumeLost():
            turn, changes = turn.checkpoint(at)
            return turn, evolve(changes, log=(*changes.log, turn.logged(event)))
        case CallOpened():
            return _call_opened(turn, event, at)
        case CallCounted():
            return _call_counted(turn, event, at)
        case CallClosed():
            return _call_closed(turn, event, at)
        case Finished():
            return _finished(turn, event, at)
        case Broke():
            refused = event.attachments_refused
            return _over(turn, TaskFailed(code=event.code, message=event.message, attachments_refused=refused), at)
        case Suspended():
            return _suspended(turn, at)
        case Ended():
            return _over(turn, EOF, at)
        case _:
            assert_never(event)


def announce(turn: Turn, event: CallOpened, at: datetime) -> tuple[Turn, Changes]:
    """Put the first call of an attempt on record before its engine is run: it is sent when the engine says it."""
    turn, changes = _call_opened(turn, event, at)
    return turn.unsent(), changes


def _block_ended(turn: Turn, signature: str | None, at: datetime) -> tuple[Turn, Changes]:
    if not signature:  # nothing to remember: what was said becomes durable when it is time, or with what comes next
        return turn, turn.nothing(at)
    turn, changes = turn.checkpoint(at)
    if turn.said and isinstance(last := turn.said[-1], ThinkingPart):
        turn = evolve(turn, said=(*turn.said[:-1], evolve(last, signature=signature)))
    return turn, changes


def _tool_use(turn: Turn, event: ToolUse, at: datetime) -> tuple[Turn, Changes]:
    part = ToolUsePart(tool_use_id=event.tool_use_id, tool_name=event.tool_name, input=event.input)
    turn, changes = turn.checkpoint(at)
    turn = evolve(turn, said=(*turn.said, part), acting=turn.acting | {event.tool_use_id})
    return turn, evolve(changes, log=(*changes.log, turn.logged(event)))


def _tool_result(turn: Turn, event: ToolResult, at: datetime) -> tuple[Turn, Changes]:
    event = evolve(event, output=clean(event.output))
    part = ToolResultPart(tool_use_id=event.tool_use_id, output=event.output, is_error=event.is_error)
    turn, changes = turn.checkpoint(at)
    turn, said = turn.speak(at)
    turn, result = turn.message(Role.TOOL, (part,), at)
    turn = evolve(turn, acting=turn.acting - {event.tool_use_id})
    return turn, evolve(changes, log=(*changes.log, turn.logged(event, (*said, result))))


def _approval_required(turn: Turn, event: ApprovalRequired, at: datetime) -> tuple[Turn, Changes]:
    approval = Approval(
        id=event.approval_id,
        task_id=turn.task.id,
        tool_use_id=event.tool_use_id,
        tool_name=event.tool_name,
        input=event.input,
        input_sha256=input_hash(event.tool_name, event.input),
        expires_at=event.expires_at,
        created_at=at,
    )
    asked = ApprovalRequested(
        approval_id=approval.id,
        tool_use_id=approval.tool_use_id,
        tool_name=approval.tool_name,
        input=approval.input,
        input_sha256=approval.input_sha256,
        expires_at=approval.expires_at,
    )
    task = turn.task.after(asked, at)
    turn, changes = turn.checkpoint(at)
    turn = evolve(turn, task=task, approvals=(*turn.approvals, approval))
    return turn, evolve(changes, tasks=(task,), approvals=(approval,), log=(*changes.log, turn.logged(asked)))


def _conversation(turn: Turn, event: Resumable) -> Conversation:
    """Name what the engine remembers: all messages so far; what was said since is in none, so it is told again."""
    return Conversation(
        engine=turn.task.engine,
        reference=clean(event.reference),
        knows=MessageId(f"{turn.task.id}.{max(0, turn.messages - 1)}"),
        start=event.start,
        lines=tuple(map(clean, event.lines)),
    )


def _call_opened(turn: Turn, event: CallOpened, at: datetime) -> tuple[Turn, Changes]:
    if turn.task.is_remote and turn.call is not None:  # asked again under the same key: it is still the one call
        return turn, turn.nothing(at)
    if turn.call is not None and not turn.call.is_sent and _is_said(turn.call, event):
        return evolve(turn, call=evolve(turn.call, is_sent=True)), turn.nothing(at)
    turn, changes = turn.checkpoint(at)
    turn, settled = ending.settle_call(turn, at, Outcome.COMPLETED)  # one that the engine forgot to close
    number = turn.calls + 1
    key = f"{turn.task.attempt}:{number}"
    call = OpenCall(key=key, model=event.model, input_tokens=event.input_tokens, start=turn.position, price=event.price)
    ledger = Ledger(task_id=turn.task.id, engine=turn.task.engine, begun=(call,))
    changes = changes.plus(settled)
    return evolve(turn, call=call, calls=number), evolve(changes, ledgers=(*changes.ledgers, ledger))


def _is_said(call: OpenCall, event: CallOpened) -> bool:
    return (call.model, call.input_tokens, call.price) == (event.model, event.input_tokens, event.price)


def _call_counted(turn: Turn, event: CallCounted, at: datetime) -> tuple[Turn, Changes]:
    if turn.call is not None:
        call = evolve(turn.call, counted=event.usage, provider_message_id=event.provider_message_id)
        turn = evolve(turn, call=call)
    return turn, turn.nothing(at)


def _call_closed(turn: Turn, event: CallClosed, at: datetime) -> tuple[Turn, Changes]:
    changes = turn.nothing(at)
    if turn.call is None:  # usage without a call that was announced: it is billed all the same
        turn, changes = _call_opened(turn, CallOpened(model=event.usage.model, input_tokens=0), at)
    assert turn.call is not None
    call, usage, provider_id = turn.call, event.usage, event.provider_message_id
    if usage.cost_usd is None and call.price is not None:
        usage = evolve(usage, cost_usd=call.price.cost(usage))
    turn, flushed = turn.checkpoint(at)
    turn, messages = turn.speak(at, interrupted=event.outcome is not Outcome.COMPLETED)
    record = UsageRecord(key=call.key, usage=usage, outcome=event.outcome, provider_message_id=provider_id)
    turn, settled = ending.settle(turn, record, at, messages)
    return turn, changes.plus(flushed).plus(settled)


def _finished(turn: Turn, event: Finished, at: datetime) -> tuple[Turn, Changes]:
    turn, changes = _call_closed(turn, event.closed, at) if event.closed else (turn, turn.nothing(at))
    if turn.task.status is TaskStatus.AWAITING_APPROVAL:
        turn, ended = ending.end(turn, FINISHED_WHILE_WAITING, at)
        return turn, changes.plus(ended)
    summary = clean(event.summary)
    if summary and not turn.unspoken and turn.messages <= 1:  # an engine that says all at once
        turn, said = turn.hear(TextKind.TEXT, summary, at)
        changes = changes.plus(said)
    turn, ended = _over(turn, TaskCompleted(summary=summary), at)
    return turn, changes.plus(ended)


def _suspended(turn: Turn, at: datetime) -> tuple[Turn, Changes]:
    if turn.task.status is TaskStatus.RUNNING and turn.approvals:  # all was decided before the stream had ended
        return ending.let_go(turn, TaskRequeued(), at)
    return _over(turn, EOF, at)


def _over(turn: Turn, event: TaskCompleted | TaskFailed, at: datetime) -> tuple[Turn, Changes]:
    """End the task, unless a stop was accepted before, or a decision is still to come."""
    if turn.task.status is TaskStatus.CANCELLING:
        return ending.end(turn, ending.cancelled(turn.task.stop_code or StopCode.USER_CANCEL), at)
    if turn.reply is not None:  # whatever became of the connection
        return replying.conclude(turn, turn.reply, at)
    is_late = isinstance(event, TaskFailed) and event.code is ErrorCode.DEADLINE
    if turn.task.status is TaskStatus.AWAITING_APPROVAL and not is_late:
        return ending.let_go(turn, TaskParked() if turn.pending else TaskRequeued(), at)
    return ending.end(turn, event, at)
