"""JSON Schemas of the wire's Structs, and of problems.

Law: a schema is made from the type that is decoded or encoded, so it cannot say anything else; the codes of a status
are read off the error tree.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agentcore import errors
from agentcore.errors import AgentcoreError
from agentcore_http.problems import CODES, STATUS

Schema = dict[str, Any]
REF = "#/components/schemas/{name}"


def components(kinds: Iterable[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """Return a schema for each of *kinds*, and those that they name."""
    shown, named = msgspec.json.schema_components(tuple(kinds), ref_template=REF)
    return list(shown), {name: _plain(schema) for name, schema in named.items()}


def problem_codes() -> Mapping[int, tuple[str, ...]]:
    """Return which codes a status can carry."""
    codes: dict[int, set[str]] = {status: {code} for status, code in CODES.items()}
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, AgentcoreError):
            status = next((status for base, status in STATUS if issubclass(kind, base)), None)
            if status is not None:
                codes.setdefault(status, set()).add(kind.code)
    return {status: tuple(sorted(found)) for status, found in sorted(codes.items())}


def problem_schema(status: int) -> Schema:
    """Return the schema of a problem (RFC 9457) with *status*."""
    text = {"type": "string"}
    codes = list(problem_codes()[status])
    known: Schema = {
        "type": {"type": "string", "format": "uri", "enum": [f"urn:agentcore:problem:{code}" for code in codes]},
        "title": {**text, "description": "What went wrong, the same sentence for every problem of its code."},
        "status": {"const": status},
        "detail": {**text, "description": "What went wrong this time."},
        "instance": {**text, "description": "The path that was asked for."},
        "code": {"type": "string", "enum": codes, "description": "Stable, for programs."},
        "message": {**text, "description": "The same as detail, for clients of the original."},
    }
    more: Schema = {}
    if status == 400:
        more["field"] = {**text, "description": "The wire name of what is wrong, if it has one."}
    if status == 409:
        more["liveTaskId"] = {**text, "format": "uuid", "description": "Of session_busy: the task that is in the way."}
    return {"type": "object", "properties": known | more, "required": list(known)}


def _plain(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out what says nothing here: titles that repeat the name."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _plain(value) for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
