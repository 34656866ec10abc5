"""Our messages and tools on the wire of ``openai``."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from agentcore.engine import EngineRequest
from agentcore.messages import (
    FilePart,
    Message,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    ToolResultPart,
    ToolUsePart,
)
from agentcore.tooling import Tool
from agentcore_adapters.engines.wanted import wire_name


def entries(message: Message, request: EngineRequest) -> list[dict[str, Any]]:
    """Return one message of ours as messages of the wire; tool results are messages of their own there."""
    results = [
        {"role": "tool", "tool_call_id": part.tool_use_id, "content": part.output}
        for part in message.parts
        if isinstance(part, ToolResultPart)
    ]
    text = "".join(part.text for part in message.parts if isinstance(part, TextPart))
    if message.role is Role.ASSISTANT:
        calls = [_call(part) for part in message.parts if isinstance(part, ToolUsePart)]
        own: dict[str, Any] = {"role": "assistant", "content": text or None}
        return [own | ({"tool_calls": calls} if calls else {})] if text or calls else []
    if message.role is Role.TOOL:
        return results
    if any(isinstance(part, FilePart) for part in message.parts):
        content = [block for part in message.parts if (block := _block(part, request)) is not None]
        return [{"role": "user", "content": content}]
    return [{"role": "user", "content": text}]


def joined(said: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make one of what the engine said and the calls it then made: to this wire both are one message."""
    found: list[dict[str, Any]] = []
    for entry in said:
        last = found[-1] if found else {}
        if entry["role"] == last.get("role") == "assistant" and "tool_calls" not in last:
            text = (last["content"] or "") + (entry["content"] or "")
            found[-1] = last | entry | {"content": text or None}
        else:
            found.append(entry)
    return found


def function(tool: Tool) -> dict[str, Any]:
    """Describe a tool."""
    return {"name": wire_name(tool.name), "description": tool.description, "parameters": tool.input_schema}


def _call(part: ToolUsePart) -> dict[str, Any]:
    function = {"name": wire_name(part.tool_name), "arguments": json.dumps(part.input)}
    return {"id": part.tool_use_id, "type": "function", "function": function}


def _block(part: Part, request: EngineRequest) -> dict[str, Any] | None:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case FilePart():
            data = base64.b64encode(request.blobs[part.sha256].data).decode()
            url = f"data:{part.media_type};base64,{data}"
            if part.is_image:
                return {"type": "image_url", "image_url": {"url": url}}
            return {"type": "file", "file": {"filename": part.file_name or "document.pdf", "file_data": url}}
        case ThinkingPart() | ToolUsePart() | ToolResultPart():
            return None
