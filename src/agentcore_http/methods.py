"""What may be done at an address.

Law: an answer to OPTIONS, and one that refuses a method, names the methods that the address knows (RFC 9110, 10.2.1
and 15.5.6).  The framework names none in the one and in the other only those of one handler.
"""

import re
from functools import lru_cache

from litestar import Litestar
from litestar.datastructures import MutableScopeHeaders
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

REFUSED = 405


async def name_methods(message: Message, scope: Scope) -> None:
    """Set ``Allow``; called before each message that leaves."""
    if message["type"] != "http.response.start":
        return
    if scope.get("method") == "OPTIONS" or message["status"] == REFUSED:
        known = methods(scope["litestar_app"], scope["path"])
        if known:
            MutableScopeHeaders(message)["Allow"] = ", ".join(known)


@lru_cache(maxsize=1024)
def methods(app: Litestar, path: str) -> tuple[str, ...]:
    """Return what is known at *path*; an address that is spelt out counts before one with a parameter."""
    routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
    found = [route for route in routes if route.path_format == path] or [
        route for route in routes if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", route.path_format), path)
    ]
    return tuple(sorted({method for route in found for method in route.methods}))
