"""Transactions.

Law: a transaction names its role and its tenant for itself (``SET LOCAL``), so that pools are safe, and behind a pooler
its limits, too; its statements travel together (pipeline mode), so that it costs one round trip for each time somebody
waits for a result.  What PostgreSQL refuses for being in the way of others is done again; what was lost on the way is
never repeated blindly.
Each kind of work has connections and limits of its own, and nobody waits longer than its patience: a server that is
stopped keeps no promise about time, so the last limit is kept here.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString, TypeVar

import anyio
import msgspec
import psycopg
from anyio import fail_after
from attrs import frozen
from psycopg.adapt import AdaptersMap
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool

from agentcore.errors import AgentcoreError, StoreUnavailable
from agentcore.ids import TenantId
from agentcore_adapters.postgres.batch import Answer, Batch, BatchingConnection
from agentcore_adapters.postgres.errors import AGAIN, translated
from agentcore_adapters.postgres.lender import Lender, must_live
from agentcore_adapters.postgres.pooler import tell, tell_the_time_zone
from agentcore_adapters.postgres.shares import Shares

T = TypeVar("T")
Connection = BatchingConnection
Statement = tuple[LiteralString, tuple[object, ...]]
TRIES, JITTER_S = 4, 0.02
ENTER = "SELECT set_config('role', %s, true), set_config('agentcore.tenant', %s, true)"
ENTER_POOLED = (
    ENTER + ", set_config('search_path', %s, true), set_config('timezone', %s, true), "
    "set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true), "
    "set_config('idle_in_transaction_session_timeout', %s, true)"
)


def _adapters() -> AdaptersMap:
    """Return how values travel.

    JSON, of which a log is made, by a parser that is several times as fast as Python's; an id as the text that it is
    on the wire and for us.
    """
    found = AdaptersMap(psycopg.adapters)
    found.register_loader("uuid", TextLoader)
    set_json_loads(msgspec.json.decode, found)
    set_json_dumps(msgspec.json.encode, found)
    return found


@frozen(kw_only=True)
class Limits:
    """What one kind of work may take: connections, and seconds."""

    size: tuple[int, int]  #: Connections, at least and at most.
    connect_s: int
    lock_s: int  #: For one lock.
    statement_s: int  #: For one statement.
    idle_s: int  #: For us, in the middle of a transaction: a process that is frozen holds its locks so long.
    patience_s: float  #: For all of it, the wait for a connection and the repetitions included.

    @property
    def settings(self) -> Mapping[str, str]:
        """What holds for the server in each transaction, in the order of ENTER_POOLED."""
        return {
            "search_path": "agentcore",
            "timezone": "UTC",
            "statement_timeout": f"{self.statement_s}s",
            "lock_timeout": f"{self.lock_s}s",
            "idle_in_transaction_session_timeout": f"{self.idle_s}s",
        }


# The heartbeat and the text of live tasks never queue behind requests: a flood of these must not cost a lease.
REQUESTS = Limits(size=(2, 12), connect_s=3, lock_s=2, statement_s=5, idle_s=5, patience_s=6.0)
TEXT = Limits(size=(1, 1), connect_s=3, lock_s=2, statement_s=5, idle_s=5, patience_s=6.0)
BEAT = Limits(size=(1, 1), connect_s=1, lock_s=1, statement_s=2, idle_s=2, patience_s=3.0)


@asynccontextmanager
async def open_database(dsn: str, limits: Limits) -> AsyncIterator["Database"]:
    """Open connections for one kind of work; the server may be away for a while."""

    async def begin(connection: Connection) -> None:
        with fail_after(limits.connect_s):
            connection.is_pooled = not await tell(connection, limits.settings)
            if connection.is_pooled:
                await tell_the_time_zone(connection)

    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        dsn,
        connection_class=BatchingConnection,
        min_size=limits.size[0],
        max_size=limits.size[1],
        timeout=limits.patience_s,
        max_idle=300.0,
        # As long as somebody waits, and not longer: the pool tries ever more rarely, and the next who asks begins anew.
        reconnect_timeout=limits.patience_s,
        configure=begin,
        check=must_live,
        open=False,
        kwargs={
            "autocommit": True,
            "row_factory": dict_row,
            "prepare_threshold": None,
            "connect_timeout": limits.connect_s,
            "context": _adapters(),
        },
    )
    await pool.open()
    lender = Lender(pool, Shares(limits.size[1]))
    try:
        yield Database(lender, limits)
    finally:
        await lender.close()
        await pool.close(timeout=5.0)


@frozen
class Transaction:
    """Statements on their way, in one transaction."""

    batch: Batch

    def send(self, statement: LiteralString, *parameters: object) -> Answer:
        """Send a statement; its rows are there after ``arrive`` or after the end."""
        return self.batch.send(statement, parameters)

    async def arrive(self, *answers: Answer) -> list[list[DictRow]]:
        """Wait for the answers of all that was sent, and return rows: one round trip."""
        await self.batch.arrive()
        return [answer.rows() for answer in answers]


@frozen
class Database:
    """Runs transactions."""

    lender: Lender
    limits: Limits  #: After its patience whoever asks is told that the store is unavailable.

    async def write(self, tenant: TenantId, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run *work* for one tenant; again if it was in the way of others, and then it must decide anew."""
        return await self._run("agentcore_app", tenant, work, "BEGIN")

    async def read(self, tenant: TenantId, *statements: Statement) -> list[list[DictRow]]:
        """Run *statements* in one snapshot and return their rows: one round trip."""
        return await self._read("agentcore_app", tenant, statements)

    async def read_listing(
        self, tenant: TenantId, listing: Statement, *statements: Statement
    ) -> tuple[list[tuple[Any, ...]], list[list[DictRow]]]:
        """The same, where the first has rows by the hundred: they come as tuples."""
        first, *others = await self._asked("agentcore_app", tenant, (listing, *statements))
        return first.tuples(), [answer.rows() for answer in others]

    async def read_all(self, *statements: Statement) -> list[list[DictRow]]:
        """The same across tenants."""
        return await self._read("agentcore_worker", "", statements)

    async def write_all(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run *work* across tenants."""
        return await self._run("agentcore_worker", "", work, "BEGIN")

    async def _read(self, role: str, tenant: str, statements: tuple[Statement, ...]) -> list[list[DictRow]]:
        return [answer.rows() for answer in await self._asked(role, tenant, statements)]

    async def _asked(self, role: str, tenant: str, statements: tuple[Statement, ...]) -> list[Answer]:
        async def work(transaction: Transaction) -> list[Answer]:
            return [transaction.send(statement, *parameters) for statement, parameters in statements]

        return await self._run(role, tenant, work, _snapshot(len(statements)))

    async def _run(
        self, role: str, tenant: str, work: Callable[[Transaction], Awaitable[T]], begin: LiteralString
    ) -> T:
        with translated(), fail_after(self.limits.patience_s):
            for _ in range(TRIES):
                connection = await self.lender.lend(tenant)
                try:
                    return await self._transact(connection, role, tenant, work, begin)
                except AGAIN:
                    again = random.uniform(0, JITTER_S)  # noqa: S311 - jitter
                finally:
                    await self.lender.take_back(tenant, connection)
                await anyio.sleep(again)
        raise StoreUnavailable("The database is too busy; try again in a moment.")

    async def _transact(
        self,
        connection: Connection,
        role: str,
        tenant: str,
        work: Callable[[Transaction], Awaitable[T]],
        begin: LiteralString,
    ) -> T:
        """Run a transaction; the connection is whole after it, or closed."""
        try:
            with Batch(connection) as batch:
                batch.send(begin)
                if connection.is_pooled:
                    batch.send(ENTER_POOLED, (role, tenant, *self.limits.settings.values()))
                else:
                    batch.send(ENTER, (role, tenant))
                try:
                    done = await work(Transaction(batch))
                except AgentcoreError:
                    await batch.roll_back()
                    raise
                batch.send("COMMIT")
                await batch.arrive()
                return done
        except AgentcoreError:
            raise
        except BaseException:
            connection.pgconn.finish()  # given up midway, what it would still answer belongs to nobody
            raise


def _snapshot(statements: int) -> LiteralString:
    """Return how a transaction begins in which so many statements see the same."""
    return "BEGIN" if statements == 1 else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def row_of(rows: list[DictRow]) -> dict[str, Any] | None:
    """Return the one row there may be."""
    return rows[0] if rows else None
