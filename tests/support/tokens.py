"""Somebody who signs tokens, and servers that ask for them."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import jwt
import structlog
from attrs import define, evolve, field
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from agentcore.ports import Leases, Store
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore
from agentcore_http.settings import Settings
from tests.support.server import Served, serving

ISSUER, AUDIENCE = "https://issuer.example/", "agentcore"
GATEWAY_SECRET = "g" * 32
Json = dict[str, Any]
FAMILIES = {"RS256": "rsa", "PS256": "rsa", "ES256": "ec", "EdDSA": "ed"}
MAKERS: dict[str, Any] = {"rsa": RSAAlgorithm, "ec": ECAlgorithm, "ed": OKPAlgorithm}


def fresh_key(family: str) -> Any:
    match family:
        case "rsa":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "ec":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


KEYS = {family: fresh_key(family) for family in MAKERS}
STRANGER = {family: fresh_key(family) for family in MAKERS}


@define
class Issuer:
    """Signs tokens; its key set is read through ``fetch``, which counts."""

    keys: dict[str, Any] = field(factory=lambda: dict(KEYS))  # key id: private key; the id begins with the family
    error: Exception | None = None
    gate: anyio.Event | None = None  # what readings wait for
    fetched: int = 0

    async def fetch(self) -> bytes:
        self.fetched += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.jwks()

    def jwks(self) -> bytes:
        return json.dumps({"keys": [public(kid, key) for kid, key in self.keys.items()]}).encode()

    def token(self, algorithm: str = "RS256", *, key: Any = None, header: Json | None = None, **claims: object) -> str:
        kid = (header or {}).get("kid", FAMILIES[algorithm])
        signer = self.keys[kid] if key is None else key
        found = {name: value for name, value in (a_claims() | claims).items() if value is not None}
        heads = {"kid": kid, "typ": "at+jwt"} | (header or {})
        # Claims that make no sense are signed, too.
        return jwt.PyJWS().encode(json.dumps(found).encode(), signer, algorithm=algorithm, headers=heads)


def public(kid: str, key: Any) -> Json:
    family = kid.partition("-")[0]
    found: Json = MAKERS[family].to_jwk(key.public_key(), as_dict=True)
    return found | {"kid": kid, "use": "sig"}


def a_claims() -> Json:
    now = int(time.time())
    return {"iss": ISSUER, "aud": [AUDIENCE, "other"], "sub": "ann", "tenant_id": "acme", "iat": now, "exp": now + 600}


def raw_token(header: Json, claims: Json, secret: bytes | None = None) -> str:
    """Make a token that no library would: unsigned, or signed with any bytes as the secret."""
    signing = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    mac = b"" if secret is None else hmac.new(secret, signing.encode(), hashlib.sha256).digest()
    return f"{signing}.{b64(mac)}"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def public_pem(kid: str) -> bytes:
    pem: bytes = KEYS[kid].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def jwt_settings(**more: Any) -> Settings:
    told = {
        "auth": "jwt",
        "jwt_jwks": "https://issuer.example/jwks",  # read through the issuer's fetch
        "jwt_issuer": ISSUER,
        "jwt_audience": (AUDIENCE,),
    }
    return evolve(Settings(), **(told | more))


def gateway_settings(**more: Any) -> Settings:
    return evolve(Settings(), **({"auth": "gateway", "gateway_secret": (GATEWAY_SECRET,)} | more))


def memory() -> tuple[Store, Leases]:
    clock = SystemClock()
    store = MemoryStore(clock)
    return store, MemoryLeases(store.state, clock)


@asynccontextmanager
async def guarded(
    settings: Settings, issuer: Issuer | None = None, stores: tuple[Store, Leases] | None = None, **more: Any
) -> AsyncIterator[Served]:
    """A server that wants to know who asks."""
    async with serving(*(stores or memory()), settings, keys=issuer.fetch if issuer else None, **more) as served:
        yield served


def bearing(served: Served, token: str, **more: str) -> Served:
    """The same server, asked with a token."""
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return evolve(served, headers={"Authorization": f"Bearer {token}", **named})


@contextmanager
def refusals() -> Iterator[list[str]]:
    """The reasons of the refusals that are logged meanwhile; besides the requests nothing else may be logged."""
    reasons: list[str] = []
    with structlog.testing.capture_logs() as logged:
        yield reasons
    logged = [line for line in logged if line["event"] != "request"]
    reasons += [line["reason"] if line["event"] == "auth.refused" else str(line) for line in logged]
