"""What proves who asks: tokens, key sets, tickets, the headers of a gateway, offered subprotocols."""

import asyncio
import atexit
import json
from collections.abc import Coroutine
from functools import cache
from typing import Any

import msgspec
import pytest

from agentcore.caller import DEFAULT_ROLES, Caller, Role
from agentcore.ids import TenantId
from agentcore.messages import is_storable
from agentcore.ports import Store
from agentcore.seal import Seal
from agentcore_adapters.memory.clock import ManualClock
from agentcore_adapters.memory.store import MemoryStore
from agentcore_http.auth import keys, reading
from agentcore_http.auth.gateway import Gateway
from agentcore_http.auth.identity import Headers, Identity, NotProved
from agentcore_http.auth.jwt import Tokens
from agentcore_http.auth.keys import KeyRing, NoKeys
from agentcore_http.auth.tickets import Tickets, agreed, offered
from tests.fuzz.targets import Target, lines
from tests.support.tokens import AUDIENCE, GATEWAY_SECRET, ISSUER, KEYS, Issuer, a_claims, b64

CLOCK = ManualClock()
SIGNED = Issuer()
RING = KeyRing(fetch=SIGNED.fetch, algorithms=reading.ALGORITHMS, clock=CLOCK)
RING._keys = keys.parse(SIGNED.jwks(), reading.ALGORITHMS)
RING._asked_at = CLOCK.monotonic()  # nothing is read again
RING._tried.set()
TOKENS = Tokens(
    ring=RING,
    algorithms=reading.ALGORITHMS,
    issuer=ISSUER,
    audience=(AUDIENCE,),
    types=frozenset(word.lower() for word in reading.TYPES),
    leeway_s=reading.LEEWAY_S,
    tenant_claim="tenant_id",
)
GATEWAY = Gateway(secrets=(GATEWAY_SECRET,), tenant_claim="tenant_id", clock=CLOCK)
GATEWAY_HEADERS = ("x-gateway-secret", "x-tenant-id", "x-user-id", "x-user-email", "x-user-roles", "authorization")
LEFT = ("", "x-tenant-id", "x-user-id", "x-user-email", "x-user-roles")  # of those, which are not sent at all


@cache
def _runner() -> asyncio.Runner:
    found = asyncio.Runner()
    atexit.register(found.close)
    return found


def ran(work: Coroutine[Any, Any, Any]) -> Any:
    """Wait for it."""
    return _runner().run(work)


def believed(found: Identity) -> Identity:
    """Assert what holds of everybody who is let in."""
    caller = found.caller
    for name in (caller.tenant_id, caller.subject, caller.email or ""):
        assert is_storable(name)
    assert 1 <= len(caller.tenant_id) <= 64
    assert 1 <= len(caller.subject) <= 200
    assert caller.roles <= frozenset(Role)
    assert found.until is None or found.until.tzinfo is not None
    return found


def bearer(data: bytes) -> object:
    """Read a header; none but the seeds can be signed."""
    assert ran_identify(TOKENS, [(b"authorization", data)]).caller.tenant_id == "acme", "forged"
    return data


def ran_identify(how: Any, raw: list[tuple[bytes, bytes]]) -> Identity:
    return believed(ran(how.identify(Headers.of(raw))))


def claims(data: bytes) -> object:
    """Read whatever an issuer may sign: it is trusted for who, not for being sane."""
    head, _, body = data.partition(b"\n")
    headers = msgspec.json.decode(head, type=dict[str, Any])
    try:
        token = _signed(headers, body)
    except Exception:  # noqa: BLE001 - the library's own refusal to sign it: nothing to read
        raise msgspec.DecodeError("cannot be signed") from None
    return ran_identify(TOKENS, [(b"authorization", b"Bearer " + token.encode())])


def _signed(headers: dict[str, Any], body: bytes) -> str:
    head = b64(json.dumps({"alg": "EdDSA", "kid": "ed"} | headers).encode())
    signing = f"{head}.{b64(body)}"
    return f"{signing}.{b64(KEYS['ed'].sign(signing.encode()))}"


