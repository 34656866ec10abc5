"""A world that fails: stores that answer late, not at all, or after the fact; buses that lose, repeat and reorder.

Law: all that is random comes from one ``Fate``, so that a seed is a run.  Wrap any port in ``Flaky``, any bus in
``ChaosBus``; what they do to a call is what a network, a restart or a crash can do to it, and nothing else.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from random import Random
from typing import Any

import anyio
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from agentcore.bus import Ask, Bus, BusState, Ear, Woken
from agentcore.errors import StoreUnavailable
from agentcore.follow import Entry, Head, Live
from agentcore.ids import SessionId, TenantId


class Dead(BaseException):
    """The process is no more: nothing catches that, and nothing is done after it."""


@frozen(kw_only=True)
class Weather:
    """How likely each trouble is, for one call, and how long it lasts (seconds)."""

    before: float = 0.0  #: The call never arrives.
    after: float = 0.0  #: The call takes effect, and its answer is lost.
    stall: float = 0.0  #: The call, or its answer, takes long.
    stall_s: float = 12.0
    delay_s: float = 0.01  #: Each way, on average.
    lost: float = 0.0  #: A message of the bus is lost.
    twice: float = 0.0  #: It is told twice.
    late_s: float = 0.0  #: It is told at most that much later, so that messages overtake each other.


CALM = Weather()
ROUGH = Weather(before=0.01, after=0.01, stall=0.005, lost=0.2, twice=0.2, late_s=2.0)
STORM = Weather(before=0.04, after=0.04, stall=0.02, stall_s=25.0, lost=0.4, twice=0.3, late_s=30.0)


@define(eq=False)
class Fate:
    """Decides what happens to calls; ``weather`` may change at any time."""

    random: Random
    weather: Weather = CALM
    is_store_away: bool = False  #: For everybody.
    troubles: int = 0  #: Calls that failed, stalled, or were never told.

    async def on_the_way(self) -> None:
        """Take the time a message takes."""
        seconds = self.random.expovariate(1 / self.weather.delay_s)
        if self.random.random() < self.weather.stall:
            self.troubles += 1
            seconds += self.random.uniform(0, self.weather.stall_s)
        await anyio.sleep(seconds)

    def strikes(self, chance: float) -> bool:
        """Say whether something of that likelihood happens now."""
        if chance <= 0 or self.random.random() >= chance:
            return False
        self.troubles += 1
        return True


@define(eq=False)
class Flaky:
    """Any port, seen through a bad line by one node, which may die at any call."""

    target: Any
    fate: Fate
    calls_left: int | None = None  #: Then the node dies, in the middle of a call; None: it lives.
    on_death: Callable[[], None] = lambda: None
    is_dead: bool = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - stands in for any port
        """Pass the call on, as the weather allows."""
        method = getattr(self.target, name)

        async def call(*args: Any, **more: Any) -> Any:  # noqa: ANN401
            self.step()
            await self.fate.on_the_way()
            self._must_live()
            if self.fate.is_store_away or self.fate.strikes(self.fate.weather.before):
                raise StoreUnavailable("The call did not arrive.")
            answer = await method(*args, **more)
            self.step()
            await self.fate.on_the_way()
            self._must_live()
            if self.fate.strikes(self.fate.weather.after):
                raise StoreUnavailable("The answer was lost.")
            return answer

        return call

    def step(self) -> None:
        """Come one step nearer to death."""
        self._must_live()
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                self.die()
                raise Dead

    def die(self) -> None:
        """Let the node do nothing more."""
        if not self.is_dead:
            self.is_dead = True
            self.on_death()

    def _must_live(self) -> None:
        if self.is_dead:
            raise Dead


@define(eq=False)
class ChaosBus:
    """A bus that loses, repeats, delays and reorders what is told."""

    target: Bus
    fate: Fate
    tasks: TaskGroup
    told: list[tuple[SessionId, Entry]] = field(factory=list)  #: Every logged event it was given, heard or not.

    def tell(self, session_id: SessionId, said: Sequence[Entry | Live | Head]) -> None:
        """Tell, perhaps."""
        if all(isinstance(item, Head) for item in said):  # a node's own hint to its own readers
            self.target.tell(session_id, said)
            return
        self.told += [(session_id, item) for item in said if isinstance(item, Entry)]
        self._soon(lambda: self.target.tell(session_id, said))

    def wake(self, tenant_id: TenantId, session_id: SessionId, *, waits: bool = False) -> None:
        """Wake, perhaps."""
        self._soon(lambda: self.target.wake(tenant_id, session_id, waits=waits))

    def listen(self, tenant_id: TenantId, session_id: SessionId) -> AbstractContextManager[Ear]:
        """Listen."""
        return self.target.listen(tenant_id, session_id)

    def listened(self) -> Sequence[tuple[TenantId, SessionId]]:
        """Return what is listened to."""
        return self.target.listened()

    async def tail(self, tenant_id: TenantId, session_id: SessionId) -> tuple[Live, ...] | None:
        """Ask for the tail; perhaps nobody answers."""
        await self.fate.on_the_way()
        if self.fate.strikes(self.fate.weather.lost):
            return None
        return await self.target.tail(tenant_id, session_id)

    def serve(self, ask: Ask, woken: Woken) -> AbstractContextManager[None]:
        """Answer questions."""
        return self.target.serve(ask, woken)

    def state(self) -> BusState:
        """Say how it does."""
        return self.target.state()

    def _soon(self, deliver: Callable[[], None]) -> None:
        weather = self.fate.weather
        if self.fate.strikes(weather.lost):
            return
        times = 2 if self.fate.strikes(weather.twice) else 1
        for _ in range(times):
            seconds = self.fate.random.uniform(0, weather.late_s) if weather.late_s else 0.0
            if seconds:
                self.tasks.start_soon(_later, seconds, deliver)
            else:
                deliver()


@asynccontextmanager
async def chaos_bus(target: Bus, fate: Fate) -> AsyncIterator[ChaosBus]:
    """Open a bus in the weather of *fate*; what is still on its way at the end is lost."""
    async with anyio.create_task_group() as tasks:
        try:
            yield ChaosBus(target, fate, tasks)
        finally:
            tasks.cancel_scope.cancel()


async def _later(seconds: float, deliver: Callable[[], None]) -> None:
    await anyio.sleep(seconds)
    deliver()


__all__ = ["CALM", "ROUGH", "STORM", "ChaosBus", "Dead", "Fate", "Flaky", "Weather", "chaos_bus"]
