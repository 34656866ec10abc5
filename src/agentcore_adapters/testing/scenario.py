"""What the stub provider is told to do, by markers in the conversation.

Law: the active markers are those of the newest user message that has any, and in it of its last block that has any.
Tools are called until a result of one has come back (with ``loop``: again and again; with ``insist``: until one
that is no error); several markers are parallel calls.

    [[tool:NAME:{json}]] [[loop]] [[insist]] [[after:TEXT]] [[say:TEXT]] [[words:N]] [[slow:S]] [[think]]
    [[http:STATUS]] [[http:STATUS:TIMES]] [[err_mid]] [[drop]] [[eof]] [[hang]] [[overflow]]
    [[refuse_image]] [[no_usage]]
"""

import json
import re
from typing import Any

from attrs import field, frozen

MARKER = re.compile(r"\[\[(\w+)(?::((?:[^\]]|\](?!\]))*))?\]\]")
USAGE = {"input_tokens": 25, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 7, "output_tokens": 1}
IMAGES = frozenset({"image", "image_url", "document", "file"})


@frozen(kw_only=True)
class Scenario:
    """One answer, as it will be given."""

    words: tuple[str, ...]
    flags: dict[str, str] = field(factory=dict)
    has_image: bool = False
    tools: tuple[tuple[str, str], ...] = ()  #: Names and inputs (JSON) of the calls to be made.

    def __contains__(self, flag: str) -> bool:
        """Whether a marker is there."""
        return flag in self.flags

    @property
    def pause_s(self) -> float:
        """Seconds between words."""
        return float(self.flags.get("slow", "0"))

    @property
    def status(self) -> tuple[int, int] | None:
        """An HTTP status to answer with, and for how many requests."""
        if "http" not in self.flags:
            return None
        status, _, times = self.flags["http"].partition(":")
        return int(status), int(times or 1_000_000)


def scenario_of(body: dict[str, Any]) -> Scenario:
    """Read the markers of a request to either wire."""
    messages = body.get("messages", [])
    texts = [_newest(message.get("content")) if message.get("role") == "user" else "" for message in messages]
    place = next((i for i in reversed(range(len(texts))) if MARKER.search(texts[i])), None)
    last = next((text for text in reversed(texts) if text), "")
    markers = [(match[1], match[2] or "") for match in MARKER.finditer(texts[place])] if place is not None else []
    flags = dict(markers)
    plain = MARKER.sub("", last).strip()
    after = messages[(place or 0) + 1 :]
    results = [result for message in after for result in _results(message, with_errors="insist" not in flags)]
    tools = tuple((name, text or "{}") for kind, value in markers if kind == "tool"
                  for name, _, text in [value.partition(":")])  # fmt: skip
    if results and "loop" not in flags:
        tools = ()
    said = flags.get("say", f"You said: {plain}. Messages so far: {len(messages)}.")
    if tools:
        said = flags.get("say", "Let me see. ")
    elif results:
        said = flags.get("after", f"The tools said: {' | '.join(results)}")
    words = tuple(f"w{i} " for i in range(int(flags.get("words", "0")))) or tuple(re.findall(r"\S+\s*|\s+", said))
    current = messages[-1].get("content") if messages else None
    has_image = isinstance(current, list) and any(block.get("type") in IMAGES for block in current)
    return Scenario(words=words, flags=flags, has_image=has_image, tools=tools)


def anthropic_events(scenario: Scenario, model: str, message_id: str) -> list[tuple[str, bytes]]:
    """Return the frames of an answer of ``/v1/messages``; the first of each pair is ``word`` for what may be slow."""
    head = {"id": message_id, "type": "message", "role": "assistant", "model": model, "content": []}
    frames = [("", _anthropic("message_start", message=head | {"stop_reason": None, "usage": USAGE}))]
    frames.append(("", _anthropic("ping")))
    index = 0
    if "think" in scenario:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        frames.append(("", _anthropic("content_block_start", index=0, content_block=block)))
        for word in ("Let me ", "think."):
            delta = {"type": "thinking_delta", "thinking": word}
            frames.append(("", _anthropic("content_block_delta", index=0, delta=delta)))
        signature = {"type": "signature_delta", "signature": "c2lnbmVk"}
        frames.append(("", _anthropic("content_block_delta", index=0, delta=signature)))
        frames.append(("", _anthropic("content_block_stop", index=0)))
        index = 1
    frames.append(("", _anthropic("content_block_start", index=index, content_block={"type": "text", "text": ""})))
    for word in scenario.words:
        delta = {"type": "text_delta", "text": word}
        frames.append(("word", _anthropic("content_block_delta", index=index, delta=delta)))
    frames.append(("", _anthropic("content_block_stop", index=index)))
    for number, (name, text) in enumerate(scenario.tools):
        index += 1
        call: dict[str, Any] = {"type": "tool_use", "id": f"toolu_{message_id}_{number}", "name": name, "input": {}}
        frames.append(("", _anthropic("content_block_start", index=index, content_block=call)))
        for piece in (text[:3], text[3:]):
            delta = {"type": "input_json_delta", "partial_json": piece}
            frames.append(("", _anthropic("content_block_delta", index=index, delta=delta)))
        frames.append(("", _anthropic("content_block_stop", index=index)))
    reason = {"stop_reason": "tool_use" if scenario.tools else "end_turn"}
    frames.append(("", _anthropic("message_delta", delta=reason, usage={"output_tokens": 42})))
    frames.append(("end", _anthropic("message_stop")))
    return frames


