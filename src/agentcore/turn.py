"""A task under way, as one value.

Law: a turn holds all that deciding about its task needs, and does nothing.  ``receive`` (what an engine says)
and ``obey`` (what is asked) turn it into the next one, with the ``Changes`` that must be stored before that one
may be kept; ``due`` says what its driver must do now.

Story: text is told at once and gathers in the *tail*; the tail becomes durable at 4 KB, when its driver
says so (``checkpoint``), and in front of every event the driver logs.  So an attempt that ends in order never ends
with text that was told and not stored.
"""

from datetime import datetime

from attrs import evolve, frozen

from agentcore.approval import Approval
from agentcore.changes import Changes, Logged, Said
from agentcore.commands import Command, Continue, Expire, Recover
from agentcore.errors import TaskConflict
from agentcore.events import Broke, Ended, Event, Prompted, TextKind, TextSaid
from agentcore.ids import MessageId
from agentcore.messages import (
    Message,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    clean,
    joined,
)
from agentcore.moving import mover
from agentcore.reply import Reply
from agentcore.session import Session, SessionStatus
from agentcore.task import ErrorCode, Task, TaskEvent, TaskStarted, TaskStatus
from agentcore.usage import OpenCall, Usage

FLUSH_CHARS = 4096
DEADLINE_MESSAGE = "The task's time was up."


@frozen
class Stop:
    """Stop the engine; when it has stopped, *last* is its last word."""

    last: Ended | Broke


