"""Streams of model providers, from their bytes to what an engine says."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
from attrs import frozen

from agentcore.engine import EngineRequest
from agentcore.errors import EngineFailed
from agentcore.events import CallClosed, CallCounted
from agentcore.ids import SessionId, TaskId, TenantId
from agentcore.tooling import Tool
from agentcore.usage import Usage
from agentcore_adapters.engines import claude_api, openai, providers
from agentcore_adapters.engines.prices import cost_of
from agentcore_adapters.engines.wanted import Names
from tests.fuzz.targets import Target
from tests.fuzz.targets.values import SESSION, TASK

BIGGEST = 2**63 - 1
NAMES = Names.of([Tool(name="clock.now", description="", input_schema={})])
REQUEST = EngineRequest(
    tenant_id=TenantId("t"),
    session_id=SessionId(SESSION),
    task_id=TaskId(TASK),
    attempt=1,
    system_prompt="",
    messages=(),
    blobs={},
    max_turns=1,
    allowed_tools=None,
    model=None,
)


@frozen
class Pieces:
    """A response, which comes in two pieces."""

    data: bytes

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        lines = self.data.split(b"\n")
        # What is read after the last word is read with a loop, and thrown away.
        over = next((i for i, line in enumerate(lines) if line[5:].strip() == b"[DONE]"), len(lines))
        data = b"\n".join([*lines[:over], b""])
        yield data[: len(data) // 2]
        yield data[len(data) // 2 :]


def chunks(data: bytes, decoder: msgspec.json.Decoder[Any]) -> Iterator[Any]:
    """Decode an event stream as an engine does, without a loop: nothing in it waits."""
    found = providers.events(Pieces(data), decoder)
    while True:
        step = found.asend(None)
        try:
            step.send(None)
        except StopIteration as done:
            yield from done.value
        except StopAsyncIteration:
            return


def storable(usage: Usage) -> None:
    """Assert what the ledger asks of counts."""
    counts = (
        usage.input_tokens, usage.output_tokens, usage.cached_input_tokens,
        usage.cache_write_input_tokens, usage.reasoning_tokens, usage.total_tokens,
    )  # fmt: skip
    assert all(0 <= count <= BIGGEST for count in counts), usage


def claude(data: bytes) -> object:
    heard = claude_api._Heard(NAMES)
    said: list[object] = []
    for chunk in chunks(data, claude_api.DECODER):
        said += heard.take(chunk)
    for event in said:
        if isinstance(event, CallCounted | CallClosed):
            storable(event.usage)
    storable(heard.usage)
    storable(heard.cut()["usage"])
    cost_of(heard.usage, claude_api.PROVIDER)
    return said, heard.calls()


def chatgpt(data: bytes) -> object:
    heard = openai._Heard(REQUEST, NAMES, Usage(model="gpt-5-mini"), 3)
    said: list[object] = []
    for chunk in chunks(data, openai.DECODER):
        said += heard.take(chunk)
    storable(heard.bill())
    cost_of(heard.bill(), openai.PROVIDER)
    return said, heard.calls()


def refusal(data: bytes) -> object:
    """Read the body of an answer that was none."""
    body = msgspec.json.decode(data) if data.startswith((b"{", b"[")) else data.decode(errors="replace")
    for status in (400, 401, 404, 413, 429, 500, 529):
        assert providers.of_status(status, body, REQUEST).error_code
    return body


def stream(*events: str) -> bytes:
    return "".join(f"data: {event}\n\n" for event in events).encode()


CLAUDE = stream(
    '{"type":"message_start","message":{"id":"m","model":"claude-sonnet-5-5","usage":{"input_tokens":5,"output_tokens":1}}}',
    '{"type":"content_block_start","index":0,"content_block":{"type":"thinking"}}',
    '{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}',
    '{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}',
    '{"type":"content_block_stop","index":0}',
    '{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"u","name":"clock__now","input":{}}}',
    '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"a\\":1}"}}',
    '{"type":"content_block_stop","index":1}',
    '{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9,"cache_read_input_tokens":2}}',
    '{"type":"message_stop"}',
)
CHATGPT = stream(
    '{"id":"c","choices":[{"delta":{"reasoning_content":"hm"}}]}',
    '{"id":"c","choices":[{"delta":{"content":"hello"}}]}',
    '{"id":"c","choices":[{"delta":{"tool_calls":[{"index":0,"id":"u","function":{"name":"clock__now","arguments":"{"}}]}}]}',
    '{"id":"c","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]},"finish_reason":"tool_calls"}]}',
    '{"id":"c","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":2}}}',
    "[DONE]",
)
COUNTS = stream(
    '{"type":"message_start","message":{"id":"m","model":"x","usage":{"input_tokens":-5,"output_tokens":99999999999999999999}}}'
)
TARGETS = [
    Target(name="stream_of_claude", run=claude, allowed=(EngineFailed,), seeds=[CLAUDE, COUNTS]),
    Target(
        name="stream_of_openai", run=chatgpt, allowed=(EngineFailed,), seeds=[CHATGPT, stream('{"error":{"code":500}}')]
    ),
    Target(
        name="refusals",
        run=refusal,
        allowed=(msgspec.DecodeError, UnicodeDecodeError, RecursionError),  # the SDKs decode these
        seeds=[b'{"error":{"type":"invalid_request_error","message":"prompt is too long"}}', b"<html>", b"[]"],
    ),
]
