"""What the program ``claude`` writes, a frame a line."""

import json
from typing import Any

from agentcore.events import CallClosed, CallCounted, Resumable, ToolResult, ToolUse
from agentcore.messages import clean_json
from agentcore.usage import Outcome
from agentcore_adapters.engines.claude_child import frame_of
from agentcore_adapters.engines.claude_wire import Heard
from tests.fuzz.targets import Target, lines
from tests.fuzz.targets.providers import storable

Frame = dict[str, Any]


def stream(kind: str, **event: Any) -> Frame:
    return {"type": "stream_event", "event": {"type": kind, **event}}


FRAMES: tuple[Frame, ...] = (
    {"type": "system", "subtype": "init", "status": "requesting"},
    stream("message_start", message={"id": "m1", "model": "m", "usage": {"input_tokens": 5}}),
    stream("content_block_start", index=0, content_block={"type": "text"}),
    stream("content_block_delta", index=0, delta={"type": "text_delta", "text": "one "}),
    stream("content_block_delta", index=0, delta={"thinking": "hm"}),
    stream("content_block_delta", index=0, delta={"signature": "c2ln"}),
    stream("content_block_stop", index=0),
    stream("message_delta", usage={"output_tokens": 3, "cache_read_input_tokens": 1}),
    {**stream("message_stop"), "abandoned_blocks": {"from_block_index": 0}},
    stream("message_stop"),
    {"type": "assistant", "message": {"id": "m2", "content": [{"type": "text", "text": "one two"}]}},
    {
        "type": "assistant",
        "message": {"id": "m2", "content": [{"type": "tool_use", "id": "u", "name": "n", "input": {}}]},
    },
    {"type": "assistant", "error": "overloaded"},
    {
        "type": "user",
        "message": {"content": [{"type": "tool_result", "tool_use_id": "u", "content": [{"type": "text"}]}]},
    },
    {
        "type": "transcript_mirror",
        "filePath": "/x/s.jsonl",
        "entries": [
            {"type": "assistant", "message": {"id": "m1"}},
            {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "u"}]}},
            {"type": "user", "message": {"content": "hello"}},
        ],
    },
)


def frames(data: bytes) -> object:
    heard = Heard("m", None, "s")
    said: list[object] = []
    for line in lines(data):
        frame = frame_of(line)
        if frame is not None:
            said += heard.take(frame)
    said += heard.close(Outcome.FAILED)
    for event in said:
        match event:
            case CallCounted() | CallClosed():
                storable(event.usage)
            case ToolUse():
                assert isinstance(event.input, dict)
                clean_json(event.input)
            case ToolResult():
                assert isinstance(event.output, str)
            case Resumable():
                assert all(isinstance(json.loads(line), dict) for line in event.lines)
            case _:
                text = getattr(event, "text", "")
                assert isinstance(text, str)
    return said


WHOLE = b"\n".join(json.dumps(frame).encode() for frame in FRAMES)
TARGETS = [
    Target(
        name="frames_of_claude_code",
        run=frames,
        allowed=(),
        seeds=[WHOLE, *(json.dumps(frame).encode() for frame in FRAMES), b"[" * 5000, b"\xff\xfe", b'{"a":1e999}'],
    )
]