@frozen(kw_only=True)
class Turn:
    """A task with all that deciding about it needs."""

    session: Session
    task: Task
    position: int  #: Characters durable in the session's log.
    approvals: tuple[Approval, ...] = ()
    said: tuple[Part, ...] = ()  #: Durable, and in no message yet.
    tail: tuple[Said, ...] = ()  #: Told, and not durable yet.
    tail_since: datetime | None = None  #: When the tail began.
    call: OpenCall | None = None
    calls: int = 0  #: Provider calls begun in this task.
    messages: int = 0  #: Messages of this task so far, its prompt included.
    usage: Usage = Usage()  #: Settled so far.
    billed: frozenset[str] = frozenset()  #: Providers' message ids that stand in the ledger.
    acting: frozenset[str] = frozenset()  #: Calls of this attempt that have no result yet; known to its driver only.
    answer: str = ""  #: Text of the last message of the engine.
    reply: Reply | None = None  #: What its remote agent has answered.

    @property
    def end(self) -> int:
        """Where the text told so far ends, in characters of the session."""
        return self.tail[-1].end if self.tail else self.position

    @property
    def unspoken(self) -> tuple[Part, ...]:
        """What was said since the last message, durable or not."""
        return joined((*self.said, *(_part(said) for said in self.tail)))

    @property
    def is_engines_turn(self) -> bool:
        """Whether the engine itself is to speak: no person decides, no tool is at work, no remote agent thinks."""
        return self.task.status is TaskStatus.RUNNING and not self.acting and not self.task.is_remote

    @property
    def is_over_budget(self) -> bool:
        """Whether what is paid for so far is all that the task may cost."""
        params, cost = self.task.params, self.usage.cost_usd
        if params.max_output_tokens is not None and self.usage.output_tokens >= params.max_output_tokens:
            return True
        return params.max_cost_usd is not None and cost is not None and cost >= params.max_cost_usd

    @property
    def late_code(self) -> ErrorCode:
        """What its failure is called if its time runs out."""
        return ErrorCode.BRIDGE_TIMEOUT if self.task.is_remote else ErrorCode.DEADLINE

    @property
    def pending(self) -> tuple[Approval, ...]:
        """The approvals that nobody has decided."""
        return tuple(approval for approval in self.approvals if approval.is_pending)

    def nothing(self, at: datetime) -> Changes:
        """Begin the changes of this turn."""
        return Changes(tenant_id=self.task.tenant_id, session_id=self.task.session_id, at=at)

    def logged(self, event: Event, messages: tuple[Message, ...] = ()) -> Logged:
        """Put *event* into the name of this task."""
        return Logged(event=event, task_id=self.task.id, attempt=self.task.attempt, messages=messages)

    def must_be_live(self) -> None:
        """Raise TaskConflict unless an engine may speak for the task."""
        if not (self.task.driven and self.task.is_live):
            raise TaskConflict("The task is over.")

    def step(self, event: TaskEvent, at: datetime) -> tuple["Turn", Changes]:
        """Log one row of the table and nothing else: its writer may not be the driver, so nothing is flushed."""
        task = self.task.after(event, at)
        return evolve(self, task=task), evolve(self.nothing(at), tasks=(task,), log=(self.logged(event),))

    # --------------------------------------------------------------------------------------------- text and messages
    def hear(self, kind: TextKind, text: str, at: datetime) -> tuple["Turn", Changes]:
        """Add text to the tail, and flush the tail if it has become long."""
        said = Said(kind=kind, text=clean(text), start=self.end)
        if not said.text:
            return self, self.nothing(at)
        tail = self.tail
        if tail and tail[-1].kind is kind:
            tail = (*tail[:-1], Said(kind=kind, text=tail[-1].text + said.text, start=tail[-1].start))
        else:
            tail = (*tail, said)
        turn = _with_tail(self, tail, self.tail_since or at)
        changes = Changes(tenant_id=self.task.tenant_id, session_id=self.task.session_id, at=at, live=(said,))
        if said.end - tail[0].start < FLUSH_CHARS:
            return turn, changes
        turn, flushed = turn.checkpoint(at)
        return turn, changes.plus(flushed)

    def checkpoint(self, at: datetime) -> tuple["Turn", Changes]:
        """Make the tail durable."""
        if not self.tail:
            return self, self.nothing(at)
        log = tuple(self.logged(TextSaid(kind=said.kind, text=said.text)) for said in self.tail)
        turn = evolve(self, tail=(), tail_since=None, said=self.unspoken, position=self.end)
        return turn, evolve(self.nothing(at), log=log, text_start=self.tail[0].start)

    def speak(self, at: datetime, *, interrupted: bool = False) -> tuple["Turn", tuple[Message, ...]]:
        """Make a message of what was said since the last one, if anything was."""
        if not self.said:
            return self, ()
        turn, message = self.message(Role.ASSISTANT, self.said, at)
        return evolve(turn, said=(), answer=message.text), (evolve(message, interrupted=interrupted),)

    def message(self, role: Role, parts: tuple[Part, ...], at: datetime) -> tuple["Turn", Message]:
        """Make the next message of this task."""
        message_id = MessageId(f"{self.task.id}.{self.messages}")
        message = Message(id=message_id, task_id=self.task.id, role=role, parts=parts, at=at)
        return evolve(self, messages=self.messages + 1), message

    # -------------------------------------------------------------------------------------------- driving
    def begin(self, at: datetime) -> tuple["Turn", Changes]:
        """Start an attempt; the first one puts the prompt into the history and revives a failed session."""
        turn, changes = self.step(TaskStarted(self.task.attempt + 1), at)
        if not self.task.attempt:
            turn, message = turn.message(Role.USER, self.task.prompt, at)
            prompted = Prompted(message_id=message.id, parts=message.parts)
            changes = evolve(changes, log=(*changes.log, turn.logged(prompted, (message,))))
        # The event belongs to the attempt that it begins.
        log = tuple(evolve(logged, attempt=turn.task.attempt) for logged in changes.log)
        changes = evolve(changes, log=log)
        if self.session.status is not SessionStatus.ERROR:
            return turn, changes
        session = self.session.touched(at, SessionStatus.ACTIVE)
        return evolve(turn, session=session), evolve(changes, session=session)

    def unsent(self) -> "Turn":
        """Know of its open call, if it has one, that it was not made."""
        return evolve(self, call=evolve(self.call, is_sent=False)) if self.call is not None else self

    def due(self, at: datetime, *, reading: bool) -> Command | Stop | None:
        """Say what the driver must do now; *reading*: whether it reads the task's engine."""
        task = self.task
        if not reading:
            return None if task.is_final else Recover()
        if task.is_final or not task.driven or task.status is TaskStatus.CANCELLING:
            return Stop(Ended())
        if self.reply is not None:
            return Stop(Ended())  # there is nothing more to hear: its end concludes
        if at >= task.deadline:
            return Stop(Broke(code=self.late_code, message=DEADLINE_MESSAGE))
        if task.status is TaskStatus.AWAITING_APPROVAL:
            if any(approval.expires_at <= at for approval in self.pending):
                return Expire()
            return None if self.pending else Continue()
        return None

    def refreshed(self, stored: "Turn") -> "Turn":
        """Take over what others have stored; what was said and is not durable stays ours."""
        tail = tuple(
            Said(kind=said.kind, text=said.text[max(0, stored.position - said.start) :], start=start)
            for said in self.tail
            if said.end > (start := max(said.start, stored.position))
        )
        said = self.said if stored.position == self.position and stored.messages == self.messages else stored.said
        since = self.tail_since if tail else None
        call = self.call if self.call and stored.call and self.call.key == stored.call.key else stored.call
        return evolve(stored, said=said, tail=tail, tail_since=since, answer=self.answer, call=call, acting=self.acting)


_with_tail = mover(Turn, "tail", "tail_since")


def _part(said: Said) -> Part:
    return TextPart(said.text) if said.kind is TextKind.TEXT else ThinkingPart(said.text)
