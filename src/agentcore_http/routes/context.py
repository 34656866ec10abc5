"""What every route needs of its request."""

from typing import Any

from litestar import Request

from agentcore.runtime import Runtime
from agentcore_http.auth.identifier import (
    ANYBODY,
    CALLER_OR_AGENT,
    Connection,
    caller_of,
    identity_of,
    may_stream,
    tickets_of,
)
from agentcore_http.settings import Settings

__all__ = [
    "ANYBODY",
    "CALLER_OR_AGENT",
    "Connection",
    "Req",
    "caller_of",
    "identity_of",
    "may_stream",
    "runtime_of",
    "settings_of",
    "tickets_of",
]
Req = Request[Any, Any, Any]


def runtime_of(connection: Connection) -> Runtime:
    """Return the node."""
    runtime: Runtime = connection.app.state.runtime
    return runtime


def settings_of(connection: Connection) -> Settings:
    """Return the settings."""
    settings: Settings = connection.app.state.settings
    return settings
