"""The invariants that every run is judged by, read from the store alone."""

from collections.abc import Sequence
from typing import get_args

from attrs import evolve

from agentcore.events import Prompted, TextKind, TextSaid
from agentcore.follow import Entry
from agentcore.ids import SessionId, TaskId, TenantId
from agentcore.messages import Message, Role, TextPart
from agentcore.ports import Store
from agentcore.task import (
    ApprovalResolved,
    Decision,
    Task,
    TaskCompleted,
    TaskEnd,
    TaskEvent,
    TaskRequeued,
    TaskStarted,
    TaskStatus,
)

EVERYTHING = 100_000
STEPS = get_args(TaskEvent)


async def check_session(store: Store, tenant: TenantId, session_id: SessionId, *, is_settled: bool) -> None:
    """Assert I1 to I8 of one session; *is_settled*: all its tasks must be final."""
    while True:
        log = (await store.log(tenant, session_id, 1, EVERYTHING)).entries
        messages = await store.messages(tenant, session_id, (0, 0), EVERYTHING)
        tasks = [view.task for view in await store.tasks(tenant, session_id, 0, EVERYTHING)]
        # The three must be of one moment: each step of a task is logged, so that a log that has not grown says so.
        if (await store.log(tenant, session_id, 1, 1)).head == (log[-1].seq if log else 0):
            break
    assert [entry.seq for entry in log] == list(range(1, len(log) + 1)), "I4: seq has a gap"
    _check_positions(log)
    assert sum(task.has_begun for task in tasks) <= 1, "I2: two tasks have begun"
    _check_one_at_a_time(log)
    for task in tasks:
        own = [entry for entry in log if entry.task_id == task.id]
        ends = [entry for entry in own if isinstance(entry.event, TaskEnd)]
        _check_steps(task, own)
        assert len(ends) == int(task.is_final), "I1: a final task has one terminal event, an open one none"
        assert not ends or ends[0] is own[-1], "I3: something of a task stands after its end"
        if task.status is TaskStatus.COMPLETED:
            assert isinstance(ends[0].event, TaskCompleted)
        attempts = [entry.attempt for entry in own if entry.attempt]
        assert attempts == sorted(attempts), "I8: an older attempt speaks after a newer one"
        if is_settled:
            assert task.is_final, "I1: a task is still open"
            _check_messages(task.id, own, [message for message in messages if message.task_id == task.id])
    places = [(message.seq, message.n) for message in messages]
    assert places == sorted(places), "I6: history is not in order"
    assert len({message.id for message in messages}) == len(messages), "I6: a message stands twice"


def _check_steps(task: Task, log: Sequence[Entry]) -> None:
    """The log of a task, step by step through the table, leads to what is stored of it."""
    told = evolve(task, status=TaskStatus.QUEUED, driven=False, attempt=0, crashes=0, started_at=None, version=1)
    for entry in log:
        # A decision that nobody takes any more is logged with the end that made it needless: no step of its own.
        is_needless = isinstance(entry.event, ApprovalResolved) and entry.event.decision is Decision.SUPERSEDED
        if isinstance(entry.event, STEPS) and not is_needless:
            told = told.after(entry.event, entry.at)  # raises TaskConflict where the table has no row
    found, stored = ((t.status, t.driven, t.attempt, t.crashes, t.stop_code) for t in (told, task))
    assert found == stored, f"I3: the log of {task.id} says {found} and its row {stored}"


def _check_positions(log: Sequence[Entry]) -> None:
    position = 0
    for entry in log:
        if isinstance(entry.event, TextSaid):
            position += len(entry.event.text)
        assert entry.position == position, "I4: a position disagrees with the text"


def _check_one_at_a_time(log: Sequence[Entry]) -> None:
    """At any place of the log, at most one task has begun and not ended."""
    begun: set[TaskId | None] = set()
    for entry in log:
        if isinstance(entry.event, TaskStarted):
            begun.add(entry.task_id)
        elif isinstance(entry.event, TaskEnd):
            begun.discard(entry.task_id)
        assert len(begun) <= 1, "I2: two tasks run at once in the log"


def _check_messages(task_id: TaskId, log: Sequence[Entry], messages: Sequence[Message]) -> None:
    """What was said is what the history holds; a discarded attempt is in neither."""
    if any(isinstance(entry.event, TaskRequeued) and entry.event.restart for entry in log):
        return
    said = "".join(e.event.text for e in log if isinstance(e.event, TextSaid) and e.event.kind is TextKind.TEXT)
    own = [message for message in messages if message.role is Role.ASSISTANT]
    kept = "".join(part.text for message in own for part in message.parts if isinstance(part, TextPart))
    assert kept == said, f"I6: the history of {task_id} is not what was said"
    prompts = sum(isinstance(entry.event, Prompted) for entry in log)
    assert prompts == sum(message.role is Role.USER for message in messages) <= 1, "I6: a prompt stands twice"
