"""The AsyncAPI 3.0 document of the event stream, printed from the types that are sent and taken.

Law: every frame that ``wire.frames`` can write is a message here, and every frame that ``ws`` takes; examples are
made by the same encoder.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args

import msgspec

from agentcore import __version__
from agentcore_http.described.examples import of_answer, of_command, of_frame
from agentcore_http.described.openapi import API, SECURITY_SCHEMES
from agentcore_http.described.schemas import Schema, components
from agentcore_http.wire import commands, events
from agentcore_http.wire.words import CURSOR

CLOSES: Mapping[int, str] = {
    1001: "The server is going away: come back with the last cursor.",
    1008: "Too many frames in one second.",
    1009: "The frame was too big.",
    1013: "Something that is needed cannot be reached now: come back with the last cursor.",
    4400: "The address asks for what cannot be; the reason is the code of the problem.",
    4401: "Not authenticated.",
    4403: "This origin or host name may not use the server.",
    4404: "There is no such session.",
    4408: "The client read too slowly: come back with the last cursor.",
    4429: "The user, or the tenant, has as many streams as it may.",
}
FRAMES = (*get_args(events.Control), *get_args(events.Logged))


def tag_of(kind: type[msgspec.Struct]) -> str:
    """Return the ``type`` that frames of *kind* carry."""
    return str(kind.__struct_config__.tag)


@cache
def document() -> Schema:
    """Print the document."""
    taken, answered = get_args(commands.Commands), get_args(commands.Answers)
    _, found = components([events.Envelope, *FRAMES, *taken, *answered])
    named: Mapping[str, Schema] = _undiscriminated(found)
    messages: Schema = {}
    for kind in FRAMES:
        messages[tag_of(kind)] = _message(kind, _framed(named, kind), of_frame(kind))
    for kind in taken:
        messages[f"client.{tag_of(kind)}"] = _message(kind, _named(kind), of_command(kind))
    for kind in answered:
        messages[tag_of(kind)] = _message(kind, _named(kind), of_answer(kind))
    names = list(messages)
    inlined = {"Envelope", *(kind.__name__ for kind in FRAMES)}
    sent = [tag_of(kind) for kind in FRAMES]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "agentcore",
            "version": __version__,
            "description": "The events of a session, and what can be said to it. The same frames are told as "
            "server-sent events and page by page, see /schema.",
        },
        "defaultContentType": "application/json",
        "channels": {"stream": _channel(names)},
        "operations": {
            "tell": _operation("send", "Tell a subscriber what happens in the session.", sent),
            "obey": _operation(
                "receive",
                "Carry out what a client asks.",
                [name for name in names if name.startswith("client.")],
                [tag_of(kind) for kind in answered],
            ),
        },
        "components": {
            "schemas": {name: schema for name, schema in named.items() if name not in inlined},
            "messages": messages,
            "securitySchemes": _security(),
        },
    }


def frame_schemas() -> Mapping[str, Schema]:
    """Return the schema of every message by its name, each complete in itself."""
    whole = document()["components"]
    return {
        name: {**message["payload"], "components": {"schemas": whole["schemas"]}}
        for name, message in whole["messages"].items()
    }


def _channel(names: list[str]) -> Schema:
    text = {"type": "string"}
    return {
        "address": f"{API}/sessions/{{sessionId}}/stream",
        "title": "A session",
        "description": "The log from a cursor on, then what happens; nothing is told twice on one connection.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "parameters": {"sessionId": {"description": "A UUID. A session of another tenant is one that does not exist."}},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        "after": {
                            **text,
                            "pattern": f"^latest$|^$|{CURSOR}",
                            "description": "The last cursor that was seen; absent: from the first event.",
                        },
                        "include": {**text, "enum": ["all"], "description": "In voice sessions too, tell everything."},
                    },
                },
                "bindingVersion": "0.1.0",
            }
        },
        "x-close-codes": {str(code): reason for code, reason in CLOSES.items()},
    }


def _operation(action: str, summary: str, names: list[str], replies: list[str] | None = None) -> Schema:
    refs = [{"$ref": f"#/channels/stream/messages/{name}"} for name in names]
    operation: Schema = {
        "action": action,
        "channel": {"$ref": "#/channels/stream"},
        "summary": summary,
        "messages": refs,
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in SECURITY_SCHEMES],
    }
    if replies:
        told = [{"$ref": f"#/channels/stream/messages/{name}"} for name in replies]
        operation["reply"] = {"channel": {"$ref": "#/channels/stream"}, "messages": told}
    return operation


def _message(kind: type[msgspec.Struct], payload: Schema, example: Mapping[str, Any]) -> Schema:
    return {
        "name": tag_of(kind),
        "summary": (kind.__doc__ or "").strip(),
        "payload": payload,
        "examples": [{"payload": dict(example)}],
    }


def _framed(named: Mapping[str, Schema], kind: type[msgspec.Struct]) -> Schema:
    """Put the envelope around a payload."""
    envelope, payload = named["Envelope"], named[kind.__name__]
    properties = envelope["properties"] | payload["properties"]
    return {
        "type": "object",
        "properties": properties,
        "required": list(dict.fromkeys((*envelope["required"], *payload["required"]))),
    }


def _named(kind: type[msgspec.Struct]) -> Schema:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _undiscriminated(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out discriminators: these documents know them in another form, and the ``type`` of each is fixed anyway."""
    if isinstance(schema, list):
        return [_undiscriminated(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _undiscriminated(value) for key, value in schema.items() if key != "discriminator"}


def _security() -> Schema:
    """Write the schemes as this kind of document wants them."""
    gateway = SECURITY_SCHEMES["gateway"]
    return {"bearer": SECURITY_SCHEMES["bearer"], "gateway": {**gateway, "type": "httpApiKey"}}
