"""The bus of one process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import anyio
from attrs import define, field

from agentcore.follow import Entry, Head, Heard, Live, Missed
from agentcore.ids import SessionId, TenantId
from agentcore.ports import Ask

K = TypeVar("K")
ITEMS = 1024
CHARS = 256 * 1024


@define(eq=False)
class MemoryEar:
    """A bounded buffer: when it runs over, what is in it is dropped and the reader is told that it missed some."""

    items: int = ITEMS
    chars: int = CHARS
    _heard: list[Heard] = field(factory=list)
    _held: int = 0
    _told: anyio.Event = field(factory=anyio.Event)

    async def hear(self) -> list[Heard]:
        """Wait until something was told and return all there is."""
        if not self._heard:
            self._told = anyio.Event()
            await self._told.wait()
        heard, self._heard, self._held = self._heard, [], 0
        return heard

    def tell(self, said: Sequence[Entry | Live | Head]) -> None:
        """Put *said* into the buffer."""
        if len(self._heard) + len(said) > self.items or self._held > self.chars:
            self._heard, self._held = [Missed()], 0
        else:
            self._heard.extend(said)
            self._held += sum(len(item.text) for item in said if isinstance(item, Live))
        self._told.set()


@define(eq=False)
class MemoryBus:
    """Tells whoever listens in this process; several nodes of a test may share it."""

    items: int = ITEMS
    chars: int = CHARS
    _ears: dict[tuple[TenantId, SessionId], list[MemoryEar]] = field(factory=dict)
    _by_session: dict[SessionId, list[MemoryEar]] = field(factory=dict)
    _asks: list[Ask] = field(factory=list)
    _wakes: list[Callable[[TenantId, SessionId], None]] = field(factory=list)

    def tell(self, session_id: SessionId, said: Sequence[Entry | Live | Head]) -> None:
        """Tell whoever listens."""
        for ear in self._by_session.get(session_id, ()):
            ear.tell(said)

    def wake(self, tenant_id: TenantId, session_id: SessionId) -> None:
        """Ask every node to look, if it drives the session."""
        for woken in self._wakes:
            woken(tenant_id, session_id)

    @contextmanager
    def listen(self, tenant_id: TenantId, session_id: SessionId) -> Iterator[MemoryEar]:
        """Listen to a session from now on."""
        ear, key = MemoryEar(self.items, self.chars), (tenant_id, session_id)
        self._ears.setdefault(key, []).append(ear)
        self._by_session.setdefault(session_id, []).append(ear)
        try:
            yield ear
        finally:
            _remove(self._ears, key, ear)
            _remove(self._by_session, session_id, ear)

    def listened(self) -> list[tuple[TenantId, SessionId]]:
        """Return the sessions that somebody listens to."""
        return list(self._ears)

    async def tail(self, session_id: SessionId) -> tuple[Live, ...] | None:
        """Ask for the tail of a session."""
        if not self._asks:
            return None
        for ask in self._asks:
            if tail := await ask(session_id):
                return tail
        return ()

    @contextmanager
    def serve(self, ask: Ask, woken: Callable[[TenantId, SessionId], None]) -> Iterator[None]:
        """Answer questions and hear wakes from now on."""
        self._asks.append(ask)
        self._wakes.append(woken)
        try:
            yield
        finally:
            self._asks.remove(ask)
            self._wakes.remove(woken)


def _remove(ears: dict[K, list[MemoryEar]], key: K, ear: MemoryEar) -> None:
    ears[key].remove(ear)
    if not ears[key]:
        del ears[key]
