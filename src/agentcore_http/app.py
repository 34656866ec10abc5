"""The application: routes over a runtime.

Law: the application opens the runtime it is given and knows no adapter.
"""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from litestar import Litestar, Response, Router
from litestar.exceptions import HTTPException, NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.types import ASGIApp

from agentcore import __version__
from agentcore.errors import AgentcoreError
from agentcore.runtime import Runtime
from agentcore_http import ws
from agentcore_http.auth.choice import open_authenticator
from agentcore_http.auth.identifier import ANYBODY, Identifier
from agentcore_http.auth.identity import Fetch
from agentcore_http.auth.origin import Doorman, cross_origin
from agentcore_http.described.served import AsyncApi, OpenApi
from agentcore_http.door import Door, Doorkeeper
from agentcore_http.front import Front
from agentcore_http.methods import name_methods
from agentcore_http.problems import answer
from agentcore_http.routes import console, engines, events, health, instances, sessions, tasks, tickets, usage, voice
from agentcore_http.settings import Settings
from agentcore_http.telemetry import Telemetry

API = "/api/v1/agent"
BODY_BYTES = 1024 * 1024
NOT_FOUND = 404


def create_app(
    open_runtime: Callable[[], AbstractAsyncContextManager[Runtime]],
    settings: Settings,
    *,
    slow_s: float = ws.SLOW_S,
    fetch_keys: Fetch | None = None,
    telemetry: Telemetry | None = None,
) -> Litestar:
    """Make the ASGI application; the runtime is opened when it starts.

    *slow_s*: seconds after which a WebSocket client that does not read is cut off.  *fetch_keys* reads the keys of
    mode ``jwt``.  *telemetry*: who watches.
    """
    telemetry = telemetry or Telemetry()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_runtime() as runtime:
            async with open_authenticator(settings, fetch_keys, runtime.house.clock) as authenticator:
                app.state.runtime, app.state.authenticator = runtime, authenticator
                app.state.door = Door(runtime.house.clock.monotonic, runtime.house.quotas.of)
                yield

    def doorman(app: ASGIApp) -> ASGIApp:
        return Doorman(app, allowed_origins(settings), any_host=settings.auth not in {None, "none"})

    api = Router(
        API,
        route_handlers=[
            *tasks.HANDLERS,
            *sessions.HANDLERS,
            *events.HANDLERS,
            *engines.HANDLERS,
            *usage.HANDLERS,
            *instances.HANDLERS,
            *voice.HANDLERS,
            *tickets.HANDLERS,
            ws.stream,
        ],
        middleware=[Doorkeeper],  # behind the Identifier
    )
    app = Litestar(
        route_handlers=[api, *health.HANDLERS, *console.HANDLERS],
        lifespan=[lifespan],
        middleware=[doorman, Identifier],
        cors_config=cross_origin(settings),
        before_send=[name_methods],
        exception_handlers={AgentcoreError: answer, HTTPException: answer, Exception: answer},
        openapi_config=OpenAPIConfig(
            title="agentcore",
            version=__version__,
            openapi_router=Router(
                "/schema", route_handlers=[], opt=dict(ANYBODY), include_in_schema=False, after_request=_no_page
            ),
            render_plugins=[OpenApi(path=["/", "/openapi.json"]), AsyncApi(path="/asyncapi.json")],
        ),
        request_max_body_size=BODY_BYTES,
        logging_config=None,
    )
    app.state.settings = settings
    app.state.slow_s = slow_s
    app.state.telemetry = telemetry
    app.asgi_handler = Front(app.asgi_handler, telemetry.watchers)  # outside of routing: it sees every answer
    return app


def _no_page(response: Response[Any]) -> Response[Any]:
    """Answer as everywhere what is not there: the framework has a page of its own for it."""
    if response.status_code == NOT_FOUND:
        raise NotFoundException
    return response


def allowed_origins(settings: Settings) -> Collection[str]:
    """Return the origins and host names that may use the server besides loopback."""
    ours = (settings.public_url,) if settings.public_url else ()  # bridges name the server as they were told to
    return frozenset((*(settings.origins or ()), *ours))
