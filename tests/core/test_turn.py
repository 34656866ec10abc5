"""What engines say and what is asked, as values."""

from datetime import timedelta

import pytest
from attrs import evolve

from agentcore.admission import OnBusy, admit
from agentcore.approval import OnReject
from agentcore.changes import Changes
from agentcore.commands import Cancel, Continue, Decide, Expire, Recover
from agentcore.errors import ApprovalConflict, TaskConflict
from agentcore.events import (
    ApprovalRequired,
    BlockEnded,
    Broke,
    CallClosed,
    CallOpened,
    Ended,
    EngineEvent,
    Finished,
    Resumable,
    Suspended,
    TextDelta,
    TextSaid,
    ThinkingDelta,
    ToolResult,
    ToolUse,
    UsageSettled,
)
from agentcore.ids import ApprovalId
from agentcore.messages import TextPart, ThinkingPart
from agentcore.obey import obey
from agentcore.receive import receive
from agentcore.session import SessionStatus
from agentcore.task import (
    ApprovalResolved,
    Decision,
    ErrorCode,
    OnCrash,
    StopCode,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskParked,
    TaskRequeued,
    TaskStatus,
)
from agentcore.testing.making import a_prompt, a_session, now
from agentcore.turn import FLUSH_CHARS, Stop, Turn
from agentcore.usage import Fidelity, Outcome, Usage

AT = now()
ASKED = ApprovalRequired(
    approval_id=ApprovalId("a1"), tool_use_id="1", tool_name="rm", input={"p": 1}, expires_at=AT + timedelta(minutes=5)
)
ASKED_TOO = evolve(ASKED, approval_id=ApprovalId("a2"), tool_use_id="2")
USAGE = Usage(model="m", input_tokens=10, output_tokens=5)


def begun(on_crash: OnCrash = OnCrash.FAIL) -> Turn:
    session = a_session()
    task, changes = admit(session, [], a_prompt(on_crash=on_crash), OnBusy.REJECT, AT)
    assert changes.session is not None
    return Turn(session=changes.session, task=task, position=0).begin(AT)[0]


def hear(turn: Turn, *events: EngineEvent) -> tuple[Turn, list[Changes]]:
    all_changes = []
    for event in events:
        turn, changes = receive(turn, event, AT)
        all_changes.append(changes)
    return turn, all_changes


def logged(changes: list[Changes]) -> list[object]:
    return [entry.event for one in changes for entry in one.log]


def test_a_delta_is_told_and_not_stored() -> None:
    turn, (changes,) = hear(begun(), TextDelta("Hel"))
    assert not changes.is_durable
    assert [(said.text, said.start) for said in changes.live] == [("Hel", 0)]
    assert (turn.end, turn.position) == (3, 0)


def test_what_cannot_be_stored_is_dropped_before_it_is_counted() -> None:
    turn, (changes,) = hear(begun(), TextDelta("a\x00\ud800b"))
    assert changes.live[0].text == "ab"
    assert turn.end == 2
    assert not hear(turn, TextDelta("\x00"))[1][0].live


def test_a_long_tail_is_flushed() -> None:
    turn, (changes,) = hear(begun(), TextDelta("x" * FLUSH_CHARS))
    assert turn.position == FLUSH_CHARS
    assert changes.is_text_only


def test_the_tail_goes_before_every_event_of_the_driver() -> None:
    _, changes = hear(begun(), TextDelta("let me"), ToolUse(tool_use_id="1", tool_name="t", input={}))
    assert [type(event) for event in logged(changes)] == [TextSaid, ToolUse]


def test_an_answer_is_one_message_and_its_summary() -> None:
    turn, changes = hear(begun(), TextDelta("Hello "), TextDelta("you"), Finished())
    assert turn.task.status is TaskStatus.COMPLETED
    end = logged(changes)[-1]
    assert isinstance(end, TaskCompleted)
    assert end.summary == "Hello you"
    messages = [message for one in changes for entry in one.log for message in entry.messages]
    assert [(message.text, message.interrupted) for message in messages] == [("Hello you", False)]


def test_a_summary_counts_as_the_answer_if_nothing_was_said() -> None:
    _, changes = hear(begun(), Finished(summary="all at once"))
    assert changes[0].live[0].text == "all at once"
    assert [message.text for entry in changes[0].log for message in entry.messages] == ["all at once"]


def test_an_empty_answer_is_an_answer() -> None:
    turn, changes = hear(begun(), Finished())
    assert turn.task.status is TaskStatus.COMPLETED
    assert not any(entry.messages for entry in changes[0].log)


