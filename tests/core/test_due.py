"""What a turn says must be done now, whose turn it is, and what it takes over from the store."""

from datetime import timedelta

import pytest
from attrs import evolve

from agentcore.admission import OnBusy, admit
from agentcore.commands import Cancel, Continue, Decide, Expire, Recover
from agentcore.errors import TaskConflict
from agentcore.events import BlockEnded, Broke, CallOpened, Ended, Finished, TextDelta, ThinkingDelta, ToolUse
from agentcore.messages import TextPart, ThinkingPart
from agentcore.obey import obey
from agentcore.receive import receive
from agentcore.session import SessionStatus
from agentcore.task import ErrorCode, TaskStatus
from agentcore.testing.making import a_prompt, a_session, an_approval, now
from agentcore.turn import Stop, Turn
from agentcore.usage import OpenCall, Usage

AT = now()
ASKED = an_approval(expires_in_s=300)
USE = ToolUse(tool_use_id="1", tool_name="t", input={})


def queued() -> Turn:
    task, changes = admit(a_session(), [], a_prompt(), OnBusy.REJECT, AT)
    assert changes.session is not None
    return Turn(session=changes.session, task=task, position=0)


def after(*events: object) -> Turn:
    turn = queued().begin(AT)[0]
    for event in events:
        turn, _ = receive(turn, event, AT)  # type: ignore[arg-type]
    return turn


def test_it_is_the_engines_turn_unless_a_tool_acts_or_a_person_decides() -> None:
    assert after().is_engines_turn
    assert after(TextDelta("x"), BlockEnded()).is_engines_turn
    assert not after(USE).is_engines_turn
    assert not after(ASKED).is_engines_turn
    assert not after(TextDelta("x"), ASKED).is_engines_turn


@pytest.mark.parametrize(
    "turn",
    [after(ASKED, Ended()), evolve(after(), task=evolve(after().task, status=TaskStatus.COMPLETED)), queued()],
    ids=["parked", "over", "queued"],
)
def test_an_engine_speaks_only_for_what_is_driven_and_live(turn: Turn) -> None:
    with pytest.raises(TaskConflict):
        turn.must_be_live()
    with pytest.raises(TaskConflict):
        receive(turn, TextDelta("late"), AT)


def test_text_of_one_kind_is_one_piece_of_the_tail() -> None:
    turn = after(TextDelta("a"), TextDelta("b"), ThinkingDelta("c"), TextDelta("d"))
    assert [said.text for said in turn.tail] == ["ab", "c", "d"]


def test_a_task_that_begins_revives_a_session_that_failed_and_touches_no_other() -> None:
    turn = queued()
    begun, changes = turn.begin(AT)
    assert changes.session is None
    assert begun.session == turn.session
    failed = evolve(turn, session=evolve(turn.session, status=SessionStatus.ERROR))
    begun, changes = failed.begin(AT)
    assert changes.session == begun.session
    assert (begun.session.status, begun.session.version) == (SessionStatus.ACTIVE, failed.session.version + 1)


def test_what_nobody_reads_is_recovered_unless_it_is_over() -> None:
    assert after().due(AT, reading=False) == Recover()
    assert after(Finished()).due(AT, reading=False) is None


def test_what_is_over_let_go_or_stopping_is_read_no_more() -> None:
    over, parked = after(Finished()), after(ASKED, Ended())
    stopping, _ = obey(after(), Cancel(), AT)
    for turn in (over, evolve(over, task=evolve(over.task, driven=True)), parked, stopping):
        assert turn.due(AT, reading=True) == Stop(Ended())
    late = Stop(Broke(code=ErrorCode.DEADLINE, message="The task's time was up."))
    assert after().due(after().task.deadline + timedelta(seconds=1), reading=True) == late


def test_what_waits_goes_on_when_all_is_decided_and_expires_if_nobody_does() -> None:
    waiting = after(ASKED)
    assert waiting.due(AT, reading=True) is None
    assert waiting.due(ASKED.expires_at, reading=True) == Expire()
    decided, _ = obey(waiting, Decide(approved=True, by="me"), AT)
    assert decided.due(AT, reading=True) == Continue()
    assert after().due(AT, reading=True) is None


def test_what_was_said_stays_ours_as_long_as_the_store_has_no_more() -> None:
    ours = after(ThinkingDelta("hm"), BlockEnded("sig"))
    stored = evolve(ours, said=(ThinkingPart("hm"),))
    assert ours.refreshed(stored).said == (ThinkingPart("hm", "sig"),)
    further = evolve(stored, said=(ThinkingPart("hm"), TextPart("x")), position=stored.position + 1)
    assert ours.refreshed(further).said == further.said
    spoken = evolve(stored, said=(), messages=stored.messages + 1)
    assert ours.refreshed(spoken).said == ()


def test_an_open_call_stays_ours_with_what_was_counted_while_it_is_the_same() -> None:
    stored = after(CallOpened(model="m", input_tokens=9))
    assert isinstance(stored.call, OpenCall)
    counted = evolve(stored, call=evolve(stored.call, counted=Usage(model="m", input_tokens=7)))
    assert counted.refreshed(stored).call == counted.call
    assert counted.refreshed(evolve(stored, call=None)).call is None
    assert evolve(stored, call=None).refreshed(stored).call == stored.call
    other = evolve(stored, call=evolve(stored.call, key="2:1"))
    assert counted.refreshed(other).call == other.call


def test_a_tail_that_is_all_stored_has_no_age() -> None:
    turn = after(TextDelta("Hello"))
    assert turn.refreshed(turn).tail_since == AT
    assert turn.refreshed(evolve(turn, tail=(), tail_since=None, position=5)).tail_since is None
