"""Who gets which connection.

Law: the one that came back last is lent first: its server process has all that the next transaction needs in its
caches, while a pool, which lends them in turn, finds each of them cold.  What nobody has needed for a while goes back
to the pool, which closes what is too much.
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
IDLE_S = 60.0  # the same of one that nobody has needed


async def must_live(connection: BatchingConnection) -> None:
    """Raise if the server has gone since the connection was last used; asks the socket only, so it costs nothing."""
    connection.pgconn.consume_input()
    connection.pgconn.consume_input()  # its last words may have been there to read, before the end


@define(eq=False)
class Lender:
    """Lends the connections of a pool."""

    pool: AsyncConnectionPool[BatchingConnection]
    shares: Shares  #: Of the connections, so that nobody waits behind a crowd of another tenant.
    _at_hand: list[BatchingConnection] = field(factory=list)  # the longer ago they came back, the farther in front
    _is_closed: bool = False

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
        now, at_hand = anyio.current_time(), self._at_hand
        is_whole = connection.pgconn.transaction_status == TransactionStatus.IDLE
        try:
            if is_whole and now < connection.taken_at + KEPT_S and not self._is_closed:
                connection.back_at = now
                at_hand.append(connection)
            else:
                await self._give_back(connection)
            if at_hand and at_hand[0].back_at + IDLE_S < now:
                await self._give_back(at_hand.pop(0))
        finally:
            self.shares.give_back(tenant)

    async def close(self) -> None:
        """Give all back; nothing is lent any more."""
        self._is_closed = True
        while self._at_hand:
            await self._give_back(self._at_hand.pop())

    async def _give_back(self, connection: BatchingConnection) -> None:
        with CancelScope(shield=True):
            await self.pool.putconn(connection)
