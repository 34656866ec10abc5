"""Clocks."""

import time
from datetime import UTC, datetime, timedelta

from attrs import define


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the time of day: aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()


@define
class ManualClock:
    """Time that passes when a test says so."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    seconds: float = 1000.0

    def now(self) -> datetime:
        """Return the time of day: aware, UTC."""
        return self.at

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds
