"""Reading the stub's stamps."""

import re
import time
from collections.abc import Iterable

from attrs import define, field

NOW = time.monotonic_ns
MARK = re.compile(r"@(\d{16}):(\d{4});")


@define
class Meter:
    """Reads the stub's stamps out of a stream of text, however the server has cut it."""

    keeps: bool = True  #: Whether latencies are kept.
    first: int | None = None
    last: int | None = None
    seen: int = 0
    latencies: list[int] = field(factory=list)
    _rest: str = ""

    def feed(self, text: str) -> None:
        """Take in a piece of text."""
        now = NOW()
        self.first = self.first or now
        self.last = now
        text = self._rest + text
        end = 0
        for match in MARK.finditer(text):
            self.seen += 1
            end = match.end()
            if self.keeps:
                self.latencies.append(now - int(match[1]))
        at = text.rfind("@", end)
        self._rest = text[at:] if at >= 0 else ""


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return a percentile, between neighbours in proportion; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    at = (len(ordered) - 1) * percent / 100
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
