"""The OpenAPI document: what the framework reads off the handlers, made true and complete.

Law: addresses, parameters and bodies are the handlers' own; statuses, problems, headers and names are added here from
``table`` and from the error tree.  A route without a row stands in the document with a name that says so, and a test
names it.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from agentcore_http.auth.identity import SUBJECT_CHARS, TENANT
from agentcore_http.auth.origin import WITH_BODY
from agentcore_http.described import answers
from agentcore_http.described.schemas import Schema, components, problem_codes, problem_schema
from agentcore_http.described.table import ID_PARAMETERS, ROWS, Row
from agentcore_http.idempotency import KEY_CHARS
from agentcore_http.wire.events import Envelope
from agentcore_http.wire.words import CURSOR

API = "/api/v1/agent"
PROBLEM = "application/problem+json"
COMMON = (400, 401, 403, 429, 503)  #: Any route can refuse with these.
OF_BODIES = (413, 415)
OF_KEYS = (409, 422)
OF_PATHS = (404,)
RETRY, UNAUTHENTICATED = {429, 503}, 401
PARAMETER = {"taskId": "task_id", "sessionId": "session_id", "id": "instance_id"}  # of the paths, by member

HEADERS: Mapping[str, Schema] = {
    "X-Tenant-Id": {
        "description": "The tenant, where the mode of authentication takes it from here.",
        "schema": {"type": "string", "pattern": f"^{TENANT.pattern}$"},
    },
    "X-User-Id": {
        "description": "The user, where the mode of authentication takes it from here.",
        "schema": {"type": "string", "maxLength": SUBJECT_CHARS},
    },
    "Idempotency-Key": {
        "description": "The same key and body within 24 hours is answered with the stored answer.",
        "schema": {"type": "string", "pattern": f"^[ -~]{{1,{KEY_CHARS}}}$"},
    },
    "Last-Event-ID": {
        "description": "The last id of the server-sent events; counts before `after`.",
        "schema": {"type": "string", "pattern": f"^latest$|^$|{CURSOR}"},
    },
    "X-OAuth-Token": {
        "description": "The token of the session that its system prompt carries.",
        "schema": {"type": "string"},
    },
    "webhook-id": {"description": "Standard Webhooks.", "schema": {"type": "string"}},
    "webhook-timestamp": {"description": "Standard Webhooks: seconds since 1970.", "schema": {"type": "string"}},
    "webhook-signature": {"description": "Standard Webhooks.", "schema": {"type": "string"}},
}
REPLAYED: Schema = {
    "description": "true: this is the stored answer to an earlier request with the same Idempotency-Key.",
    "schema": {"type": "string", "enum": ["true"]},
}
RETRY_AFTER: Schema = {
    "description": "Seconds to wait before trying again.",
    "required": True,
    "schema": {"type": "integer", "minimum": 0},
}
CHALLENGE: Schema = {"description": "How to show who asks; not of callbacks.", "schema": {"type": "string"}}
SECURITY_SCHEMES: Schema = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Mode `jwt`; in mode `gateway` the payload counts if the gateway's secret is there.",
    },
    "gateway": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Gateway-Secret",
        "description": "Mode `gateway`: what proves that the identity was verified upstream.",
    },
}
SECURITY: list[Schema] = [{"bearer": []}, {"gateway": []}, {}]


def completed(found: Mapping[str, Any]) -> Schema:
    """Complete what the framework has made."""
    kinds = [kind for row in ROWS.values() for kind in row.answers.values() if kind is not None]
    shown, named = components([*kinds, Envelope])
    schemas = dict(zip(map(_key, kinds), shown, strict=False))
    paths = {
        path: {method: _operation(method, path, item, schemas) for method, item in items.items()}
        for path, items in found["paths"].items()
    }
    parts: Schema = {
        "schemas": named | {f"Problem{status}": problem_schema(status) for status in problem_codes()},
        "parameters": {
            name: {"name": name, "in": "header", "required": False, **header} for name, header in HEADERS.items()
        },
        "responses": {f"Problem{status}": _problem(status) for status in problem_codes()},
        "securitySchemes": SECURITY_SCHEMES,
    }
    return {**found, "paths": paths, "components": parts}


def _operation(method: str, path: str, item: Mapping[str, Any], schemas: Mapping[Any, Schema]) -> Schema:
    row = ROWS.get((method, path.removeprefix(API)))
    if row is None:
        return {**item, "operationId": f"undescribed_{item['operationId']}"}
    said = {key: value for key, value in item.items() if key not in {"deprecated", "parameters", "responses"}}
    parameters = [_parameter(parameter, row) for parameter in item.get("parameters", ())]
    parameters += [{"$ref": f"#/components/parameters/{name}"} for name in _headers(row)]
    answered = {str(status): _answer(status, kind, row, schemas) for status, kind in row.answers.items()}
    refused = {
        str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _refusals(method, path, row)
    }
    done: Schema = {
        **said,
        "operationId": row.id,
        "tags": [row.tag],
        "parameters": parameters,
        "responses": answered | refused,
        "security": [] if row.is_open or row.is_bare else SECURITY,
    }
    if row.example is not None:
        (media,) = item["requestBody"]["content"].items()
        body = {media[0]: {**media[1], "example": row.example}}
        done["requestBody"] = {**item["requestBody"], "content": body}
    return done


def _headers(row: Row) -> Iterator[str]:
    if not (row.is_open or row.is_bare):
        yield from ("X-Tenant-Id", "X-User-Id")
    if row.is_keyed:
        yield "Idempotency-Key"
    yield from row.reads


def _refusals(method: str, path: str, row: Row) -> list[int]:
    found = {*COMMON, *row.refuses}
    found |= {*OF_BODIES} if method.upper() in WITH_BODY else set()
    found |= {*OF_KEYS} if row.is_keyed else set()
    found |= {*OF_PATHS} if "{" in path else set()
    return sorted(found)


def _parameter(parameter: Mapping[str, Any], row: Row) -> Schema:
    name = parameter["name"]
    schema = row.parameters.get(name) or ID_PARAMETERS.get(name) or parameter["schema"]
    kept = {key: parameter[key] for key in ("name", "in", "required")}
    return {**kept, "schema": dict(schema)}


def _answer(status: int, kind: object, row: Row, schemas: Mapping[Any, Schema]) -> Schema:
    answer: Schema = {"description": HTTPStatus(status).phrase}
    if row.streams is not None:
        shown = {"example": answers.STREAMED[row.streams]} if row.streams in answers.STREAMED else {}
        answer["content"] = {row.streams: {"schema": {"type": "string"}, **shown}}
    elif kind is None:
        answer["content"] = _events()
    else:
        whole = {"schema": schemas[_key(kind)], "example": answers.of(kind, status)}
        answer["content"] = {"application/json": whole}
    if row.is_keyed:
        answer["headers"] = {"Idempotency-Replayed": REPLAYED}
    if status in RETRY:
        answer["headers"] = {"Retry-After": RETRY_AFTER}
    if row.leads_to and status < 300:
        answer["links"] = {
            name: {"operationId": name, "parameters": {PARAMETER[member]: f"$response.body#/{member}"}}
            for name, member in row.leads_to.items()
        }
    return answer


def _events() -> Schema:
    """Describe the log: a page of it, or server-sent events if those are asked for."""
    frame = {
        "allOf": [{"$ref": "#/components/schemas/Envelope"}],
        "description": "A frame; what each type carries is said by /schema/asyncapi.json.",
    }
    page = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": frame},
            "nextCursor": {"type": "string", "pattern": CURSOR},
            "headSeq": {"type": "integer", "minimum": 0},
        },
        "required": ["items", "nextCursor", "headSeq"],
    }
    sse = {"type": "string", "description": "`id` is the cursor, `event` the type, `data` the frame."}
    return {
        "application/json": {"schema": page, "example": answers.of_page()},
        "text/event-stream": {"schema": sse, "example": answers.of_stream()},
    }


def _problem(status: int) -> Schema:
    problem: Schema = {
        "description": HTTPStatus(status).phrase,
        "content": {
            PROBLEM: {
                "schema": {"$ref": f"#/components/schemas/Problem{status}"},
                "example": answers.of_problem(status, problem_codes()[status][0]),
            }
        },
    }
    if status in RETRY:
        problem["headers"] = {"Retry-After": RETRY_AFTER}
    if status == UNAUTHENTICATED:
        problem["headers"] = {"WWW-Authenticate": CHALLENGE}
    return problem


def _key(kind: object) -> str:
    return str(kind)
