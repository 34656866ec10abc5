"""One commit as statements.

Law: everything is locked and read first, in lock order (the tenant's limit, session, tasks, log_head); then it is known
whether the decision still stands, and the writes follow, all at once.  So a commit costs two round trips: locks, and
writes with the COMMIT; the guards in the schema are the second line.
"""

from collections.abc import Mapping

from attrs import evolve, frozen
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from agentcore.books import UsageRecorded
from agentcore.changes import Changes
from agentcore.errors import KeyInFlight, OverLimit, SessionNotFound
from agentcore.follow import Entry
from agentcore.ids import ChangeId
from agentcore.limits import AGAIN_S, OVER
from agentcore.messages import Message
from agentcore.ports import Also, Fenced, Lease, Stale
from agentcore.session import Session
from agentcore.task import Task, TaskQueued
from agentcore.turn import Turn
from agentcore_adapters.postgres import rows, values
from agentcore_adapters.postgres import statements as sql
from agentcore_adapters.postgres.batch import Answer
from agentcore_adapters.postgres.connection import Transaction, row_of
from agentcore_adapters.postgres.lines import Room, count


@frozen(kw_only=True)
class Place:
    """Where a log ends, under its lock."""

    head: int
    position: int
    is_busy: bool = False  #: Whether a task of the session was open.
    history: tuple[Message, ...] = ()  #: The last messages, if they were asked for.


async def write(
    transaction: Transaction,
    changes: Changes,
    lease: Lease | None,
    *,
    take: tuple[str, float] | None = None,
    alone: bool = False,
) -> tuple[tuple[Entry, ...], Answer | None]:
    """Write *changes*, or raise Stale, Fenced, OverLimit; with *take* (node, ttl_s) its task gets a lease.

    Also returns what tells whether a task of the session is still open, if one has ended.  Unless *alone*, NearLimit is
    raised where others who are under way might use up what is left of the limit.
    """
    place = await _lock(transaction, changes, lease, alone=alone)
    if changes.text_start is not None and changes.text_start != place.position:
        raise Stale("The text does not begin where the log's text ends.")
    entries = values.numbered(changes, place.head, place.position)
    if _ends_alone(changes, lease):
        return entries, _end_at_once(transaction, changes, entries)
    _put(transaction, changes, entries, lease, take)
    append(transaction, changes, entries)
    if not any(task.is_final for task in changes.tasks):
        return entries, None
    return entries, transaction.send(sql.ANY_OPEN, changes.tenant_id, changes.session_id)


@frozen(kw_only=True)
class Begun:
    """A task that was queued and begun in one step."""

    turn: Turn
    entries: tuple[Entry, ...]  #: Of its beginning.
    history: tuple[Message, ...]  #: What it is shown, its prompt included.


async def submit(
    transaction: Transaction,
    changes: Changes,
    take: tuple[str, float],
    most: int | None,
    also: Also | None,
    *,
    alone: bool,
) -> tuple[tuple[Entry, ...], Begun | None]:
    """Write *changes*, which queue a task, and begin it with a lease (node, ttl_s) if nothing is in its way.

    That is: its session has no other open task, and its tenant runs fewer than *most*, whoever else begins some now.
    """
    queued = next(task for task in changes.tasks if task.version == 1)
    room = Room.asked(transaction, changes, most, alone=alone)
    earlier = queued.params.max_context_messages - 1  # the last is its prompt, which nobody has to read
    place = await _lock(transaction, evolve(changes, most_open=None), None, alone=alone, history=earlier)
    may_begin = room.checked(changes.opened, alone=alone)
    entries = values.numbered(changes, place.head, place.position)
    if not may_begin or place.is_busy:
        _put(transaction, changes, entries, None, None)
        append(transaction, changes, entries)
        return entries, None
    number = next(entry.seq for entry in entries if entry.task_id == queued.id)
    assert changes.session is not None
    turn = Turn(session=changes.session, task=evolve(queued, number=number), position=place.position)
    turn, begun = turn.begin(changes.at)
    both = evolve(changes, tasks=(), log=(*changes.log, *begun.log))
    everything = values.numbered(both, place.head, place.position)
    if begun.session is not None:  # it had failed, and is revived: two steps of it
        _put_session(transaction, changes.session)
        both = evolve(both, session=begun.session)
    history = (*place.history, *values.announced(both, everything))
    if also is not None:
        turn, added = also(turn, history)
        both = evolve(both, ledgers=added.ledgers)
    _put_begun(transaction, both, turn.task, take, everything)
    return entries, Begun(turn=turn, entries=everything[len(entries) :], history=history)


