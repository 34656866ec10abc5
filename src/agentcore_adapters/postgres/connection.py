"""Transactions.

Law: a transaction names its role and its tenant for itself (``SET LOCAL``), so that pools are safe; its statements
travel together (pipeline mode), so that it costs one round trip for each time somebody waits for a result.  What
PostgreSQL refuses for being in the way of others is done again; what was lost on the way is never repeated blindly.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, LiteralString, TypeVar

import anyio
from attrs import frozen
from psycopg import AsyncConnection, AsyncCursor, AsyncPipeline
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from agentcore.errors import StoreUnavailable
from agentcore.ids import TenantId
from agentcore_adapters.postgres.errors import AGAIN, translated

T = TypeVar("T")
Connection = AsyncConnection[DictRow]
Cursor = AsyncCursor[DictRow]
Pool = AsyncConnectionPool[Connection]
TRIES, JITTER_S = 4, 0.02
POOL_SIZE = (2, 12)
OPTIONS = (
    "-c search_path=agentcore -c timezone=UTC -c statement_timeout=5s -c lock_timeout=2s "
    "-c idle_in_transaction_session_timeout=5s"
)
ENTER = "SELECT set_config('role', %s, true), set_config('agentcore.tenant', %s, true)"


@asynccontextmanager
async def open_pool(dsn: str) -> AsyncIterator[Pool]:
    """Open a pool of connections; the server may be away for a while."""
    pool: Pool = AsyncConnectionPool(
        dsn,
        min_size=POOL_SIZE[0],
        max_size=POOL_SIZE[1],
        timeout=5.0,
        max_idle=300.0,
        reconnect_timeout=30.0,
        check=None,
        open=False,
        kwargs={
            "autocommit": True,
            "row_factory": dict_row,
            "prepare_threshold": 2,
            "options": OPTIONS,
            "connect_timeout": 3,
        },
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close(timeout=5.0)


@frozen
class Transaction:
    """Statements on their way, in one transaction."""

    connection: Connection
    pipeline: AsyncPipeline

    async def send(self, statement: LiteralString, *parameters: object) -> Cursor:
        """Send a statement; its rows are there after ``arrive`` or after the end."""
        return await self.connection.execute(statement, parameters)

    async def arrive(self, *cursors: Cursor) -> list[list[DictRow]]:
        """Wait for the rows of statements that were sent: one round trip."""
        # A sync, and not the flush that fetching would send: the server's idle-in-transaction timeout begins only
        # when it is ready for a query, so that a process frozen here would hold its locks for ever.
        await self.pipeline.sync()
        return [await cursor.fetchall() for cursor in cursors]


@frozen
class Database:
    """Runs transactions."""

    pool: Pool

    async def write(self, tenant: TenantId, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run *work* for one tenant; again if it was in the way of others, and then it must decide anew."""
        return await self._run("agentcore_app", tenant, work, "BEGIN")

    async def read(
        self, tenant: TenantId, *statements: tuple[LiteralString, tuple[object, ...]]
    ) -> list[list[DictRow]]:
        """Run *statements* in one snapshot and return their rows: one round trip."""
        return await self._read("agentcore_app", tenant, statements)

    async def read_all(self, *statements: tuple[LiteralString, tuple[object, ...]]) -> list[list[DictRow]]:
        """The same across tenants."""
        return await self._read("agentcore_worker", "", statements)

    async def write_all(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run *work* across tenants."""
        return await self._run("agentcore_worker", "", work, "BEGIN")

    async def _read(
        self, role: str, tenant: str, statements: tuple[tuple[LiteralString, tuple[object, ...]], ...]
    ) -> list[list[DictRow]]:
        begin: LiteralString = "BEGIN" if len(statements) == 1 else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

        async def work(transaction: Transaction) -> list[Cursor]:
            return [await transaction.send(statement, *parameters) for statement, parameters in statements]

        cursors = await self._run(role, tenant, work, begin)
        return [await cursor.fetchall() for cursor in cursors]

    async def _run(
        self, role: str, tenant: str, work: Callable[[Transaction], Awaitable[T]], begin: LiteralString
    ) -> T:
        with translated():
            for _ in range(TRIES):
                try:
                    async with self.pool.connection() as connection, connection.pipeline() as pipeline:
                        await connection.execute(begin)
                        await connection.execute(ENTER, (role, tenant))
                        done = await work(Transaction(connection, pipeline))
                        await connection.execute("COMMIT")
                except AGAIN:
                    await anyio.sleep(random.uniform(0, JITTER_S))  # noqa: S311 - jitter
                else:
                    return done
        raise StoreUnavailable("The database is too busy; try again in a moment.")


def row_of(rows: list[DictRow]) -> dict[str, Any] | None:
    """Return the one row there may be."""
    return rows[0] if rows else None
