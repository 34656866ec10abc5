"""What a subscriber of a session is shown."""

from agentcore.errors import InvalidRequest
from agentcore.ports import SessionView
from agentcore_http.wire.frames import HIDDEN_FROM_VOICE, Encoder


def encoder_for(view: SessionView, include: str | None) -> Encoder:
    """Return the encoder of one subscriber; in a voice session only ``include=all`` shows everything.

    The filter is the subscriber's own: the log keeps everything.
    """
    if include not in {None, "all"}:
        raise InvalidRequest("include can only be all.", "include")
    hides = HIDDEN_FROM_VOICE if view.session.voice_mode and include is None else frozenset()
    return Encoder(view.session.id, hides)
