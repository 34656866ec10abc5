"""The bus of one process."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from attrs import define, field

from agentcore.bus import Ask, BusState, Ear, Woken
from agentcore.follow import Entry, Head, Live
from agentcore.ids import SessionId, TenantId
from agentcore_adapters.ears import Ears


@define(eq=False)
class MemoryBus:
    """Tells whoever listens in this process; several nodes of a test may share it."""

    ears: Ears = field(factory=Ears)
    _asks: list[Ask] = field(factory=list)
    _wakes: list[Woken] = field(factory=list)

    def tell(self, session_id: SessionId, said: Sequence[Entry | Live | Head]) -> None:
        """Tell whoever listens."""
        self.ears.tell(session_id, said)

    def wake(self, tenant_id: TenantId, session_id: SessionId, *, waits: bool = False) -> None:
        """Ask every node to look."""
        for woken in self._wakes:
            woken(tenant_id, session_id, waits=waits)

    def listen(self, tenant_id: TenantId, session_id: SessionId) -> AbstractContextManager[Ear]:
        """Listen to a session from now on."""
        return self.ears.listen(tenant_id, session_id)

    def listened(self) -> list[tuple[TenantId, SessionId]]:
        """Return the sessions that somebody listens to."""
        return self.ears.places()

    async def tail(self, tenant_id: TenantId, session_id: SessionId) -> tuple[Live, ...] | None:
        """Ask for the tail of a session."""
        for ask in self._asks:
            if (tail := await ask(tenant_id, session_id)) is not None:
                return tail
        return None

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

    def state(self) -> BusState:
        """It is always there."""
        return BusState()
