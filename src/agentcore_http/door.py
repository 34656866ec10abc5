"""How many may come in at a time.

Law: what is refused here costs next to nothing: no body is read, no store is asked.  Who comes is the caller, never an
address.  Everything is counted in this process, so each node lets in as many; what must hold for all nodes together is
counted by the store.  What is remembered of those who come is bounded.
"""

import math
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import anyio
from attrs import define, field
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.types import ASGIApp, Receive, Scope, Send

from agentcore.caller import Caller
from agentcore.errors import AgentcoreError, OverLimit
from agentcore.ids import TenantId
from agentcore.limits import Limits
from agentcore_http.auth.origin import refuse
from agentcore_http.routes.context import caller_of

REMEMBERED = 10_000  # users whose rate is known; whoever has not come for long is forgotten first
AT_ONCE_S = 10.0  # a user may come at once as often as in so many seconds
SOON_S = 1
HELD, HELD_S = 1000, (0.125, 0.375)  # so many refusals are held back, for so long: not all of a crowd alike
User = tuple[TenantId, str]


@define
class Bucket:
    """What is left of a rate: ``most`` at once, and ``per_s`` in the long run."""

    left: float
    at: float

    def take(self, now: float, per_s: float, most: float) -> float:
        """Take one and return 0, or return how many seconds there is none."""
        self.left = min(most, self.left + max(0.0, now - self.at) * per_s)
        self.at = now
        if self.left >= 1.0:
            self.left -= 1.0
            return 0.0
        return (1.0 - self.left) / per_s if per_s > 0 else AT_ONCE_S


@define(eq=False)
class Counter:
    """Who is inside, by any name."""

    _inside: dict[object, int] = field(factory=dict)

    def of(self, name: object) -> int:
        """Return how many are."""
        return self._inside.get(name, 0)

    @contextmanager
    def one(self, *names: object) -> Iterator[None]:
        """Count one more for as long as it lasts."""
        for name in names:
            self._inside[name] = self.of(name) + 1
        try:
            yield
        finally:
            for name in names:
                self._inside[name] -= 1
                if not self._inside[name]:
                    del self._inside[name]

    def __len__(self) -> int:
        """Count the names."""
        return len(self._inside)


@define(eq=False)
class Door:
    """The door of one node."""

    monotonic: Callable[[], float]
    limits: Callable[[TenantId], Limits]
    requests: Counter = field(factory=Counter)
    streams: Counter = field(factory=Counter)
    held: int = 0  #: Who waits for being refused.
    _buckets: dict[User, Bucket] = field(factory=dict)

    def knock(self, caller: Caller) -> None:
        """Count a request against its user's rate; raises OverLimit."""
        if (per_minute := self.limits(caller.tenant_id).requests_per_minute) is None:
            return
        per_s = per_minute / 60
        user, now = (caller.tenant_id, caller.subject), self.monotonic()
        most = max(1.0, per_s * AT_ONCE_S)
        bucket = self._buckets.pop(user, None) or Bucket(most, now)
        self._buckets[user] = bucket  # at the end: who came last is forgotten last
        if len(self._buckets) > REMEMBERED:
            del self._buckets[next(iter(self._buckets))]
        wait_s = bucket.take(now, per_s, most)
        if wait_s:
            raise OverLimit("Too many requests of this user; send fewer.", math.ceil(wait_s))

    @contextmanager
    def enter(self, caller: Caller) -> Iterator[None]:
        """Let a request of a tenant be answered; raises OverLimit."""
        if self.requests.of(caller.tenant_id) >= self.limits(caller.tenant_id).max_in_flight:
            raise OverLimit("Too many requests of the tenant are being answered; wait for some.", SOON_S)
        with self.requests.one(caller.tenant_id):
            yield

    @contextmanager
    def stream(self, caller: Caller) -> Iterator[None]:
        """Let a stream be opened; raises OverLimit."""
        limits, user = self.limits(caller.tenant_id), (caller.tenant_id, caller.subject)
        if _is_full(self.streams.of(user), limits.user_sockets):
            raise OverLimit("The user has too many open streams; close some.", SOON_S)
        if _is_full(self.streams.of(caller.tenant_id), limits.max_sockets):
            raise OverLimit("The tenant has too many open streams; close some.", SOON_S)
        with self.streams.one(user, caller.tenant_id):
            yield

    async def hold(self) -> None:
        """Let who is refused wait a moment: it costs nothing here, and slows down who would ask again at once."""
        if self.held < HELD:
            self.held += 1
            try:
                await anyio.sleep(random.uniform(*HELD_S))  # noqa: S311 - jitter
            finally:
                self.held -= 1

    def __len__(self) -> int:
        """Count the users that are remembered."""
        return len(self._buckets)


def _is_full(inside: int, most: int | None) -> bool:
    return most is not None and inside >= most


@define(eq=False)
class Doorkeeper:
    """ASGI middleware of the API: asks the door for each request, and answers those who may not come in."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look who comes."""
        if str(scope["type"]) != "http":
            await self.app(scope, receive, send)
            return
        try:
            caller = caller_of(ASGIConnection(scope))
        except AgentcoreError:
            await self.app(scope, receive, send)  # the route asks for no caller, or refuses it
            return
        door = door_of(scope["litestar_app"])
        with ExitStack() as stack:
            try:
                door.knock(caller)
                # What is read of a log may wait, or go on: it is a stream as long as it lasts.
                is_stream = scope["path"].endswith("/events")
                stack.enter_context(door.stream(caller) if is_stream else door.enter(caller))
            except OverLimit as error:
                await door.hold()
                await refuse(scope, receive, send, error)  # and the connection is closed: no body is taken in
                return
            await self.app(scope, receive, send)


def door_of(app: Litestar) -> Door:
    """Return the door of an application."""
    door: Door = app.state.door
    return door
