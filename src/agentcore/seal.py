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

CALLBACK = "v1"


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

    def signature(self, tenant_id: TenantId, session_id: SessionId, task_id: TaskId) -> str:
        """Make what a bridge must echo to answer a task; it names the tenant, because a callback names nobody else.

        The epoch of the lease is not in it: a task that was taken over is answered all the same.
        """
        mac = self._mac("callback", tenant_id, session_id, task_id)
        return f"{CALLBACK}.{base64.urlsafe_b64encode(tenant_id.encode()).decode()}.{mac}"

    def signer(self, signature: str, session_id: SessionId, task_id: TaskId) -> TenantId | None:
        """Return the tenant whose task *signature* belongs to; None if it is not our signature of that task."""
        try:
            _, name, _ = signature.encode("ascii").split(b".")
            tenant_id = TenantId(base64.urlsafe_b64decode(name).decode())
        except ValueError:  # not ASCII, not three parts, not Base64, not UTF-8
            return None
        ours = self.signature(tenant_id, session_id, task_id)
        return tenant_id if hmac.compare_digest(signature.encode(), ours.encode()) else None

    def webhook_key(self, tenant_id: TenantId, instance_id: InstanceId) -> bytes:
        """Make the key with which the bridge of an instance signs its callbacks after Standard Webhooks."""
        return bytes.fromhex(self._mac("webhook", tenant_id, instance_id))

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
