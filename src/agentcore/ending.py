"""How a task ends, whoever ends it.

Law: one place writes the end of a task.  In one commit: the rest of its text, a message of what was said and is
in none yet (marked if it was cut), the bill of a call that is still open, the approvals that nobody will decide
any more, and last the one final event.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from attrs import evolve

from agentcore.changes import Changes, Ledger
from agentcore.errors import TaskConflict
from agentcore.events import UsageSettled
from agentcore.messages import Message, TextPart
from agentcore.session import SessionStatus
from agentcore.task import (
    ApprovalResolved,
    CancelRequested,
    Decision,
    StopCode,
    TaskCancelled,
    TaskCompleted,
    TaskEnd,
    TaskFailed,
    TaskParked,
    TaskRequeued,
    TaskStatus,
)
from agentcore.turn import DEADLINE_MESSAGE, Turn
from agentcore.usage import Outcome, Usage, UsageRecord

STOP_MESSAGES: Mapping[StopCode, str] = {
    StopCode.USER_CANCEL: "Task cancelled by user",
    StopCode.USER_INJECT: "Interrupted by user injection",
    StopCode.USER_REJECT: "Command rejected by user",
    StopCode.VOICE_INJECT: "Interrupted by voice message",
    StopCode.SUPERSEDED: "Superseded by a newer task",
    StopCode.SESSION_CLOSED: "The session was closed",
    StopCode.BUDGET: "The budget is used up",
    StopCode.APPROVAL_EXPIRED: "Nobody decided in time",
    StopCode.SHUTDOWN: "The server is going away",
}


def stop(turn: Turn, code: StopCode, at: datetime) -> tuple[Turn, Changes]:
    """Ask a driven task to stop, end what nobody drives; what is over or stopping stays as it is."""
    if turn.task.is_final or turn.task.status is TaskStatus.CANCELLING:
        return turn, turn.nothing(at)
    if turn.task.driven:
        return turn.step(CancelRequested(code=code), at)
    return end(turn, cancelled(code), at)


def too_late(turn: Turn, at: datetime) -> tuple[Turn, Changes]:
    """End the task because its time is up."""
    return end(turn, TaskFailed(code=turn.late_code, message=DEADLINE_MESSAGE), at)


def cancelled(code: StopCode) -> TaskCancelled:
    """Name the end of a task that was stopped for *code*."""
    return TaskCancelled(code=code, message=STOP_MESSAGES[code])


def end(turn: Turn, event: TaskEnd, at: datetime) -> tuple[Turn, Changes]:
    """End the task as *event* says; raises TaskConflict if the table has no row for it."""
    turn.task.after(event, at)
    outcome = {TaskCompleted: Outcome.COMPLETED, TaskFailed: Outcome.FAILED}.get(type(event), Outcome.CANCELLED)
    turn, changes = turn.checkpoint(at)
    answer = "".join(part.text for part in turn.said if isinstance(part, TextPart)) or turn.answer
    turn, settled = settle_call(turn, at, outcome)
    changes = changes.plus(settled)
    if isinstance(event, TaskCompleted):
        usage = turn.usage
        event = evolve(
            event,
            summary=event.summary or answer,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=usage.cost_usd,
            model=usage.model,
        )
    approvals = tuple(approval.decided(Decision.SUPERSEDED, at) for approval in turn.pending)
    resolved = tuple(
        turn.logged(ApprovalResolved(approval_id=approval.id, decision=Decision.SUPERSEDED, by=None))
        for approval in approvals
    )
    turn, messages = turn.speak(at, interrupted=outcome is not Outcome.COMPLETED)
    task = turn.task.after(event, at)
    session = turn.session.touched(at, SessionStatus.ERROR) if isinstance(event, TaskFailed) else None
    changes = evolve(
        changes,
        session=session,
        tasks=(task,),
        approvals=approvals,
        log=(*changes.log, *resolved, turn.logged(event, messages)),
    )
    decided = {approval.id: approval for approval in approvals}
    all_approvals = tuple(decided.get(approval.id, approval) for approval in turn.approvals)
    return evolve(turn, task=task, session=session or turn.session, approvals=all_approvals), changes


def let_go(turn: Turn, event: TaskParked | TaskRequeued, at: datetime) -> tuple[Turn, Changes]:
    """End the attempt and not the task: what was said becomes a message, unless it is discarded."""
    task = turn.task.after(event, at)
    turn, changes = turn.checkpoint(at)
    if not task.is_remote:  # a remote agent works on: its call stays open until the task ends
        turn, settled = settle_call(turn, at, Outcome.CANCELLED)
        changes = changes.plus(settled)
    if isinstance(event, TaskRequeued) and event.restart:
        turn = evolve(turn, said=())
    turn, messages = turn.speak(at, interrupted=isinstance(event, TaskRequeued) and event.crashed)
    logged = turn.logged(event, messages)
    return evolve(turn, task=task), evolve(changes, tasks=(task,), log=(*changes.log, logged))


def settle_call(turn: Turn, at: datetime, outcome: Outcome) -> tuple[Turn, Changes]:
    """Bill a call whose end nobody will hear: what was sent, and what was said since, by estimate."""
    if turn.call is None:
        return turn, turn.nothing(at)
    call, usage = turn.call, turn.call.estimate(turn.end - turn.call.start)
    provider_id = call.provider_message_id
    return settle(turn, UsageRecord(key=call.key, usage=usage, outcome=outcome, provider_message_id=provider_id), at)


def settle(turn: Turn, record: UsageRecord, at: datetime, messages: tuple[Message, ...] = ()) -> tuple[Turn, Changes]:
    """Write one row of the ledger and say so in the log; *turn* has no tail.

    A message that its provider names twice is paid once: the second row says that there was a call, and no more.
    """
    if turn.tail:
        raise TaskConflict("The tail must be durable before a call is settled.")
    message_id = record.provider_message_id
    if message_id in turn.billed:
        record = evolve(record, usage=Usage(model=record.usage.model, cost_usd=Decimal(0)), provider_message_id=None)
    ledger = Ledger(task_id=turn.task.id, engine=turn.task.engine, settled=(record,))
    logged = turn.logged(UsageSettled(usage=record.usage), messages)
    changes = evolve(turn.nothing(at), ledgers=(ledger,), log=(logged,))
    billed = turn.billed | ({message_id} if message_id is not None else set())
    return evolve(turn, call=None, usage=turn.usage.plus(record.usage), billed=billed), changes
