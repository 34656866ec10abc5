"""Secrets that are derived and not stored.

Law: a token proves one thing about one session; it is compared in constant time and can be made again from the
server's key, so nothing secret lies in the database.
"""

import hashlib
import hmac

from attrs import field, frozen

from agentcore.ids import SessionId, TenantId


@frozen
class Seal:
    """Makes and checks tokens with the server's key."""

    key: bytes = field(repr=False)

    def oauth_token(self, tenant_id: TenantId, session_id: SessionId) -> str:
        """Make the token that lets an agent ask for consent in its own session."""
        return self._mac("oauth", tenant_id, session_id)

    def is_oauth_token(self, token: str, tenant_id: TenantId, session_id: SessionId) -> bool:
        """Check such a token."""
        return hmac.compare_digest(token.encode(), self.oauth_token(tenant_id, session_id).encode())

    def _mac(self, purpose: str, *about: str) -> str:
        # The lengths keep ("a", "bc") and ("ab", "c") apart.
        text = "".join(f"{len(word)}:{word}" for word in (purpose, *about))
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()
