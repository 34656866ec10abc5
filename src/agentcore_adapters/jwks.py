"""Where the keys are that sign tokens: a file, or an address.

Law: the configured address is the whole allow-list, and the address that was checked is the one that is connected to.
Redirects, proxies of the environment and anything but a short answer in short time are refused; plain http is spoken in
private networks only.  Nothing that is said of a failure names the address.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import anyio

from agentcore.errors import HostNotAllowed, IdentityUnavailable
from agentcore_adapters.netguard import Resolve, is_public, only, resolved

WITHIN_S = 5.0
MOST_BYTES = 256 * 1024
OK = 200
PORTS = {"http": 80, "https": 443}


def fetcher(where: str | Path, *, resolve: Resolve = resolved) -> Callable[[], Awaitable[bytes]]:
    """Return what reads the key set at *where*; it raises IdentityUnavailable if that cannot be read now."""
    if isinstance(where, Path):
        path = where

        async def read() -> bytes:
            try:
                return await anyio.Path(path).read_bytes()
            except OSError as error:
                raise IdentityUnavailable(f"the file cannot be read ({error.strerror})") from None

        return read

    address = where

    async def fetch() -> bytes:
        try:
            with anyio.fail_after(WITHIN_S):
                return await _fetched(address, resolve)
        except TimeoutError:
            raise IdentityUnavailable("no answer in time") from None

    return fetch


async def _fetched(where: str, resolve: Resolve) -> bytes:
    import httpx2  # noqa: PLC0415 - on first use

    parts = urlsplit(where)
    host = parts.hostname or ""
    try:
        port = parts.port or PORTS[parts.scheme]
        target = await only(parts.scheme, host, port, resolve).target(host, port)
    except (HostNotAllowed, ValueError):
        raise IdentityUnavailable("the address may not be reached") from None
    if parts.scheme == "http" and is_public(target.address):
        raise IdentityUnavailable("plain http to a public address")
    # Like the target's own, with the configured scheme: on loopback, too, https is https.
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    url = f"{parts.scheme}{target.url(path).removeprefix(target.scheme)}"
    # As it is: what is packed small may be large.
    headers = {"host": target.authority, "accept": "application/json", "accept-encoding": "identity"}
    extensions = {"sni_hostname": host}
    try:
        async with httpx2.AsyncClient(trust_env=False, follow_redirects=False, timeout=WITHIN_S) as http:
            async with http.stream("GET", url, headers=headers, extensions=extensions) as response:
                if response.status_code != OK:
                    raise IdentityUnavailable(f"the answer was {response.status_code}")
                return await _body(response.aiter_raw())
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise IdentityUnavailable(f"no answer ({type(error).__name__})") from None


async def _body(chunks: AsyncIterator[bytes]) -> bytes:
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) > MOST_BYTES:
            raise IdentityUnavailable("the answer is too long")
    return body
