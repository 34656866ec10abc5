"""What the server says of itself is what it does."""

import gzip
import json
import re
from pathlib import Path
from typing import Any, get_args

import anyio
import msgspec
import pytest
from docs.generate import a_sample
from jsonschema import Draft7Validator, Draft202012Validator
from tests.support.server import Json, Served, receive

from agentcore.events import Event
from agentcore_http.app import API, create_app
from agentcore_http.described import asyncapi, openapi
from agentcore_http.described.examples import SESSION
from agentcore_http.described.table import ROWS
from agentcore_http.settings import Settings
from agentcore_http.wire import commands
from agentcore_http.wire import events as wire
from agentcore_http.wire.frames import event_payload

pytestmark = pytest.mark.anyio
# The schema of such documents, from the package @asyncapi/specs 6.11.1 (Apache-2.0), unchanged but for blanks.
ASYNCAPI = json.loads(gzip.decompress((Path(__file__).parents[1] / "support/asyncapi-3.0.0.json.gz").read_bytes()))


def the_openapi() -> Json:
    app = create_app(lambda: pytest.fail("not opened"), Settings())
    return openapi.completed(app.openapi_schema.to_schema())


def operations(document: Json) -> dict[tuple[str, str], Json]:
    return {
        (method, path.removeprefix(API)): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert operations(the_openapi()).keys() == ROWS.keys()


def test_operations_are_named_once() -> None:
    names = [row.id for row in ROWS.values()]
    assert len(names) == len(set(names))
    links = {name for row in ROWS.values() for name in row.leads_to}
    assert links <= set(names)


def test_every_body_and_parameter_is_described() -> None:
    document = the_openapi()
    for key, operation in operations(document).items():
        if "requestBody" in operation:
            for media, content in operation["requestBody"]["content"].items():
                Draft202012Validator.check_schema(content["schema"])
                if media == "application/json":
                    Draft202012Validator(content["schema"]).validate(content["example"])
        named = {p["name"] for p in operation["parameters"] if "name" in p and p["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", key[1]))
        for status, response in operation["responses"].items():
            if int(status) >= 400 and key[1] not in {"/healthz", "/readyz"}:
                assert response == {"$ref": f"#/components/responses/Problem{status}"}
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_answer_has_an_example_that_is_one() -> None:
    document = the_openapi()
    without = []
    bodies = [
        (f"{key} {status} {media}", content)
        for key, operation in operations(document).items()
        for status, response in operation["responses"].items()
        for media, content in response.get("content", {}).items()
    ]
    bodies += [
        (f"{name} {media}", content)
        for name, response in document["components"]["responses"].items()
        for media, content in response["content"].items()
    ]
    assert len(bodies) > 40
    for place, content in bodies:
        if "example" not in content:
            without.append(place)
            continue
        schema = {**content["schema"], "components": document["components"]}
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(content["example"])
    assert without == ["('get', '/sessions/{session_id}/export') 200 application/x-ndjson"]  # lines of many kinds
    frames = operations(document)["get", "/sessions/{session_id}/events"]["responses"]["200"]["content"]
    for frame in frames["application/json"]["example"]["items"]:
        Draft202012Validator(asyncapi.frame_schemas()[frame["type"]]).validate(frame)


def test_every_reference_leads_somewhere() -> None:
    for document in (the_openapi(), asyncapi.document()):
        for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
            found: Any = document
            for step in reference.split("/"):
                found = found[step]


def test_the_asyncapi_document_is_one() -> None:
    errors = [
        f"{error.json_path}: {error.message[:200]}"
        for error in Draft7Validator(ASYNCAPI).iter_errors(asyncapi.document())
    ]
    assert errors == []


def test_a_broken_asyncapi_document_is_not_one() -> None:
    document = json.loads(json.dumps(asyncapi.document()))
    del document["components"]["messages"]["text"]["examples"][0]["payload"]
    assert not Draft7Validator(ASYNCAPI).is_valid(document)


def test_every_event_of_the_log_is_a_message() -> None:
    schemas = asyncapi.frame_schemas()
    seen = set()
    for kind in get_args(Event):
        payload = msgspec.to_builtins(event_payload(a_sample(kind), "said"))
        name = payload["type"]
        schema = schemas[name]
        frame = {"cursor": "1", "seq": 1, "sessionId": SESSION, "ts": "2026-01-01T00:00:00.000Z"} | payload
        Draft202012Validator(schema).validate(frame)
        assert frame.keys() <= schema["properties"].keys()
        seen.add(name)
    live = {asyncapi.tag_of(kind) for kind in get_args(wire.Logged)}
    assert live - {"thinking"} <= seen <= live
    assert {asyncapi.tag_of(kind) for kind in get_args(wire.Control)} | live <= schemas.keys()


def test_examples_are_what_they_are_examples_of() -> None:
    whole, schemas = asyncapi.document()["components"]["messages"], asyncapi.frame_schemas()
    for name, message in whole.items():
        (example,) = message["examples"]
        Draft202012Validator(schemas[name]).validate(example["payload"])
        if name.startswith("client."):
            kind = commands.KINDS[name.removeprefix("client.")]
            msgspec.json.decode(msgspec.json.encode(example["payload"]), type=kind)


def test_every_close_code_that_is_used_is_described() -> None:
    source = (Path(openapi.__file__).parents[1] / "ws.py").read_text() + (
        Path(openapi.__file__).parents[1] / "auth/origin.py"
    ).read_text()
    used = {int(code) for code in re.findall(r"\b(44\d\d|10\d\d)\b", source)} - {1024}
    assert used <= asyncapi.CLOSES.keys()


async def test_both_documents_are_served(served: Served) -> None:
    found = await served.http.get(f"{served.url}/schema")
    assert found.json() == json.loads(json.dumps(the_openapi()))
    assert (await served.http.get(f"{served.url}/schema/openapi.json")).json() == found.json()
    told = await served.http.get(f"{served.url}/schema/asyncapi.json")
    assert told.headers["content-type"] == "application/json"
    assert told.json() == json.loads(json.dumps(asyncapi.document()))


async def test_every_frame_of_a_conversation_is_as_described(served: Served) -> None:
    schemas = asyncapi.frame_schemas()
    seen: set[str] = set()

    def check(frame: Json) -> None:
        schema = schemas[frame["type"]]
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(frame)
        if "properties" in schema:
            assert frame.keys() <= schema["properties"].keys()
        seen.add(frame["type"])

    first = await served.post("[[think]] [[say:hello]] [[tool:clock:{}]]", onBusy="enqueue")
    session = first["sessionId"]
    await served.ended(first["taskId"])
    async with served.socket(session) as socket:

        async def say(**frame: object) -> Json:
            await socket.send(json.dumps({"id": 1, **frame}))
            return await until("ack", "problem")

        async def until(*kinds: str) -> Json:
            with anyio.fail_after(20):
                while True:
                    frame = await receive(socket)
                    check(frame)
                    if frame["type"] in kinds:
                        return frame

        assert (await say(type="ping"))["type"] == "ack"
        asked = await say(type="prompt", prompt="[[ask:rm:{}]] [[say:done]]")
        wanted = await until("approval_required")
        assert (await say(type="nothing"))["status"] == 400
        assert (await say(type="approve", taskId=asked["taskId"], approved=True))["approvalId"] == wanted["approvalId"]
        await until("completed")
        hanging = await say(type="prompt", prompt="[[say:x]] [[hang]]")
        assert (await say(type="inject", taskId=hanging["taskId"], message="[[hang]]"))["type"] == "ack"
        await until("cancelled")
        await served.call("POST", f"/sessions/{session}/oauth-trigger", {"provider": "p", "url": "https://p.example"})
        await until("oauth_prompt")
        failing = await say(type="prompt", prompt="[[raise]]")
        while (await until("error"))["taskId"] != failing["taskId"]:
            pass
        assert (await say(type="cancel", taskId=failing["taskId"]))["status"] == "failed"
        await served.call("PATCH", f"/sessions/{session}", {"title": "another"})
        await until("session_info")
    async with served.socket(session, "999999") as socket:
        while "stream_reset" not in seen:
            check(await receive(socket))
    named = {asyncapi.tag_of(kind) for kind in (*asyncapi.FRAMES, *get_args(commands.Answers))}
    assert named - seen == {"heartbeat", "resume_lost"}
