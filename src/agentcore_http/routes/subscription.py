"""What a subscriber of a session is shown."""

from datetime import datetime

from anyio import CancelScope, move_on_after

from agentcore.errors import InvalidRequest
from agentcore.ports import Clock
from agentcore.session import Session
from agentcore_http.wire.frames import HIDDEN_FROM_VOICE, Encoder


def encoder_for(session: Session, include: str | None) -> Encoder:
    """Return the encoder of one subscriber; in a voice session only ``include=all`` shows everything.

    The filter is the subscriber's own: the log keeps everything.
    """
    if include not in {None, "all"}:
        raise InvalidRequest("include can only be all.", "include")
    hides = HIDDEN_FROM_VOICE if session.voice_mode and include is None else frozenset()
    return Encoder(session.id, hides)


def expiring(until: datetime | None, clock: Clock, within_s: float | None = None) -> CancelScope:
    """Return a scope that ends when what proved the caller expires, or after *within_s* seconds."""
    left = [seconds for seconds in (within_s, left_s(until, clock)) if seconds is not None]
    return move_on_after(min(left) if left else None)


def left_s(until: datetime | None, clock: Clock) -> float | None:
    """Return the seconds up to *until*."""
    return None if until is None else max(0.0, (until - clock.now()).total_seconds())
