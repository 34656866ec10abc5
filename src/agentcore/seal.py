"""Secrets that are derived and not stored.

Law: a token proves one thing about one session or task; it is compared in constant time and can be made again from
the server's key, so nothing secret lies in the database.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable

from attrs import field, frozen

from agentcore.ids import InstanceId, SessionId, TaskId, TenantId

VERSION = "v1"


@frozen
class Seal:
    """Makes and checks tokens with the server's key.

    A token names its tenant, because whoever brings it need not name anybody else.
    """

    key: bytes = field(repr=False)

    def oauth_token(self, tenant_id: TenantId, session_id: SessionId) -> str:
        """Make the token that lets an agent ask for consent in its own session."""
        return self._token(tenant_id, "oauth", session_id)

    def consenter(self, token: str, session_id: SessionId) -> TenantId | None:
        """Return the tenant in whose session *token* lets an agent ask; None if it is not our token of that session."""
        return self._tenant(token, "oauth", session_id)

    def signature(self, tenant_id: TenantId, session_id: SessionId, task_id: TaskId) -> str:
        """Make what a bridge must echo to answer a task.

        The epoch of the lease is not in it: a task that was taken over is answered all the same.
        """
        return self._token(tenant_id, "callback", session_id, task_id)

    def signer(self, signature: str, session_id: SessionId, task_id: TaskId) -> TenantId | None:
        """Return the tenant whose task *signature* belongs to; None if it is not our signature of that task."""
        return self._tenant(signature, "callback", session_id, task_id)

    def webhook_key(self, tenant_id: TenantId, instance_id: InstanceId) -> bytes:
        """Make the key with which the bridge of an instance signs its callbacks after Standard Webhooks."""
        return bytes.fromhex(self._mac("webhook", tenant_id, instance_id))

    def ticket(self, claims: bytes) -> str:
        """Make a ticket that carries *claims*, which its holder can read and not change.

        It is an HTTP token (RFC 9110, 5.6.2), because it is sent as the name of a subprotocol.
        """
        mac = self._mac("ticket", hashlib.sha256(claims).hexdigest())
        return f"{VERSION}.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.{mac}"

    def claims(self, ticket: str) -> bytes | None:
        """Return what our *ticket* carries; None if it is not ours, or spelt in another way."""
        try:
            _, body, _ = ticket.encode("ascii").split(b".")
            claims = base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4))
        except ValueError:  # not ASCII, not three parts, not Base64
            return None
        return claims if hmac.compare_digest(ticket.encode(), self.ticket(claims).encode()) else None

    def _token(self, tenant_id: TenantId, purpose: str, *about: str) -> str:
        name = base64.urlsafe_b64encode(tenant_id.encode()).decode()
        return f"{VERSION}.{name}.{self._mac(purpose, tenant_id, *about)}"

    def _tenant(self, token: str, purpose: str, *about: str) -> TenantId | None:
        try:
            _, name, _ = token.encode("ascii").split(b".")
            tenant_id = TenantId(base64.urlsafe_b64decode(name).decode())
        except ValueError:  # not ASCII, not three parts, not Base64, not UTF-8
            return None
        ours = self._token(tenant_id, purpose, *about)
        return tenant_id if hmac.compare_digest(token.encode(), ours.encode()) else None

    def _mac(self, purpose: str, *about: str) -> str:
        # The lengths keep ("a", "bc") and ("ab", "c") apart.
        text = "".join(f"{len(word)}:{word}" for word in (purpose, *about))
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()


def webhook_signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Sign *body* after Standard Webhooks (https://www.standardwebhooks.com)."""
    mac = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"


def is_signed(key: bytes, message_id: str, timestamp: str, body: bytes, signatures: Iterable[str]) -> bool:
    """Tell whether one of *signatures* is that of a Standard Webhook with these headers and this *body*."""
    ours = webhook_signature(key, message_id, timestamp, body).encode()
    return any(hmac.compare_digest(signature.encode(), ours) for signature in signatures)
