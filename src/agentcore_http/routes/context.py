"""What every route needs of its request."""

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection

from agentcore.caller import Caller
from agentcore.runtime import Runtime
from agentcore_http.auth import none
from agentcore_http.settings import Settings

Req = Request[Any, Any, Any]
Connection = ASGIConnection[Any, Any, Any, Any]


def caller_of(connection: Connection) -> Caller:
    """Return who asks."""
    return none.caller_of(connection.headers)


def runtime_of(connection: Connection) -> Runtime:
    """Return the node."""
    runtime: Runtime = connection.app.state.runtime
    return runtime


def settings_of(connection: Connection) -> Settings:
    """Return the settings."""
    settings: Settings = connection.app.state.settings
    return settings
