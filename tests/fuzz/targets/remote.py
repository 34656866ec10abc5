"""Remote agents: their bridges' answers and callbacks, their gateway's frames; results of MCP servers."""

from typing import Any

import msgspec

from agentcore.errors import CallbackUnverified, InvalidRequest
from agentcore_adapters.engines.openclaw import _offers_cancel
from agentcore_adapters.tools import mcp
from agentcore_http import gateway
from agentcore_http.bridge import CancelBody, TaskBody
from agentcore_http.wire import instances, requests
from tests.fuzz.targets import Target, lines
from tests.fuzz.targets.providers import storable
from tests.fuzz.targets.values import SESSION, SIGNATURE, TASK

CALLBACK = {
    "ok": True,
    "result": "done",
    "usage": {"inputTokens": 1, "outputTokens": 2, "model": "m"},
    "callbackData": {"sessionId": SESSION, "taskId": TASK, "signature": SIGNATURE},
}
HEADERS = {"webhook-id": "msg_1", "webhook-timestamp": "1760000000", "webhook-signature": "v1,AAAA v1,BBBB"}


def callback(data: bytes) -> object:
    session_id, task_id, signature = instances.proof(data)
    assert len(session_id) == len(task_id) == 36
    assert len(signature) <= 300
    reply = instances.reply(data)
    if reply.usage is not None:
        storable(reply.usage)
    return reply


def headers(data: bytes) -> object:
    found = dict(zip(HEADERS, (line.decode("latin-1") for line in lines(data)), strict=False))
    signed = instances.webhook(found, data)
    if signed is not None:
        assert len(signed.id) <= 255
        assert len(signed.signatures) <= 16
    return signed


def dispatch(data: bytes) -> object:
    return _offers_cancel(data)


def asked(data: bytes) -> object:
    """Read what our own bridge is asked."""
    requests.decoded(data, CancelBody)
    return requests.decoded(data, TaskBody)


def frame(data: bytes) -> object:
    """Read frames of the gateway as a run does."""
    heard = gateway.frame_of(data)
    told = gateway._object(heard.get("payload"))
    usage = gateway._counts(gateway._object(told.get("usage")))
    if usage is not None:
        assert all(0 <= count <= 10**12 for count in usage.values()), "the server would refuse the callback"
    text = gateway.text_of(told.get("message"))
    assert isinstance(text, str)
    return heard, text, usage


def result(data: bytes) -> object:
    """Show blocks of a tool's result."""
    blocks: Any = msgspec.json.decode(data)
    if not isinstance(blocks, list):
        raise msgspec.DecodeError("a list")
    texts = [mcp._text(block) for block in blocks if isinstance(block, dict)]
    assert all(isinstance(text, str) for text in texts)
    return texts


RUN = {
    "type": "event",
    "event": "chat",
    "payload": {
        "runId": "k",
        "state": "final",
        "message": {"content": [{"type": "text", "text": "hi"}]},
        "usage": {"inputTokens": 1, "output": 2},
    },
}
BLOCKS = [
    {"type": "text", "text": "x"},
    {"type": "resource", "resource": {"text": "y", "uri": "u"}},
    {"type": "resource_link", "name": "n", "uri": "u"},
    {"type": "image", "mimeType": "image/png"},
]
ASKED = {"prompt": "p", "sessionKey": "s", "idempotencyKey": "k", "callbackUrl": "http://x/", "callbackData": {"a": 1}}
TARGETS = [
    Target(
        name="callbacks",
        run=callback,
        allowed=(CallbackUnverified, InvalidRequest),
        seeds=[msgspec.json.encode(CALLBACK), b'{"callbackData":{}}', b"[" * 3000, b'{"a":"\xff"}'],
    ),
    Target(name="callback_headers", run=headers, allowed=(), seeds=["\n".join(HEADERS.values()).encode(), b""]),
    Target(
        name="answers_of_bridges",
        run=dispatch,
        allowed=(),
        seeds=[b'{"cancel":true,"runId":"r"}', b"", b"[]", b'{"cancel":"\xff"}', b"[" * 3000, b"1e999"],
    ),
    Target(name="bodies_of_bridges", run=asked, allowed=(InvalidRequest,), seeds=[msgspec.json.encode(ASKED)]),
    Target(
        name="frames_of_gateways",
        run=frame,
        allowed=(gateway.GatewayError,),
        seeds=[msgspec.json.encode(RUN), b'{"payload":"\xff"}', b"[" * 3000, b"[]"],
    ),
    Target(
        name="results_of_tools",
        run=result,
        allowed=(msgspec.DecodeError, UnicodeDecodeError, RecursionError),  # the SDK decodes these
        seeds=[msgspec.json.encode(BLOCKS), b'[{"type":"resource","resource":true}]'],
    ),
]
