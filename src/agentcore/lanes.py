"""All lanes of one node.

Law: a session has at most one lane here, and a lane that knows nothing the store does not is forgotten.
"""

from collections.abc import Iterator

from attrs import define, field

from agentcore.follow import Live
from agentcore.house import House
from agentcore.ids import SessionId, TenantId
from agentcore.lane import Lane
from agentcore.reading import Reading


@define(eq=False)
class Lanes:
    """The doors of this node."""

    house: House
    _lanes: dict[tuple[TenantId, SessionId], Lane] = field(factory=dict)

    def at(self, tenant: TenantId, session_id: SessionId) -> Lane:
        """Return the lane of a session; use it in a ``with``."""
        key = (tenant, session_id)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(self.house, tenant, session_id, self._forget)
        return lane

    def reading(self) -> Iterator[tuple[Lane, Reading]]:
        """Yield the lanes that read an engine, with what they read."""
        for lane in list(self._lanes.values()):
            if lane.reading is not None:
                yield lane, lane.reading

    def is_driven(self, tenant: TenantId, session_id: SessionId) -> bool:
        """Whether a task of a session is driven here."""
        lane = self._lanes.get((tenant, session_id))
        return lane is not None and lane.reading is not None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is being stored, taken or looked at here: engines may be read, and say nothing."""
        return not any(lane.is_busy or lane.users > (lane.reading is not None) for lane in self._lanes.values())

    async def tail(self, tenant: TenantId, session_id: SessionId) -> tuple[Live, ...] | None:
        """Return the tail of a session that is driven here; None if it is not."""
        lane = self._lanes.get((tenant, session_id))
        return None if lane is None else lane.tail()

    def woken(self, tenant: TenantId, session_id: SessionId, *, waits: bool = False) -> None:
        """Look at a session because somebody asked for it: if it is driven here, or *waits* and there is room."""
        if (waits and self.house.gate.has_room) or self.is_driven(tenant, session_id):
            self.house.spawn(self.reconcile, tenant, session_id)

    async def reconcile(self, tenant: TenantId, session_id: SessionId) -> None:
        """Do what is due in one session."""
        with self.at(tenant, session_id) as lane:
            await lane.reconcile()

    def __len__(self) -> int:
        """Count them."""
        return len(self._lanes)

    def _forget(self, lane: Lane) -> None:
        self._lanes.pop((lane.tenant, lane.session_id), None)
