"""Which nodes there are.

Law: a node says that it is there as long as it lives, whether or not it drives anything, and takes its row along when
it goes in order; one that was killed is forgotten.  Nothing that a task needs depends on it: what fails is said again.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import psycopg
import structlog
from anyio import CancelScope, move_on_after
from psycopg import AsyncConnection

from agentcore import __version__
from agentcore.errors import StoreUnavailable
from agentcore.ids import NodeId
from agentcore_adapters.postgres.connection import Database, Transaction
from agentcore_adapters.postgres.embedded import beside

log = structlog.get_logger("agentcore.presence")
PERIOD_S = 3.0
FAREWELL_S = 2.0
BEATS_S = 60.0  # whoever was not seen for longer is gone, or stopped by somebody who knows why
HERE = """
    WITH gone AS (DELETE FROM node WHERE seen_at < now() - interval '1 day' AND id <> %s)
    INSERT INTO node (id, release) VALUES (%s, %s) ON CONFLICT ON CONSTRAINT node_pk DO UPDATE SET seen_at = now()"""
LEAVES = "DELETE FROM node WHERE id = %s"
WORKER = "SET LOCAL ROLE agentcore_worker"
BEATING = """
    SELECT release, count(*) FROM agentcore.node
    WHERE seen_at > now() - make_interval(secs => %s) GROUP BY release"""
# Of 0.1.0 there are no rows, nor of a core that is embedded and does not say so; what drives something is seen.
UNSEEN = """
    SELECT count(DISTINCT lease_owner) FROM agentcore.task
    WHERE lease_owner IS NOT NULL AND lease_expires_at > now()
      AND NOT EXISTS (SELECT FROM agentcore.node n WHERE n.id = lease_owner)"""
UNKNOWN = "an unknown release"


@asynccontextmanager
async def present(database: Database, node: NodeId, release: str = __version__) -> AsyncIterator[None]:
    """Say that *node* is there, now and every few seconds, until the block ends."""

    async def here(transaction: Transaction) -> None:
        transaction.send(HERE, node, node, release)

    async def leaves(transaction: Transaction) -> None:
        transaction.send(LEAVES, node)

    async def say(what: Callable[[Transaction], Awaitable[None]]) -> None:
        try:
            await database.write_all(what)
        except (StoreUnavailable, psycopg.Error) as error:
            log.warning("presence.unsaid", kind=type(error).__name__)

    async def beat() -> None:
        while True:
            await anyio.sleep(PERIOD_S)
            await say(here)

    await say(here)
    try:
        async with beside(beat):
            yield
    finally:
        with CancelScope(shield=True), move_on_after(FAREWELL_S):
            await say(leaves)


async def beating(connection: AsyncConnection[Any]) -> dict[str, int]:
    """Return how many nodes of each release there are; who asks must be a member of agentcore_worker."""
    async with connection.transaction():
        await connection.execute(WORKER)
        rows = await (await connection.execute(BEATING, [BEATS_S])).fetchall()
        found = {str(release): int(count) for release, count in rows}
        ((unknown,),) = await (await connection.execute(UNSEEN)).fetchall()
    if unknown:
        found[UNKNOWN] = int(unknown)
    return found


def listed(nodes: Mapping[str, int]) -> str:
    """Return how many of which release, for a person to read."""
    return ", ".join(f"{count} of {release}" for release, count in sorted(nodes.items(), key=lambda one: order(one[0])))


def left_because(nodes: Mapping[str, int]) -> str:
    """Say why something is left as it is, and what to do."""
    return (
        f"nodes of an older release may need what it takes away ({listed(nodes)}). Replace them, then run "
        "agentcore migrate again: a node that was killed counts for a minute."
    )


def older(nodes: Mapping[str, int], release: str = __version__) -> dict[str, int]:
    """Return those of *nodes* whose release came before *release*."""
    return {theirs: count for theirs, count in nodes.items() if order(theirs) < order(release)}


def order(release: str) -> tuple[int, ...]:
    """Return what puts releases in the order in which they came."""
    found = re.match(r"\d+(\.\d+)*", release)
    return tuple(map(int, found[0].split("."))) if found else ()