def _put(
    transaction: Transaction,
    changes: Changes,
    entries: tuple[Entry, ...],
    lease: Lease | None,
    take: tuple[str, float] | None,
) -> None:
    if changes.session is not None:
        _put_session(transaction, changes.session)
    driven = lease.task_id if lease is not None and changes.id is not None else None
    if driven is not None and all(task.id != driven for task in changes.tasks):
        transaction.send(sql.SET_CHANGE, changes.id, changes.tenant_id, driven)
    for task in changes.tasks:
        _put_task(transaction, task, entries, take, changes.id if task.id == driven else None)
    _put_rest(transaction, changes)


async def _lock(
    transaction: Transaction, changes: Changes, lease: Lease | None, *, alone: bool, history: int = 0
) -> Place:
    tenant, session_id = changes.tenant_id, changes.session_id
    # A task that is new has no row: the session, which moves on with it, is what two would meet at.
    task_ids = sorted({task.id for task in changes.tasks if task.version > 1} | ({lease.task_id} if lease else set()))
    if lease is not None and changes.is_ledger_only:
        (tasks,) = await transaction.arrive(transaction.send(sql.LOCK_TASKS, tenant, task_ids))
        _must_hold(lease, changes, {str(row["id"]): row for row in tasks})
        return Place(head=0, position=0)
    most, counting = changes.most_open, None
    if most is not None:
        counting = count(transaction, sql.OPEN, tenant, most, alone=alone)
    locked = []
    if len(task_ids) == 1:  # no row: nothing of the session is there
        locked.append(transaction.send(sql.LOCK_ALL, tenant, session_id, task_ids[0]))
    elif task_ids:
        locked.append(transaction.send(sql.LOCK_SESSION, tenant, session_id))
        locked.append(transaction.send(sql.LOCK_TASKS, tenant, task_ids))
        locked.append(transaction.send(sql.LOCK_HEAD, tenant, session_id))
    else:
        locked.append(transaction.send(sql.LOOK, tenant, session_id))
    if changes.receipt is not None:
        locked.append(transaction.send(sql.HOLD, *values.place_of(changes.receipt.key)))
    told = None
    if history and changes.session is not None and changes.session.version > 1:  # behind the locks: it is all there is
        place = (tenant, session_id)
        told = transaction.send(sql.HISTORY, *place, *place, *place, history)
    session, *others = await transaction.arrive(*locked)
    if len(task_ids) == 1:
        head, tasks = session, [row | {"version": row["task_version"]} for row in session]
    else:
        tasks, head = others[:2] if task_ids else ([], session)
    if counting is not None and most is not None and not counting.must_fit(changes.opened, most, alone=alone):
        raise OverLimit(OVER.format(most), AGAIN_S)
    if changes.receipt is not None and not others[-1]:
        raise KeyInFlight("Another request with this Idempotency-Key has taken its place.")
    stored = row_of(session)
    if stored is None and (changes.session is None or changes.session.version != 1):
        raise SessionNotFound("There is no such session.")
    if changes.session is not None and changes.session.version != (stored["version"] if stored else 0) + 1:
        raise Stale("The session has moved on.")
    known = {str(row["id"]): row for row in tasks}
    if lease is not None:  # before the versions: who is fenced must not read again and decide again
        _must_hold(lease, changes, known)
    for task in changes.tasks:
        row = known.get(task.id)
        if task.version != (row["version"] if row else 0) + 1:
            raise Stale("The task has moved on.")
    end = row_of(head)
    if end is None:
        return Place(head=0, position=0)
    is_busy = bool(tasks) or end.get("is_busy", False)
    if changes.idle and is_busy:
        raise Stale("The session has an open task.")
    messages = tuple(rows.message(row) for row in told.tuples()) if told is not None else ()
    return Place(head=end["head"], position=end["text_pos"], is_busy=is_busy, history=messages)


def _must_hold(lease: Lease, changes: Changes, known: Mapping[str, DictRow]) -> None:
    row = known.get(lease.task_id)
    if row is None or row["lease_epoch"] != lease.epoch or row["lease_owner"] != lease.node:
        raise Fenced("The lease is no longer ours.")
    if changes.follows is not None and changes.follows != str(row["change_id"]):
        raise Stale("The driver has stored more than it knows.")
    if changes.id == str(row["change_id"]):
        raise Stale("It is stored already.")


def append(transaction: Transaction, changes: Changes, entries: tuple[Entry, ...]) -> None:
    """Append to the log, with the messages that its events announce."""
    if not entries:
        return
    head, events = values.end(changes, entries), values.events(changes, entries)
    if any(logged.messages for logged in changes.log):
        transaction.send(sql.APPEND_WITH_MESSAGES, *head, *values.said(changes, entries), *events)
    else:
        transaction.send(sql.APPEND, *head, *events)


def _put_session(transaction: Transaction, session: Session) -> None:
    if session.version == 1:
        transaction.send(sql.PUT_TENANT, session.tenant_id)
        transaction.send(
            sql.NEW_SESSION,
            session.tenant_id,
            session.id,
            session.owner,
            session.engine,
            session.title,
            session.voice_mode,
            session.status.value,
            session.version,
            session.created_at,
            session.updated_at,
            session.instance,
        )
        transaction.send(sql.NEW_HEAD, session.tenant_id, session.id)
        return
    transaction.send(sql.MOVE_SESSION, *values.moved_session(session))