def test_thinking_keeps_its_signature() -> None:
    turn, _ = hear(begun(), ThinkingDelta("hm"), BlockEnded("sig"), TextDelta("so"), BlockEnded())
    assert turn.unspoken == (ThinkingPart("hm", "sig"), TextPart("so"))
    assert turn.said == (ThinkingPart("hm", "sig"),)  # the end of a block alone is nothing to store


@pytest.mark.parametrize(
    "last", [(CallClosed(usage=USAGE), Finished()), (Finished(closed=CallClosed(usage=USAGE)),)], ids=["two", "one"]
)
def test_each_call_is_billed_once_with_its_message(last: tuple[EngineEvent, ...]) -> None:
    turn, changes = hear(begun(), CallOpened(model="m", input_tokens=9), TextDelta("x"), *last)
    settled = [record for one in changes for ledger in one.ledgers for record in ledger.settled]
    assert [(record.key, record.usage) for record in settled] == [("1:1", USAGE)]
    end = logged(changes)[-1]
    assert isinstance(end, TaskCompleted)
    assert (end.summary, end.input_tokens, end.output_tokens) == ("x", 10, 5)
    assert turn.call is None


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ((Broke(),), Outcome.FAILED),
        ((Ended(),), Outcome.FAILED),
        ((Finished(),), Outcome.COMPLETED),
    ],
)
def test_a_call_that_is_still_open_at_the_end_is_estimated(events: tuple[EngineEvent, ...], outcome: Outcome) -> None:
    _, changes = hear(begun(), CallOpened(model="m", input_tokens=9), TextDelta("abcdef"), *events)
    (record,) = [record for one in changes for ledger in one.ledgers for record in ledger.settled]
    assert (record.outcome, record.usage.fidelity) == (outcome, Fidelity.ESTIMATED)
    assert (record.usage.input_tokens, record.usage.output_tokens) == (9, 2)


def test_usage_without_an_announced_call_is_billed() -> None:
    _, changes = hear(begun(), TextDelta("x"), CallClosed(usage=USAGE), Finished())
    assert [type(event) for event in logged(changes)] == [TextSaid, UsageSettled, TaskCompleted]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED])
def test_text_of_a_call_that_was_cut_is_marked(outcome: Outcome) -> None:
    _, changes = hear(begun(), TextDelta("half"), CallClosed(usage=USAGE, outcome=outcome))
    (message,) = changes[-1].log[-1].messages
    assert (message.text, message.interrupted) == ("half", True)


def test_an_engine_may_be_silent_while_its_tools_are_at_work() -> None:
    uses = [ToolUse(tool_use_id=name, tool_name="t", input={}) for name in "ab"]
    results = [ToolResult(tool_use_id=name, output="o") for name in "ab"]
    turn, _ = hear(begun(), *uses, CallClosed(usage=USAGE))  # the call is over, and made a message
    assert not turn.is_engines_turn
    turn, _ = hear(turn.refreshed(evolve(turn, acting=frozenset())), results[0])
    assert not turn.is_engines_turn
    assert hear(turn, results[1])[0].is_engines_turn


def test_an_engine_remembers_the_messages_and_not_what_is_in_none() -> None:
    told = Resumable(reference="r", start=3, lines=("a", "b"))
    use, result = ToolUse(tool_use_id="1", tool_name="t", input={}), ToolResult(tool_use_id="1", output="o")
    turn, changes = hear(begun(), told)
    assert changes[0].conversation is not None
    assert (changes[0].conversation.knows, changes[0].conversation.start) == (f"{turn.task.id}.0", 3)
    assert changes[0].is_durable
    assert not changes[0].is_text_only
    turn, changes = hear(begun(), use, result, TextDelta("so "), told)
    assert changes[-1].conversation is not None
    assert changes[-1].conversation.knows == f"{turn.task.id}.2"


def test_a_stream_that_just_ends_has_failed_and_keeps_its_text() -> None:
    turn, changes = hear(begun(), TextDelta("half"), Ended())
    end = logged(changes)[-1]
    assert isinstance(end, TaskFailed)
    assert end.code is ErrorCode.ENGINE_EOF
    message = changes[-1].log[-1].messages[0]
    assert (message.text, message.interrupted) == ("half", True)
    assert turn.session.status is SessionStatus.ERROR


@pytest.mark.parametrize("last", [Finished(), Broke(), Ended()])
def test_a_stop_that_was_accepted_wins(last: EngineEvent) -> None:
    turn, _ = hear(begun(), TextDelta("half"))
    turn, _ = obey(turn, Cancel(), AT)
    turn, changes = hear(turn, last)
    assert turn.task.status is TaskStatus.CANCELLED
    assert isinstance(logged(changes)[-1], TaskCancelled)
    assert changes[-1].log[-1].messages[0].interrupted
    assert turn.session.status is SessionStatus.ACTIVE


