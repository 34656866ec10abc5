"""Which way of finding out who asks is used, and whether it can be.

Law: a server that would let in whom it should not does not start, and says in one line what to set.
"""

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from agentcore.ports import Clock
from agentcore_http.auth import reading
from agentcore_http.auth.gateway import Gateway
from agentcore_http.auth.identity import Authenticator, Fetch
from agentcore_http.auth.none import Trusting
from agentcore_http.settings import LOOPBACK, Settings, SettingsError

log = structlog.get_logger("agentcore.http")
TENANT_CLAIM = "tenant_id"
SECRET_KEY_BYTES = 32
WARNINGS = {
    "none": "Every local user is every tenant. Set AGENTCORE_AUTH to jwt or gateway where that is not so.",
    "gateway": "Whoever holds AGENTCORE_GATEWAY_SECRET is every user. Let the gateway alone reach this server.",
}


def check(settings: Settings, host: str, *, keeps_keys: bool) -> None:
    """Raise SettingsError unless the server may listen at *host*.

    *keeps_keys*: a key that is made for want of AGENTCORE_SECRET_KEY will be there at the next start.
    """
    mode, is_local = settings.auth or "none", host in LOOPBACK
    if mode == "none" and not is_local:
        raise SettingsError(
            f"AGENTCORE_AUTH is none, so the server may listen on loopback only, not on {host}. "
            "Set AGENTCORE_AUTH to jwt or gateway, or use --host 127.0.0.1."
        )
    if mode == "gateway" and settings.gateway_secret is None:
        raise SettingsError("AGENTCORE_AUTH=gateway needs AGENTCORE_GATEWAY_SECRET: openssl rand -hex 32")
    if mode == "jwt":
        _check_jwt(settings)
    if not is_local and settings.secret_key is None and not keeps_keys:
        raise SettingsError("Set AGENTCORE_SECRET_KEY, on every node the same: openssl rand -hex 32")
    if not is_local and len((settings.secret_key or "x" * SECRET_KEY_BYTES).encode()) < SECRET_KEY_BYTES:
        raise SettingsError("AGENTCORE_SECRET_KEY must be 32 bytes or more: openssl rand -hex 32")


def _check_jwt(settings: Settings) -> None:
    needed = {
        "AGENTCORE_JWT_JWKS": settings.jwt_jwks,
        "AGENTCORE_JWT_ISSUER": settings.jwt_issuer,
        "AGENTCORE_JWT_AUDIENCE": settings.jwt_audience,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise SettingsError(f"AGENTCORE_AUTH=jwt needs {', '.join(missing)}.")
    if any(importlib.util.find_spec(name) is None for name in ("jwt", "cryptography")):
        raise SettingsError("AGENTCORE_AUTH=jwt needs: pip install 'agentcore[jwt]'.")
    if isinstance(settings.jwt_jwks, Path):
        from agentcore_http.auth.keys import NoKeys, parse  # noqa: PLC0415 - needs its extra

        try:
            parse(settings.jwt_jwks.read_bytes(), settings.jwt_algorithms or reading.ALGORITHMS)
        except OSError as error:
            raise SettingsError(f"AGENTCORE_JWT_JWKS: the file cannot be read ({error.strerror}).") from None
        except NoKeys as error:
            raise SettingsError(f"AGENTCORE_JWT_JWKS: there is {error} in the file.") from None


def warn(settings: Settings) -> None:
    """Say at the start what the mode trusts in."""
    mode = settings.auth or "none"
    if mode in WARNINGS:
        log.warning("auth.mode", mode=mode, detail=WARNINGS[mode])


@asynccontextmanager
async def open_authenticator(settings: Settings, fetch: Fetch | None, clock: Clock) -> AsyncIterator[Authenticator]:
    """Open who finds out who asks; *fetch* reads the keys of mode ``jwt``."""
    claim = settings.jwt_tenant_claim or TENANT_CLAIM
    match settings.auth:
        case None | "none":
            yield Trusting()
        case "gateway":
            if settings.gateway_secret is None:
                raise SettingsError("AGENTCORE_AUTH=gateway needs AGENTCORE_GATEWAY_SECRET: openssl rand -hex 32")
            yield Gateway(secrets=settings.gateway_secret, tenant_claim=claim, clock=clock)
        case "jwt":
            async with _tokens(settings, fetch, claim, clock) as tokens:
                yield tokens
        case mode:
            raise SettingsError(f"AGENTCORE_AUTH must be none, gateway or jwt, not {mode}.")


@asynccontextmanager
async def _tokens(settings: Settings, fetch: Fetch | None, claim: str, clock: Clock) -> AsyncIterator[Authenticator]:
    _check_jwt(settings)
    from agentcore_http.auth.jwt import Tokens  # noqa: PLC0415 - needs its extra
    from agentcore_http.auth.keys import KeyRing  # noqa: PLC0415

    if fetch is None or settings.jwt_issuer is None or settings.jwt_audience is None:
        raise SettingsError("AGENTCORE_AUTH=jwt needs AGENTCORE_JWT_JWKS.")
    algorithms = settings.jwt_algorithms or reading.ALGORITHMS
    async with KeyRing(fetch=fetch, algorithms=algorithms, clock=clock).kept() as ring:
        yield Tokens(
            ring=ring,
            algorithms=algorithms,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            types=frozenset(word.lower() for word in settings.jwt_typ or reading.TYPES),
            leeway_s=reading.LEEWAY_S if settings.jwt_leeway_seconds is None else settings.jwt_leeway_seconds,
            tenant_claim=claim,
        )
