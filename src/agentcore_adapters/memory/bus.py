"""The bus of one process."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from attrs import define, field

from agentcore.bus import Ask, BusState, Ear, Woken
from agentcore.follow import Entry, Head, Live
from agentcore.ids import SessionId, TenantId
from agentcore_adapters.ears import Ears, Nodes


@define(eq=False)
class MemoryBus:
    """Tells whoever listens in this process; several nodes of a test may share it."""

    ears: Ears = field(factory=Ears)
    nodes: Nodes = field(factory=Nodes)

    def tell(self, session_id: SessionId, said: Sequence[Entry | Live | Head]) -> None:
        """Tell whoever listens."""
        self.ears.tell(session_id, said)

    def wake(self, tenant_id: TenantId, session_id: SessionId, *, waits: bool = False) -> None:
        """Ask every node to look."""
        self.nodes.wake(tenant_id, session_id, waits=waits)

    def listen(self, tenant_id: TenantId, session_id: SessionId) -> AbstractContextManager[Ear]:
        """Listen to a session from now on."""
        return self.ears.listen(tenant_id, session_id)

    def listened(self) -> list[tuple[TenantId, SessionId]]:
        """Return the sessions that somebody listens to."""
        return self.ears.places()

    async def tail(self, tenant_id: TenantId, session_id: SessionId) -> tuple[Live, ...] | None:
        """Ask for the tail of a session."""
        return await self.nodes.tail(tenant_id, session_id)

    def serve(self, ask: Ask, woken: Woken) -> AbstractContextManager[None]:
        """Answer questions and hear wakes from now on."""
        return self.nodes.serve(ask, woken)

    def state(self) -> BusState:
        """It is always there."""
        return BusState()
