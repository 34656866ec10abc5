"""One session on one node: the door everything passes.

Law: whatever happens to a session on this node happens under its lane's lock: read, decide, store, and only then
keep the new turn and tell.  A driver's word is stored under the lease of its reading; a command is stored without
one and then whoever drives looks at what is due.  Looking is level-triggered: a wake-up that is lost costs time.

Story: ``reconcile`` takes what is to be driven and does what is due; ``_read`` is the only loop that reads an
engine.  The engine is asked for its next event when the last one is settled, so that a tool runs after its call
is durable, and a node that has lost its lease is never asked again.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

import anyio
import structlog
from anyio import CancelScope
from attrs import define, evolve, field

from agentcore.briefing import engine_request
from agentcore.changes import Changes, Said
from agentcore.commands import Command, Continue
from agentcore.errors import (
    ContextTooLarge,
    EngineFailed,
    StoreUnavailable,
    TaskConflict,
    Unavailable,
)
from agentcore.events import Broke, Ended, EngineEvent
from agentcore.follow import Live
from agentcore.house import House
from agentcore.ids import ChangeId, SessionId, TaskId, TenantId
from agentcore.obey import obey
from agentcore.ports import Committed, Fenced, Lease, Run, Stale
from agentcore.receive import receive
from agentcore.task import ErrorCode, TaskStatus
from agentcore.turn import Stop, Turn

log = structlog.get_logger("agentcore.lane")
T = TypeVar("T")
TRIES = 50  # each Stale means that somebody else got through, so this is never reached by accident
RETRY_S = 0.2
OUT_OF_TURN = Broke(message="The engine said what it cannot say now.")

Decide = Callable[[Turn, datetime], tuple[Turn, Changes]]


@define(eq=False, kw_only=True)
class Reading:
    """An engine being read, under a lease."""

    turn: Turn  #: As stored, plus the tail; assigned in one place, after its commit.
    lease: Lease
    since: int  #: seq of the event that began the attempt.
    after: int  #: seq of the last event that its driver has logged.
    scope: CancelScope = field(factory=CancelScope)
    run: Run | None = None
    last: Ended | Broke = Ended()
    is_lost: bool = False  #: The lease is gone: nothing more is written or told.

    def stop(self, last: Ended | Broke) -> None:
        """Stop the engine; *last* becomes its last word when it has stopped."""
        if not self.scope.cancel_called:
            self.last = last
            self.scope.cancel()

    def is_over(self) -> bool:
        """Tell whether nothing more of what the engine says counts."""
        return self.is_lost or not self.turn.task.driven

    def lose(self) -> None:
        """Stop the engine and forget what it says."""
        self.is_lost = True
        self.stop(Ended())


@define(eq=False)
class Lane:
    """The door of one session."""

    house: House
    tenant: TenantId
    session_id: SessionId
    on_idle: Callable[["Lane"], None]
    reading: Reading | None = None
    users: int = 0  #: Who holds it; at zero it is forgotten, because the store has all that it knows.
    _lock: anyio.Lock = field(factory=lambda: anyio.Lock(fast_acquire=True))

    def __enter__(self) -> "Lane":
        """Hold it."""
        self.users += 1
        return self

    def __exit__(self, *_: object) -> None:
        """Let it go."""
        self.users -= 1
        if not self.users:
            self.on_idle(self)

    @property
    def is_busy(self) -> bool:
        """Whether somebody is inside."""
        return self._lock.locked()

    # ------------------------------------------------------------------------------------------------- commands
    async def change(self, decide: Callable[[], Awaitable[tuple[T, Changes]]]) -> T:
        """Read, decide and store what a caller asks; *decide* is asked again if its reading was old."""
        async with self._lock:
            for _ in range(TRIES):
                answer, changes = await decide()
                try:
                    with CancelScope(shield=True):
                        self._tell(await self.house.store.commit(changes) if changes.is_durable else Committed())
                except Stale:
                    continue
                break
            else:
                raise StoreUnavailable("The session is changing too fast.")
        if self.reading is None:
            self.house.bus.wake(self.tenant, self.session_id)
        try:
            await self.reconcile()
        except Unavailable:  # what was asked is stored; whoever sweeps next will act on it
            log.warning("reconcile.postponed", session_id=self.session_id)
        return answer

    async def obey(self, task_id: TaskId, command: Command) -> Turn:
        """Record a command on one task, and act on it if the task is driven here."""

        async def decide() -> tuple[Turn, Changes]:
            turn = await self.house.store.turn(self.tenant, task_id)
            return obey(turn, command, self.house.clock.now())

        return await self.change(decide)

    # -------------------------------------------------------------------------------------------------- driving
    async def reconcile(self) -> None:
        """Take what is to be driven, and do what is due, until nothing is."""
        async with self._lock:
            with CancelScope(shield=True):
                while await (self._take() if self.reading is None else self._do_due(self.reading)):
                    pass

    async def checkpoint(self) -> None:
        """Make the tail durable."""
        async with self._lock:
            if (reading := self.reading) is not None and reading.turn.tail:
                await self._move(reading, lambda turn, at: turn.checkpoint(at))

    async def tail(self) -> tuple[Live, ...]:
        """Return what is told and not durable; empty if nothing is driven here."""
        reading = self.reading
        return self._live(reading, reading.turn.tail) if reading is not None else ()

    async def _take(self) -> bool:
        if self.house.is_draining:
            return False
        grant = await self.house.leases.take(self.tenant, self.session_id, self.house.node)
        if grant is None:
            return False
        self._tell(Committed(entries=grant.entries))
        started = grant.entries[0].seq if grant.entries else 0
        after = grant.entries[-1].seq if grant.entries else 0
        reading = Reading(turn=grant.turn, lease=grant.lease, since=started, after=after)
        if not grant.is_takeover:
            self.reading = reading
            self.users += 1  # _read holds the lane, from now on and not only from when it first runs
            self.house.spawn(self._read, reading)
            return False
        command = grant.turn.due(self.house.clock.now(), reading=False)
        if command is not None and not isinstance(command, Stop):
            log.warning("task.recovered", task_id=grant.lease.task_id, status=grant.turn.task.status.value)
            await self._move(reading, lambda turn, at: obey(turn, command, at))
        return True

    async def _do_due(self, reading: Reading) -> bool:
        if reading.is_lost:
            return False
        stored = await self.house.store.turn(self.tenant, reading.lease.task_id)
        reading.turn = reading.turn.refreshed(stored)
        due = reading.turn.due(self.house.clock.now(), reading=True)
        if due is None or isinstance(due, Stop):
            if due is not None:
                reading.stop(due.last)
            return False
        await self._move(reading, lambda turn, at: obey(turn, due, at))
        if isinstance(due, Continue) and reading.run is not None and not reading.is_lost:
            reading.run.answer([approval for approval in reading.turn.approvals if not approval.is_pending])
        return True

    async def _read(self, reading: Reading) -> None:
        """Read the engine to its end: the only loop there is."""
        try:
            last: EngineEvent = Ended()
            with reading.scope:
                last = await self._listen(reading)
            # Here the engine has really stopped: only now may its task end and the next one begin.
            with CancelScope(shield=True):
                await self._receive(reading, reading.last if reading.scope.cancel_called else last)
            self.reading = None
            await self.reconcile()
        finally:
            self.reading = None if self.reading is reading else self.reading
            self.__exit__()

    async def _listen(self, reading: Reading) -> EngineEvent:
        """Hear the engine out and return its last word, which is not received yet."""
        task = reading.turn.task
        try:
            engine = self.house.engines.named(task.engine)
            async with engine.run(await engine_request(self.house.store, engine, reading.turn)) as run:
                reading.run = run
                async for event in run:
                    if not await self._receive(reading, event):
                        break
        except ContextTooLarge as error:
            return Broke(code=ErrorCode.CONTEXT_TOO_LARGE, message=str(error))
        except EngineFailed as error:
            log.warning("engine.failed", task_id=task.id, engine=task.engine, code=error.error_code)
            refused = error.refused_attachments
            return Broke(code=ErrorCode(error.error_code), message=str(error), attachments_refused=refused)
        except Exception as error:  # noqa: BLE001 - an engine may raise anything; its text is not for clients
            log.error("engine.raised", task_id=task.id, engine=task.engine, kind=type(error).__name__)
            return Broke()
        return Ended()

    async def _receive(self, reading: Reading, event: EngineEvent) -> bool:
        """Settle one event; return whether the engine may say more."""
        async with self._lock:
            if reading.is_over():
                if not isinstance(event, Ended):
                    self.house.counts.late += 1
                return False
            await self._move(reading, self._heard(reading, event))
            return not reading.is_over()

    def _heard(self, reading: Reading, event: EngineEvent) -> Decide:
        def decide(turn: Turn, at: datetime) -> tuple[Turn, Changes]:
            try:
                return receive(turn, event, at)
            except TaskConflict:
                self.house.counts.refused += 1
                if turn.task.status is TaskStatus.CANCELLING or turn.task.is_final:
                    return turn, turn.nothing(at)
                reading.stop(OUT_OF_TURN)
                return turn, turn.nothing(at)

        return decide

    # -------------------------------------------------------------------------------------------------- settling
    async def _move(self, reading: Reading, decide: Decide) -> None:
        """Decide and store under the reading's lease; keep the turn only once it is stored."""
        for _ in range(TRIES):
            turn, changes = decide(reading.turn, self.house.clock.now())
            if not self._may_tell(reading):
                return
            if changes.live:
                self.house.bus.tell(self.session_id, self._live(reading, changes.live))
            if not changes.is_durable:  # the hot path: a delta is told and nothing is stored
                reading.turn = turn
                return
            changes = evolve(changes, id=ChangeId(self.house.new_id()))
            try:
                with CancelScope(shield=True):
                    committed = await self._commit(changes, reading)
            except Stale:
                reading.turn = reading.turn.refreshed(await self.house.store.turn(self.tenant, turn.task.id))
                continue
            except (Fenced, StoreUnavailable) as error:
                log.warning("lease.lost", task_id=turn.task.id, kind=type(error).__name__)
                self.house.counts.lost += not isinstance(error, Fenced)
                reading.lose()
                return
            reading.turn = turn
            if committed.entries:
                reading.after = committed.entries[-1].seq
            self._tell(committed)
            return
        reading.lose()

    async def _commit(self, changes: Changes, reading: Reading) -> Committed:
        """Store, and when the answer is lost look whether it was stored before doing it again."""
        while True:
            try:
                return await self.house.store.commit(changes, reading.lease)
            except StoreUnavailable:
                if self.house.clock.monotonic() >= reading.lease.trusted_until:
                    raise
            await anyio.sleep(RETRY_S)
            try:
                if await self.house.store.last_change(self.tenant, reading.lease.task_id) == changes.id:
                    return Committed()  # its entries are told by the next look at the heads of the logs
            except StoreUnavailable:
                continue

    def _may_tell(self, reading: Reading) -> bool:
        if self.house.clock.monotonic() >= reading.lease.trusted_until:
            reading.lose()
        return not reading.is_lost

    def _live(self, reading: Reading, said: Sequence[Said]) -> tuple[Live, ...]:
        task_id, since, after = reading.lease.task_id, reading.since, reading.after
        at = self.house.clock.now()
        return tuple(
            Live(task_id=task_id, since=since, after=after, kind=s.kind, text=s.text, start=s.start, at=at)
            for s in said
        )

    def _tell(self, committed: Committed) -> None:
        if committed.entries:
            self.house.bus.tell(self.session_id, committed.entries)
