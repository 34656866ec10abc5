"""``agentcore serve`` that can be told where to die: ``python -m tests.faults.node --die end:inside``.

Law: everything is the product's own wiring; what is added stands around a port's call and does nothing but kill.
A point is NAME:PLACE or NAME:PLACE:N, for the Nth time that it is passed; leases may be short.
"""

import argparse
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, evolve

from agentcore import relay
from agentcore.changes import Changes
from agentcore.engine import Engines
from agentcore.ports import Lease
from agentcore.pulse import Periods
from agentcore.runtime import Runtime
from agentcore.task import ApprovalRequested, CancelRequested, TaskEnd, TaskParked, TaskRequeued
from agentcore.testing.scripted import ScriptedEngine, ScriptedEngines
from agentcore_adapters import webhook
from agentcore_adapters.postgres import books, flusher, leases, store, writer
from agentcore_http import serve, settings, wiring
from agentcore_http.telemetry import Telemetry

EVENTS = {
    CancelRequested: "cancel",
    ApprovalRequested: "ask",
    TaskParked: "park",
    TaskRequeued: "requeue",
}
# Every point at which a test lets a server die; each is passed by the clients' programs.
POINTS = (
    *(f"accept:{place}" for place in ("before", "inside", "after")),
    *(f"take:{place}" for place in ("before", "after")),
    *(f"call:{place}" for place in ("before", "inside", "after")),
    *(f"text:{place}" for place in ("before", "after")),
    *(f"settle:{place}" for place in ("before", "inside", "after")),
    *(f"end:{place}" for place in ("before", "inside", "after")),
    *(f"cancel:{place}" for place in ("inside", "after")),
    "renew:after",
    *(f"publish:{place}" for place in ("before", "after")),
    "tried:after",
)
# The same for what waits for a person; the scripted engine asks.
WAITING = (
    *(f"ask:{place}" for place in ("before", "inside", "after")),
    *(f"decide:{place}" for place in ("before", "inside", "after")),
)


@define
class Doom:
    """Where this process dies."""

    point: str = ""
    left: int = 1

    def at(self, name: str, place: str) -> None:
        """Die, if it is here and now."""
        if f"{name}:{place}" == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def names_of(changes: Changes) -> set[str]:
    """Name what a commit does."""
    names = {name for kind, name in EVENTS.items() if any(isinstance(logged.event, kind) for logged in changes.log)}
    if any(isinstance(logged.event, TaskEnd) for logged in changes.log):
        names.add("end")
    if any(task.version == 1 for task in changes.tasks):
        names.add("accept")
    if any(approval.decided_at for approval in changes.approvals):
        names.add("decide")
    if any(ledger.begun for ledger in changes.ledgers):
        names.add("call")
    if any(ledger.settled for ledger in changes.ledgers):
        names.add("settle")
    return names


def plant(doom: Doom) -> None:
    """Stand around the calls of the ports."""

    def around(owner: Any, method: str, name: str) -> None:
        original: Callable[..., Awaitable[Any]] = getattr(owner, method)

        async def call(*args: Any, **more: Any) -> Any:
            doom.at(name, "before")
            answer = await original(*args, **more)
            doom.at(name, "after")
            return answer

        setattr(owner, method, call)

    around(leases.PostgresLeases, "take", "take")
    around(leases.PostgresLeases, "renew", "renew")
    around(flusher, "_store", "text")
    around(webhook.WebhookSink, "publish", "publish")
    around(books.PostgresBooks, "tried", "tried")
    commit, write = store.PostgresStore.commit, writer.write
    submit, queue = leases.PostgresLeases.submit, writer.submit

    async def commits(self: Any, changes: Changes, lease: Lease | None = None) -> Any:
        for name in names_of(changes):
            doom.at(name, "before")
        answer = await commit(self, changes, lease)
        for name in names_of(changes):
            doom.at(name, "after")
        return answer

    async def submits(self: Any, changes: Changes, *args: Any) -> Any:
        doom.at("accept", "before")
        doom.at("take", "before")
        answer = await submit(self, changes, *args)
        doom.at("accept", "after")
        doom.at("take", "after")
        return answer

    async def queues(transaction: Any, changes: Changes, *args: Any, **more: Any) -> Any:
        written = await queue(transaction, changes, *args, **more)
        await transaction.arrive()
        doom.at("accept", "inside")
        return written

    async def writes(transaction: Any, changes: Changes, *args: Any, **more: Any) -> Any:
        entries = await write(transaction, changes, *args, **more)
        await transaction.arrive()  # the server has carried it out, and nobody has said COMMIT
        for name in names_of(changes):
            doom.at(name, "inside")
        return entries

    store.PostgresStore.commit = commits  # type: ignore[method-assign]
    writer.write = writes
    setattr(leases.PostgresLeases, "submit", submits)  # noqa: B010 - wrapped, as the others are
    writer.submit = queues


original = wiring.postgres_runtime


@asynccontextmanager
async def scripted_runtime(
    settings: settings.Settings,
    place: wiring.Place,
    _: Engines | None = None,
    telemetry: Telemetry = wiring.UNWATCHED,
) -> AsyncIterator[Runtime]:
    """Open a node whose engine is the scripted one."""
    async with original(settings, place, ScriptedEngines([ScriptedEngine()]), telemetry) as runtime:
        yield runtime


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ttl", type=float, default=leases.TTL_S)
    parser.add_argument("--die", default="")
    parser.add_argument("--scripted", action="store_true")
    options = parser.parse_args()
    name, place, times = (*options.die.split(":"), "1")[:3] if options.die else ("", "", "1")
    plant(Doom(f"{name}:{place}", int(times)))
    scale = options.ttl / leases.TTL_S
    was = Periods()
    quicker = partial(Periods, beat=was.beat * scale, expire=was.expire * scale, sweep=was.sweep * scale)
    replaced = {
        (wiring, "Periods"): quicker,
        (store, "postgres_store"): partial(store.postgres_store, lease_ttl_s=options.ttl),
        (store, "RESERVED_S"): options.ttl,
        (relay, "HOLD_S"): options.ttl * 2,
    }
    if options.scripted:
        replaced[wiring, "postgres_runtime"] = scripted_runtime
    for (module, name_), value in replaced.items():
        setattr(module, name_, value)
    loaded = evolve(settings.load(), data_dir=options.data_dir)
    return serve.run(loaded, wiring.Place(port=options.port))


if __name__ == "__main__":
    raise SystemExit(main())
