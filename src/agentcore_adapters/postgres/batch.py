"""Statements that travel together.

Law: they are sent when somebody waits for their answers, all at once, and one wait serves them all.

This is libpq's pipeline mode, of which psycopg has the functions (``psycopg.pq``); psycopg's own pipeline makes a
cursor for each statement and asks the event loop at each step, which costs several times what the statement does
(ADR 0027).  How values travel stays psycopg's.  A statement is prepared once on each connection, and the server says
itself of which types its values are.
"""

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any, LiteralString

import psycopg
from attrs import define, field
from psycopg import AsyncConnection, adapt
from psycopg.abc import Transformer
from psycopg.adapt import PyFormat
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import DictRow

DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class BatchingConnection(AsyncConnection[DictRow]):
    """A connection that can send statements in batches."""

    is_pooled = False  #: Whether a pooler is in between, so that the server may be another session in each transaction.
    taken_at = 0.0  #: When it was taken out of its pool, on the event loop's clock.
    back_at = 0.0  #: When it was last given back.
    _known: dict[str, bytes] | None = None  # the statements that the server has prepared, and their names
    _converter: Transformer | None = None

    @property
    def known(self) -> dict[str, bytes]:
        """The names of the statements that are prepared."""
        if self._known is None:
            self._known = {}
        return self._known

    @property
    def converter(self) -> Transformer:
        """What writes and reads values; made when the session is as it stays, because it remembers the time zone."""
        if self._converter is None:
            self._converter = adapt.Transformer.from_context(self)
        return self._converter


@define(eq=False)
class Answer:
    """What a statement says; its rows are there once they have arrived."""

    converter: Transformer
    result: PGresult | None = None

    def rows(self) -> list[DictRow]:
        """Return its rows, by the names of their columns."""
        result = self._told()
        names = [(result.fname(n) or b"").decode() for n in range(result.nfields)]
        return [dict(zip(names, row, strict=True)) for row in self.tuples()]

    def tuples(self) -> list[tuple[Any, ...]]:
        """Return its rows in half the time."""
        result = self._told()
        self.converter.set_pgresult(result)
        return self.converter.load_rows(0, result.ntuples, tuple)

    def _told(self) -> PGresult:
        assert self.result is not None, "It has not arrived."
        return self.result


@define(eq=False)
class Batch:
    """Statements on one connection, which has one batch at a time.

    After an error, the connection is good for nothing more unless the batch was rolled back: statements that
    travelled behind what failed were not prepared, though this side believes that they were.
    """

    connection: BatchingConnection
    _due: list[Answer | None] = field(factory=list)  # in the order in which they were sent; None: of no interest
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    _socket: int | None = None  # that is listened to; of a connection that is lost, libpq says none
    _woken: asyncio.Future[None] | None = None
    _lost: psycopg.Error | None = None

    def __enter__(self) -> "Batch":
        """Begin."""
        self.connection.pgconn.enter_pipeline_mode()
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        """End; what is still on its way after an error is left to whoever closes the connection."""
        self._leave()
        if self.connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self.connection.pgconn.exit_pipeline_mode()

    def send(self, statement: LiteralString, parameters: Sequence[object] = ()) -> Answer:
        """Send a statement, behind those sent before."""
        pgconn, converter = self.connection.pgconn, self.connection.converter
        formats = [PyFormat.BINARY if isinstance(value, bytes) else PyFormat.TEXT for value in parameters]
        written = converter.dump_sequence(parameters, formats) if parameters else None
        binary = converter.formats if parameters else None
        answer = Answer(converter)
        if self.connection.is_pooled:
            pgconn.send_query_params(numbered(statement), written, param_formats=binary)
        else:
            known = self.connection.known
            name = known.get(statement)
            if name is None:
                name = known[statement] = b"agentcore_%d" % len(known)
                pgconn.send_prepare(name, numbered(statement))
                self._due.append(None)
            pgconn.send_query_prepared(name, written, param_formats=binary)
        self._due.append(answer)
        return answer

    async def arrive(self) -> None:
        """Wait for the answers of all that was sent: one round trip.

        Raises the error of the first statement that failed.
        """
        # It ends with a sync, and not with a flush: the server's idle-in-transaction timeout begins only when it is
        # ready for a query, so that a process frozen here would hold its locks for ever; and a flush would be a new
        # beginning to a pooler, which lends a connection for it and waits for the end of what has none.
        pgconn, due = self.connection.pgconn, self._due
        self._due = []
        pgconn.pipeline_sync()
        while pgconn.flush():
            await self._movement(writes=True)
        for answer in due:
            result = await self._next()
            if result is None or result.status not in DONE:
                raise self._error(result)
            if answer is not None:
                answer.result = result
            await self._next()  # there is one result of each, and then None
        await self._next()  # that of the sync

    async def roll_back(self) -> None:
        """Undo what the transaction has done; what was sent and has not arrived is of no interest."""
        self.send("ROLLBACK")
        try:
            await self.arrive()
        except psycopg.Error:
            self._leave()
            self.connection.pgconn.finish()

    def _listen(self) -> None:
        """Hear of what comes."""
        self._socket = self.connection.pgconn.socket
        self._loop.add_reader(self._socket, self._heard)

    def _leave(self) -> None:
        """Hear of nothing more."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket = None

    async def _next(self) -> PGresult | None:
        while self._lost is None and self.connection.pgconn.is_busy():
            await self._movement(writes=False)
        if self._lost is not None:
            raise self._lost
        return self.connection.pgconn.get_result()

    async def _movement(self, *, writes: bool) -> None:
        """Wait until something has come, or if *writes* until something can go."""
        if self._lost is not None:
            raise self._lost
        socket, self._woken = self._socket, self._loop.create_future()
        if writes and socket is not None:
            self._loop.add_writer(socket, self._wake)
        try:
            await self._woken
        finally:
            self._woken = None
            if writes and socket is not None:
                self._loop.remove_writer(socket)

    def _heard(self) -> None:
        try:
            self.connection.pgconn.consume_input()
        except psycopg.Error as error:
            self._leave()  # for ever: it would be heard again and again
            self._lost = error
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _error(self, result: PGresult | None) -> psycopg.Error:
        if result is None:
            return psycopg.OperationalError("The connection was lost.")
        return error_from_result(result)


@cache
def numbered(statement: str) -> bytes:
    """Return a statement as the server reads it: its places have numbers."""
    first, *others = statement.split("%s")
    return "".join([first, *(f"${n}{text}" for n, text in enumerate(others, 1))]).encode()
