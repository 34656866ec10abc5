"""How a prompt comes into a session.

Law: what stands in the way is asked to stop, and the new task is queued, in one commit; a session in the table
never has two tasks that have begun.  The session steps a version on with each admission, so that two nodes which
decided on the same reading cannot both be right.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from attrs import evolve, frozen

from agentcore import ending
from agentcore import session as sessions
from agentcore.changes import Blob, Changes, Logged
from agentcore.errors import SessionBusy, SessionClosed, TaskNotLive
from agentcore.events import SessionClosed as Closed
from agentcore.events import SessionOpened
from agentcore.ids import EngineName, TaskId
from agentcore.messages import Part
from agentcore.session import Session
from agentcore.task import QUEUED, StopCode, Task, TaskParams, TaskQueued
from agentcore.turn import Turn


class OnBusy(StrEnum):
    """What a prompt does to a session that has an unfinished task."""

    INTERRUPT = "interrupt"
    ENQUEUE = "enqueue"
    REJECT = "reject"


@frozen(kw_only=True)
class Prompt:
    """What a caller wants answered, with all that was resolved about it."""

    task_id: TaskId
    engine: EngineName
    parts: tuple[Part, ...]
    params: TaskParams
    deadline_s: float
    blobs: tuple[Blob, ...] = ()


def admit(
    session: Session, turns: Sequence[Turn], prompt: Prompt, on_busy: OnBusy, at: datetime
) -> tuple[Task, Changes]:
    """Queue *prompt*; *turns* are the unfinished tasks of *session*, in queue order.

    A session of version 0 is new and is opened.  Raises SessionClosed, or SessionBusy under ``reject``.
    """
    _must_be_open(session)
    if turns and on_busy is OnBusy.REJECT:
        live = next((turn.task.id for turn in turns if turn.task.is_live), turns[0].task.id)
        raise SessionBusy(f"The session is busy with task {live}.", live)
    stopping = turns if on_busy is OnBusy.INTERRUPT else ()
    return _queue(session, stopping, StopCode.SUPERSEDED, prompt, 0, at)


def inject(
    session: Session, turns: Sequence[Turn], into: TaskId, prompt: Prompt, code: StopCode, at: datetime
) -> tuple[Task, Changes]:
    """Stop the live task *into* and run *prompt* next, before what is queued.

    Raises TaskNotLive if that task is over or has not begun.
    """
    _must_be_open(session)
    turn = next((turn for turn in turns if turn.task.id == into), None)
    if turn is None or not turn.task.has_begun:
        raise TaskNotLive("The task is over or has not begun, so nothing can be injected into it.")
    return _queue(session, (turn,), code, prompt, 1, at)


def speak(session: Session, turns: Sequence[Turn], prompt: Prompt, at: datetime) -> tuple[Task, Changes]:
    """Run what was said next, before what is queued, and stop what is live, if anything is.

    Raises SessionClosed.
    """
    _must_be_open(session)
    live = tuple(turn for turn in turns if turn.task.has_begun)
    return _queue(session, live, StopCode.VOICE_INJECT, prompt, 1, at)


def close(session: Session, turns: Sequence[Turn], at: datetime) -> Changes:
    """Close the session: what is open is cancelled, what comes is refused; closing twice changes nothing."""
    changes = _begin(session, at)
    if session.is_closed:
        return changes
    for turn in turns:
        changes = changes.plus(ending.stop(turn, StopCode.SESSION_CLOSED, at)[1])
    return evolve(changes, session=session.closed(at), log=(*changes.log, Logged(event=Closed())))


def _queue(
    session: Session, stopping: Sequence[Turn], code: StopCode, prompt: Prompt, priority: int, at: datetime
) -> tuple[Task, Changes]:
    changes = _begin(session, at)
    if session.version == 0:
        changes = evolve(changes, log=(Logged(event=SessionOpened()),))
    for turn in stopping:
        changes = changes.plus(ending.stop(turn, code, at)[1])
    if not session.title and not session.voice_mode:
        text = "".join(getattr(part, "text", "") for part in prompt.parts)
        session = evolve(session, title=sessions.title_of(text))
    task = Task(
        id=prompt.task_id,
        tenant_id=session.tenant_id,
        session_id=session.id,
        engine=prompt.engine,
        params=prompt.params,
        prompt=prompt.parts,
        deadline=at + timedelta(seconds=prompt.deadline_s),
        created_at=at,
        status=QUEUED,
        priority=priority,
    )
    return task, evolve(
        changes,
        session=session.touched(at),
        tasks=(*changes.tasks, task),
        blobs=prompt.blobs,
        log=(*changes.log, Logged(event=TaskQueued(), task_id=task.id)),
    )


def _begin(session: Session, at: datetime) -> Changes:
    return Changes(tenant_id=session.tenant_id, session_id=session.id, at=at)


def _must_be_open(session: Session) -> None:
    if session.is_closed:
        raise SessionClosed("The session is closed; start a new one.")