def key_set(data: bytes) -> object:
    found = keys.parse(data, reading.ALGORITHMS)
    assert found
    assert all(kid is None or isinstance(kid, str) for kid, _ in found)
    assert not any(hasattr(key.key, "private_bytes") for key in found.values()), "a public key verifies"
    return found


def gateway(data: bytes) -> object:
    """Read the headers with the secret, and see that without it they count for nothing."""
    which, *values = lines(data)
    left = LEFT[which[0] % len(LEFT)] if which else ""
    pairs = [(n.encode(), v) for n, v in zip(GATEWAY_HEADERS[1:], values, strict=False) if n != left]
    for secret in (b"", b"x", GATEWAY_SECRET[:-1].encode()):
        with pytest.raises(NotProved, match="gateway_secret"):
            ran_identify(GATEWAY, [(GATEWAY_HEADERS[0].encode(), secret), *pairs])
    return ran_identify(GATEWAY, [(GATEWAY_HEADERS[0].encode(), GATEWAY_SECRET.encode()), *pairs])


def tickets() -> Tickets:
    store: Store = MemoryStore(CLOCK)  # an empty one: each ticket is new to it
    return Tickets(seal=Seal(b"k" * 32), store=store, clock=CLOCK)


BOUGHT = tickets().sell(
    Identity(caller=Caller(tenant_id=TenantId("acme"), subject="ann", email="a@b.example", roles=DEFAULT_ROLES)),
    "https://app.example",
)[0]


def ticket(data: bytes) -> object:
    """Offer subprotocols, and an origin; only what was sold is taken, and once."""
    origin, *names = (line.decode("latin-1") for line in lines(data))
    agreed(names)
    found = offered(names)
    if found is None:
        raise NotProved("no_ticket")
    sold = tickets()
    known = believed(ran(sold.take(found, origin)))
    assert (found, origin) == (BOUGHT, "https://app.example"), "forged"
    with pytest.raises(NotProved, match="ticket_used"):
        ran(sold.take(found, origin))
    return known


CLAIMS = json.dumps(a_claims() | {"exp": 2**33, "email": "a@b.example", "roles": ["admin", 7]}).encode()
GOOD = SIGNED.token("EdDSA", exp=2**33)
KEY = json.loads(SIGNED.jwks())["keys"][0]
NAMED = [b"\0", b"acme", b"ann", b"a@b.example", b"viewer, admin", b""]
PASSED_ON = b"\n".join([b"\0", b"", b"", b"", b"", b"Bearer x." + b64(CLAIMS).encode() + b".x"])
TARGETS = [
    Target(
        name="tokens",
        run=bearer,
        allowed=(NotProved,),
        seeds=[f"Bearer {GOOD}".encode(), b"Bearer ..", b"bearer \xff", b"", b"Basic eDp5"],
    ),
    Target(
        name="claims",
        run=claims,
        allowed=(NotProved, msgspec.DecodeError, UnicodeDecodeError, RecursionError),
        seeds=[
            b'{"typ":"at+jwt"}\n' + CLAIMS,
            b'{"typ":"JWT","crit":[]}\n{}',
            b'{"typ":"JWT","alg":[]}\n' + CLAIMS,
            b'{"typ":"JWT"}\n[]',
            b'{"typ":"JWT"}\n{"exp":NaN}',
        ],
    ),
    Target(
        name="key_sets",
        run=key_set,
        allowed=(NoKeys,),
        seeds=[
            SIGNED.jwks(),
            json.dumps({"keys": [KEY | {"alg": []}, KEY]}).encode(),
            json.dumps({"keys": [KEY | {"use": {}}, KEY]}).encode(),
            json.dumps({"keys": [KEY | {"crv": []}, KEY]}).encode(),
            b'{"keys":[{}]}',
            b"[]",
        ],
    ),
    Target(name="gateway_headers", run=gateway, allowed=(NotProved,), seeds=[b"\n".join(NAMED), PASSED_ON, b"\n"]),
    Target(
        name="tickets",
        run=ticket,
        allowed=(NotProved,),
        seeds=[
            f"https://app.example\nagentcore\nagentcore.ticket.{BOUGHT}".encode(),
            b"\nagentcore.ticket.v1.e30.00\nagentcore.ticket.",
        ],
    ),
]
