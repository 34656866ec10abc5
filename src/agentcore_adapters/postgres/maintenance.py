"""The days of the log: made ahead, and dropped when they are old.

Law: this is the owner's work, and one does it at a time.  Nothing waits for it: who waits for a lock on the log stops
all who come after, so it soon gives up and comes again.  A day that an open task may still need stays.  Each
transaction says its limits for itself, so that a pooler may be in between.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString

import anyio
import psycopg
import structlog
from psycopg import errors as pg
from psycopg import sql

from agentcore_adapters.postgres.pooler import SET_LOCALLY, locally

log = structlog.get_logger("agentcore.maintenance")
Connection = psycopg.AsyncConnection[tuple[object, ...]]
PERIOD_S = 3600.0
PATIENCE_S = 120.0
KEPT_S = 72 * 3600.0  # the text of a running task is read from the log, and by readers that were away
SETTINGS = {"search_path": "agentcore", "timezone": "UTC", "lock_timeout": "1s", "statement_timeout": "60s"}
ALONE = "SELECT pg_try_advisory_xact_lock(hashtext('agentcore.maintain'))"
AHEAD = "SELECT make_event_partitions(current_date, 8)"
# As the worker: row security is forced on the owner too, and to it no task would be open.  A day less, because an
# event bears the clock of its node.
WORKER = "SET LOCAL ROLE agentcore_worker"
HORIZON = """
    SELECT least(now() - make_interval(secs => %s),
                 (SELECT min(created_at) - interval '1 day' FROM task WHERE completed_at IS NULL))"""
OLD_DAYS = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'session_event'::regclass AND c.relname ~ '^session_event_p[0-9]{8}$'
      AND to_date(right(c.relname, 8), 'YYYYMMDD') < %s::date ORDER BY c.relname"""
OLD_REST = """
    DELETE FROM session_event_rest WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM session_event_rest WHERE created_at < %s LIMIT 1000)) RETURNING 1"""
REST = "SELECT EXISTS (SELECT FROM session_event_rest)"


async def maintain(dsn_owner: str, kept_s: float = KEPT_S) -> bool:
    """Make the days that come, drop those older than *kept_s*; return whether it was done, and not by another.

    Raises psycopg's errors; what is left to do then is done the next time.
    """
    with anyio.fail_after(PATIENCE_S):
        async with await psycopg.AsyncConnection.connect(
            dsn_owner, autocommit=True, connect_timeout=5, prepare_threshold=None
        ) as connection:
            async with _alone(connection) as is_alone:
                if not is_alone:
                    return False
                await connection.execute(AHEAD)
            async with _transaction(connection):
                await connection.execute(WORKER)
                horizon = await _one(connection, HORIZON, kept_s)
            async with _transaction(connection):
                days = await (await connection.execute(OLD_DAYS, [horizon])).fetchall()
            for (day,) in days:
                async with _transaction(connection):
                    await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(str(day))))
                log.info("events.dropped", day=day)
            while await _drop_rest(connection, horizon):
                pass
            async with _transaction(connection):
                if await _one(connection, REST):
                    log.warning("events.beside_their_days")  # nobody made the days ahead for a while
    return True


async def keep_in_order(dsn: str, period_s: float = PERIOD_S) -> None:
    """Do it again and again, beside the service; leave it to the owner if *dsn* is not the owner's."""
    while True:
        try:
            await maintain(dsn)
        except pg.InsufficientPrivilege:
            log.warning("maintenance.is_the_owners")
            return
        except (psycopg.Error, TimeoutError) as error:
            log.warning("maintenance.postponed", kind=type(error).__name__)
        await anyio.sleep(period_s)


@asynccontextmanager
async def _transaction(connection: Connection) -> AsyncIterator[None]:
    async with connection.transaction():
        await connection.execute(SET_LOCALLY, locally(SETTINGS))
        yield


@asynccontextmanager
async def _alone(connection: Connection) -> AsyncIterator[bool]:
    """Be the only one in this transaction, or not."""
    async with _transaction(connection):
        yield bool(await _one(connection, ALONE))


async def _drop_rest(connection: Connection, horizon: object) -> int:
    """Drop some of what is old and lies beside its day; return how much it was."""
    async with _transaction(connection):
        return (await connection.execute(OLD_REST, [horizon])).rowcount


async def _one(connection: Connection, statement: LiteralString, *parameters: object) -> object:
    row = await (await connection.execute(statement, parameters)).fetchone()
    return row[0] if row else None
