"""What Claude Code says, as what an engine says.

Law: a provider call is billed once, by the message id and the counts of its stream, and a call whose stream was cut by
estimate.  Text is told once: what a retry says again is held against what was told, and only what is new is said.

Costs are our own price table's, as for every other engine, so that rows of the ledger can be compared and a call that
was cut has a price.  The ``total_cost_usd`` of a result is not billed: it is one sum over all models and over all
answers of the session, and says nothing of a call that was interrupted.

The conversation is said to be resumable up to here when every message that was said so far stands in the mirrored
transcript, and not before: then each message reaches the engine once, natively or told again.
"""

import json
from typing import Any

from attrs import define, evolve, field

from agentcore.events import (
    BlockEnded,
    CallClosed,
    CallCounted,
    CallOpened,
    EngineEvent,
    Resumable,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from agentcore.usage import Fidelity, Outcome, Price, Usage
from agentcore_adapters.engines.prices import cost_of
from agentcore_adapters.engines.providers import plausible

PROVIDER = "anthropic"  # as the price table calls it
PROMPT = "prompt"
Frame = dict[str, Any]


@define
class Heard:
    """What was said so far in one answer."""

    model: str
    price: Price | None
    reference: str
    start: int = 0  #: Lines of the transcript that are kept already.
    is_muted: bool = False  #: It was interrupted: what its transcript says of that is not to be remembered.
    has_spoken: bool = False
    has_begun: bool = False  #: It was understood, and anything it says counts.
    error: str = ""  #: Kind of the last failure that was reported as if the model had said it.
    _usage: Usage | None = None  # of the call under way
    _message_id: str | None = None
    _chars: int = 0
    _places: dict[int, int] = field(factory=dict)  # where its blocks begin in what it told
    _told: str = ""  # by the message under way
    _owed: str = ""  # told by a message that was abandoned, and not yet said again by its replacement
    _replaced: str = ""  # what the replacement has said of it
    _signature: str | None = None
    _streamed: set[str] = field(factory=set)
    _announced: set[str] = field(factory=set)
    _units: set[str] = field(factory=lambda: {PROMPT})
    _kept: set[str] = field(factory=set)
    _lines: list[str] = field(factory=list)

    def take(self, frame: Frame) -> list[EngineEvent]:
        """Take in one frame of the output."""
        if frame.get("parent_tool_use_id") is not None:  # a helper of the agent's: its words are a tool's business
            return []
        match frame.get("type"):
            case "system":
                self.has_begun = self.has_begun or frame.get("subtype") == "init"
                return self.open() if frame.get("status") == "requesting" else []
            case "stream_event":
                return [*self._stream(_object(frame.get("event")), frame.get("abandoned_blocks")), *self._resumable()]
            case "assistant":
                return self._assistant(frame)
            case "user":
                return [*self._results(frame), *self._resumable()]
            case "transcript_mirror":
                self._mirror(frame)
                return self._resumable()
            case _:  # new kinds come with new releases
                return []

    def open(self, input_tokens: int = 0) -> list[EngineEvent]:
        """Announce a call, unless one is under way."""
        if self._usage is not None:
            return []
        self._usage, self._message_id, self._chars = Usage(model=self.model), None, 0
        return [CallOpened(model=self.model, input_tokens=input_tokens, price=self.price)]

    def close(self, outcome: Outcome) -> list[EngineEvent]:
        """Bill a call whose end was not heard: nothing if it has not begun, else what was counted and said."""
        if self._usage is None:
            return []
        usage = self._usage
        if self._message_id is not None:
            output = max(usage.output_tokens, (self._chars + 2) // 3)
            usage = evolve(usage, output_tokens=output, fidelity=Fidelity.ESTIMATED)
            usage = evolve(usage, cost_usd=cost_of(usage, PROVIDER))
        elif outcome is Outcome.CANCELLED:  # it may have been sent: the turn estimates what was sent
            return []
        closed = CallClosed(usage=usage, outcome=outcome, provider_message_id=self._message_id)
        self._usage = self._message_id = None
        return [closed]

    def announce(self, tool_use_id: str, name: str, tool_input: dict[str, Any]) -> list[EngineEvent]:
        """Say that a tool is called, once."""
        if tool_use_id in self._announced:
            return []
        self._announced.add(tool_use_id)
        return [ToolUse(tool_use_id=tool_use_id, tool_name=name, input=tool_input)]

    # ------------------------------------------------------------------------------------------------- the stream
    def _stream(self, event: Frame, abandoned: object) -> list[EngineEvent]:
        match event.get("type"):
            case "message_start":
                return self._begin(_object(event.get("message")))
            case "content_block_delta":
                return self._delta(_object(event.get("delta")))
            case "content_block_stop":
                signature, self._signature = self._signature, None
                return [BlockEnded(signature)]
            case "message_delta" if self._usage is not None:
                self._usage = counted(self._usage, _object(event.get("usage")))
            case "content_block_start":
                self._places[_index(event.get("index"))] = len(self._told)
            case "message_stop" if self.is_muted:
                return self.close(Outcome.CANCELLED)
            case "message_stop" if abandoned is not None:
                return self._abandon(_index(_object(abandoned).get("from_block_index")))
            case "message_stop":
                return self._end()
        return []

    def _begin(self, message: Frame) -> list[EngineEvent]:
        said = self._abandon() if self._message_id is not None else []
        said += self.open()
        assert self._usage is not None
        self._message_id, self._told = str(message.get("id")), ""
        self._places.clear()
        self._streamed.add(self._message_id)
        known = evolve(self._usage, model=str(message.get("model") or self.model))
        self._usage = counted(known, _object(message.get("usage")))
        return [*said, CallCounted(usage=self._usage, provider_message_id=self._message_id)]

    def _delta(self, delta: Frame) -> list[EngineEvent]:
        if text := _string(delta.get("text")):
            self._chars += len(text)
            return self._text(text)
        if text := _string(delta.get("thinking")):
            self._chars += len(text)
            return [ThinkingDelta(text)]
        if signature := _string(delta.get("signature")):
            self._signature = (self._signature or "") + signature
        return []

    def _text(self, text: str) -> list[EngineEvent]:
        """Say *text*, without what an abandoned message has said before."""
        self.has_spoken = True
        self._told += text
        if self._owed:
            self._replaced += text
            if self._owed.startswith(self._replaced):
                return []
            if self._replaced.startswith(self._owed):
                text = self._replaced[len(self._owed) :]
            else:  # another answer: it is said whole, under the one that was given up
                text = "\n\n" + self._replaced
            self._owed = self._replaced = ""
        return [TextDelta(text)] if text else []

    def _abandon(self, from_block: int = 0) -> list[EngineEvent]:
        """Give up a message whose stream broke, from a block on; what replaces it may say the same again."""
        self._owed = self._told[self._places.get(from_block, len(self._told)) :]
        self._replaced = self._told = ""
        return self.close(Outcome.FAILED)

    def _end(self) -> list[EngineEvent]:
        if self._usage is None or self._message_id is None:
            return []
        self._units.add(self._message_id)
        usage = evolve(self._usage, cost_usd=cost_of(self._usage, PROVIDER))
        closed = CallClosed(usage=usage, provider_message_id=self._message_id)
        self._usage = self._message_id = None
        return [closed]

    # ------------------------------------------------------------------------------------------------- whole messages
    def _assistant(self, frame: Frame) -> list[EngineEvent]:
        if frame.get("error"):  # a failure in the words of a message: they may name addresses
            self.error = str(frame["error"])
            return []
        message = _object(frame.get("message"))
        said: list[EngineEvent] = []
        for block in _objects(message.get("content")):
            if block.get("type") == "tool_use":
                said += self.announce(str(block.get("id")), str(block.get("name")), _object(block.get("input")))
            elif block.get("type") == "text" and str(message.get("id")) not in self._streamed:
                said += [*self._text(str(block.get("text") or "")), BlockEnded()]
        return said

    def _results(self, frame: Frame) -> list[EngineEvent]:
        said: list[EngineEvent] = []
        for block in _objects(_object(frame.get("message")).get("content")):
            if block.get("type") == "tool_result":
                use_id = str(block.get("tool_use_id"))
                self._units.add(use_id)
                output = plain(block.get("content"))
                said.append(ToolResult(tool_use_id=use_id, output=output, is_error=bool(block.get("is_error"))))
        return said

    # ------------------------------------------------------------------------------------------------- the transcript
    def _mirror(self, frame: Frame) -> None:
        if not str(frame.get("filePath")).endswith(f"{self.reference}.jsonl"):
            return  # a helper's own: nothing goes on with it
        for entry in _objects(frame.get("entries")):
            self._lines.append(json.dumps(entry))
            message = entry.get("message")
            if not isinstance(message, dict):
                continue
            if entry.get("type") == "assistant":
                self._kept.add(str(message.get("id")))
                continue
            content = message.get("content")
            for block in _objects(content) if isinstance(content, list) else [{}]:
                self._kept.add(str(block.get("tool_use_id")) if block.get("type") == "tool_result" else PROMPT)

    def _resumable(self) -> list[EngineEvent]:
        if self.is_muted or not self._lines or not self._units <= self._kept:
            return []
        said = Resumable(reference=self.reference, start=self.start, lines=tuple(self._lines))
        self.start += len(self._lines)
        self._lines.clear()
        return [said]


def counted(known: Usage, raw: Frame) -> Usage:
    """Take over counts: they are totals so far, input without what the cache gave or took; absent stays as it was."""
    cached = _count(raw, "cache_read_input_tokens", known.cached_input_tokens)
    written = _count(raw, "cache_creation_input_tokens", known.cache_write_input_tokens)
    fresh = known.input_tokens - known.cached_input_tokens - known.cache_write_input_tokens
    return evolve(
        known,
        input_tokens=_count(raw, "input_tokens", fresh) + cached + written,
        cached_input_tokens=cached,
        cache_write_input_tokens=written,
        output_tokens=_count(raw, "output_tokens", known.output_tokens),
    )


def _count(raw: Frame, name: str, default: int) -> int:
    value = raw.get(name)
    return plausible(value) or 0 if isinstance(value, int) else default


def _object(value: object) -> Frame:
    """Return what should be an object; what is none says nothing."""
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Frame]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _index(value: object) -> int:
    return value if isinstance(value, int) else 0


def plain(content: object) -> str:
    """Return a tool's output as text."""
    if isinstance(content, str):
        return content
    texts = [str(b.get("text", "")) if b.get("type") == "text" else f"[{b.get('type')}]" for b in _objects(content)]
    return "\n".join(texts)
