"""What stood around the original controller: its repositories and the gateway of its event stream.

Neither is in the original's file, so they are as plain as can be: a row is a copy, a save writes all of it, and both
take the time of a round trip.  What the notebook keeps was never kept by the original; it is how the tests look on.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, field, frozen

from agentcore.messages import Message
from agentcore.testing.making import an_id

Json = dict[str, Any]
READ_S, WRITE_S = 0.001, 0.004  # a query; a query and a transaction


# ------------------------------------------------------------------------------------------------------------- tables
@define(kw_only=True)
class Session:
    tenant_id: str
    engine_type: str
    id: str = field(factory=an_id)
    status: str = "active"
    system_prompt: str | None = None
    metadata: Json = field(factory=dict)
    updated_at: datetime


@define(kw_only=True)
class Task:
    tenant_id: str
    session_id: str
    prompt: str
    id: str = field(factory=an_id)
    status: str = "running"
    result: str | None = None
    tokens_used: int = 0
    created_at: datetime
    completed_at: datetime | None = None


@define(kw_only=True)
class UsageRow:
    task_id: str
    input_tokens: int
    output_tokens: int
    id: str = field(factory=an_id)


@define(kw_only=True)
class MessageRow:
    session_id: str
    shown: Message
    id: str = field(factory=an_id)


class Row(Protocol):
    id: str


R = TypeVar("R", bound=Row)


@frozen
class Change:
    """One row to write; it has the shape of what the product commits, because tests make commits fail."""

    rows: dict[str, Any]
    row: Row

    @property
    def tasks(self) -> tuple[Task, ...]:
        return (self.row,) if isinstance(self.row, Task) else ()


class Database:
    """Rows in memory."""

    async def commit(self, changes: Change, lease: object = None) -> None:
        """Write a row; *lease*: whoever writes drives a task."""
        await anyio.sleep(WRITE_S)
        changes.rows[changes.row.id] = copy.deepcopy(changes.row)


@define
class Repository(Generic[R]):
    """Finds copies and saves whole rows."""

    database: Database
    rows: dict[str, R] = field(factory=dict)

    async def find(self, row_id: str) -> R | None:
        await anyio.sleep(READ_S)
        return copy.deepcopy(self.rows.get(row_id))

    async def all(self) -> list[R]:
        await anyio.sleep(READ_S)
        return [copy.deepcopy(row) for row in self.rows.values()]

    async def save(self, row: R, lease: object = None) -> None:
        await self.database.commit(Change(self.rows, row), lease)


# ------------------------------------------------------------------------------------------------------------ gateway
@define
class Gateway:
    """Sends a session's events to whoever listens now, and writes in the notebook which task they really were of."""

    listeners: dict[str, list[MemoryObjectSendStream[Json]]] = field(factory=dict)
    newest: dict[str, str] = field(factory=dict)  #: The task that a client knows of; events do not say theirs.
    engine_of: dict[str, str] = field(factory=dict)  #: Which engine a task really runs on.
    notebook: list[tuple[str, Json]] = field(factory=list)

    def emit(self, session_id: str, event: Json, of: str) -> None:
        self.notebook.append((session_id, {**event, "taskId": event.get("taskId", of)}))
        for listener in self.listeners.get(session_id, []):
            listener.send_nowait({"taskId": self.newest[session_id], **event})

    def begins(self, session_id: str, task_id: str) -> None:
        """Note that a task begins to run; clients are not told."""
        self.newest[session_id] = task_id
        self.notebook.append((session_id, {"type": "task_info", "status": "running", "taskId": task_id}))

    def notes(self, session_id: str) -> list[Json]:
        return [event for of, event in self.notebook if of == session_id]

    def last(self, task_id: str, kind: str) -> Json:
        """Return the last event of a kind that was sent about a task."""
        found = [event for _, event in self.notebook if (event["taskId"], event["type"]) == (task_id, kind)]
        return found[-1] if found else {}

    @contextmanager
    def listening(self, session_id: str) -> Iterator[MemoryObjectReceiveStream[Json]]:
        send, receive = anyio.create_memory_object_stream[Json](10**6)
        with send, receive:
            self.listeners.setdefault(session_id, []).append(send)
            try:
                yield receive
            finally:
                self.listeners[session_id].remove(send)