def anthropic_message(scenario: Scenario, model: str, message_id: str) -> dict[str, Any]:
    """Return the same answer in one piece."""
    content: list[dict[str, Any]] = []
    if "think" in scenario:
        content.append({"type": "thinking", "thinking": "Let me think.", "signature": "c2lnbmVk"})
    content.append({"type": "text", "text": "".join(scenario.words)})
    for number, (name, text) in enumerate(scenario.tools):
        call = {"type": "tool_use", "id": f"toolu_{message_id}_{number}", "name": name, "input": json.loads(text)}
        content.append(call)
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "tool_use" if scenario.tools else "end_turn",
        "stop_sequence": None,
        "usage": USAGE | {"output_tokens": 42},
    }


def openai_events(scenario: Scenario, model: str, message_id: str, *, with_usage: bool) -> list[tuple[str, bytes]]:
    """Return the frames of an answer of ``/v1/chat/completions``."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _data({"id": message_id, "object": "chat.completion.chunk", "model": model, "choices": [choice]})

    frames = [("", chunk({"role": "assistant", "content": ""}))]
    if "think" in scenario:
        frames += [("", chunk({"reasoning_content": word})) for word in ("Let me ", "think.")]
    frames += [("word", chunk({"content": word})) for word in scenario.words]
    for number, (name, text) in enumerate(scenario.tools):
        call = {"index": number, "id": f"call_{message_id}_{number}", "type": "function"}
        frames.append(("", chunk({"tool_calls": [call | {"function": {"name": name, "arguments": ""}}]})))
        for piece in (text[:3], text[3:]):
            more = {"index": number, "function": {"arguments": piece}}
            frames.append(("", chunk({"tool_calls": [more]})))
    frames.append(("", chunk({}, "tool_calls" if scenario.tools else "stop")))
    if with_usage and "no_usage" not in scenario:
        usage = {
            "prompt_tokens": 35,
            "completion_tokens": 42,
            "prompt_tokens_details": {"cached_tokens": 7},
            "completion_tokens_details": {"reasoning_tokens": 11},
        }
        last = {"id": message_id, "object": "chat.completion.chunk", "model": model, "choices": [], "usage": usage}
        frames.append(("", _data(last)))
    frames.append(("end", b"data: [DONE]\n\n"))
    return frames


def error_frame(wire: str) -> bytes:
    """Return an error in the middle of a stream."""
    error = {"type": "overloaded_error", "message": "stub secret detail"}
    return _anthropic("error", error=error) if wire == "anthropic" else _data({"error": error})


def _anthropic(kind: str, **body: Any) -> bytes:  # noqa: ANN401 - JSON
    return b"event: " + kind.encode() + b"\n" + _data({"type": kind, **body})


def _data(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _results(message: dict[str, Any], *, with_errors: bool) -> list[str]:
    """Return the results of tools that a message of either wire brings."""
    content = message.get("content")
    if message.get("role") == "tool":
        return [_text(content)]
    blocks = content if isinstance(content, list) else []
    return [
        _text(block.get("content"))
        for block in blocks
        if block.get("type") == "tool_result" and (with_errors or not block.get("is_error"))
    ]


def _newest(content: object) -> str:
    """Return the last block that has markers, for what stands before it may be quoted; else all text."""
    blocks = content if isinstance(content, list) else []
    texts = [block.get("text", "") for block in blocks if block.get("type") == "text"]
    return next((text for text in reversed(texts) if MARKER.search(text)), _text(content))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(block.get("text", "") for block in blocks if block.get("type") == "text")
