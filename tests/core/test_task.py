"""The transition table, every status with every event."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from attrs import evolve

from agentcore.admission import OnBusy, admit
from agentcore.errors import TaskConflict
from agentcore.ids import ApprovalId
from agentcore.reply import Reply
from agentcore.task import (
    FINAL,
    LIVE,
    TRANSITIONS,
    ApprovalRequested,
    ApprovalResolved,
    CancelRequested,
    Decision,
    ErrorCode,
    ReplyDelivered,
    StopCode,
    Task,
    TaskCancelled,
    TaskCompleted,
    TaskEvent,
    TaskFailed,
    TaskParked,
    TaskRequeued,
    TaskResumed,
    TaskStarted,
    TaskStatus,
)
from agentcore.testing.making import a_prompt, a_session

AT = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS: tuple[TaskEvent, ...] = (
    TaskStarted(1),
    ApprovalRequested(
        approval_id=ApprovalId("a"), tool_use_id="1", tool_name="t", input={}, input_sha256="0", expires_at=AT
    ),
    ApprovalResolved(approval_id=ApprovalId("a"), decision=Decision.APPROVED, by="me"),
    TaskParked(),
    TaskResumed(),
    TaskRequeued(),
    CancelRequested(code=StopCode.USER_CANCEL),
    ReplyDelivered(reply=Reply(ok=True), receipt="r"),
    TaskCompleted(summary="done"),
    TaskFailed(code=ErrorCode.DEADLINE, message="late"),
    TaskCancelled(code=StopCode.USER_CANCEL, message="stopped"),
)

# Written by hand, so that a row more or less in the product's table is a difference to it.
TABLE = """
    queued             undriven  TaskStarted        running            driven
    queued             driven    ReplyDelivered     queued             driven
    queued             undriven  ReplyDelivered     queued             undriven
    queued             any       TaskFailed         failed             undriven
    queued             any       TaskCancelled      cancelled          undriven
    running            driven    ApprovalRequested  awaiting_approval  driven
    running            driven    ReplyDelivered     running            driven
    running            undriven  ReplyDelivered     running            undriven
    running            driven    CancelRequested    cancelling         driven
    running            any       TaskRequeued       queued             undriven
    running            any       TaskCompleted      completed          undriven
    running            any       TaskFailed         failed             undriven
    awaiting_approval  driven    ApprovalRequested  awaiting_approval  driven
    awaiting_approval  driven    ApprovalResolved   awaiting_approval  driven
    awaiting_approval  undriven  ApprovalResolved   awaiting_approval  undriven
    awaiting_approval  driven    TaskParked         awaiting_approval  undriven
    awaiting_approval  driven    TaskResumed        running            driven
    awaiting_approval  driven    CancelRequested    cancelling         driven
    awaiting_approval  any       TaskRequeued       queued             undriven
    awaiting_approval  undriven  TaskCancelled      cancelled          undriven
    awaiting_approval  any       TaskFailed         failed             undriven
    cancelling         any       TaskCancelled      cancelled          undriven
"""
ROWS = {
    (was, is_driven, event): (becomes, after == "driven")
    for was, driven, event, becomes, after in (line.split() for line in TABLE.strip().splitlines())
    for is_driven in (True, False)
    if driven in {"any", "driven" if is_driven else "undriven"}
}


def a_task(status: TaskStatus, *, driven: bool) -> Task:
    task, _ = admit(a_session(), [], a_prompt(), OnBusy.REJECT, AT)
    started = AT if status is not TaskStatus.QUEUED else None
    return evolve(task, status=status, driven=driven, started_at=started, version=5)


@pytest.mark.parametrize(("status", "driven", "event"), list(product(TaskStatus, (True, False), EVENTS)))
def test_the_table_is_all_there_is(status: TaskStatus, driven: bool, event: TaskEvent) -> None:
    task = a_task(status, driven=driven)
    row = ROWS.get((status.value, driven, type(event).__name__))
    if row is None:
        with pytest.raises(TaskConflict, match=rf"\b{'driven' if driven else 'undriven'} task that is {status}"):
            task.after(event, AT)
        return
    after = task.after(event, AT + timedelta(seconds=1))
    assert (after.status.value, after.driven) == row
    assert after.version == task.version + 1
    assert (after.completed_at is not None) == after.is_final


def test_all_seven_statuses_stand_in_the_table() -> None:
    assert set(TRANSITIONS) == set(TaskStatus)
    assert {status for status, row in TRANSITIONS.items() if not row} == FINAL
    assert {status.value for status in FINAL} == {"completed", "failed", "cancelled"}
    assert {status.value for status in LIVE} == {"running", "awaiting_approval", "cancelling"}


def test_everything_can_be_reached_and_everything_can_end() -> None:
    reached, todo = {TaskStatus.QUEUED}, [TaskStatus.QUEUED]
    while todo:
        for status in TRANSITIONS[todo.pop()].values():
            if status not in reached:
                reached.add(status)
                todo.append(status)
    assert reached == set(TaskStatus)
    for status in set(TaskStatus) - FINAL:
        assert set(TRANSITIONS[status].values()) & (FINAL | {TaskStatus.RUNNING, TaskStatus.CANCELLING})


def test_cancelling_ends_only_as_cancelled() -> None:
    assert set(TRANSITIONS[TaskStatus.CANCELLING].values()) == {TaskStatus.CANCELLED}


def test_a_parked_task_is_let_go_and_a_resumed_one_is_not() -> None:
    waiting = a_task(TaskStatus.AWAITING_APPROVAL, driven=True)
    assert not waiting.after(TaskParked(), AT).driven
    assert waiting.after(TaskResumed(), AT).driven


def test_only_a_crash_counts_as_a_crash() -> None:
    running = a_task(TaskStatus.RUNNING, driven=True)
    assert running.after(TaskRequeued(), AT).crashes == 0
    assert running.after(TaskRequeued(crashed=True), AT).crashes == 1


def test_a_second_start_keeps_the_first_time() -> None:
    task = evolve(a_task(TaskStatus.QUEUED, driven=False), started_at=AT, attempt=1)
    again = task.after(TaskStarted(2), AT + timedelta(hours=1))
    assert (again.started_at, again.attempt) == (AT, 2)
