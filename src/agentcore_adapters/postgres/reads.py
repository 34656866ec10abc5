"""Reading.

Law: one call is one snapshot and one round trip.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen
from psycopg import errors as pg
from psycopg.rows import DictRow

from agentcore.approval import Approval
from agentcore.books import UsageRecorded
from agentcore.changes import Blob, Conversation
from agentcore.errors import InstanceNotFound, SchemaOutdated, SessionNotFound, TaskNotFound
from agentcore.follow import Entry, Page
from agentcore.ids import EngineName, InstanceId, MessageId, SessionId, TaskId, TenantId
from agentcore.instances import Instance
from agentcore.limits import Own
from agentcore.messages import Message
from agentcore.ports import SessionView, Snapshot, TaskView
from agentcore.replying import reply_in
from agentcore.session import Session
from agentcore.task import Task, TaskStatus
from agentcore.turn import Turn
from agentcore_adapters.postgres import rows
from agentcore_adapters.postgres import statements as sql
from agentcore_adapters.postgres.books import PostgresBooks
from agentcore_adapters.postgres.connection import Statement, row_of
from agentcore_adapters.postgres.migrate import needed

APPLIED = "SELECT id FROM agentcore.schema_migration"


def turn_statements(tenant: TenantId, session_id: SessionId, task_ids: Sequence[str]) -> tuple[Statement, ...]:
    """Return what must be read, beside session and task, to rebuild turns."""
    ids = list(task_ids)
    return (
        (sql.HEAD, (tenant, session_id)),
        (sql.APPROVALS, (tenant, ids)),
        (sql.CALLS, (tenant, ids)),
        (sql.LEDGER, (tenant, ids)),
        (sql.SPOKEN, (tenant, ids)),
        (sql.SAID, (tenant, session_id, ids)),
    )


def turn_of(session: Session, task: Task, read: Sequence[list[DictRow]]) -> Turn:
    """Rebuild a turn from the rows of ``turn_statements``."""
    head, approvals, calls, ledger, spoken, said = (_of(task.id, found) for found in read)
    settled = {row["call_key"] for row in ledger}
    still_open = [row for row in calls if row["call_key"] not in settled]
    entries = [rows.entry(tuple(row.values())) for row in said]
    return Turn(
        session=session,
        task=task,
        position=head[0]["text_pos"],
        approvals=tuple(rows.approval(row) for row in approvals),
        said=rows.said(entries),
        reply=reply_in(entry.event for entry in entries),
        call=rows.open_call(still_open[-1]) if still_open else None,
        calls=len(calls),
        messages=spoken[0]["messages"] if spoken else 0,
        usage=rows.total(ledger),
        billed=frozenset(row["provider_message_id"] for row in ledger if row["provider_message_id"] is not None),
    )


def _of(task_id: TaskId, found: list[DictRow]) -> list[DictRow]:
    return [row for row in found if str(row.get("task_id", task_id)) == task_id]


@frozen
class Reads(PostgresBooks):
    """The reading half of the store."""

    async def session(self, tenant: TenantId, session_id: SessionId) -> SessionView:
        """Return a session."""
        place = (tenant, session_id)
        found, activity = await self.database.read(tenant, (sql.SESSION, place), (sql.ACTIVITY, place))
        return _view(_must(found), row_of(activity))

    async def sessions(
        self, tenant: TenantId, before: tuple[datetime, str] | None, limit: int, *, owner: str | None = None
    ) -> list[SessionView]:
        """Return sessions, newest first."""
        at, last = before or (None, None)
        page = (at, at, last, limit)
        statement = (sql.SESSIONS, (tenant, *page)) if owner is None else (sql.SESSIONS_OF, (tenant, owner, *page))
        (found,) = await self.database.read(tenant, statement)
        return [_view(row, {"status": row["activity"]}) for row in found]

    async def sessions_with(
        self, tenant: TenantId, owner: str, instance_id: InstanceId, limit: int
    ) -> list[SessionView]:
        """Return the sessions of an owner with an instance, newest first."""
        (found,) = await self.database.read(tenant, (sql.SESSIONS_WITH, (tenant, instance_id, owner, limit)))
        return [_view(row, {"status": row["activity"]}) for row in found]

    async def instance(self, tenant: TenantId, instance_id: InstanceId) -> Instance:
        """Return an instance."""
        (found,) = await self.database.read(tenant, (sql.INSTANCE, (tenant, instance_id)))
        if not found:
            raise InstanceNotFound("There is no such instance.")
        return rows.instance(found[0])

    async def instances(self, tenant: TenantId, owner: str | None, limit: int) -> list[Instance]:
        """Return the instances of an owner, newest first."""
        everybody = (sql.ALL_INSTANCES, (tenant, limit))
        (found,) = await self.database.read(
            tenant, everybody if owner is None else (sql.INSTANCES, (tenant, owner, limit))
        )
        return [rows.instance(row) for row in found]

    async def task(self, tenant: TenantId, task_id: TaskId) -> TaskView:
        """Return a task."""
        (view,) = await self._views(tenant, (sql.TASK, (tenant, task_id)))  # fmt: skip
        return view

    async def tasks(self, tenant: TenantId, session_id: SessionId, after: int, limit: int) -> list[TaskView]:
        """Return the tasks of a session by number."""
        (known,) = await self.database.read(tenant, (sql.SESSION, (tenant, session_id)))
        _must(known)
        return await self._views(tenant, (sql.TASKS, (tenant, session_id, after, limit)), is_page=True)

    async def _views(self, tenant: TenantId, statement: Statement, *, is_page: bool = False) -> list[TaskView]:
        (found,) = await self.database.read(tenant, statement)
        if not found and not is_page:
            raise TaskNotFound("There is no such task.")
        ids = [str(row["id"]) for row in found]
        approvals, ledger = await self.database.read(
            tenant, (sql.APPROVALS, (tenant, ids)), (sql.LEDGER, (tenant, ids))
        )
        return [
            TaskView(
                task=rows.task(row),
                owner=row["owner_sub"],
                approvals=tuple(
                    approval
                    for approval in map(rows.approval, _of(TaskId(str(row["id"])), approvals))
                    if approval.is_pending
                ),
                usage=rows.total(_of(TaskId(str(row["id"])), ledger)),
            )
            for row in found
        ]

    async def records(self, tenant: TenantId, task_ids: Sequence[TaskId]) -> tuple[list[Approval], list[UsageRecorded]]:
        """Return the approvals of tasks, and their rows of the ledger."""
        ids = list(task_ids)
        approvals, ledger = await self.database.read(
            tenant, (sql.APPROVALS, (tenant, ids)), (sql.LEDGER, (tenant, ids))
        )
        return [rows.approval(row) for row in approvals], [rows.recorded(row) for row in ledger]

    async def turn(self, tenant: TenantId, task_id: TaskId) -> Turn:
        """Return a task with all that deciding needs."""
        (place,) = await self.database.read(tenant, (sql.SESSION_OF, (tenant, task_id)))
        found = row_of(place)
        if found is None:
            raise TaskNotFound("There is no such task.")
        session_id = SessionId(str(found["session_id"]))
        session, task, *read = await self.database.read(
            tenant,
            (sql.SESSION, (tenant, session_id)),
            (sql.TASK, (tenant, task_id)),
            *turn_statements(tenant, session_id, [task_id]),
        )
        if not session or not task:
            raise TaskNotFound("There is no such task.")
        return turn_of(rows.session(session[0]), rows.task(task[0]), read)

    async def open_turns(self, tenant: TenantId, session_id: SessionId) -> tuple[Session, list[Turn]]:
        """Return a session and its unfinished tasks."""
        place = (tenant, session_id)
        found, tasks = await self.database.read(tenant, (sql.SESSION, place), (sql.OPEN_TASKS, place))
        session = rows.session(_must(found))
        if not tasks:
            return session, []
        ids = [str(row["id"]) for row in tasks]
        found, tasks, *read = await self.database.read(
            tenant, (sql.SESSION, place), (sql.OPEN_TASKS, place), *turn_statements(tenant, session_id, ids)
        )
        session = rows.session(_must(found))
        # Read again in one snapshot with the rest; what was queued in between fails the session's version check.
        return session, [turn_of(session, rows.task(row), read) for row in tasks if str(row["id"]) in ids]

    async def history(self, tenant: TenantId, session_id: SessionId, limit: int) -> list[Message]:
        """Return the last messages, back to a user's."""
        place = (tenant, session_id)
        found, _ = await self.database.read_listing(tenant, (sql.HISTORY, (*place, *place, *place, limit)))
        return [rows.message(row) for row in found]

    async def messages(
        self, tenant: TenantId, session_id: SessionId, after: tuple[int, int], limit: int
    ) -> list[Message]:
        """Return messages in history order."""
        found, (known,) = await self.database.read_listing(
            tenant, (sql.MESSAGES, (tenant, session_id, *after, limit)), (sql.SESSION, (tenant, session_id))
        )
        _must(known)
        return [rows.message(row) for row in found]

    async def conversation(self, tenant: TenantId, session_id: SessionId, engine: EngineName) -> Conversation | None:
        """Return an engine's own conversation."""
        mine = (tenant, session_id, engine)
        found, lines = await self.database.read(tenant, (sql.CONVERSATION, mine), (sql.CONVERSATION_LINES, mine))
        if (row := row_of(found)) is None:
            return None
        return Conversation(
            engine=EngineName(row["engine"]),
            reference=row["reference"],
            knows=MessageId(row["knows"]),
            lines=tuple(line["line"] for line in lines),
        )

    async def blobs(self, tenant: TenantId, hashes: Sequence[str]) -> dict[str, Blob]:
        """Return the blobs there are."""
        (found,) = await self.database.read(tenant, (sql.BLOBS, (tenant, list(hashes))))
        return {row["sha256"]: rows.blob(row) for row in found}

    async def log(self, tenant: TenantId, session_id: SessionId, since: int, limit: int) -> Page:
        """Return a stretch of the log."""
        place = (tenant, session_id)
        found, (head,) = await self.database.read_listing(tenant, (sql.LOG, (*place, since, limit)), (sql.PLACE, place))
        return _page(head, map(rows.entry, found))

    async def snapshot(self, tenant: TenantId, session_id: SessionId) -> Snapshot:
        """Return a session as one reading."""
        place = (tenant, session_id)
        always = (
            (sql.SESSION, place),
            (sql.ACTIVITY, place),
            (sql.OPEN_TASKS, place),
            (sql.PLACE, place),
        )
        session, activity, tasks, head, *read = await self.database.read(tenant, *always)
        ids = [str(row["id"]) for row in tasks[:1]]
        if ids:  # it was read to know which; now all again in one snapshot
            session, activity, tasks, head, *read = await self.database.read(
                tenant, *always, *turn_statements(tenant, session_id, ids)
            )
        view = _view(_must(session), row_of(activity))
        task = next((rows.task(row) for row in tasks if str(row["id"]) in ids), None)
        turn = turn_of(view.session, task, read) if task else None
        return Snapshot(
            view=view,
            task=_task_view(turn) if turn else None,
            said=turn.said if turn else (),
            page=_page(head),
        )

    async def heads(self, sessions: Sequence[tuple[TenantId, SessionId]]) -> dict[SessionId, int]:
        """Return the last seq of each log."""
        tenants, ids = [tenant for tenant, _ in sessions], [session_id for _, session_id in sessions]
        (found,) = await self.database.read_all((sql.HEADS, (tenants, ids)))
        return {SessionId(str(row["session_id"])): row["head"] for row in found}

    async def expired(self, limit: int) -> list[tuple[TenantId, SessionId, TaskId]]:
        """Return undriven tasks whose time is up."""
        (found,) = await self.database.read_all((sql.EXPIRED, (limit,)))
        return [
            (TenantId(row["tenant_id"]), SessionId(str(row["session_id"])), TaskId(str(row["id"]))) for row in found
        ]

    async def limits(self) -> dict[TenantId, Own]:
        """Return the limits that tenants have of their own."""
        (found,) = await self.database.read_all((sql.LIMITS, ()))
        return {TenantId(row["id"]): row["limits"] for row in found}

    async def stored_bytes(self, tenant: TenantId) -> int:
        """Count the bytes of a tenant's attachments."""
        (found,) = await self.database.read(tenant, (sql.STORED_BYTES, (tenant,)))
        return int(found[0]["n"])

    async def default_engine(self, tenant: TenantId) -> EngineName | None:
        """Return the engine that the tenant has chosen."""
        (found,) = await self.database.read(tenant, (sql.ENGINE, (tenant,)))
        row = row_of(found)
        return EngineName(row["default_engine"]) if row and row["default_engine"] else None

    async def ping(self) -> None:
        """Answer; the login alone, and no role that it takes on, may see what is applied."""
        try:
            _, applied = await self.database.read_all(("SELECT set_config('role', 'none', true)", ()), (APPLIED, ()))
        except (pg.UndefinedTable, pg.InvalidSchemaName, pg.InsufficientPrivilege):
            applied = []
        if missing := needed() - {str(row["id"]) for row in applied}:
            raise SchemaOutdated(f"The database lacks the migration {min(missing)}. Run: agentcore migrate")


def _must(found: list[DictRow]) -> DictRow:
    if not found:
        raise SessionNotFound("There is no such session.")
    return found[0]


def _view(row: DictRow, activity: dict[str, Any] | None) -> SessionView:
    status = activity["status"] if activity else None
    return SessionView(session=rows.session(row), activity=TaskStatus(status) if status else None)


def _task_view(turn: Turn) -> TaskView:
    return TaskView(task=turn.task, owner=turn.session.owner, approvals=turn.pending, usage=turn.usage)


def _page(head: list[DictRow], entries: Iterable[Entry] = ()) -> Page:
    place = _must(head)
    return Page(
        entries=tuple(entries),
        head=place["head"],
        position=place["text_pos"],
        bound=place["bound"],
        oldest=place["head"] + 1 if place["oldest"] is None else place["oldest"],
        is_driven=place["is_driven"],
    )
