"""What is asked of a task under way, and what it does to a turn.

Law: a command records, its driver acts.  A task that a node drives is only asked to stop; what nobody drives is
moved by whoever asks.  ``Recover`` is the whole crash policy, and a node that goes away in order (``HandBack``)
follows the same one; there is no other sweeper.
"""

from datetime import datetime
from typing import assert_never

from attrs import evolve

from agentcore import ending, replying
from agentcore.approval import Approval, OnReject
from agentcore.changes import Changes
from agentcore.commands import Cancel, Command, Continue, Decide, Deliver, Expire, HandBack, Recover
from agentcore.errors import ApprovalConflict
from agentcore.messages import ToolUsePart
from agentcore.task import (
    CRASHES_ALLOWED,
    ApprovalResolved,
    Decision,
    ErrorCode,
    OnCrash,
    StopCode,
    TaskFailed,
    TaskParked,
    TaskRequeued,
    TaskResumed,
    TaskStatus,
)
from agentcore.turn import Turn

CRASH_LOOP = TaskFailed(code=ErrorCode.CRASH_LOOP, message="The task was lost with its node too often.")
NODE_LOST = TaskFailed(code=ErrorCode.NODE_LOST, message="The node that ran the task was lost.")


def obey(turn: Turn, command: Command, at: datetime) -> tuple[Turn, Changes]:
    """Record what is asked.

    Cancelling what is over or stopping changes nothing.  Raises ApprovalConflict if there is nothing that a
    decision could decide, TaskConflict if the table has no row for the rest.
    """
    match command:
        case Cancel(code=code):
            return ending.stop(turn, code, at)
        case Decide():
            return _decide(turn, command, at)
        case Deliver():
            return replying.deliver(turn, command.reply, command.receipt, at)
        case Expire():
            return _expire(turn, at)
        case Continue():
            return _continue(turn, at)
        case Recover():
            return _recover(turn, at, NODE_LOST)
        case HandBack():
            return _recover(turn, at, None)
        case _:
            assert_never(command)


def _decide(turn: Turn, command: Decide, at: datetime) -> tuple[Turn, Changes]:
    if turn.task.status is not TaskStatus.AWAITING_APPROVAL:
        raise ApprovalConflict("The task is not waiting for a decision.")
    pending = [approval for approval in turn.pending if command.approval_id in {None, approval.id}]
    if not pending:
        raise ApprovalConflict("No such approval is pending.")
    if len(pending) > 1:
        raise ApprovalConflict("Several approvals are pending: say which one with approvalId.")
    chosen = pending[0]
    if command.input_sha256 not in {None, chosen.input_sha256}:
        raise ApprovalConflict("The input is not the one that was shown.")
    if chosen.expires_at <= at:
        raise ApprovalConflict("The approval has expired.")
    decision = Decision.APPROVED if command.approved else Decision.REJECTED
    decided = chosen.decided(decision, at, by=command.by, reason=command.reason, on_reject=command.on_reject)
    return _resolve(turn, decided, decision, StopCode.USER_REJECT, at)


def _resolve(turn: Turn, decided: Approval, decision: Decision, code: StopCode, at: datetime) -> tuple[Turn, Changes]:
    """Store a decision together with the step that follows from it."""
    event = ApprovalResolved(approval_id=decided.id, decision=decision, by=decided.by)
    recorded = evolve(turn.nothing(at), approvals=(decided,), log=(turn.logged(event),))
    approvals = tuple(decided if approval.id == decided.id else approval for approval in turn.approvals)
    turn = evolve(turn, approvals=approvals)
    if decision is not Decision.APPROVED and decided.on_reject is OnReject.CANCEL:
        turn, changes = ending.stop(turn, code, at)
    elif not turn.task.driven and not turn.pending:
        turn, changes = turn.step(TaskRequeued(), at)
    else:
        task = turn.task.after(event, at)
        turn, changes = evolve(turn, task=task), evolve(turn.nothing(at), tasks=(task,))
    return turn, recorded.plus(changes)


def _continue(turn: Turn, at: datetime) -> tuple[Turn, Changes]:
    """Go on in the open stream, which is given all decisions now: no later attempt may act on them again."""
    given = tuple(evolve(a, used=True) for a in turn.approvals if not a.is_pending and not a.used)
    turn, changes = turn.step(TaskResumed(), at)
    known = {approval.id: approval for approval in given}
    approvals = tuple(known.get(approval.id, approval) for approval in turn.approvals)
    return evolve(turn, approvals=approvals), evolve(changes, approvals=given)


def _expire(turn: Turn, at: datetime) -> tuple[Turn, Changes]:
    if at >= turn.task.deadline and not turn.task.driven and not turn.task.is_final:
        return ending.too_late(turn, at)
    if turn.task.status is TaskStatus.AWAITING_APPROVAL:
        for approval in turn.pending:
            if approval.expires_at <= at:
                decided = approval.decided(Decision.EXPIRED, at)
                return _resolve(turn, decided, Decision.EXPIRED, StopCode.APPROVAL_EXPIRED, at)
    return turn, turn.nothing(at)


def _recover(turn: Turn, at: datetime, lost: TaskFailed | None) -> tuple[Turn, Changes]:
    """Let another node go on, if that is allowed; else fail as *lost* says, or (None) stop in order."""
    task, crashed = turn.task, lost is not None
    match task.status:
        case TaskStatus.CANCELLING:
            return ending.end(turn, ending.cancelled(task.stop_code or StopCode.USER_CANCEL), at)
        case TaskStatus.AWAITING_APPROVAL:
            return ending.let_go(turn, TaskParked() if turn.pending else TaskRequeued(), at)
        case TaskStatus.RUNNING if turn.reply is not None:
            return replying.conclude(turn, turn.reply, at)
        case TaskStatus.RUNNING if at >= task.deadline:
            return ending.too_late(turn, at)
        case TaskStatus.RUNNING if crashed and task.crashes + 1 >= CRASHES_ALLOWED:
            return ending.end(turn, CRASH_LOOP, at)
        case TaskStatus.RUNNING if _has_done_nothing(turn) or task.params.on_crash is OnCrash.RESUME:
            return ending.let_go(turn, TaskRequeued(crashed=crashed), at)
        case TaskStatus.RUNNING if task.params.on_crash is OnCrash.RESTART_IF_PURE and _is_pure(turn):
            return ending.let_go(turn, TaskRequeued(restart=True, crashed=crashed), at)
        case TaskStatus.RUNNING if lost is not None:
            return ending.end(turn, lost, at)
        case TaskStatus.RUNNING:
            return ending.stop(turn, StopCode.SHUTDOWN, at)
        case _:
            return turn, turn.nothing(at)


def _has_done_nothing(turn: Turn) -> bool:
    """Tell whether no call was made and nothing was said, so that running again costs and doubles nothing."""
    is_unsent = turn.calls == 1 and turn.call is not None and not turn.call.is_sent
    return (is_unsent or not turn.calls) and not turn.said and turn.messages <= 1


def _is_pure(turn: Turn) -> bool:
    """Tell whether no tool was used; a message made before the crash may hold a tool's result, so it counts."""
    return turn.messages <= 1 and not any(isinstance(part, ToolUsePart) for part in turn.said)
