"""Who listens in this process, and who answers.

Law: an ear is a bounded buffer.  A reader that does not read costs no more than its buffer, and is told that it
missed something; nobody who tells ever waits for it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import anyio
from attrs import define, field

from agentcore.bus import Ask, Woken
from agentcore.follow import Entry, Head, Heard, Live, Missed
from agentcore.ids import SessionId, TenantId

K = TypeVar("K")
ITEMS = 1024
CHARS = 256 * 1024


@define(eq=False)
class BufferedEar:
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
class Ears:
    """The ears of one process, by session."""

    items: int = ITEMS
    chars: int = CHARS
    _by_place: dict[tuple[TenantId, SessionId], list[BufferedEar]] = field(factory=dict)
    _by_session: dict[SessionId, list[BufferedEar]] = field(factory=dict)

    def tell(self, session_id: SessionId, said: Sequence[Entry | Live | Head]) -> None:
        """Tell whoever listens to a session."""
        for ear in self._by_session.get(session_id, ()):
            ear.tell(said)

    @contextmanager
    def listen(self, tenant_id: TenantId, session_id: SessionId) -> Iterator[BufferedEar]:
        """Listen to a session from now on."""
        ear, place = BufferedEar(self.items, self.chars), (tenant_id, session_id)
        self._by_place.setdefault(place, []).append(ear)
        self._by_session.setdefault(session_id, []).append(ear)
        try:
            yield ear
        finally:
            _remove(self._by_place, place, ear)
            _remove(self._by_session, session_id, ear)

    def places(self) -> list[tuple[TenantId, SessionId]]:
        """Return what is listened to, with its tenant."""
        return list(self._by_place)

    def sessions(self) -> list[SessionId]:
        """Return what is listened to."""
        return list(self._by_session)

    def __contains__(self, session_id: object) -> bool:
        """Tell whether somebody listens to a session."""
        return session_id in self._by_session


@define(eq=False)
class Nodes:
    """Who answers questions in this process, and is woken."""

    _asks: list[Ask] = field(factory=list)
    _wakes: list[Woken] = field(factory=list)

    @contextmanager
    def serve(self, ask: Ask, woken: Woken) -> Iterator[None]:
        """Answer questions and hear wakes from now on."""
        self._asks.append(ask)
        self._wakes.append(woken)
        try:
            yield
        finally:
            self._asks.remove(ask)
            self._wakes.remove(woken)

    def wake(self, tenant_id: TenantId, session_id: SessionId, *, waits: bool) -> None:
        """Ask each to look."""
        for woken in self._wakes:
            woken(tenant_id, session_id, waits=waits)

    async def tail(self, tenant_id: TenantId, session_id: SessionId) -> tuple[Live, ...] | None:
        """Return the tail of a session that is driven here; None if it is not."""
        for ask in self._asks:
            if (tail := await ask(tenant_id, session_id)) is not None:
                return tail
        return None


def _remove(ears: dict[K, list[BufferedEar]], key: K, ear: BufferedEar) -> None:
    ears[key].remove(ear)
    if not ears[key]:
        del ears[key]
