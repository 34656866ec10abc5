"""What is asked of a task under way: decisions, expiry, crashes and nodes that go away, one condition at a time."""

from datetime import timedelta

import pytest
from attrs import evolve

from agentcore.admission import OnBusy, admit
from agentcore.approval import OnReject
from agentcore.commands import Cancel, Decide, Expire, HandBack, Recover
from agentcore.errors import ApprovalConflict
from agentcore.events import CallClosed, CallOpened, Ended, EngineEvent, Finished, TextDelta, ToolUse
from agentcore.obey import obey
from agentcore.receive import announce, receive
from agentcore.task import Decision, ErrorCode, OnCrash, StopCode, TaskRequeued, TaskStatus
from agentcore.testing.making import a_prompt, a_session, an_approval, now
from agentcore.turn import Turn
from agentcore.usage import Outcome, Usage

AT = now()
ASKED = an_approval(expires_in_s=300)
LATER = an_approval(expires_in_s=600, tool_use_id="2")
USE = ToolUse(tool_use_id="1", tool_name="t", input={})
OPENED = CallOpened(model="m", input_tokens=1)
YES = Decide(approved=True, by="me", approval_id=ASKED.approval_id)
NO = evolve(YES, approved=False)


def after(*events: EngineEvent, on_crash: OnCrash = OnCrash.FAIL) -> Turn:
    task, changes = admit(a_session(), [], a_prompt(on_crash=on_crash), OnBusy.REJECT, AT)
    assert changes.session is not None
    turn = Turn(session=changes.session, task=task, position=0).begin(AT)[0]
    for event in events:
        turn, _ = receive(turn, event, AT)
    return turn.checkpoint(AT)[0]


@pytest.mark.parametrize("decision", [YES, NO], ids=["yes", "no"])
def test_a_task_that_is_stopping_takes_no_decision(decision: Decide) -> None:
    turn, _ = obey(after(ASKED), Cancel(), AT)
    assert turn.pending
    with pytest.raises(ApprovalConflict, match="not waiting"):
        obey(turn, decision, AT)


def test_a_decision_is_about_the_input_that_was_shown() -> None:
    turn = after(ASKED)
    shown = turn.approvals[0].input_sha256
    assert obey(turn, evolve(YES, input_sha256=shown), AT)[0].approvals[0].decision is Decision.APPROVED
    assert obey(turn, evolve(YES, input_sha256=None), AT)[0].approvals[0].decision is Decision.APPROVED


def test_deciding_one_of_two_leaves_the_task_waiting() -> None:
    parked = after(ASKED, LATER, Ended())
    turn, _ = obey(parked, YES, AT)
    assert (turn.task.status, len(turn.pending)) == (TaskStatus.AWAITING_APPROVAL, 1)
    turn, _ = obey(turn, evolve(NO, approval_id=LATER.approval_id, on_reject=OnReject.CONTINUE), AT)
    assert turn.task.status is TaskStatus.QUEUED
    inline, _ = obey(after(ASKED), YES, AT)
    assert (inline.task.status, inline.task.driven) == (TaskStatus.AWAITING_APPROVAL, True)


def test_a_stream_that_ends_when_all_is_decided_goes_back_to_the_queue() -> None:
    turn, _ = obey(after(ASKED), YES, AT)
    for goes_on, _ in (receive(turn, Ended(), AT), obey(turn, Recover(), AT)):
        assert (goes_on.task.status, goes_on.task.driven) == (TaskStatus.QUEUED, False)
    for waits, _ in (receive(after(ASKED), Ended(), AT), obey(after(ASKED), Recover(), AT)):
        assert (waits.task.status, waits.task.driven) == (TaskStatus.AWAITING_APPROVAL, False)


def test_only_what_has_expired_expires() -> None:
    turn = after(ASKED, LATER)
    assert not obey(turn, Expire(), AT)[1].is_durable
    turn, changes = obey(turn, Expire(), ASKED.expires_at)
    assert [approval.id for approval in changes.approvals] == [ASKED.approval_id]
    assert turn.task.stop_code is StopCode.APPROVAL_EXPIRED
    assert not obey(turn, Expire(), LATER.expires_at)[1].is_durable  # it is stopping; its end supersedes the other


