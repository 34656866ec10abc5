"""Whose turn it is at what there is only so much of.

Law: whoever comes is served at once while there is room; when there is none, what becomes free goes to the tenant that
has the least, and within a tenant to who came first.  So a crowd of one tenant waits behind itself.
"""

from collections import deque

import anyio
from attrs import define, field


@define(eq=False)
class _Waiting:
    turn: anyio.Event = field(factory=anyio.Event)
    is_served: bool = False


@define(eq=False)
class Shares:
    """So many places, shared by tenants."""

    places: int
    _held: dict[str, int] = field(factory=dict)
    _waiting: dict[str, deque[_Waiting]] = field(factory=dict)  # in the order in which it is their turn

    async def take(self, tenant: str) -> None:
        """Take a place; whoever gives up waiting has none."""
        if sum(self._held.values()) < self.places:
            self._take(tenant)
        else:
            await self._wait(tenant)

    async def _wait(self, tenant: str) -> None:
        mine = _Waiting()
        self._waiting.setdefault(tenant, deque()).append(mine)
        try:
            await mine.turn.wait()
        except BaseException:
            if mine.is_served:
                self.give_back(tenant)
            else:
                self._leave(tenant, mine)
            raise

    def _take(self, tenant: str) -> None:
        self._held[tenant] = self._held.get(tenant, 0) + 1

    def give_back(self, tenant: str) -> None:
        """Give it back, to whose turn it is."""
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
        if not self._waiting:
            return
        following = min(self._waiting, key=lambda name: self._held.get(name, 0))
        first = self._waiting[following][0]
        self._leave(following, first)
        if following in self._waiting:  # of those who have as little, the others come first the next time
            self._waiting[following] = self._waiting.pop(following)
        self._take(following)
        first.is_served = True
        first.turn.set()

    def _leave(self, tenant: str, who: _Waiting) -> None:
        line = self._waiting[tenant]
        line.remove(who)
        if not line:
            del self._waiting[tenant]

    def __len__(self) -> int:
        """Count who waits."""
        return sum(map(len, self._waiting.values()))
