"""Who gets which connection.

Law: of the few that are always open the one that came back last is lent first: its server process has all that the
next transaction needs in its caches, while a pool, which lends them in turn, finds each of them cold.
"""

import anyio
from anyio import CancelScope
from attrs import define, field
from psycopg import OperationalError
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool

from agentcore_adapters.postgres.batch import BatchingConnection
from agentcore_adapters.postgres.shares import Shares

KEPT_S = 600.0  # after which a connection is given back to the pool, which replaces what has become old


async def must_live(connection: BatchingConnection) -> None:
    """Raise if the server has gone since the connection was last used; asks the socket only, so it costs nothing."""
    connection.pgconn.consume_input()
    connection.pgconn.consume_input()  # its last words may have been there to read, before the end


@define(eq=False)
class Lender:
    """Lends the connections of a pool."""

    pool: AsyncConnectionPool[BatchingConnection]
    shares: Shares  #: Of the connections, so that nobody waits behind a crowd of another tenant.
    keeps: int  #: Connections that stay at hand: as many as the pool would always keep open.
    _at_hand: list[BatchingConnection] = field(factory=list)

    async def lend(self, tenant: str) -> BatchingConnection:
        """Lend one, and a place among those who have one; raises PoolTimeout."""
        await self.shares.take(tenant)
        try:
            while self._at_hand:
                connection = self._at_hand.pop()
                try:
                    await must_live(connection)
                except OperationalError:
                    await self._give_back(connection)
                else:
                    return connection
            connection = await self.pool.getconn()
        except BaseException:
            self.shares.give_back(tenant)
            raise
        connection.taken_at = anyio.current_time()
        return connection

    async def take_back(self, tenant: str, connection: BatchingConnection) -> None:
        """Take it back, whole or closed."""
        is_whole = connection.pgconn.transaction_status == TransactionStatus.IDLE
        try:
            if is_whole and len(self._at_hand) < self.keeps and anyio.current_time() < connection.taken_at + KEPT_S:
                self._at_hand.append(connection)
            else:
                await self._give_back(connection)
        finally:
            self.shares.give_back(tenant)

    async def close(self) -> None:
        """Give all back; nothing is lent any more."""
        self.keeps = 0
        while self._at_hand:
            await self._give_back(self._at_hand.pop())

    async def _give_back(self, connection: BatchingConnection) -> None:
        with CancelScope(shield=True):
            await self.pool.putconn(connection)
