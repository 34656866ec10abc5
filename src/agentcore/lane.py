"""One session on one node: the door everything passes.

Law: whatever happens to a session on this node happens under its lane's lock: read, decide, store, and only then
keep the new turn and tell.  A driver's word is stored under the lease of its reading; a command is stored without
one and then whoever drives looks at what is due.  Looking is level-triggered: a wake-up that is lost costs time.

Story: ``reconcile`` takes what is to be driven and does what is due; ``reading`` hears the engine.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

import anyio
import anyio.lowlevel
import structlog
from anyio import CancelScope
from attrs import define, evolve, field

from agentcore.announcing import Announcement
from agentcore.changes import Changes
from agentcore.commands import Command, HandBack
from agentcore.engine import EngineRequest
from agentcore.errors import StoreUnavailable, TaskNotFound
from agentcore.events import Ended
from agentcore.follow import Entry, Live
from agentcore.house import House
from agentcore.ids import SessionId, TaskId, TenantId
from agentcore.obey import obey
from agentcore.ports import AtLimit, Committed, Grant, Stale
from agentcore.reading import RETRY_S, TRIES, Reading
from agentcore.task import TaskStatus
from agentcore.turn import Stop, Turn

log = structlog.get_logger("agentcore.lane")
T = TypeVar("T")
TURNS_TO_CALL = 2  # of the event loop, after which an engine has sent a call that was ready: it runs, the call goes
LOCK_S = 5.0  # a caller waits that long while the lane's driver waits for the store


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
    _unsent: TaskId | None = None  # begun here in a step whose answer was lost: its engine was never run

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
    async def change(self, decide: Callable[[], Awaitable[tuple[T, Changes]]], *, submits: bool = False) -> T:
        """Read, decide and store what a caller asks; *decide* is asked again if its reading was old.

        *submits*: it queues a task, which is begun in the same step if nothing is in its way.
        """
        answer, is_calling = await self._changed(decide, submits=submits)
        for _ in range(TURNS_TO_CALL if is_calling else 0):  # its caller has something to say now, which takes longer
            await anyio.lowlevel.checkpoint()
        return answer

    async def _changed(self, decide: Callable[[], Awaitable[tuple[T, Changes]]], *, submits: bool) -> tuple[T, bool]:
        """Do so, and say whether a call is ready to be sent."""
        async with self._inside():
            for _ in range(TRIES):
                answer, changes = await decide()
                try:
                    with CancelScope(shield=True):  # a caller that goes away leaves nothing half done
                        is_begun = is_calling = False
                        if changes.is_durable:
                            is_begun, is_calling = await self._put(changes, submits=submits)
                        if not is_begun:
                            self.__enter__()  # _follow_up holds the lane, from now on and not only from when it runs
                            self.house.spawn(self._follow_up, bool(changes.tasks))
                except Stale:
                    continue
                return answer, is_calling
        raise StoreUnavailable("The session is changing too fast.")

    async def _follow_up(self, of_task: bool) -> None:  # noqa: FBT001 - spawn passes places
        """Act on what was asked, *of_task* or of the session alone, here if it is driven here."""
        try:
            if self.reading is None:
                is_full = self.house.gate.is_crowded or self.house.is_draining
                self.house.bus.wake(self.tenant, self.session_id, waits=of_task and is_full)
            await self.reconcile()
        finally:
            self.__exit__()

    async def obey(
        self, task_id: TaskId, command: Command, also: Callable[[Turn, Changes], Changes] | None = None
    ) -> Turn:
        """Record a command on one task, and act on it if the task is driven here; *also* adds to what is stored."""

        async def decide() -> tuple[Turn, Changes]:
            turn = await self.house.store.turn(self.tenant, task_id)
            turn, changes = obey(turn, command, self.house.clock.now())
            return turn, also(turn, changes) if also else changes

        return await self.change(decide)

    @asynccontextmanager
    async def _inside(self) -> AsyncIterator[None]:
        try:
            self._lock.acquire_nowait()
        except anyio.WouldBlock:
            try:
                with anyio.fail_after(LOCK_S):
                    await self._lock.acquire()
            except TimeoutError:
                raise StoreUnavailable("The session waits for the database; try again in a moment.") from None
        try:
            yield
        finally:
            self._lock.release()

    async def _put(self, changes: Changes, *, submits: bool) -> tuple[bool, bool]:
        """Store what a caller asks, and when the answer is lost look whether it was stored.

        Return whether it was begun, and is driven here, and whether its call is ready to be sent.
        """
        house, monotonic = self.house, self.house.clock.monotonic
        grant: Grant | None = None
        announced: Announcement | None = None
        began = monotonic()
        try:
            if submits and self._may_begin():
                try:
                    most = await house.quotas.may_run(self.tenant)
                    made = next(task for task in changes.tasks if task.version == 1)
                    announced = await Announcement.of(house, made)
                    committed, grant = await house.leases.submit(changes, house.node, most, announced)
                finally:
                    if grant is None:
                        house.gate.turn_back()
                        if announced is not None:
                            announced.abandon()
            else:
                committed = await house.store.commit(changes)
        except StoreUnavailable:
            await anyio.sleep(RETRY_S)
            if not await self._is_stored(changes):
                raise
            self._unsent = made.id if announced is not None else None
            committed = Committed()  # its entries are told by the next look at the heads of the logs
        took_s = monotonic() - began
        if grant is not None:
            self._drive(grant, announced.request if announced is not None else None, committed.entries)
        else:
            self._tell(committed.entries)
        house.observers.committed(changes, took_s)
        if grant is None:
            return False, False
        house.observers.took(grant)
        return True, announced is not None and announced.is_getting_ready

    def _may_begin(self) -> bool:
        house = self.house
        return self.reading is None and not house.is_draining and house.gate.enter(self.tenant, self.session_id)

    async def _is_stored(self, changes: Changes) -> bool:
        """Tell whether *changes*, which make a new task or decide an approval, can be found; else nobody knows."""
        made = [task.id for task in changes.tasks if task.version == 1]
        decided = {approval.id: approval for approval in changes.approvals}
        for task_id in made or {approval.task_id for approval in changes.approvals}:
            try:
                turn = await self.house.store.turn(self.tenant, task_id)
            except TaskNotFound:
                return False
            return bool(made) or any(decided.get(a.id) == evolve(a, used=False) for a in turn.approvals)
        return False

    # -------------------------------------------------------------------------------------------------- driving
    async def reconcile(self) -> None:
        """Take what is to be driven, and do what is due, until nothing is."""
        async with self._inside():
            with CancelScope(shield=True):
                while await (self._take() if self.reading is None else self._do_due(self.reading)):
                    pass

    async def checkpoint(self) -> None:
        """Make the tail durable."""
        async with self._inside():
            if (reading := self.reading) is not None and reading.turn.tail and not reading.is_over:
                await reading.move(lambda turn, at: turn.checkpoint(at))

    def tail(self) -> tuple[Live, ...] | None:
        """Return what is told and not durable; None if nothing is driven here."""
        return self.reading.tail if self.reading is not None else None

    def let_go(self) -> None:
        """Stop what is driven here, so that another node can go on with it."""
        if self.reading is not None:
            self.reading.stop(HandBack())

    async def _take(self) -> bool:
        gate = self.house.gate
        if self.house.is_draining or not gate.enter(self.tenant, self.session_id):
            return False
        try:
            return await self._take_up()
        finally:
            if self.reading is None:
                gate.turn_back()

    async def _take_up(self) -> bool:
        with self.house.gate.asking(self.tenant) as hold:
            try:
                grant = await self._ask_for_work()
            except AtLimit:
                hold()
                return False
        if grant is None:
            return False
        if not grant.is_takeover:
            self._drive(grant)
            self.house.observers.took(grant)
            return False
        if grant.lease.task_id == self._unsent and grant.turn.task.attempt == 1:
            # Its beginning was stored here and nobody heard of it, so that its engine was never run.
            grant = evolve(grant, turn=grant.turn.unsent())
        self.house.observers.took(grant)
        reading = Reading.granted(self.house, self._lock, grant)
        command = grant.turn.due(self.house.clock.now(), reading=False)
        if command is not None and not isinstance(command, Stop):
            log.warning("task.recovered", task_id=grant.lease.task_id, status=grant.turn.task.status.value)
            self.house.counts.recovered += 1
            await reading.move(_while_due(command, reading=False))
        return True

    def _drive(self, grant: Grant, request: EngineRequest | None = None, before: Sequence[Entry] = ()) -> None:
        """Begin to read the engine of what was taken; *request*: what it is run with, if that was prepared.

        *before*: what was stored with it, and is not told yet.  The engine is first in line, before those who are told.
        """
        self.reading = reading = Reading.granted(self.house, self._lock, grant, request)
        reading.telling.untold = (*before, *grant.entries)
        if grant.turn.reply is not None:  # it came while nobody drove the task: nothing is asked again
            reading.stop(Ended())
        self.__enter__()  # _read holds the lane, from now on and not only from when it first runs
        self.house.spawn(reading.listen)
        self.house.spawn(self._read, reading)

    async def _ask_for_work(self) -> Grant | None:
        """Take what there is; what a lost answer gave is asked for again, before it waits for a whole lease."""
        house, place = self.house, (self.tenant, self.session_id, self.house.node)
        try:
            return await house.leases.take(*place, await house.quotas.may_run(self.tenant))
        except StoreUnavailable:
            await anyio.sleep(RETRY_S)
            return await house.leases.take(*place, await house.quotas.may_run(self.tenant))

    async def _do_due(self, reading: Reading) -> bool:
        if reading.is_over or reading.is_stopping:
            reading.leaves_nothing = False  # somebody asks while its engine is still on its way out
            return False
        await reading.refresh()
        due = reading.turn.due(self.house.clock.now(), reading=True)
        if due is None or isinstance(due, Stop):
            if due is not None:
                reading.stop(due.last)
            return False
        await reading.move(_while_due(due, reading=True))
        if reading.turn.task.status is TaskStatus.RUNNING and reading.run is not None:  # it goes on, and that is stored
            reading.run.answer([approval for approval in reading.turn.approvals if not approval.is_pending])
        return True

    async def _read(self, reading: Reading) -> None:
        """See one reading through: hear the engine out, end its task, go on with what waits."""
        try:
            reading.telling.begin()
            await reading.ended.wait()
            # Here the engine has really stopped: only now may its task end and the next one begin.
            await reading.end()
            self._close(reading)
            if not reading.leaves_nothing:  # what comes from now on is looked for by whoever brings it
                if self.house.is_draining:  # another node goes on with it, and need not find it by itself
                    self.house.bus.wake(self.tenant, self.session_id, waits=True)
                await self.reconcile()
        finally:
            self._close(reading)
            self.__exit__()

    def _close(self, reading: Reading) -> None:
        if self.reading is reading:
            self.reading = None
            self.house.gate.leave(self.tenant)

    def _tell(self, entries: Sequence[Entry]) -> None:
        if entries:
            self.house.bus.tell(self.session_id, entries)


def _while_due(due: Command, *, reading: bool) -> Callable[[Turn, datetime], tuple[Turn, Changes]]:
    """Decide *due* as long as it is due: what somebody has stored meanwhile may have made it void."""

    def decide(turn: Turn, at: datetime) -> tuple[Turn, Changes]:
        return obey(turn, due, at) if turn.due(at, reading=reading) == due else (turn, turn.nothing(at))

    return decide
