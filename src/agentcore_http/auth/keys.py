"""The keys that tokens are signed with.

Law: keys come from the configured place and from nowhere else: what a token says about where its key is found (``jku``,
``x5u``, ``jwk``, ``x5c``) is never looked at.  An unknown key costs one reading a minute, however many ask for one, and
while the place cannot be read the keys that were last good stay good.

Story: the set is read in the background from the start on, again and again.  A key that is not in it may be new, so the
set is read once more, and all who wait for that reading share it.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import structlog
from attrs import define, field
from jwt import PyJWK

from agentcore.errors import IdentityUnavailable
from agentcore.ports import Clock
from agentcore_http.auth.identity import Fetch, NotProved

log = structlog.get_logger("agentcore.http")
UNKNOWN_S, AGAIN_S, RETRY_S = 60.0, 600.0, 5.0
KINDS: Mapping[str, tuple[str, frozenset[str | None]]] = {
    "RS256": ("RSA", frozenset({None})),
    "PS256": ("RSA", frozenset({None})),
    "ES256": ("EC", frozenset({"P-256"})),
    "EdDSA": ("OKP", frozenset({"Ed25519", "Ed448"})),
}
TEXTS = ("kty", "alg", "use", "kid", "crv")
PUBLIC = frozenset({"kty", "crv", "n", "e", "x", "y"})


class NoKeys(ValueError):
    """What was read holds no key that could verify a token."""


Keys = Mapping[tuple[str | None, str], PyJWK]


def parse(body: bytes, algorithms: tuple[str, ...]) -> Keys:
    """Read a JSON Web Key Set (RFC 7517): the public keys for *algorithms*, by id and algorithm; raises NoKeys.

    A key of a kind that we do not verify with, a shared secret among them, is passed over.
    """
    try:
        entries = json.loads(body)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NoKeys("no JSON Web Key Set") from None
    found: dict[tuple[str | None, str], PyJWK] = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            for algorithm in algorithms:
                key = _key(entry, algorithm)
                if key is not None:
                    found.setdefault((entry.get("kid"), algorithm), key)
    if not found:
        raise NoKeys(f"no key for {', '.join(algorithms)}")
    return found


def _key(entry: dict[str, Any], algorithm: str) -> PyJWK | None:
    kind, curves = KINDS[algorithm]
    if not all(isinstance(entry.get(name), str | None) for name in TEXTS):
        return None
    is_for_it = entry.get("alg") in {None, algorithm} and entry.get("use") in {None, "sig"}
    operations = entry.get("key_ops")
    may_verify = operations is None or (isinstance(operations, list) and "verify" in operations)
    if not (is_for_it and may_verify and entry.get("kty") == kind and entry.get("crv") in curves):
        return None
    try:
        return PyJWK({name: value for name, value in entry.items() if name in PUBLIC}, algorithm=algorithm)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, the others are as good as they were
        return None


@define(eq=False, kw_only=True)
class KeyRing:
    """The keys that are good now."""

    fetch: Fetch
    algorithms: tuple[str, ...]
    clock: Clock
    _keys: Keys = field(factory=dict)
    _asked_at: float | None = None  # when an unknown key last cost a reading
    _lock: anyio.Lock = field(factory=anyio.Lock)
    _tried: anyio.Event = field(factory=anyio.Event)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator["KeyRing"]:
        """Keep the ring fresh as long as the context lasts."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep)
            yield self
            tasks.cancel_scope.cancel()

    async def _keep(self) -> None:
        while True:
            async with self._lock:
                await self._read()
            self._tried.set()
            await anyio.sleep(AGAIN_S if self._keys else RETRY_S)

    async def find(self, kid: str | None, algorithm: str) -> PyJWK:
        """Return a key; raises NotProved if there is none such, IdentityUnavailable if none could be read yet."""
        await self._tried.wait()
        key = self._known(kid, algorithm)
        if key is None and self._keys:
            await self._look_again()
            key = self._known(kid, algorithm)
        if key is None and not self._keys:
            raise IdentityUnavailable("The keys that sign tokens cannot be read; see AGENTCORE_JWT_JWKS.")
        if key is None:
            raise NotProved("unknown_key")
        return key

    def _known(self, kid: str | None, algorithm: str) -> PyJWK | None:
        if kid is not None:
            return self._keys.get((kid, algorithm))
        fitting = [key for (_, its), key in self._keys.items() if its == algorithm]
        return fitting[0] if len(fitting) == 1 else None  # a token that names no key has to mean the only one

    async def _look_again(self) -> None:
        async with self._lock:  # whoever waits here finds what the one before it has read
            now = self.clock.monotonic()
            if self._asked_at is None or now - self._asked_at >= UNKNOWN_S:
                self._asked_at = now
                await self._read()

    async def _read(self) -> None:
        try:
            self._keys = parse(await self.fetch(), self.algorithms)
        except (IdentityUnavailable, NoKeys) as error:
            log.warning("keys.unread", reason=str(error), kept=len(self._keys))