def test_nothing_is_heard_after_the_end() -> None:
    turn, _ = hear(begun(), Finished())
    for event in (TextDelta("late"), Finished(), Broke(), ASKED, CallClosed(usage=USAGE)):
        with pytest.raises(TaskConflict):
            receive(turn, event, AT)
    for code in StopCode:
        assert not obey(turn, Cancel(code=code), AT)[1].is_durable


def test_stopping_twice_is_stopping_once() -> None:
    turn, first = obey(begun(), Cancel(code=StopCode.USER_INJECT), AT)
    again, second = obey(turn, Cancel(), AT)
    assert first.is_durable
    assert not second.is_durable
    assert again.task.stop_code is StopCode.USER_INJECT


def test_an_inline_approval_goes_on_when_all_is_decided() -> None:
    turn, _ = hear(begun(), ASKED, ASKED_TOO)
    assert turn.due(AT, reading=True) is None
    with pytest.raises(ApprovalConflict, match="Several"):
        obey(turn, Decide(approved=True, by="me"), AT)
    turn, _ = obey(turn, Decide(approved=True, by="me", approval_id=ASKED.approval_id), AT)
    with pytest.raises(ApprovalConflict):
        obey(turn, Decide(approved=True, by="me", approval_id=ASKED.approval_id), AT)
    turn, _ = obey(turn, Decide(approved=False, by="me", on_reject=OnReject.CONTINUE), AT)
    assert turn.due(AT, reading=True) == Continue()
    turn, _ = obey(turn, Continue(), AT)
    assert turn.task.status is TaskStatus.RUNNING


def test_a_decision_is_bound_to_what_was_shown() -> None:
    turn, _ = hear(begun(), ASKED)
    with pytest.raises(ApprovalConflict, match="not the one"):
        obey(turn, Decide(approved=True, by="me", input_sha256="0" * 64), AT)
    late = AT + timedelta(minutes=6)
    with pytest.raises(ApprovalConflict, match="expired"):
        obey(turn, Decide(approved=True, by="me"), late)
    assert turn.due(late, reading=True) == Expire()
    turn, _ = obey(turn, Expire(), late)
    assert turn.task.stop_code is StopCode.APPROVAL_EXPIRED


def test_a_rejection_stops_the_task_and_supersedes_the_rest_at_its_end() -> None:
    turn, _ = hear(begun(), ASKED, ASKED_TOO)
    turn, _ = obey(turn, Decide(approved=False, by="me", approval_id=ASKED.approval_id), AT)
    assert (turn.task.status, turn.task.stop_code) == (TaskStatus.CANCELLING, StopCode.USER_REJECT)
    turn, changes = hear(turn, Ended())
    assert turn.task.status is TaskStatus.CANCELLED
    assert {approval.decision for approval in turn.approvals} == {Decision.REJECTED, Decision.SUPERSEDED}
    assert sum(isinstance(event, ApprovalResolved) for event in logged(changes)) == 1


def test_a_waiting_stream_that_ends_parks_and_its_text_is_not_interrupted() -> None:
    turn, changes = hear(begun(), TextDelta("may I?"), ASKED, Ended())
    assert (turn.task.status, turn.task.driven) == (TaskStatus.AWAITING_APPROVAL, False)
    assert isinstance(logged(changes)[-1], TaskParked)
    assert not changes[-1].log[-1].messages[0].interrupted
    turn, _ = obey(turn, Decide(approved=True, by="me"), AT)
    assert turn.task.status is TaskStatus.QUEUED
    assert turn.task.has_begun


def test_rejecting_a_parked_task_ends_it_at_once() -> None:
    turn, _ = hear(begun(), ASKED, Ended())
    turn, _ = obey(turn, Decide(approved=False, by="me"), AT)
    assert turn.task.status is TaskStatus.CANCELLED


def test_an_engine_cannot_finish_while_it_waits() -> None:
    turn, _ = hear(begun(), ASKED, Finished())
    assert (turn.task.status, turn.task.error_code) == (TaskStatus.FAILED, ErrorCode.EXECUTION_ERROR)


