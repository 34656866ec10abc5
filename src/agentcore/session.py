"""A conversation.

Law: a session is ``active``, ``error`` (its last task failed; this gates nothing) or ``closed`` (for good).
Whether it is busy is read off its tasks and stored nowhere.
"""

import re
import unicodedata
from datetime import datetime
from enum import StrEnum

from attrs import evolve, frozen

from agentcore.errors import SessionClosed
from agentcore.ids import EngineName, InstanceId, SessionId, TenantId

TITLE_GRAPHEMES = 40


class SessionStatus(StrEnum):
    """What is stored of a session's state."""

    ACTIVE = "active"
    ERROR = "error"
    CLOSED = "closed"


@frozen(kw_only=True)
class Session:
    """One conversation of one tenant."""

    id: SessionId
    tenant_id: TenantId
    owner: str  #: Subject of the caller who opened it.
    engine: EngineName  #: What a task runs on that names no engine.
    title: str
    voice_mode: bool
    created_at: datetime
    updated_at: datetime
    status: SessionStatus = SessionStatus.ACTIVE
    version: int = 1  #: +1 with each stored change.
    instance: InstanceId | None = None  #: The remote agent it is a conversation with.

    @property
    def is_closed(self) -> bool:
        """Whether it refuses new tasks."""
        return self.status is SessionStatus.CLOSED

    def touched(self, at: datetime, status: SessionStatus | None = None) -> "Session":
        """Step one version on, because a task was admitted, began, or ended.

        *status* counts unless the session is closed: nothing that a task does reopens it.
        """
        new = self.status if status is None or self.is_closed else status
        return evolve(self, version=self.version + 1, updated_at=at, status=new)

    def renamed(self, title: str, at: datetime) -> "Session":
        """Give it another title."""
        return evolve(self, version=self.version + 1, updated_at=at, title=title)

    def closed(self, at: datetime) -> "Session":
        """Close it for good; raises SessionClosed if it already is."""
        if self.is_closed:
            raise SessionClosed("The session is closed already.")
        return evolve(self, version=self.version + 1, updated_at=at, status=SessionStatus.CLOSED)


def title_of(prompt: str) -> str:
    """Shorten a first prompt to a title: one line, at most 40 graphemes, none of them cut.

    Graphemes are found by the parts of UAX #29 that people meet: combining marks, variation selectors, emoji
    modifiers, zero-width joiners, flags in pairs, and CR LF by way of white space.
    """
    line = re.sub(r"\s+", " ", prompt).strip()
    graphemes: list[str] = []
    for char in line:
        if graphemes and _joins(graphemes[-1], char):
            graphemes[-1] += char
            continue
        if len(graphemes) == TITLE_GRAPHEMES:
            break
        graphemes.append(char)
    return "".join(graphemes).strip()


def _joins(before: str, char: str) -> bool:
    """Tell whether *char* continues the grapheme *before*."""
    code = ord(char)
    if unicodedata.category(char) in {"Mn", "Me", "Mc"} or char == "\u200d" or before.endswith("\u200d"):
        return True
    if 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F:  # skin tones; tags of regional flags
        return True
    is_flag = 0x1F1E6 <= code <= 0x1F1FF
    return is_flag and len(before) == 1 and 0x1F1E6 <= ord(before) <= 0x1F1FF
