"""Mode ``jwt``: a signed token says who asks.

Law: a token counts for what its signature, made with a key of the configured set, covers.  The algorithm is one of the
settings', never the header's choice; the tenant comes from the token and from nowhere else.
Source: RFC 8725 (best practice), RFC 9068 (access tokens), PyJWT for the cryptography.
"""

from typing import Any

import jwt
from attrs import field, frozen
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from agentcore_http.auth.gateway import expiry
from agentcore_http.auth.identity import Headers, Identity, NotProved, caller
from agentcore_http.auth.keys import KeyRing

ABSENT = "absent"
REASONS: tuple[tuple[type[PyJWTError], str], ...] = (
    (InvalidSignatureError, "signature"),
    (ExpiredSignatureError, "expired"),
    (ImmatureSignatureError, "not_yet_valid"),
    (InvalidIssuerError, "issuer"),
    (InvalidAudienceError, "audience"),
    (MissingRequiredClaimError, "claim_missing"),
)
VERIFIER = jwt.PyJWT(options={"enforce_minimum_key_length": True})


@frozen(kw_only=True)
class Tokens:
    """Verifies bearer tokens."""

    ring: KeyRing = field(repr=False)
    algorithms: tuple[str, ...]
    issuer: str
    audience: tuple[str, ...]
    types: frozenset[str]  #: Of the header ``typ``, in lower case; ``absent`` lets it be missing.
    leeway_s: float
    tenant_claim: str
    mode: str = "jwt"

    def admit(self, headers: Headers) -> None:
        """Listen to everybody."""

    async def identify(self, headers: Headers) -> Identity:
        """Return whom the token names."""
        token = headers.bearer
        if token is None:
            raise NotProved("no_token")
        kid, algorithm = self._header(token)
        key = await self.ring.find(kid, algorithm)
        claims = self._claims(token, key, algorithm)
        names = (claims.get(name) for name in (self.tenant_claim, "sub", "email", "roles"))
        return Identity(caller=caller(*names), until=expiry(claims["exp"]))

    def _header(self, token: str) -> tuple[str | None, str]:
        """Return key id and algorithm, which only choose among what is configured."""
        try:
            header = jwt.get_unverified_header(token)
        except (PyJWTError, ValueError, TypeError, RecursionError):
            raise NotProved("malformed") from None
        kid, algorithm, typ = header.get("kid"), header.get("alg"), header.get("typ", ABSENT)
        if not isinstance(algorithm, str) or algorithm not in self.algorithms:
            raise NotProved("algorithm")
        if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in self.types:
            raise NotProved("typ")
        if "crit" in header or not (kid is None or isinstance(kid, str)):  # RFC 7515, 4.1.11: we understand none
            raise NotProved("malformed")
        return kid, algorithm

    def _claims(self, token: str, key: jwt.PyJWK, algorithm: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = VERIFIER.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=self.leeway_s,
                options={"require": ["exp", "iss", "aud", "sub", self.tenant_claim]},
            )
        except PyJWTError as error:
            raise NotProved(next((word for kind, word in REASONS if isinstance(error, kind)), "malformed")) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise NotProved("malformed") from None
        return claims