def test_a_deadline_ends_what_is_driven_and_what_is_not() -> None:
    turn = begun()
    late = turn.task.deadline
    due = turn.due(late, reading=True)
    assert isinstance(due, Stop)
    turn, _ = receive(turn, due.last, late)
    assert turn.task.error_code is ErrorCode.DEADLINE
    parked, _ = hear(begun(), ASKED, Ended())
    parked, _ = obey(parked, Expire(), late)
    assert parked.task.error_code is ErrorCode.DEADLINE
    waiting, _ = hear(begun(), ASKED)
    due = waiting.due(late, reading=True)
    assert isinstance(due, Stop)
    waiting, _ = receive(waiting, due.last, late)
    assert waiting.task.error_code is ErrorCode.DEADLINE


def said_and_called(on_crash: OnCrash) -> Turn:
    turn, _ = hear(begun(on_crash), CallOpened(model="m", input_tokens=9), TextDelta("half"))
    return evolve(turn.checkpoint(AT)[0])


def test_the_crash_policy_is_the_tasks() -> None:
    failed, changes = obey(said_and_called(OnCrash.FAIL), Recover(), AT)
    assert failed.task.error_code is ErrorCode.NODE_LOST
    assert changes.ledgers
    resumed, changes = obey(said_and_called(OnCrash.RESUME), Recover(), AT)
    assert (resumed.task.status, resumed.task.crashes) == (TaskStatus.QUEUED, 1)
    assert changes.log[-1].messages[0].interrupted
    restarted, changes = obey(said_and_called(OnCrash.RESTART_IF_PURE), Recover(), AT)
    assert restarted.task.status is TaskStatus.QUEUED
    assert changes.log[-1].event == TaskRequeued(restart=True, crashed=True)
    assert not changes.log[-1].messages
    assert changes.ledgers[0].settled[0].outcome is Outcome.CANCELLED


def test_a_task_that_used_a_tool_is_not_pure() -> None:
    use = ToolUse(tool_use_id="1", tool_name="t", input={})
    for events in ((use,), (use, ToolResult(tool_use_id="1", output="x"))):
        turn, _ = hear(begun(OnCrash.RESTART_IF_PURE), *events)
        assert obey(turn, Recover(), AT)[0].task.status is TaskStatus.FAILED


def test_a_task_that_has_done_nothing_is_queued_again_but_not_for_ever() -> None:
    turn = begun()
    for crashes in (1, 2):
        turn, _ = obey(turn, Recover(), AT)
        assert (turn.task.status, turn.task.crashes) == (TaskStatus.QUEUED, crashes)
        turn, _ = turn.begin(AT)
    turn, _ = obey(turn, Recover(), AT)
    assert turn.task.error_code is ErrorCode.CRASH_LOOP


def test_what_waits_or_stops_survives_a_crash() -> None:
    waiting, _ = hear(begun(), ASKED)
    assert obey(waiting, Recover(), AT)[0].task.status is TaskStatus.AWAITING_APPROVAL
    stopping, _ = obey(begun(), Cancel(), AT)
    assert obey(stopping, Recover(), AT)[0].task.status is TaskStatus.CANCELLED


def test_a_refreshed_turn_keeps_only_the_tail_that_is_not_stored() -> None:
    turn, _ = hear(begun(), TextDelta("Hello"), ThinkingDelta("hm"))
    stored, _ = evolve(turn, tail=(), said=(TextPart("Hel"),), position=3), None
    fresh = turn.refreshed(stored)
    assert [(said.text, said.start) for said in fresh.tail] == [("lo", 3), ("hm", 5)]
    assert fresh.end == turn.end


def test_the_engine_is_not_asked_to_hurry_while_one_of_its_tools_acts() -> None:
    uses = [ToolUse(tool_use_id=use, tool_name="t", input={}) for use in "ab"]
    turn, _ = hear(begun(), *uses, ToolResult(tool_use_id="a", output="x"))
    assert not turn.is_engines_turn
    assert not turn.refreshed(evolve(turn, acting=frozenset())).is_engines_turn
    turn, _ = hear(turn, ToolResult(tool_use_id="b", output="x"))
    assert turn.is_engines_turn


def test_a_suspended_engine_waits_or_begins_again_with_what_was_decided() -> None:
    turn, changes = hear(begun(), ASKED, Suspended())
    assert isinstance(logged(changes)[-1], TaskParked)
    turn, _ = hear(begun(), ASKED)
    turn, _ = obey(turn, Decide(approved=True, by="me"), AT)
    turn, _ = obey(turn, Continue(), AT)  # the person was quicker than the engine's last word
    turn, changes = hear(turn, Suspended())
    assert logged(changes)[-1] == TaskRequeued()
    assert not turn.task.driven


def test_an_engine_that_suspends_for_nothing_has_ended_too_early() -> None:
    turn, _ = hear(begun(), TextDelta("so"), Suspended())
    assert turn.task.error_code is ErrorCode.ENGINE_EOF
