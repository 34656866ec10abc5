"""An engine being read, under a lease.

Law: what an engine says is decided, stored under the lease, and only then kept and told; text alone is told first.
A reading may tell while its lease is trusted, and write until it is fenced.  It is stopped once, and the first word
counts.

Story: ``listen`` is the only loop that reads an engine.  The engine is asked for its next event when the last one is
settled, so that a tool runs after its call is durable, and a node that has lost its lease never asks again.
Stopping escalates: the engine is asked, then cancelled (it kills its own processes on the way out), and one that
does not even then stop is left behind, unheard.  ``end`` settles the last word.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

import anyio
import structlog
from anyio import CancelScope
from attrs import define, evolve, field

from agentcore.briefing import engine_request
from agentcore.changes import Changes
from agentcore.commands import Cancel, HandBack, Recover
from agentcore.engine import EngineRequest, Run
from agentcore.errors import ContextTooLarge, EngineFailed, StoreUnavailable, TaskConflict
from agentcore.events import (
    ApprovalRequired,
    Broke,
    CallOpened,
    Ended,
    EngineEvent,
    Finished,
    TextDelta,
    ThinkingDelta,
    ToolUse,
)
from agentcore.follow import Live
from agentcore.house import House
from agentcore.ids import ChangeId, SessionId
from agentcore.messages import Message
from agentcore.obey import obey
from agentcore.ports import Committed, Fenced, Grant, Lease, Stale
from agentcore.receive import receive
from agentcore.task import ErrorCode, StopCode, TaskStatus
from agentcore.telling import Telling
from agentcore.turn import Turn

log = structlog.get_logger("agentcore.reading")
TRIES = 50  # each Stale means that somebody else got through, so this is never reached by accident
RETRY_S = 0.2
STUCK_S = 30.0  # after it was cancelled, an engine has that long to stop; its own grace is far below
OUT_OF_TURN = Broke(message="The engine said what it cannot say now.")
IDLE = Broke(code=ErrorCode.DEADLINE, message="The engine was silent for too long.")

LastWord = EngineEvent | Recover | HandBack
Decide = Callable[[Turn, datetime], tuple[Turn, Changes]]
T = TypeVar("T")


@define(eq=False)
class Reading:
    """One engine, what it has said, and the right to store it."""

    house: House
    lock: anyio.Lock  #: The lane's.
    turn: Turn  #: As stored, plus the tail; assigned in one place, after its commit.
    lease: Lease
    telling: Telling
    heard_at: float  #: Monotonic seconds at which the engine last said something.
    history: Sequence[Message] | None = None  #: Of the session, if it was read along.
    request: EngineRequest | None = None  #: What its engine is run with, if that was prepared already.
    run: Run | None = None
    last: LastWord = Ended()
    stopped_at: float | None = None  #: Monotonic seconds.
    ended: anyio.Event = field(factory=anyio.Event)  #: The engine has stopped, or was left behind.
    is_muted: bool = False  #: The lease is not trusted any more: nothing is told until its task has ended.
    leaves_nothing: bool = False  #: Its end was stored, and the session has no other open task.
    is_lost: bool = False  #: The lease is another's: nothing more is written or told.
    _grace_s: float = 0.0  # for which the engine may end by itself once it is asked to
    _change: ChangeId | None = None  # the last that was stored
    _is_left_behind: bool = False
    _scope: CancelScope = field(factory=CancelScope)

    @classmethod
    def granted(cls, house: House, lock: anyio.Lock, grant: Grant, request: EngineRequest | None = None) -> "Reading":
        """Begin with what was taken."""
        telling, heard_at = Telling.granted(house, grant), house.clock.monotonic()
        return cls(house, lock, grant.turn, grant.lease, telling, heard_at, grant.history, request)

    @property
    def session_id(self) -> SessionId:
        """Where it is read."""
        return self.lease.session_id

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self.stopped_at is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing more of what the engine says counts."""
        return self.is_lost or self.is_muted or self._is_left_behind or not self.turn.task.driven

    @property
    def tail(self) -> tuple[Live, ...]:
        """What is told and not durable."""
        return self.telling.live(self.turn.tail)

    # -------------------------------------------------------------------------------------------------- stopping
    def stop(self, last: LastWord) -> None:
        """Stop the engine; *last* becomes its last word when it has stopped."""
        if self.is_stopping:
            return
        self._begin_to_stop(last)
        # Only a task that was asked to stop may end by itself: for any other its end would look like an answer.
        if self.run is not None and self._grace_s > 0 and self.turn.task.status is TaskStatus.CANCELLING:
            self.run.interrupt()
            self._scope.deadline = anyio.current_time() + self._grace_s
        else:
            self._scope.cancel()

    def lose(self) -> None:
        """Stop the engine at once and forget what it says."""
        self.is_lost = True
        self._begin_to_stop(Ended())
        self._scope.cancel()

    def distrust(self) -> None:
        """Stop the engine at once, because the lease may be another's by now, and tell nothing more.

        What was told is stored, with the end of the task, as soon as the store answers and if it still lets us.
        """
        if self.is_muted or self.is_lost:
            return
        log.warning("lease.distrusted", task_id=self.lease.task_id)
        self.house.counts.lost += 1
        self.is_muted = True
        self._begin_to_stop(Recover())
        self._scope.cancel()

    def look_at_the_clock(self, now: datetime, monotonic: float) -> bool:
        """Do what time brings about; say whether something is due that must be stored."""
        if monotonic >= self.lease.trusted_until and self.turn.task.driven:
            self.distrust()
        if self.stopped_at is not None:
            if monotonic - self.stopped_at >= STUCK_S + self._grace_s and not self.ended.is_set():
                self._leave_behind()
            return False
        due = self.turn.due(now, reading=True)
        idle_s = monotonic - self.heard_at
        if due is None and idle_s >= self.house.idle_s and self.turn.is_engines_turn and not self.lock.locked():
            self.stop(IDLE)
        return due is not None

    def _begin_to_stop(self, last: LastWord) -> None:
        if not self.is_stopping and not self.ended.is_set():
            self.last, self.stopped_at = last, self.house.clock.monotonic()

    def _leave_behind(self) -> None:
        log.error("engine.stuck", task_id=self.lease.task_id, engine=self.turn.task.engine)
        self.house.counts.stuck += 1
        self._is_left_behind = True
        self.ended.set()

    # -------------------------------------------------------------------------------------------------- listening
    async def listen(self) -> None:
        """Read the engine to its end: the only loop there is."""
        plan = self.request.plan if self.request is not None else None
        try:
            last: EngineEvent = Ended()
            with self._scope:
                last = await self._hear_out()
            if not self.is_stopping:
                self.last = last
        finally:
            if plan is not None:
                plan.abandon()
            self.ended.set()

    async def _hear_out(self) -> EngineEvent:
        """Hear the engine out and return its last word, which is not received yet."""
        task = self.turn.task
        try:
            engine = self.house.engines.named(task.engine)
            self._grace_s = engine.abilities.stop_grace_s
            request = self.request
            if request is None:
                asked = partial(engine_request, self.house.store, engine, self.turn, self.history)
                request = await self._patiently(asked)
            self.history = self.request = None
            async with engine.run(request) as run:
                self.run = run
                async for event in run:
                    if not await self._receive(event):
                        self._begin_to_stop(Ended())  # its clock runs now: leaving it must not take for ever
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

    async def _receive(self, event: EngineEvent) -> bool:
        """Settle one event; return whether the engine may say more."""
        self.heard_at = self.house.clock.monotonic()
        if not isinstance(event, TextDelta | ThinkingDelta):
            await self.telling.give_way()
        async with self.lock:
            if self.is_over:
                self.house.counts.late += not isinstance(event, Ended)
                return False
            call, paid = self.turn.call, self.turn.usage
            is_between = call is None or not call.is_sent
            if isinstance(event, CallOpened | ToolUse | ApprovalRequired) and is_between and self._is_spent:
                await self._stop_spending()
                return not self.is_over
            if not await self.move(self._heard(event)) and isinstance(event, Finished | Broke):
                self.last = event  # it is still the truth, if nobody else has ended the task before the store is back
            if call is not None and call.is_sent is not (self.turn.call or call).is_sent:
                self.house.observers.called(self.turn.task, call, self.house.clock.now())
            if self.turn.usage is not paid:
                self.house.quotas.spend(self.lease.tenant_id, paid, self.turn.usage)
                if self.turn.acting and self._is_spent:  # it goes on, so what comes next is not begun
                    await self._stop_spending()
            return not self.is_over

    @property
    def _is_spent(self) -> bool:
        return self.turn.is_over_budget or self.house.quotas.is_used_up(self.lease.tenant_id)

    async def _stop_spending(self) -> None:
        """Stop the task because of what it, or its tenant, has cost; an answer that is whole is not touched."""
        if self.is_over or self.turn.task.status is TaskStatus.CANCELLING:
            return
        if await self.move(lambda turn, at: obey(turn, Cancel(code=StopCode.BUDGET), at)):
            self.stop(Ended())

    async def end(self) -> None:
        """Settle the last word; while the store is away, again and again, and callers are not kept waiting."""
        await self._try_to_end()
        while not self.is_lost and self.turn.task.driven:
            await anyio.sleep(RETRY_S)
            await self._try_to_end()

    async def _try_to_end(self) -> None:
        with CancelScope(shield=True):  # one try is made even by a node that goes away
            async with self.lock:
                for _ in range(TRIES):
                    if self.is_lost or not self.turn.task.driven:
                        return
                    if not await self.move(self._heard(self.last), is_last=True):
                        return

    def _heard(self, word: LastWord) -> Decide:
        def decide(turn: Turn, at: datetime) -> tuple[Turn, Changes]:
            try:
                return obey(turn, word, at) if isinstance(word, Recover | HandBack) else receive(turn, word, at)
            except TaskConflict:
                self.house.counts.refused += 1
                if turn.task.status is TaskStatus.CANCELLING:
                    return turn, turn.nothing(at)
                self.stop(OUT_OF_TURN)
                return turn, turn.nothing(at)

        return decide

    # -------------------------------------------------------------------------------------------------- settling
    async def refresh(self) -> None:
        """Take over what others have stored; raises StoreUnavailable."""
        stored = await self.house.store.turn(self.lease.tenant_id, self.lease.task_id)
        self.turn = self.turn.refreshed(stored)

    async def move(self, decide: Decide, *, is_last: bool = False) -> bool:
        """Decide and store under the lease; keep the turn only once it is stored, and say whether it is.

        The last word may be stored after the lease has ceased to be trusted: the store knows whose it is.
        """
        tried: dict[ChangeId | None, tuple[Turn, Changes]] = {}
        for _ in range(TRIES):
            turn, changes = decide(self.turn, self.house.clock.now())
            if not self._may_tell() and not (is_last and not self.is_lost):
                return False
            if changes.live and not self.is_muted:
                self.telling.text(changes.live, self.turn.task)
            if not changes.is_durable:  # the hot path: a delta is told and nothing is stored
                self.turn = turn
                return True
            changes = evolve(changes, id=ChangeId(self.house.new_id()), follows=self._change)
            tried[changes.id] = (turn, changes)
            try:
                began = self.house.clock.monotonic()
                with CancelScope(shield=True):
                    committed = await self._commit(changes)
            except Stale:
                try:
                    if (stored := await self._patiently(partial(self._adopted, tried))) is not None:
                        self.turn, changes = stored
                        self.house.observers.committed(changes, self.house.clock.monotonic() - began)
                        return True
                except StoreUnavailable:
                    return False
                continue
            except Fenced:
                log.warning("lease.lost", task_id=turn.task.id)
                self.house.counts.fenced += 1
                self.lose()
                return False
            except StoreUnavailable:
                self.distrust()
                return False
            self.turn = turn
            self.house.observers.committed(changes, self.house.clock.monotonic() - began)
            self.leaves_nothing = committed.is_idle
            self._change = changes.id if not changes.is_text_only else self._change
            self.telling.log(committed.entries)
            return True
        self.lose()
        return False

    async def _adopted(self, tried: Mapping[ChangeId | None, tuple[Turn, Changes]]) -> tuple[Turn, Changes] | None:
        """Return that of *tried* whose answer was lost and which is stored; else take over what others stored."""
        self._change = await self.house.store.last_change(self.lease.tenant_id, self.lease.task_id)
        if self._change in tried:
            return tried[self._change]
        stored = await self.house.store.turn(self.lease.tenant_id, self.lease.task_id)
        for turn, changes in tried.values():  # of text alone no change is kept, but nobody else adds any
            if changes.is_text_only and stored.position >= turn.position:
                return turn.refreshed(stored), changes
        self.turn = self.turn.refreshed(stored)
        return None

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the store until it answers; raises StoreUnavailable once the lease is not trusted any more."""
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                if not self._may_tell():
                    raise
            await anyio.sleep(RETRY_S)

    async def _commit(self, changes: Changes) -> Committed:
        """Store, and when the answer is lost look whether it was stored before doing it again."""
        while True:
            try:
                return await self.house.store.commit(changes, self.lease)
            except StoreUnavailable:
                if self.house.clock.monotonic() >= self.lease.trusted_until:
                    raise
            await anyio.sleep(RETRY_S)
            try:
                if await self.house.store.last_change(self.lease.tenant_id, self.lease.task_id) == changes.id:
                    return Committed()  # its entries are told by the next look at the heads of the logs
            except StoreUnavailable:
                continue

    def _may_tell(self) -> bool:
        if self.house.clock.monotonic() >= self.lease.trusted_until:
            self.distrust()
        return not (self.is_lost or self.is_muted)
