"""One-use tickets, with which a browser opens a WebSocket.

Law: a browser cannot send ``Authorization`` with a WebSocket, and a token has no place in an address.  So a caller that
is known buys a ticket, which is good once, for half a minute, for the page of the origin that bought it, and for no
longer than what proved the caller.

Story: a ticket is sealed and not stored.  It is redeemed by keeping its hash as the key of a request that was answered,
which every node of the store sees: who comes second finds the answer.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
from attrs import frozen

from agentcore.caller import Caller, Role
from agentcore.changes import Receipt, ReceiptKey
from agentcore.errors import KeyInFlight, KeyReused
from agentcore.ids import TenantId
from agentcore.ports import Clock, Store
from agentcore.seal import Seal
from agentcore_http.auth.identity import Identity, NotProved

TICKET_S = 30.0
PROTOCOL = "agentcore"  #: What is agreed on; a ticket stands beside it and is never sent back.
PREFIX = "agentcore.ticket."
ROUTE = "redeem stream-ticket"


class Claims(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What a ticket says."""

    nonce: str
    expires_at: datetime
    tenant: str
    subject: str
    email: str | None
    roles: list[str]
    until: datetime | None
    origin: str | None


@frozen(kw_only=True)
class Tickets:
    """Sells and takes tickets."""

    seal: Seal
    store: Store
    clock: Clock

    def sell(self, identity: Identity, origin: str | None) -> tuple[str, datetime]:
        """Return a ticket, and when it expires."""
        caller, expires_at = identity.caller, self.clock.now() + timedelta(seconds=TICKET_S)
        claims = Claims(
            nonce=secrets.token_hex(16),
            expires_at=expires_at,
            tenant=caller.tenant_id,
            subject=caller.subject,
            email=caller.email,
            roles=sorted(caller.roles),
            until=identity.until,
            origin=origin,
        )
        return self.seal.ticket(msgspec.json.encode(claims)), expires_at

    async def take(self, ticket: str, origin: str | None) -> Identity:
        """Return who bought *ticket*, once; raises NotProved, or StoreUnavailable if it cannot be redeemed now."""
        body = self.seal.claims(ticket)
        if body is None:
            raise NotProved("ticket_forged")
        claims = msgspec.json.decode(body, type=Claims)
        now = self.clock.now()
        if claims.expires_at <= now or (claims.until is not None and claims.until <= now):
            raise NotProved("ticket_expired")
        if claims.origin != origin:
            raise NotProved("ticket_origin")
        await self._redeem(ticket, claims)
        roles = frozenset(map(Role, claims.roles))
        caller = Caller(tenant_id=TenantId(claims.tenant), subject=claims.subject, email=claims.email, roles=roles)
        return Identity(caller=caller, until=claims.until)

    async def _redeem(self, ticket: str, claims: Claims) -> None:
        digest = hashlib.sha256(ticket.encode()).hexdigest()
        key = ReceiptKey(
            tenant_id=TenantId(claims.tenant),
            subject=claims.subject,
            route=ROUTE,
            key=digest,
            request_sha256=digest,
            holder=secrets.token_hex(8),
        )
        try:
            stored = await self.store.begin(key)
            if stored is None:
                await self.store.keep(Receipt(key=key, status=101, body=""))
        except (KeyInFlight, KeyReused):
            raise NotProved("ticket_used") from None
        if stored is not None:
            raise NotProved("ticket_used")


def offered(subprotocols: Iterable[str]) -> str | None:
    """Return the ticket among the subprotocols that a client offers; raises NotProved if there are two."""
    found = [name.removeprefix(PREFIX) for name in subprotocols if name.startswith(PREFIX)]
    if len(found) > 1:
        raise NotProved("two_tickets")
    return found[0] if found else None


def agreed(subprotocols: Iterable[str]) -> str | None:
    """Return the subprotocol to agree on."""
    return PROTOCOL if PROTOCOL in subprotocols else None
