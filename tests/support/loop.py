"""The event loop of the tests."""

import asyncio
import time
from typing import Any

WAIT_S = 2.0


class PatientLoop(asyncio.SelectorEventLoop):
    """A loop that is closed when what was closing in it has closed.

    A connection that is closed with bytes on their way needs a few turns more.  A test does not wait for them, and what
    its loop leaves behind is told of as a leak, in whichever test collects it; what nobody closed is told of still.
    """

    def close(self) -> None:
        """Wait for what is closing, and close."""
        until = time.monotonic() + WAIT_S
        while not self.is_closed() and self._is_anything_closing() and time.monotonic() < until:
            self.run_until_complete(asyncio.sleep(0.001))
        super().close()

    def _is_anything_closing(self) -> bool:
        transports: list[Any] = list(self._transports.values())  # type: ignore[attr-defined]  # asyncio's own
        return any(transport.is_closing() and transport._sock is not None for transport in transports)
