"""The console: a page at ``/`` and what it loads.

Law: what was built with the package is handed out as it is, to anybody: it holds nothing of a tenant.  The page may
load what is here and nothing else, and no page may frame it.

Files are read when they are first asked for: a server that nobody looks at does not hold them.
"""

import re
from functools import cache
from hashlib import sha256
from pathlib import Path

from attrs import frozen
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from agentcore_http.routes.context import ANYBODY, Req

FOLDER = Path(__file__).parent.parent / "console"
NAME = re.compile(r"[\w-]+\.(js|css|svg|woff2)", re.ASCII)
KINDS = {
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
FOR_EVER = "public, max-age=31536000, immutable"  # a name holds the hash of what it names
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types dompurify"
)
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-cache",
}
MISSING = b"""<!doctype html>
<html lang="en"><title>agentcore</title>
<h1>This server was installed without its console.</h1>
<p>Install it again without AGENTCORE_CONSOLE=skip.</p>
<p>The API is there all the same, and described at <a href="/schema">/schema</a>.</p>
"""


@frozen
class File:
    """What is handed out."""

    body: bytes
    kind: str
    etag: str
    packed: bytes | None = None  #: The same in gzip.


@cache
def page() -> File | None:
    """Read the page; None: the package was built without it."""
    try:
        body = (FOLDER / "index.html").read_bytes()
    except OSError:
        return None
    return File(body, "text/html", f'"{sha256(body).hexdigest()[:32]}"')


@cache
def assets() -> dict[str, File]:
    """Read what the page loads."""
    found: dict[str, File] = {}
    for path in FOLDER.glob("assets/*"):
        if match := NAME.fullmatch(path.name):
            body, packed = path.read_bytes(), path.with_name(f"{path.name}.gz")
            gzipped = packed.read_bytes() if packed.exists() else None
            found[path.name] = File(body, KINDS[match[1]], f'"{sha256(body).hexdigest()[:32]}"', gzipped)
    return found


@get("/", opt=ANYBODY, include_in_schema=False)
async def index(request: Req) -> Response[bytes]:
    """Show the console."""
    file = page()
    if file is None:
        return Response(MISSING, media_type="text/html", headers={"Cache-Control": "no-cache"})
    return _handed(request, file, PAGE_HEADERS)


@get("/assets/{name:str}", opt=ANYBODY, include_in_schema=False)
async def asset(request: Req, name: FromPath[str]) -> Response[bytes]:
    """Hand out what the console loads."""
    file = assets().get(name)
    if file is None:
        raise NotFoundException
    return _handed(request, file, {"Cache-Control": FOR_EVER})


def _handed(request: Req, file: File, headers: dict[str, str]) -> Response[bytes]:
    headers = headers | {"ETag": file.etag, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(b"", status_code=304, headers=headers, media_type=file.kind)
    takes = {word.partition(";")[0].strip() for word in request.headers.get("accept-encoding", "").split(",")}
    if file.packed is not None and "gzip" in takes:
        return Response(file.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=file.kind)
    return Response(file.body, headers=headers, media_type=file.kind)


HANDLERS = (index, asset)
