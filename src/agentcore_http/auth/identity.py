"""Who asks, as the edge knows it, and the ways in which it is found out.

Law: a request becomes an ``Identity`` once, or is refused; nothing behind this package reads a header to know who asks.
What a refusal was about is written to the log as one word, and never told to whoever was refused.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Protocol

from attrs import field, frozen

from agentcore.caller import DEFAULT_ROLES, Caller, Role
from agentcore.ids import TenantId
from agentcore.messages import is_storable

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
SUBJECT_CHARS = 200
EMAIL_CHARS = 320
TOKEN_BYTES = 8 * 1024
Fetch = Callable[[], Awaitable[bytes]]  #: Reads the key set; raises IdentityUnavailable, whose text names no address.


class NotProved(Exception):
    """Nobody is recognised; *reason* is one word for the log."""

    def __init__(self, reason: str) -> None:
        """Keep the word."""
        super().__init__(reason)
        self.reason = reason


@frozen(kw_only=True)
class Identity:
    """A caller, for a time."""

    caller: Caller
    until: datetime | None = None  #: When what proved it expires; streams end then.


@frozen
class Headers:
    """The headers of one request."""

    raw: tuple[tuple[str, str], ...] = field(repr=False)

    @classmethod
    def of(cls, raw: Iterable[tuple[bytes, bytes]]) -> "Headers":
        """Read what the server was sent."""
        return cls(tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw))

    def get(self, name: str) -> str | None:
        """Return a header; raises NotProved if it was sent twice.

        One of two would be the client's own, behind or in front of the gateway's: neither counts.
        """
        found = [value for key, value in self.raw if key == name]
        if len(found) > 1:
            raise NotProved("repeated_header")
        return found[0].strip() if found else None

    @property
    def bearer(self) -> str | None:
        """The token in ``Authorization: Bearer``, if there is one that may be looked at; raises NotProved."""
        scheme, _, token = (self.get("authorization") or "").partition(" ")
        if not token or scheme.lower() != "bearer":
            return None
        if len(token) > TOKEN_BYTES:
            raise NotProved("token_too_long")
        return token.strip()


class Authenticator(Protocol):
    """Finds out who asks."""

    @property
    def mode(self) -> str:
        """The name of the way, for the log."""

    def admit(self, headers: Headers) -> None:
        """Raise NotProved unless whoever sends *headers* may be listened to at all; a ticket is looked at only then."""

    async def identify(self, headers: Headers) -> Identity:
        """Return who asks, or raise NotProved; InvalidRequest if it is not a matter of proof.

        Raises IdentityUnavailable if it cannot be found out now.
        """


def caller(tenant: object, subject: object, email: object, roles: object) -> Caller:
    """Make a Caller of what was proved; raises NotProved if they cannot be names.

    *roles*: a list, or a text with spaces or commas between; what is no role of ours is ignored.  None: nobody has
    said, which is a viewer and member.
    """
    if not isinstance(tenant, str) or TENANT.fullmatch(tenant) is None:
        raise NotProved("tenant")
    if not isinstance(subject, str) or not 1 <= len(subject) <= SUBJECT_CHARS or not is_storable(subject):
        raise NotProved("subject")
    is_email = isinstance(email, str) and 1 <= len(email) <= EMAIL_CHARS and is_storable(email)
    return Caller(
        tenant_id=TenantId(tenant),
        subject=subject,
        email=str(email) if is_email else None,
        roles=DEFAULT_ROLES if roles is None else _roles(roles),
    )


def _roles(said: object) -> frozenset[Role]:
    words = re.split(r"[\s,]+", said) if isinstance(said, str) else said
    if not isinstance(words, list):
        return frozenset()
    return frozenset(role for role in Role if role.value in words)
