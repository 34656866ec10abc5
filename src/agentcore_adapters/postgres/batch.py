"""Statements that travel together.

Law: they are sent when somebody waits for them, all at once.  psycopg's pipeline asks the event loop for each statement
whether it can be written, and that costs several times what the statement does; this is its pipeline with that step put
off to the next ``sync``.  What it builds on is not public, so the version is bounded, and tests hold it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from psycopg import AsyncConnection, AsyncPipeline
from psycopg.generators import send
from psycopg.rows import DictRow


class Batch(AsyncPipeline):
    """A pipeline that waits once for all that is sent."""

    _is_due = False

    def _enqueue_sync(self) -> None:
        super()._enqueue_sync()
        self._is_due = True

    def _communicate_gen(self) -> Any:  # noqa: ANN401 - psycopg's own kind of generator
        if not self._is_due:
            return
        self._is_due = False
        while self.command_queue:
            self.command_queue.popleft()()
        yield from send(self.pgconn)  # in as many steps as it takes; the answers are fetched by who called

    def _fetch_gen(self, *, flush: bool) -> Any:  # noqa: ANN401 - as above
        # What was sent has ended with a sync.  A flush after it asks for nothing more, but would be a new beginning to
        # a pooler: it lends a connection for it, and waits for the end of what has none.
        del flush
        yield from super()._fetch_gen(flush=False)


class BatchingConnection(AsyncConnection[DictRow]):
    """A connection whose pipelines are batches."""

    is_pooled = False  #: Whether a pooler is in between, so that the server may be another session in each transaction.

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[AsyncPipeline]:
        """Begin a batch, one at a time; it ends with the block."""
        self._check_connection_ok()
        assert self._pipeline is None, "A connection has one batch at a time."
        batch = self._pipeline = Batch(self)
        try:
            async with batch:
                yield batch
        finally:
            self._pipeline = None

    async def command(self, text: LiteralString) -> None:
        """Send what has no values and no rows, in a batch: a cursor would be made for nothing."""
        await self.wait(self._exec_command(text))
