"""How prompts come into a session."""

import pytest
from attrs import evolve

from agentcore.admission import OnBusy, admit, close, inject, speak
from agentcore.errors import SessionBusy, SessionClosed, TaskNotLive
from agentcore.session import Session
from agentcore.task import StopCode, TaskCancelled, TaskQueued, TaskStatus
from agentcore.testing.making import a_prompt, a_session, now
from agentcore.turn import Turn

AT = now()


def a_busy_session() -> tuple[Session, list[Turn]]:
    session = a_session()
    first, changes = admit(session, [], a_prompt("first"), OnBusy.REJECT, AT)
    session = changes.session or session
    running = Turn(session=session, task=first, position=0).begin(AT)[0]
    second, _ = admit(session, [running], a_prompt("second"), OnBusy.ENQUEUE, AT)
    return session, [running, Turn(session=session, task=second, position=0)]


def test_the_first_prompt_opens_and_names_the_session() -> None:
    task, changes = admit(a_session(), [], a_prompt("What is it?"), OnBusy.REJECT, AT)
    assert changes.session is not None
    assert (changes.session.title, changes.session.version) == ("What is it?", 1)
    assert task.status is TaskStatus.QUEUED


def test_a_voice_session_has_no_title() -> None:
    _, changes = admit(a_session(voice_mode=True), [], a_prompt("spoken"), OnBusy.REJECT, AT)
    assert changes.session is not None
    assert changes.session.title == ""


def test_interrupting_stops_everything_that_is_open() -> None:
    session, turns = a_busy_session()
    _, changes = admit(session, turns, a_prompt(), OnBusy.INTERRUPT, AT)
    by_id = {task.id: task for task in changes.tasks}
    assert by_id[turns[0].task.id].status is TaskStatus.CANCELLING
    assert by_id[turns[1].task.id].status is TaskStatus.CANCELLED
    assert {by_id[turn.task.id].stop_code for turn in turns} == {StopCode.SUPERSEDED}
    kinds = [type(entry.event) for entry in changes.log]
    assert kinds.index(TaskCancelled) < kinds.index(TaskQueued)


def test_enqueueing_stops_nothing() -> None:
    session, turns = a_busy_session()
    task, changes = admit(session, turns, a_prompt(), OnBusy.ENQUEUE, AT)
    assert changes.tasks == (task,)


def test_rejecting_names_the_live_task() -> None:
    session, turns = a_busy_session()
    with pytest.raises(SessionBusy) as refused:
        admit(session, turns, a_prompt(), OnBusy.REJECT, AT)
    assert refused.value.live_task_id == turns[0].task.id


def test_injecting_stops_the_live_task_only_and_goes_first() -> None:
    session, turns = a_busy_session()
    task, changes = inject(session, turns, turns[0].task.id, a_prompt(), StopCode.USER_INJECT, AT)
    assert task.priority == 1
    assert {stopped.id for stopped in changes.tasks} == {turns[0].task.id, task.id}
    for other in (turns[1].task.id, a_prompt().task_id):
        with pytest.raises(TaskNotLive):
            inject(session, turns, other, a_prompt(), StopCode.USER_INJECT, AT)


def test_a_closed_session_takes_no_injection_into_what_is_still_stopping() -> None:
    session, turns = a_busy_session()
    with pytest.raises(SessionClosed):
        inject(session.closed(AT), turns, turns[0].task.id, a_prompt(), StopCode.USER_INJECT, AT)


def test_what_was_said_stops_the_live_task_only_and_goes_first() -> None:
    session, turns = a_busy_session()
    task, changes = speak(session, turns, a_prompt(), AT)
    assert task.priority == 1
    assert {stopped.id: stopped.stop_code for stopped in changes.tasks} == {
        turns[0].task.id: StopCode.VOICE_INJECT,
        task.id: None,
    }
    task, changes = speak(session, turns[1:], a_prompt(), AT)
    assert [stored.id for stored in changes.tasks] == [task.id]
    with pytest.raises(SessionClosed):
        speak(session.closed(AT), turns, a_prompt(), AT)


def test_closing_cancels_what_is_open_and_refuses_what_comes() -> None:
    session, turns = a_busy_session()
    changes = close(session, turns, AT)
    assert changes.session is not None
    assert changes.session.is_closed
    assert {task.stop_code for task in changes.tasks} == {StopCode.SESSION_CLOSED}
    with pytest.raises(SessionClosed):
        admit(changes.session, [], a_prompt(), OnBusy.INTERRUPT, AT)
    assert not close(changes.session, [], AT).is_durable


def test_every_admission_steps_the_session_on() -> None:
    session, turns = a_busy_session()
    _, changes = admit(session, turns, a_prompt(), OnBusy.ENQUEUE, AT)
    assert changes.session == evolve(session, version=session.version + 1)