def test_a_deadline_is_the_drivers_business_if_there_is_one() -> None:
    late = after().task.deadline + timedelta(seconds=1)
    assert not obey(after(), Expire(), late)[1].is_durable
    assert not obey(after(Finished()), Expire(), late)[1].is_durable
    parked = after(an_approval(expires_in_s=1e6), Ended())
    assert not obey(parked, Expire(), AT)[1].is_durable
    assert obey(parked, Expire(), late)[0].task.error_code is ErrorCode.DEADLINE


@pytest.mark.parametrize(
    "done",
    [(OPENED,), (TextDelta("x"),), (TextDelta("x"), CallClosed(usage=Usage()))],
    ids=["called", "said", "answered"],
)
def test_what_was_done_is_not_done_twice_without_leave(done: tuple[EngineEvent, ...]) -> None:
    assert obey(after(), Recover(), AT)[0].task.status is TaskStatus.QUEUED
    assert obey(after(*done), Recover(), AT)[0].task.error_code is ErrorCode.NODE_LOST
    assert obey(after(*done, on_crash=OnCrash.RESUME), Recover(), AT)[0].task.status is TaskStatus.QUEUED


def test_a_call_that_was_announced_and_not_made_is_nothing_done() -> None:
    turn, _ = announce(after(), OPENED, AT)
    for command in (HandBack(), Recover()):
        again, changes = obey(turn, command, AT)
        assert again.task.status is TaskStatus.QUEUED
        ((record,),) = (ledger.settled for ledger in changes.ledgers)
        assert (record.key, record.usage.total_tokens, record.outcome) == ("1:1", 0, Outcome.CANCELLED)
    assert obey(receive(turn, OPENED, AT)[0], Recover(), AT)[0].task.error_code is ErrorCode.NODE_LOST
    assert obey(evolve(turn, calls=2), Recover(), AT)[0].task.error_code is ErrorCode.NODE_LOST  # another was made
    assert obey(evolve(turn, call=None), Recover(), AT)[0].task.error_code is ErrorCode.NODE_LOST  # it was closed


def test_a_message_alone_is_something_done() -> None:
    turn = evolve(after(), messages=2)  # as it is read back from a store, without a call that was announced
    assert obey(turn, Recover(), AT)[0].task.error_code is ErrorCode.NODE_LOST
    pure = evolve(after(TextDelta("x"), on_crash=OnCrash.RESTART_IF_PURE), messages=2)
    assert obey(pure, Recover(), AT)[0].task.error_code is ErrorCode.NODE_LOST


def test_a_restart_needs_leave_and_a_task_that_used_no_tool() -> None:
    pure = after(TextDelta("x"), on_crash=OnCrash.RESTART_IF_PURE)
    turn, changes = obey(pure, Recover(), AT)
    assert changes.log[-1].event == TaskRequeued(restart=True, crashed=True)
    assert turn.said == ()
    assert obey(after(USE, on_crash=OnCrash.RESTART_IF_PURE), Recover(), AT)[0].task.error_code is ErrorCode.NODE_LOST
    assert obey(after(USE), Recover(), AT)[0].task.error_code is ErrorCode.NODE_LOST


def test_a_node_that_goes_away_in_order_is_no_crash() -> None:
    tired = after()
    tired = evolve(tired, task=evolve(tired.task, crashes=2))
    turn, _ = obey(tired, HandBack(), AT)
    assert (turn.task.status, turn.task.crashes) == (TaskStatus.QUEUED, 2)
    assert obey(tired, Recover(), AT)[0].task.error_code is ErrorCode.CRASH_LOOP
    turn, _ = obey(after(TextDelta("x")), HandBack(), AT)
    assert (turn.task.status, turn.task.stop_code) == (TaskStatus.CANCELLING, StopCode.SHUTDOWN)
    late = after().task.deadline
    assert obey(after(), HandBack(), late)[0].task.error_code is ErrorCode.DEADLINE
    assert not obey(after(Finished()), HandBack(), AT)[1].is_durable


def test_a_task_whose_time_was_up_is_not_queued_again() -> None:
    turn = after(TextDelta("x"), on_crash=OnCrash.RESUME)
    assert obey(turn, Recover(), turn.task.deadline)[0].task.error_code is ErrorCode.DEADLINE


def test_text_is_marked_as_cut_by_a_crash_and_not_by_a_hand_back() -> None:
    turn = after(TextDelta("x"), on_crash=OnCrash.RESUME)
    for command, is_cut in ((Recover(), True), (HandBack(), False)):
        (message,) = obey(turn, command, AT)[1].log[-1].messages
        assert message.interrupted is is_cut
