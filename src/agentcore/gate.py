"""Which of the waiting work this node begins.

Law: a node drives at most so many tasks, and where work had to wait it is begun in order: through the gate comes what
was called, and what comes by itself is called when it is its turn.  Where nothing waits, the gate stands open and
nobody is asked.

Story: a task that finds its tenant at its limit, or the node full, holds the line (``asking``, ``is_crowded``).  Each
one that ends leaves a place (``leave``), and ``next_call`` says whom to look for; who is found is called (``call``).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from attrs import define, field, frozen

from agentcore.ids import SessionId, TenantId

MOST = 1000  # tasks that one node drives
ASKED_AGAIN_S = 0.25  # a tenant that was full is asked about again for a new prompt, at most so often


@frozen(kw_only=True)
class Call:
    """Places for which somebody is to be found."""

    places: int
    tenant: TenantId | None  #: None: of any.


@define
class _Asked:
    """Who asks the store for a tenant just now, and how many of its tasks have ended meanwhile."""

    by: int = 0
    left: int = 0


@define(eq=False)
class Gate:
    """The gate of one node."""

    most: int = MOST
    driven: int = 0  #: Tasks that this node drives, or is about to.
    is_crowded: bool = False  #: Work of any tenant waits for a place here.
    _lines: dict[TenantId, int] = field(factory=dict)  # tenants whose work waits, and places that they have got since
    _full_at: dict[TenantId, float] = field(factory=dict)  # when it was last seen that these run what they may
    _asking: dict[TenantId, _Asked] = field(factory=dict)
    _called: set[SessionId] = field(factory=set)
    _changed: anyio.Event = field(factory=anyio.Event)

    @property
    def has_room(self) -> bool:
        """Whether the node drives fewer tasks than it may, and none waits for a place."""
        return self.driven < self.most and not self.is_crowded

    def enter(self, tenant: TenantId, session_id: SessionId) -> bool:
        """Take a place for a session whose work may be begun; say whether there was one, and it was its turn."""
        was_called = session_id in self._called
        self._called.discard(session_id)
        if self.driven >= self.most:
            self.is_crowded = True
            return False
        if not was_called and (self.is_crowded or tenant in self._lines):
            if self.is_crowded or self._is_to_be_asked_again(tenant):
                self._changed.set()
            return False
        self.driven += 1
        return True

    def turn_back(self) -> None:
        """Give back a place in which nothing was begun."""
        self.driven -= 1
        if self.is_crowded:
            self._changed.set()

    def leave(self, tenant: TenantId) -> None:
        """Give back the place of a task that is driven no more."""
        self.driven -= 1
        if tenant in self._asking:
            self._asking[tenant].left += 1
        if tenant in self._lines:
            self._lines[tenant] += 1
            self._changed.set()
        if self.is_crowded:
            self._changed.set()

    @contextmanager
    def asking(self, tenant: TenantId) -> Iterator[Callable[[], None]]:
        """Ask the store whether a tenant may run one more; what this yields is to be called if it may not."""
        asked = self._asking.setdefault(tenant, _Asked())
        asked.by += 1
        left = asked.left

        def hold() -> None:
            # Perhaps one of its tasks has ended since the store has looked: then somebody must look again.
            self._lines[tenant] = int(asked.left != left)
            self._full_at[tenant] = anyio.current_time()
            if self._lines[tenant]:
                self._changed.set()

        try:
            yield hold
        finally:
            asked.by -= 1
            if not asked.by:
                del self._asking[tenant]

    @contextmanager
    def call(self, session_id: SessionId) -> Iterator[None]:
        """Let a session through that comes now."""
        self._called.add(session_id)
        try:
            yield
        finally:
            self._called.discard(session_id)

    async def next_call(self) -> list[Call]:
        """Wait until places are free that somebody waits for, and say which."""
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            if self.is_crowded:
                if self.driven < self.most:
                    return [Call(places=self.most - self.driven, tenant=None)]
                continue
            calls = [Call(places=places, tenant=tenant) for tenant, places in self._lines.items() if places]
            if calls:
                return calls

    def answer(self, call: Call, places: int, *, more: bool) -> None:
        """Note that so many were called, and whether *more* wait: where none does, nobody stands in line."""
        if call.tenant is None:
            self.is_crowded = more
        elif more:
            self._lines[call.tenant] = max(0, self._lines.get(call.tenant, 0) - places)
        else:
            self._lines.pop(call.tenant, None)
            self._full_at.pop(call.tenant, None)

    def _is_to_be_asked_again(self, tenant: TenantId) -> bool:
        """Tell whether a tenant was full so long ago that its tasks on other nodes may have ended."""
        now = anyio.current_time()
        if now - self._full_at.get(tenant, 0.0) < ASKED_AGAIN_S:
            return False
        self._full_at[tenant] = now
        self._lines[tenant] = max(1, self._lines[tenant])
        return True
