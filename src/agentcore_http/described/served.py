"""Both documents, under ``/schema``."""

from typing import Any

from litestar import Request
from litestar.enums import MediaType, OpenAPIMediaType
from litestar.openapi.plugins import OpenAPIRenderPlugin

from agentcore_http.described import asyncapi, openapi
from agentcore_http.wire import json


class OpenApi(OpenAPIRenderPlugin):
    """Shows the OpenAPI document."""

    def __init__(self, *, path: list[str]) -> None:
        """Show it at *path*."""
        super().__init__(path=path, media_type=OpenAPIMediaType.OPENAPI_JSON)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """Complete what the framework has made."""
        return json.encode(openapi.completed(openapi_schema))


class AsyncApi(OpenAPIRenderPlugin):
    """Shows the AsyncAPI document."""

    def __init__(self, *, path: str) -> None:
        """Show it at *path*."""
        super().__init__(path=path, media_type=MediaType.JSON)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """Print it."""
        return json.encode(asyncapi.document())
