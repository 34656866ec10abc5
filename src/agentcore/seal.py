"""Secrets that are derived and not stored.

Law: a token proves one thing about one session or task; it is compared in constant time and can be made again from
the server's key, so nothing secret lies in the database.  While one key replaces another, both count.
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
    also: tuple[bytes, ...] = field(
        default=(), repr=False
    )  #: Keys whose proofs count, too: while one replaces another.

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
        return self.webhook_keys(tenant_id, instance_id)[0]

    def webhook_keys(self, tenant_id: TenantId, instance_id: InstanceId) -> tuple[bytes, ...]:
        """Make the same with each key that counts."""
        return tuple(bytes.fromhex(_mac(key, "webhook", tenant_id, instance_id)) for key in self._keys)

    def bus_keys(self) -> tuple[bytes, ...]:
        """Make the keys that seal what nodes say to each other, 32 bytes for each key that counts."""
        return tuple(bytes.fromhex(_mac(key, "bus")) for key in self._keys)

    def ticket(self, claims: bytes) -> str:
        """Make a ticket that carries *claims*, which its holder can read and not change.

        It is an HTTP token (RFC 9110, 5.6.2), because it is sent as the name of a subprotocol.
        """
        return _ticket(self.key, claims)

    def claims(self, ticket: str) -> bytes | None:
        """Return what our *ticket* carries; None if it is not ours, or spelt in another way."""
        try:
            _, body, _ = ticket.encode("ascii").split(b".")
            claims = base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4))
        except ValueError:  # not ASCII, not three parts, not Base64
            return None
        return claims if _is_one_of(ticket, [_ticket(key, claims) for key in self._keys]) else None

    @property
    def _keys(self) -> tuple[bytes, ...]:
        return (self.key, *self.also)

    def _token(self, tenant_id: TenantId, purpose: str, *about: str) -> str:
        return _token(self.key, tenant_id, purpose, *about)

    def _tenant(self, token: str, purpose: str, *about: str) -> TenantId | None:
        try:
            _, name, _ = token.encode("ascii").split(b".")
            tenant_id = TenantId(base64.urlsafe_b64decode(name).decode())
        except ValueError:  # not ASCII, not three parts, not Base64, not UTF-8
            return None
        ours = [_token(key, tenant_id, purpose, *about) for key in self._keys]
        return tenant_id if _is_one_of(token, ours) else None


def _token(key: bytes, tenant_id: TenantId, purpose: str, *about: str) -> str:
    name = base64.urlsafe_b64encode(tenant_id.encode()).decode()
    return f"{VERSION}.{name}.{_mac(key, purpose, tenant_id, *about)}"


def _ticket(key: bytes, claims: bytes) -> str:
    mac = _mac(key, "ticket", hashlib.sha256(claims).hexdigest())
    return f"{VERSION}.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.{mac}"


def _mac(key: bytes, purpose: str, *about: str) -> str:
    # The lengths keep ("a", "bc") and ("ab", "c") apart.
    text = "".join(f"{len(word)}:{word}" for word in (purpose, *about))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _is_one_of(proof: str, ours: Iterable[str]) -> bool:
    """Compare with each of *ours*, in a time that does not say with which it agrees."""
    return sum([hmac.compare_digest(proof.encode(), each.encode()) for each in ours]) > 0


def webhook_signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Sign *body* after Standard Webhooks (https://www.standardwebhooks.com)."""
    mac = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"


def is_signed(key: bytes, message_id: str, timestamp: str, body: bytes, signatures: Iterable[str]) -> bool:
    """Tell whether one of *signatures* is that of a Standard Webhook with these headers and this *body*."""
    ours = webhook_signature(key, message_id, timestamp, body).encode()
    return any(hmac.compare_digest(signature.encode(), ours) for signature in signatures)
