"""What a remote agent answers, as values."""

from datetime import timedelta

import pytest
from attrs import evolve

from agentcore.admission import OnBusy, admit
from agentcore.changes import Changes
from agentcore.commands import Cancel, Deliver, Expire, HandBack, Recover
from agentcore.events import Broke, CallOpened, Ended, TextSaid, UsageSettled
from agentcore.ids import InstanceId
from agentcore.obey import obey
from agentcore.receive import receive
from agentcore.reply import Reply
from agentcore.task import (
    ErrorCode,
    OnCrash,
    ReplyDelivered,
    StopCode,
    TaskCancelled,
    TaskCompleted,
    TaskFailed,
    TaskRequeued,
    TaskStatus,
)
from agentcore.testing.making import a_prompt, a_session, now
from agentcore.turn import Stop, Turn
from agentcore.usage import Fidelity, Outcome, Usage

AT = now()
LATER = AT + timedelta(hours=2)
REPLY = Deliver(reply=Reply(ok=True, text="hi"), receipt="r")
ASKED = CallOpened(model="openclaw", input_tokens=9)


def queued(on_crash: OnCrash = OnCrash.RESUME) -> Turn:
    session = evolve(a_session(), instance=InstanceId("i"))
    prompt = a_prompt()
    prompt = evolve(prompt, params=evolve(prompt.params, instance=session.instance, on_crash=on_crash))
    task, changes = admit(session, [], prompt, OnBusy.REJECT, AT)
    assert changes.session is not None
    return Turn(session=changes.session, task=task, position=0)


def dispatched(on_crash: OnCrash = OnCrash.RESUME) -> Turn:
    return receive(queued(on_crash).begin(AT)[0], ASKED, AT)[0]


def replied(reply: Reply = REPLY.reply) -> Turn:
    return obey(dispatched(), Deliver(reply=reply, receipt="r"), AT)[0]


def events(changes: Changes) -> list[object]:
    return [logged.event for logged in changes.log]


def test_a_reply_is_recorded_and_concluded_by_the_driver() -> None:
    turn, changes = obey(dispatched(), REPLY, AT)
    assert events(changes) == [ReplyDelivered(reply=REPLY.reply, receipt="r")]
    assert (turn.task.status, turn.task.driven, turn.reply) == (TaskStatus.RUNNING, True, REPLY.reply)
    assert turn.due(AT, reading=True) == Stop(Ended())
    turn, changes = receive(turn, Ended(), AT)
    said, settled, end = events(changes)
    assert isinstance(said, TextSaid)
    assert isinstance(settled, UsageSettled)
    assert isinstance(end, TaskCompleted)
    assert (said.text, end.summary, changes.live) == ("hi", "hi", ())
    assert (settled.usage.fidelity, settled.usage.input_tokens) == (Fidelity.ESTIMATED, 9)
    (message,) = changes.log[-1].messages or changes.log[-2].messages
    assert (message.text, message.interrupted) == ("hi", False)


@pytest.mark.parametrize("last", [Broke(code=ErrorCode.BRIDGE_ERROR), Broke(code=ErrorCode.BRIDGE_TIMEOUT), Ended()])
def test_a_reply_that_is_stored_is_the_answer_whatever_becomes_of_the_dispatch(last: Broke | Ended) -> None:
    assert receive(replied(), last, LATER)[0].task.status is TaskStatus.COMPLETED


@pytest.mark.parametrize("command", [Recover(), HandBack()])
def test_who_takes_over_concludes_and_does_not_ask_again(command: Recover | HandBack) -> None:
    turn = replied()
    for crashes in (0, 5):
        over = evolve(turn, task=evolve(turn.task, crashes=crashes))
        assert obey(over, command, LATER)[0].task.status is TaskStatus.COMPLETED


def test_the_first_reply_counts() -> None:
    turn, changes = obey(replied(), Deliver(reply=Reply(ok=False), receipt="r2"), AT)
    assert not changes.is_durable
    assert turn.reply == REPLY.reply


def test_a_stop_that_was_accepted_wins() -> None:
    turn, _ = obey(replied(), Cancel(), AT)
    turn, changes = receive(turn, Ended(), AT)
    assert isinstance(events(changes)[-1], TaskCancelled)
    assert not any(isinstance(event, TextSaid) for event in events(changes))
    stopping, _ = obey(dispatched(), Cancel(), AT)
    assert not obey(stopping, REPLY, AT)[1].is_durable
    assert not obey(turn, REPLY, AT)[1].is_durable


def test_what_has_not_begun_cannot_be_answered() -> None:
    assert not obey(queued(), REPLY, AT)[1].is_durable


