"""A pooler that may stand between us and the server, as PgBouncer does in transaction mode.

Law: what holds for a session is said to it only where the session is ours; behind a pooler each transaction may get
another one, so there each transaction says it for itself, and nothing is prepared.  Nobody has to say which it is: a
server tells who connects the number of its process, a pooler tells a number of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

UTC = ("UTC", "Etc/UTC", "GMT")
# Nothing is set if the process that answers is not the one that greeted us.
SET = """
    SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS told(name, value)
    WHERE pg_backend_pid() = %s"""
SET_LOCALLY = "SELECT set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) AS told(name, value)"


async def tell(connection: AsyncConnection[Any], settings: Mapping[str, str]) -> bool:
    """Give the session *settings*, and return True; behind a pooler leave it as it is, and return False."""
    cursor = await connection.execute(SET, [*locally(settings), connection.info.backend_pid], prepare=False)
    return cursor.rowcount > 0


async def is_pooled(connection: AsyncConnection[Any]) -> bool:
    """Tell whether a pooler is in between."""
    cursor = await connection.execute("SELECT pg_backend_pid()", prepare=False)
    return await cursor.fetchone() != (connection.info.backend_pid,)


def locally(settings: Mapping[str, str]) -> Sequence[list[str]]:
    """Return the parameters of SET_LOCALLY that give a transaction *settings*."""
    return list(settings), list(settings.values())


async def tell_the_time_zone(connection: AsyncConnection[Any]) -> None:
    """Let values come as UTC through a pooler, which remembers this one setting for each of its clients."""
    if connection.info.parameter_status("TimeZone") not in UTC:
        await connection.execute("SET TIME ZONE 'UTC'", prepare=False)
