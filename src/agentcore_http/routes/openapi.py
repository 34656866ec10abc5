"""Requests in the OpenAPI document, and JSON in answers.

Bodies are decoded strictly by ``wire.requests`` and not by the framework, which converts what it can; so the
document is told here what a route takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Response
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema

from agentcore_http.wire import json


@dataclass
class RawSchema(Schema):
    """A JSON Schema as it is."""

    raw: dict[str, Any] | None = None

    def to_schema(self) -> dict[str, Any]:
        """Return it."""
        return self.raw or {}


def accepting(body: type[msgspec.Struct]) -> type[Operation]:
    """Make an operation whose request body is *body*."""
    (schema,), components = msgspec.json.schema_components([body], ref_template="#/$defs/{name}")
    raw = _inlined(schema, components)

    @dataclass
    class Accepting(Operation):
        def __post_init__(self) -> None:
            content = {"application/json": OpenAPIMediaType(schema=RawSchema(raw=raw))}
            self.request_body = RequestBody(content=content, required=True)

    return Accepting


def uploading() -> type[Operation]:
    """Make an operation that takes a recording."""
    fields = {"audio": {"type": "string", "format": "binary"}, "language": {"type": "string"}}
    raw = {"type": "object", "properties": fields, "required": ["audio"]}

    @dataclass
    class Uploading(Operation):
        def __post_init__(self) -> None:
            content = {"multipart/form-data": OpenAPIMediaType(schema=RawSchema(raw=raw))}
            self.request_body = RequestBody(content=content, required=True)

    return Uploading


def json_response(answer: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """Answer with JSON."""
    return Response(json.encode(answer), status_code=status, headers=headers, media_type="application/json")


def _inlined(schema: Any, components: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(schema, list):
        return [_inlined(item, components) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(components[schema["$ref"].rsplit("/", 1)[1]], components)
    return {key: _inlined(value, components) for key, value in schema.items()}
