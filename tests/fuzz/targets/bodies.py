"""Bodies of requests and frames of the WebSocket."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec

from agentcore.errors import InvalidRequest, NotFound, TooLarge, UnsupportedMedia
from agentcore.messages import is_storable
from agentcore_http.described.examples import COMMANDS
from agentcore_http.described.table import ROWS
from agentcore_http.problems import problem
from agentcore_http.wire import commands, instances, requests
from agentcore_http.wire.json import encode
from tests.fuzz.targets import Target

REFUSALS = (InvalidRequest, TooLarge, UnsupportedMedia, NotFound)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
ATTACHED = {"prompt": "x", "attachments": [{"base64Data": PNG, "mediaType": "image/png", "fileName": "a.png"}]}
EXAMPLES = [msgspec.json.encode(row.example) for row in ROWS.values() if row.example is not None]
TASK_ID = "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34"


def whole(kind: type[Any], use: Callable[[Any], object]) -> Callable[[bytes], object]:
    """Decode a body and use it as its route does."""

    def run(data: bytes) -> object:
        try:
            done = use(requests.decoded(data, kind))
        except REFUSALS as error:
            encode(problem(error, "/")[1])  # what is said of it can be said
            raise
        storable(done)
        return done

    return run


def storable(value: object) -> None:
    """Assert that no text in *value* is one that the store refuses."""
    if isinstance(value, str):
        assert is_storable(value), "a text that cannot be stored was accepted"
    elif isinstance(value, tuple):
        for item in value:
            storable(item)
    elif hasattr(value, "__attrs_attrs__"):
        for attribute in value.__attrs_attrs__:
            storable(getattr(value, attribute.name))


def command(data: bytes) -> object:
    """Read a frame as the WebSocket does."""
    frame = requests.decoded(data, dict[str, Any])
    kind = commands.KINDS.get(str(frame.get("type")))
    if kind is None:
        raise InvalidRequest("type", "type")
    found = requests.decoded(data, kind)
    encode({"id": found.id})
    match found:
        case commands.Prompt():
            return found.ask(1.0), found.busy
        case commands.Inject():
            return found.ask(), requests.task_id(found.task_id)
        case commands.Approve():
            return found.decide("me"), requests.task_id(found.task_id)
        case commands.Cancel():
            return requests.task_id(found.task_id)
        case _:
            return None


def added(body: instances.NewInstanceBody) -> object:
    told = body.told()
    return told.name, told.status, body.owner(), body.chosen_id()  # the host is the guard's to judge


TARGETS = [
    Target(
        name=name,
        run=whole(kind, use),
        allowed=REFUSALS,
        seeds=[*EXAMPLES, msgspec.json.encode(ATTACHED)],
    )
    for name, kind, use in (
        ("body_execute", requests.ExecuteBody, lambda body: (body.ask(1.0), body.busy)),
        ("body_inject", requests.InjectBody, lambda body: body.ask()),
        ("body_approve", requests.ApproveBody, lambda body: body.decide("me")),
        ("body_rename", requests.RenameBody, lambda body: body.text()),
        ("body_switch", requests.SwitchBody, lambda body: len(body.engine_type)),  # looked up, not stored
        ("body_consent", requests.OAuthBody, lambda body: body.event()),
        ("body_instance", instances.NewInstanceBody, added),
        ("body_ask_instance", instances.InstanceTaskBody, lambda body: body.ask(TASK_ID, 1.0)),
    )
] + [
    Target(
        name="frame_command",
        run=command,
        allowed=REFUSALS,
        seeds=[msgspec.json.encode(example) for example in COMMANDS],
    )
]