def _put_task(
    transaction: Transaction,
    task: Task,
    entries: tuple[Entry, ...],
    take: tuple[str, float] | None,
    change: ChangeId | None,
) -> None:
    if task.version == 1:
        queued = (e.seq for e in entries if isinstance(e.event, TaskQueued) and e.task_id == task.id)
        transaction.send(sql.NEW_TASK, *values.new_task(evolve(task, number=next(queued, task.number))))
        return
    moved, where = values.moved_task(task, change), (task.tenant_id, task.id)
    if task.driven and take is not None:
        transaction.send(sql.TAKE_TASK, *moved, *take, *where)
    elif task.driven:
        transaction.send(sql.MOVE_TASK, *moved, *where)
    else:
        transaction.send(sql.LET_GO_TASK, *moved, *where)


def _put_begun(
    transaction: Transaction, changes: Changes, task: Task, take: tuple[str, float], entries: tuple[Entry, ...]
) -> None:
    """Put a task that was just begun, and what it logs; in a session that is known all at once."""
    assert changes.session is not None
    row = (*values.new_task(task), task.started_at, *take)
    if changes.session.version == 1:
        _put(transaction, changes, (), None, None)
        transaction.send(sql.BEGUN_TASK, *row)
        append(transaction, changes, entries)
        return
    _put_rest(transaction, evolve(changes, ledgers=()))
    calls = [values.call(changes, ledger, call) for ledger in changes.ledgers for call in ledger.begun]
    begin, called = (sql.BEGIN_AND_CALL, calls[0]) if calls else (sql.BEGIN_TASK, ())
    log = (*values.end(changes, entries), *values.said(changes, entries), *values.events(changes, entries))
    transaction.send(begin, *values.moved_session(changes.session), *row, *called, *log)


def _ends_alone(changes: Changes, lease: Lease | None) -> bool:
    """Tell whether a driver ends its task and bills one call, and does nothing that has statements of its own."""
    if lease is None or changes.id is None or [(t.id, t.is_final) for t in changes.tasks] != [(lease.task_id, True)]:
        return False
    others = (changes.session, changes.approvals, changes.blobs, changes.conversation, changes.receipt)
    bills = [(len(ledger.begun), len(ledger.settled)) for ledger in changes.ledgers]
    return bills == [(0, 1)] and not any(others)


def _end_at_once(transaction: Transaction, changes: Changes, entries: tuple[Entry, ...]) -> Answer:
    (task,), (ledger,), place = changes.tasks, changes.ledgers, (changes.tenant_id, changes.session_id)
    (bill,) = values.bills(changes, ledger)
    ended = (*values.moved_task(task, changes.id), task.tenant_id, task.id, *values.usage(bill))
    log = (*values.end(changes, entries), *values.said(changes, entries), *values.events(changes, entries))
    return transaction.send(sql.END_TASK, *ended, *log, *place, task.id)


def _put_rest(transaction: Transaction, changes: Changes) -> None:
    tenant, at = changes.tenant_id, changes.at
    for a in changes.approvals:
        what = (a.tool_use_id, a.tool_name, Jsonb(a.input), a.input_sha256, a.expires_at, a.created_at)
        decided = (a.decision, a.on_reject.value, a.by, a.reason, a.decided_at, a.used)
        transaction.send(sql.PUT_APPROVAL, tenant, a.id, a.task_id, *what, *decided)
    for ledger in changes.ledgers:
        for call in ledger.begun:
            transaction.send(sql.PUT_CALL, *values.call(changes, ledger, call))
        for event in values.bills(changes, ledger):
            enter(transaction, event)
    for blob in changes.blobs:
        transaction.send(sql.PUT_BLOB, tenant, blob.sha256, blob.media_type, blob.data)
        transaction.send(sql.PUT_BLOB_REF, tenant, changes.session_id, blob.sha256)
    if (conversation := changes.conversation) is not None:
        mine = (tenant, changes.session_id, conversation.engine)
        transaction.send(sql.PUT_CONVERSATION, *mine, conversation.reference, conversation.knows, at)
        transaction.send(sql.CUT_CONVERSATION, *mine, conversation.start)
        if conversation.lines:
            transaction.send(sql.PUT_CONVERSATION_LINES, *mine, conversation.start, list(conversation.lines))
    if changes.receipt is not None:
        receipt = changes.receipt
        transaction.send(sql.KEEP_RECEIPT, receipt.status, receipt.body, *values.place_of(receipt.key))


def enter(transaction: Transaction, event: UsageRecorded) -> None:
    """Add a row to the ledger, with its event, unless it is there."""
    transaction.send(sql.PUT_USAGE, *values.usage(event))
