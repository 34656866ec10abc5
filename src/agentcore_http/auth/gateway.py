"""Mode ``gateway``: somebody in front has found out who asks.

Law: the shared secret is looked at before anything else, and without it nothing else is.  Whoever holds it is every
user, so the server should be reachable for the gateway alone.
"""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import msgspec
from attrs import field, frozen

from agentcore.ports import Clock
from agentcore_http.auth.identity import Headers, Identity, NotProved, caller

SECRET = "x-gateway-secret"  # noqa: S105 - the name of a header


@frozen(kw_only=True)
class Gateway:
    """Believes whoever holds the secret: the headers, else the token that it has verified and passes on."""

    secrets: tuple[str, ...] = field(repr=False)  #: Each of them is good: one is being replaced.
    tenant_claim: str
    clock: Clock
    mode: str = "gateway"

    async def identify(self, headers: Headers) -> Identity:
        """Return who the gateway says it is."""
        self.admit(headers)
        tenant, subject = headers.get("x-tenant-id"), headers.get("x-user-id")
        if tenant or subject:  # one source for all: half a header is not filled up from a token
            roles = headers.get("x-user-roles")
            return Identity(caller=caller(tenant, subject, headers.get("x-user-email"), roles))
        token = headers.bearer
        if token is None:
            raise NotProved("no_identity")
        claims = _claims(token)
        until = self._until(claims.get("exp"))
        names = (claims.get(name) for name in (self.tenant_claim, "sub", "email", "roles"))
        return Identity(caller=caller(*names), until=until)

    def admit(self, headers: Headers) -> None:
        """Listen to whoever has the secret."""
        given = headers.get(SECRET)
        if given is None:
            raise NotProved("no_gateway_secret")
        # Hashes, so that neither content nor length shows in the time that it takes; all of them, for the same reason.
        digest = hashlib.sha256(given.encode()).digest()
        good = [hmac.compare_digest(digest, hashlib.sha256(secret.encode()).digest()) for secret in self.secrets]
        if not any(good):
            raise NotProved("gateway_secret")

    def _until(self, exp: object) -> datetime | None:
        if exp is None:
            return None
        until = expiry(exp)
        if until <= self.clock.now():
            raise NotProved("expired")
        return until


def expiry(exp: object) -> datetime:
    """Read the claim ``exp``; raises NotProved."""
    if isinstance(exp, bool) or not isinstance(exp, int | float):
        raise NotProved("malformed")
    try:
        return datetime.fromtimestamp(exp, UTC)
    except (ValueError, OverflowError, OSError):
        raise NotProved("malformed") from None


def _claims(token: str) -> dict[str, Any]:
    """Read the payload of a token without a look at its signature."""
    try:
        _, payload, _ = token.encode("ascii").split(b".")
        text = base64.b64decode(payload + b"=" * (-len(payload) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(text, type=dict[str, Any])
    except (ValueError, msgspec.DecodeError, RecursionError):
        raise NotProved("malformed") from None
