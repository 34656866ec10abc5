"""Hazards S17 and B1: the commit that ends a task fails at each of its statements, and at its COMMIT."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, LiteralString

import pytest
from attrs import define, field
from tests.support.database import Server, ask
from tests.support.server import Json, Served, receive, serving, until_final

from agentcore.changes import Changes
from agentcore.ids import SessionId, TenantId
from agentcore.ports import Committed
from agentcore.task import TaskStatus
from agentcore.testing.checker import check_session
from agentcore_adapters.postgres.batch import Answer, Batch
from agentcore_adapters.postgres.store import PostgresStore, postgres_store

pytestmark = pytest.mark.anyio
FULL = "DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$"
BUSY = "DO $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = 'lock_not_available'; END $$"
GONE, GONE_AFTER = "the connection is lost", "the connection is lost after the statement"
NOWHERE = -1
PROMPT = "[[words:30]]"


@define
class Saboteur:
    """Strikes the first commit that completes a task, at one of its statements; BEGIN and COMMIT are such too."""

    owner: str  #: Address of the database, as one who may end other people's connections.
    at: int = NOWHERE
    trouble: LiteralString = ""  #: What happens there; if it is SQL, in the statement's place.
    seen: list[str] = field(factory=list)  #: The statements up to there.
    is_over: bool = False
    _is_watching: ContextVar[bool] = field(factory=lambda: ContextVar("is_watching", default=False))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        commit, send = PostgresStore.commit, Batch.send

        async def watched(store: PostgresStore, changes: Changes, lease: Any = None) -> Committed:
            completes = any(task.status is TaskStatus.COMPLETED for task in changes.tasks)
            token = self._is_watching.set(completes and not self.is_over)
            try:
                return await commit(store, changes, lease)
            finally:
                self.is_over |= self._is_watching.get()
                self._is_watching.reset(token)

        def struck(batch: Batch, statement: LiteralString, parameters: Sequence[object] = ()) -> Answer:
            if not self._is_watching.get() or self.is_over:
                return send(batch, statement, parameters)
            self.seen.append(statement)
            if len(self.seen) != self.at + 1:
                return send(batch, statement, parameters)
            self.is_over = True
            if self.trouble in {FULL, BUSY}:
                return send(batch, self.trouble)
            if self.trouble == GONE_AFTER:
                sent = send(batch, statement, parameters)
                self._carried_out(batch)
            ask(self.owner, f"SELECT pg_terminate_backend({batch.connection.info.backend_pid}, 5000)")
            return sent if self.trouble == GONE_AFTER else send(batch, statement, parameters)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PostgresStore, "commit", watched)
            patch.setattr(Batch, "send", struck)
            yield

    def _carried_out(self, batch: Batch) -> None:
        """Let the server carry out what it was sent; no answer is taken."""
        connection = batch.connection.pgconn
        connection.send_flush_request()
        connection.flush()
        waits = f"SELECT 1 FROM pg_stat_activity WHERE wait_event = 'ClientRead' AND pid = {connection.backend_pid}"
        until = time.monotonic() + 5
        while not ask(self.owner, waits):
            assert time.monotonic() < until


async def complete(served: Served, saboteur: Saboteur) -> tuple[str, str, list[Json]]:
    """Let a task run under the eyes of a client."""
    session_id = (await served.done("[[say:ok]]"))["sessionId"]
    async with served.socket(session_id, "latest") as socket:
        await receive(socket)
        with saboteur.at_work():
            task_id = (await served.post(PROMPT, session_id))["taskId"]
            return session_id, task_id, await until_final(socket, task_id)


@pytest.mark.parametrize("trouble", [GONE, GONE_AFTER, FULL, BUSY], ids=["gone", "gone after it", "full", "busy"])
async def test_S17_B1_the_last_commit_fails_at_each_statement(postgres: Server, trouble: LiteralString) -> None:
    """Afterwards the task has ended once, is billed once, and what clients saw is what the row says."""
    owner, service = postgres.fresh()
    async with postgres_store(service) as (store, leases), serving(store, leases) as served:
        unharmed = Saboteur(owner)
        await complete(served, unharmed)
        statements = unharmed.seen
        assert (statements[0], statements[-1], len(statements) >= 5) == ("BEGIN", "COMMIT", True)
        for place, statement in enumerate(statements):
            saboteur = Saboteur(owner, place, trouble)
            session_id, task_id, frames = await complete(served, saboteur)
            assert saboteur.seen[-1] == statement
            assert saboteur.is_over
            row = await served.task(task_id)
            assert (frames[-1]["type"], row["status"]) == ("completed", "completed"), statement
            log = await served.log(session_id)
            assert [event["taskId"] for event in log if event["type"] == "completed"][1:] == [task_id]
            await check_session(store, TenantId("default"), SessionId(session_id), is_settled=True)
            for table in ("usage_record", "outbox"):
                assert ask(owner, f"SELECT count(*) FROM agentcore.{table} WHERE task_id = '{task_id}'") == 1
        assert (served.runtime.counts.lost, served.runtime.counts.failed) == (0, 0)