def test_a_task_that_is_queued_again_keeps_its_reply_for_its_next_driver() -> None:
    turn, _ = obey(dispatched(), HandBack(), AT)
    turn, changes = obey(turn, REPLY, AT)
    assert (turn.task.status, len(changes.log)) == (TaskStatus.QUEUED, 1)
    turn, _ = turn.begin(AT)
    assert turn.due(AT, reading=True) == Stop(Ended())
    assert receive(turn, Ended(), AT)[0].task.status is TaskStatus.COMPLETED


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(ok=False), ErrorCode.BRIDGE_ERROR),
        (Reply(ok=False, text="secret"), ErrorCode.BRIDGE_ERROR),
        (Reply(ok=False, is_timeout=True), ErrorCode.BRIDGE_TIMEOUT),
    ],
)
def test_a_refusal_fails_the_task_and_says_nothing_of_the_bridges(reply: Reply, code: ErrorCode) -> None:
    _, changes = receive(replied(reply), Ended(), AT)
    end = events(changes)[-1]
    assert isinstance(end, TaskFailed)
    assert end.code is code
    assert "secret" not in end.message
    assert not any(logged.messages for logged in changes.log)


def test_an_empty_reply_is_an_answer_without_a_message() -> None:
    turn, changes = receive(replied(Reply(ok=True)), Ended(), AT)
    assert (turn.task.status, turn.task.result) == (TaskStatus.COMPLETED, "")
    assert not any(logged.messages for logged in changes.log)


def test_what_cannot_be_stored_is_dropped() -> None:
    turn, _ = receive(replied(Reply(ok=True, text="a\x00\ud800b")), Ended(), AT)
    assert turn.task.result == "ab"


def test_a_long_reply_is_one_message() -> None:
    turn, changes = receive(replied(Reply(ok=True, text="x" * 10_000)), Ended(), AT)
    assert turn.position == 10_000
    assert [len(m.text) for logged in changes.log for m in logged.messages] == [10_000]


@pytest.mark.parametrize(("ok", "outcome"), [(True, Outcome.COMPLETED), (False, Outcome.FAILED)])
def test_what_the_remote_counted_is_billed(ok: bool, outcome: Outcome) -> None:
    usage = Usage(input_tokens=3, output_tokens=4)
    _, changes = receive(replied(Reply(ok=ok, text="hi", usage=usage)), Ended(), AT)
    (record,) = [record for ledger in changes.ledgers for record in ledger.settled]
    assert (record.usage, record.outcome) == (evolve(usage, model="openclaw"), outcome)


def test_one_call_is_billed_however_many_drivers_wait_for_it() -> None:
    turn = dispatched()
    settled = 0
    for command in (Recover(), HandBack(), Recover()):
        turn, changes = obey(turn, command, AT)
        settled += sum(len(ledger.settled) for ledger in changes.ledgers)
        assert isinstance(events(changes)[-1], TaskRequeued)
        turn, _ = turn.begin(AT)
        turn, changes = receive(turn, ASKED, AT)
        assert not changes.is_durable
    assert settled == 0
    turn, changes = receive(obey(turn, REPLY, AT)[0], Ended(), AT)
    assert [record.key for ledger in changes.ledgers for record in ledger.settled] == ["1:1"]


def test_who_wants_it_to_fail_with_its_node_gets_that() -> None:
    turn, _ = obey(dispatched(OnCrash.FAIL), Recover(), AT)
    assert turn.task.error_code is ErrorCode.NODE_LOST
    turn, _ = obey(dispatched(OnCrash.FAIL), HandBack(), AT)
    assert turn.task.stop_code is StopCode.SHUTDOWN


def test_its_deadline_has_a_name_of_its_own_driven_or_not() -> None:
    turn = dispatched()
    assert turn.due(AT, reading=True) is None
    assert not turn.is_engines_turn
    due = turn.due(LATER, reading=True)
    assert isinstance(due, Stop)
    assert receive(turn, due.last, LATER)[0].task.error_code is ErrorCode.BRIDGE_TIMEOUT
    waiting, _ = obey(turn, HandBack(), AT)
    assert obey(waiting, Expire(), LATER)[0].task.error_code is ErrorCode.BRIDGE_TIMEOUT
    assert obey(turn, Recover(), LATER)[0].task.error_code is ErrorCode.BRIDGE_TIMEOUT


def test_what_is_counted_for_a_call_that_was_billed_is_not_billed_again() -> None:
    turn = replied(Reply(ok=True, text="hi", usage=Usage(model="claw", input_tokens=5)))
    turn, changes = receive(evolve(turn, call=None), Ended(), AT)
    assert turn.task.status is TaskStatus.COMPLETED
    assert not [event for event in events(changes) if isinstance(event, UsageSettled)]
