"""Every request that an application understands, derived from its own OpenAPI document."""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2
from attrs import evolve, field, frozen

from agentcore.testing.making import an_id
from agentcore_http.app import API
from tests.support.server import Json, Served

#: What an id names, by the name of the parameter or field; a new one must be added, or the crawl fails.
KINDS = {
    "session_id": "session",
    "sessionId": "session",
    "task_id": "task",
    "taskId": "task",
    "instance_id": "instance",
    "id": "instance",
    "event_id": "event",
    "approvalId": "approval",
    "userId": "subject",
    "owner": "subject",
}
SAMPLES: Mapping[str, Any] = {"url": "https://x.example/a", "engineType": "scripted", "approved": True, "ok": True}
UUIDS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIMES = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
OF_ITSELF = {"date", "content-length", "x-request-id"}


@frozen
class Slot:
    """Where a request names something."""

    where: str  #: path, query or body.
    name: str

    @property
    def kind(self) -> str:
        return KINDS[self.name]


MADE = Slot("body", "id")  # of what is to be made


@frozen(kw_only=True)
class Operation:
    """One request, with its ids still to be named."""

    method: str
    path: str
    slots: tuple[Slot, ...]
    body: Json | None = None
    is_upload: bool = False
    query: Mapping[str, str] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)

    @property
    def name(self) -> str:
        more = "&".join(f"{k}={v}" for k, v in self.query.items())
        return f"{self.method} {self.path}{'?' + more if more else ''}{' as a stream' if self.headers else ''}"

    async def ask(self, served: Served, ids: Mapping[Slot, str]) -> httpx2.Response:
        """Send it."""
        path = self.path
        query, body = dict(self.query), _filled(self.body, ids)
        for slot, value in ids.items():
            if slot.where == "path":
                path = path.replace("{" + slot.name + "}", value)
            elif slot.where == "query":
                query[slot.name] = value
        more: dict[str, Any] = {"files": {"audio": ("a.webm", b"sound", "audio/webm")}} if self.is_upload else {}
        if body is not None:
            more["json"] = body
        headers = served.headers | dict(self.headers)
        return await served.http.request(
            self.method, served.url + API + path, params=query or None, headers=headers, **more
        )


async def operations(served: Served) -> list[Operation]:
    """Read what there is from the running server."""
    document = (await served.http.get(served.url + "/schema/")).json()
    found = [
        variant
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "put", "patch", "delete"} and path.startswith(API)
        for variant in _variants(method.upper(), path.removeprefix(API), _inlined(operation, document))
    ]
    assert len({(each.method, each.path) for each in found}) >= 30
    return sorted(found, key=lambda each: MADE in each.slots)  # last: then there is one of that id, of one's own


def _inlined(node: Any, document: Json) -> Any:
    """Put what is referred to in its place; what contains itself is left out the second time."""
    if isinstance(node, list):
        return [_inlined(item, document) for item in node]
    if not isinstance(node, dict):
        return node
    if (reference := node.get("$ref")) is None:
        return {key: _inlined(value, document) for key, value in node.items()}
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return _inlined(found, document)


def _variants(method: str, path: str, operation: Json) -> Iterator[Operation]:
    parameters = operation.get("parameters", [])
    slots = [Slot(p["in"], p["name"]) for p in parameters if p["in"] == "path"]
    slots += [Slot("query", p["name"]) for p in parameters if p["in"] == "query" and p["name"] in KINDS]
    content = (operation.get("requestBody") or {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    body = _sample(schema) if schema else None
    slots += [Slot("body", name) for name in _ids_in(schema or {})]
    base = Operation(
        method=method, path=path, slots=tuple(slots), body=body, is_upload="multipart/form-data" in content
    )
    for slot in slots:
        assert slot.name in KINDS, f"{method} {path}: what does {slot.name} name?"
    yield base
    for parameter in parameters:
        if parameter["in"] == "query" and parameter["schema"].get("type") == "boolean":
            yield evolve(base, query={parameter["name"]: "true"})
    if method == "GET":
        yield evolve(base, headers={"accept": "text/event-stream"})


def _sample(schema: Json) -> Any:
    """Make the smallest body that is understood, with places for the ids that it may name."""
    if "properties" in schema:
        properties, needed = schema["properties"], schema.get("required", [])
        return {name: _sample_of(name, properties[name]) for name in properties if name in needed or _is_id(name)}
    return {"boolean": True, "integer": 1, "number": 1.0, "array": []}.get(schema.get("type", ""), "x")


def _sample_of(name: str, schema: Json) -> Any:
    if _is_id(name):
        return Slot("body", name)
    return SAMPLES[name] if name in SAMPLES else _sample(schema)


def _ids_in(schema: Json) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        if _is_id(name):
            yield name
        elif name in schema.get("required", []):
            yield from _ids_in(inner)


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith("Id")


def _filled(body: Any, ids: Mapping[Slot, str]) -> Any:
    if isinstance(body, dict):
        filled = {name: _filled(value, ids) for name, value in body.items()}
        return {name: value for name, value in filled.items() if not isinstance(value, Slot)}
    return ids.get(body, body) if isinstance(body, Slot) else body


def choices(slots: tuple[Slot, ...], own: Callable[[Slot], str]) -> Iterator[dict[Slot, str | None]]:
    """Yield which ids are to be tried together: None stands where one is tried, the rest are the caller's own."""
    for size in range(1, len(slots) + 1):
        for tried in itertools.combinations(slots, size):
            if MADE not in tried or tried == (MADE,):  # it can be made once
                yield {slot: None if slot in tried else own(slot) for slot in slots}


def filled(chosen: Mapping[Slot, str | None], tried: Callable[[Slot], str]) -> dict[Slot, str]:
    """Return the ids of a request; what is to be made has a new one, unless its id is tried."""
    return {s: tried(s) if own is None else an_id() if s == MADE else own for s, own in chosen.items()}


def plain(response: httpx2.Response) -> tuple[int, dict[str, str], str]:
    """Return what must be the same, whatever was asked for: without ids, times and the path."""
    headers = {name: value for name, value in response.headers.items() if name not in OF_ITSELF}
    return response.status_code, headers, plain_text(response.text)


def plain_text(text: str) -> str:
    """Take away what names one thing or one moment."""
    text = re.sub(r'"(instance|userId)":"[^"]*"', r'"\1":""', text)
    return TIMES.sub("<time>", UUIDS.sub("<id>", text))
