"""What is written, as the values of statements.

Law: nothing here decides or sends; the order of values is that of the statements.
"""

from collections.abc import Iterable

from attrs import evolve
from psycopg.types.json import Jsonb

from agentcore.books import UsageRecorded
from agentcore.changes import Changes, Ledger, ReceiptKey
from agentcore.events import TextSaid, bounds_attempt
from agentcore.follow import Entry
from agentcore.ids import ChangeId
from agentcore.messages import Message
from agentcore.session import Session
from agentcore.task import Task
from agentcore.usage import OpenCall
from agentcore_adapters import codec


def numbered(changes: Changes, head: int, position: int) -> tuple[Entry, ...]:
    """Give each event its seq and its position."""
    entries: list[Entry] = []
    for seq, logged in enumerate(changes.log, head + 1):
        if isinstance(logged.event, TextSaid):
            position += len(logged.event.text)
        entries.append(
            Entry(
                seq=seq,
                position=position,
                event=logged.event,
                at=changes.at,
                task_id=logged.task_id,
                attempt=logged.attempt,
            )
        )
    return tuple(entries)


def end(changes: Changes, entries: tuple[Entry, ...]) -> tuple[object, ...]:
    """Return the values of ``PUT_HEAD``."""
    bound = max((e.seq for e in entries if bounds_attempt(e.event, e.attempt)), default=0)
    return (entries[-1].seq, entries[-1].position, bound, changes.tenant_id, changes.session_id)


def events(changes: Changes, entries: tuple[Entry, ...]) -> tuple[object, ...]:
    """Return the values of ``EVENTS``."""
    logged = [
        {
            "seq": entry.seq,
            "text_pos": entry.position,
            "task_id": entry.task_id,
            "attempt": entry.attempt,
            "event": codec.event_json(entry.event),
        }
        for entry in entries
    ]
    return (changes.tenant_id, changes.session_id, changes.at, Jsonb(logged))


def said(changes: Changes, entries: tuple[Entry, ...]) -> tuple[object, ...]:
    """Return the values of ``PUT_MESSAGES``: the messages that the events announce."""
    messages = [
        {
            "seq": message.seq,
            "n": message.n,
            "id": message.id,
            "task_id": message.task_id,
            "role": message.role.value,
            "parts": codec.parts_json(message.parts),
            "interrupted": message.interrupted,
            "created_at": message.at,
        }
        for message in announced(changes, entries)
    ]
    return (changes.tenant_id, changes.session_id, Jsonb(messages))


def announced(changes: Changes, entries: tuple[Entry, ...]) -> list[Message]:
    """Return the messages that the events announce, in their places."""
    return [
        evolve(message, seq=entry.seq, n=n)
        for logged, entry in zip(changes.log, entries, strict=False)
        for n, message in enumerate(logged.messages)
    ]


def moved_session(session: Session) -> tuple[object, ...]:
    """Return the values of ``MOVE_SESSION``."""
    where = (session.tenant_id, session.id)
    return (session.title, session.status.value, session.version, session.updated_at, *where)


def new_task(task: Task) -> tuple[object, ...]:
    """Return the values of ``NEW_TASK``."""
    what = (task.number, task.priority, task.engine, Jsonb(codec.params_json(task.params)))
    where = (task.status.value, task.version, task.attempt, task.crashes, task.deadline, task.created_at)
    return (task.tenant_id, task.id, task.session_id, *what, Jsonb(codec.parts_json(task.prompt)), *where)


def moved_task(task: Task, change: ChangeId | None) -> tuple[object, ...]:
    """Return the values of ``MOVED``."""
    what = (task.status.value, task.version, task.attempt, task.crashes, task.stop_code, task.error_code, task.result)
    return (*what, task.attachments_refused, task.started_at, task.completed_at, change)


def call(changes: Changes, ledger: Ledger, opened: OpenCall) -> tuple[object, ...]:
    """Return the values of ``PUT_CALL``."""
    price = Jsonb(codec.price_json(opened.price)) if opened.price else None
    what = (opened.key, opened.model, opened.input_tokens, opened.start, price)
    return (changes.tenant_id, ledger.task_id, *what, changes.at)


def bills(changes: Changes, ledger: Ledger) -> Iterable[UsageRecorded]:
    """Yield what *ledger* settles, as it is told."""
    for record in ledger.settled:
        yield UsageRecorded(
            tenant_id=changes.tenant_id,
            session_id=changes.session_id,
            task_id=ledger.task_id,
            engine=ledger.engine,
            record=record,
            at=changes.at,
        )


def usage(event: UsageRecorded) -> tuple[object, ...]:
    """Return the values of ``PUT_USAGE``."""
    record, u = event.record, event.record.usage
    who = (event.tenant_id, event.task_id, event.session_id, record.key, record.provider_message_id, event.engine)
    how = (u.model, record.outcome.value, u.fidelity.value, u.input_tokens, u.output_tokens)
    kinds = (u.cached_input_tokens, u.cache_write_input_tokens, u.reasoning_tokens, u.audio_s, u.cost_usd, event.at)
    return (*who, *how, *kinds, event.id)


def place_of(key: ReceiptKey) -> tuple[str, ...]:
    """Return where an Idempotency-Key is kept, and for whom."""
    return (key.tenant_id, key.subject, key.route, key.key, key.holder)
