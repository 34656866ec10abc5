"""A conversation as it grows during one attempt.

Law: it is what the store keeps of the same events, so that the next turn of the model, this attempt's or a later
one's, is shown the same.  A call has an id that no other call of the conversation has, whatever the provider sent.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

from agentcore.approval import Approval
from agentcore.engine import EngineRequest
from agentcore.events import (
    BlockEnded,
    CallClosed,
    CallCounted,
    CallOpened,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from agentcore.messages import (
    Message,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    ToolResultPart,
    ToolUsePart,
    clean,
    clean_json,
    joined,
)
from agentcore.policy import Rule
from agentcore.tooling import ModelEvent, WantedCall

GOOD_ID = re.compile("[A-Za-z0-9_-]{1,40}")  # what both providers take back in a history


@frozen(kw_only=True)
class Call:
    """A call that is made, asked for, or refused."""

    id: str
    name: str
    input: dict[str, Any]
    is_object: bool = True  #: What the model wrote could be read.
    rule: Rule = Rule.ASK
    refusal: str | None = None  #: Why it is not made, in words for the model.


@define
class Transcript:
    """What the model is shown next."""

    messages: tuple[Message, ...]
    new_id: Callable[[], str]
    undone: Sequence[Approval]  #: Decided and not a call yet, in the order in which it was asked for.
    _used: set[str]
    _said: tuple[Part, ...] = ()
    _pieces: list[str] = field(factory=list)
    _kind: type[TextPart | ThinkingPart] = TextPart

    @classmethod
    def of(cls, request: EngineRequest, new_id: Callable[[], str]) -> "Transcript":
        """Begin with what *request* brings.

        A call that is in the history without a result was begun by an attempt that was lost: it may have happened, so
        it is done whatever was decided about it.
        """
        parts = [part for message in request.messages for part in message.parts]
        called = {part.tool_use_id for part in parts if isinstance(part, ToolUsePart)}
        undone = [decision for decision in request.decisions if decision.tool_use_id not in called]
        undone.sort(key=lambda decision: decision.created_at)
        used = called | {decision.tool_use_id for decision in request.decisions}
        return cls(request.messages, new_id, undone, used)

    def named(self, wanted: WantedCall) -> Call:
        """Give a call its id; what it says is cleaned as the store does, so that what runs is what is shown."""
        call_id = wanted.tool_use_id
        if GOOD_ID.fullmatch(call_id) is None or call_id in self._used:
            call_id = f"call_{self.new_id().replace('-', '')[:32]}"
        self._used.add(call_id)
        is_object = wanted.input is not None
        return Call(id=call_id, name=clean(wanted.name), input=clean_json(wanted.input or {}), is_object=is_object)

    def hear(self, event: ModelEvent | ToolUse | ToolResult) -> None:
        """Take in what is said, as a turn does."""
        match event:
            case TextDelta(text):
                self._hear(TextPart, text)
            case ThinkingDelta(text):
                self._hear(ThinkingPart, text)
            case BlockEnded(signature):
                self._join()
                if signature and self._said and isinstance(last := self._said[-1], ThinkingPart):
                    self._said = (*self._said[:-1], evolve(last, signature=signature))
            case ToolUse():
                self._join()
                part = ToolUsePart(tool_use_id=event.tool_use_id, tool_name=event.tool_name, input=event.input)
                self._said = (*self._said, part)
            case ToolResult(tool_use_id=use, output=output, is_error=is_error):
                result = ToolResultPart(tool_use_id=use, output=clean(output), is_error=is_error)
                self._speak()
                self._add(Role.TOOL, (result,))
            case CallClosed():
                self._speak()
            case CallOpened() | CallCounted() | WantedCall():
                return

    def _hear(self, kind: type[TextPart | ThinkingPart], text: str) -> None:
        if kind is not self._kind:
            self._join()
            self._kind = kind
        self._pieces.append(text)

    def _join(self) -> None:
        if text := clean("".join(self._pieces)):
            self._said = joined((*self._said, self._kind(text)))
        self._pieces.clear()

    def _speak(self) -> None:
        self._join()
        if self._said:
            self._add(Role.ASSISTANT, self._said)
            self._said = ()

    def _add(self, role: Role, parts: Sequence[Part]) -> None:
        last = self.messages[-1]
        message = evolve(last, role=role, parts=tuple(parts), interrupted=False, attachments_refused=False)
        self.messages = (*self.messages, message)
