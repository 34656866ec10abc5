"""Lines to stand in, one for each tenant.

Law: who has to wait for others of its tenant waits here, where it holds nothing: one tenant's crowd must not take what
all need, be it connections or the processor.  Nobody waits for long, and an empty line is forgotten.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from attrs import define, field

from agentcore.errors import OverLimit
from agentcore.ids import TenantId

PATIENCE_S = 5.0
AGAIN_S = 1


@define
class _Line:
    places: anyio.Semaphore
    length: int = 0


@define(eq=False)
class Lines:
    """The lines of one process."""

    width: int = 1  #: So many of a tenant may be in front at a time.
    _lines: dict[TenantId, _Line] = field(factory=dict)

    @asynccontextmanager
    async def at(self, tenant: TenantId) -> AsyncIterator[None]:
        """Stand in a tenant's line until it is one's turn; raises OverLimit if that takes too long."""
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = _Line(anyio.Semaphore(self.width, fast_acquire=True))
        line.length += 1
        try:
            try:
                with anyio.fail_after(PATIENCE_S):
                    await line.places.acquire()
            except TimeoutError:
                raise OverLimit("Too many requests of the tenant wait; send fewer.", AGAIN_S) from None
            try:
                yield
            finally:
                line.places.release()
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[tenant]

    def __len__(self) -> int:
        """Count those in which somebody stands."""
        return len(self._lines)
