"""``agentcore`` with its database transactions written down, one line of JSON each, to the file in TRIPS_FILE.

Only for ``benchmarks.trips``: the methods of the adapter are wrapped from outside, so nothing of it is in the product.
"""

import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import msgspec
from attrs import asdict, define, field

from agentcore_adapters.postgres import connection as database
from agentcore_adapters.postgres import statements
from agentcore_http.__main__ import main

NAMES = {value: name for name, value in vars(statements).items() if isinstance(value, str) and name.isupper()}
NOW = time.monotonic_ns


@define
class Transaction:
    """One transaction, in nanoseconds of the monotonic clock."""

    began: int
    ended: int = 0
    statements: list[str] = field(factory=list)
    waits: list[int] = field(factory=list)  #: How long each answer was waited for; the COMMIT's is the last.


current: ContextVar[Transaction] = ContextVar("current")


def wrap(write: Callable[[bytes], object]) -> None:
    """Wrap what runs, sends and waits."""
    run, send, arrive = database.Database._run, database.Transaction.send, database.Transaction.arrive  # noqa: SLF001

    async def traced_run(self: database.Database, *arguments: Any) -> Any:  # noqa: ANN401 - passed on
        seen = Transaction(NOW())
        token = current.set(seen)
        try:
            return await run(self, *arguments)
        finally:
            current.reset(token)
            seen.ended = NOW()
            write(msgspec.json.encode(asdict(seen)) + b"\n")

    def traced_send(self: database.Transaction, statement: Any, *parameters: object) -> Any:  # noqa: ANN401
        current.get().statements.append(NAMES.get(statement, str(statement)[:30]))
        return send(self, statement, *parameters)

    async def traced_arrive(self: database.Transaction, *cursors: Any) -> Any:  # noqa: ANN401
        began = NOW()
        try:
            return await arrive(self, *cursors)
        finally:
            seen = current.get()
            seen.waits.append(NOW() - began)
            seen.statements.append("|")

    wrapped = ((database.Database, "_run", traced_run), (database.Transaction, "send", traced_send))
    for kind, name, method in (*wrapped, (database.Transaction, "arrive", traced_arrive)):
        setattr(kind, name, method)


if __name__ == "__main__":
    with open(os.environ["TRIPS_FILE"], "ab", buffering=0) as file:  # noqa: PTH123 - unbuffered
        wrap(file.write)
        raise SystemExit(main())
