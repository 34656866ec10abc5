"""What acting needs of the world, as promises.

Law: a docstring here is a contract.  A model wants calls and makes none; a toolbox makes calls and decides nothing;
``toolloop`` stands between the two.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, cast

from attrs import field, frozen

from agentcore.engine import Abilities, EngineRequest, Plan
from agentcore.events import BlockEnded, CallClosed, CallCounted, CallOpened, TextDelta, ThinkingDelta
from agentcore.ids import EngineName, SessionId, TaskId


@frozen(kw_only=True)
class Tool:
    """Something that can be called."""

    name: str  #: ``<server>.<tool>``.
    description: str  #: For the model.
    input_schema: Mapping[str, Any]  #: JSON Schema of an object.


@frozen(kw_only=True)
class ToolCall:
    """A call that is to be made now."""

    tool_use_id: str  #: Unique in its task: an idempotency key for whom the tool calls in turn.
    name: str
    input: dict[str, Any]
    session_id: SessionId
    task_id: TaskId


@frozen
class ToolOutput:
    """What came of a call."""

    text: str
    is_error: bool = False


class Toolbox(Protocol):
    """Tools, wherever they are."""

    async def tools(self) -> Sequence[Tool]:
        """Return those that can be called now; quick, and never raises because one of them is out of reach."""

    async def call(self, call: ToolCall) -> ToolOutput:
        """Make a call, once: what failed half-way is not tried again.

        What the tool itself, or the way to it, has to say against the call is an output with ``is_error``, in words
        that a model may see.  Anything else it raises is told to the model as a failure without words.  Cancelled:
        the call is given up.
        """


@frozen
class WantedCall:
    """A model wants a call to be made."""

    tool_use_id: str  #: As the provider says; may be empty, or used before.
    name: str
    input: dict[str, Any] | None  #: None: what the model wrote is not a JSON object.


ModelEvent = TextDelta | ThinkingDelta | BlockEnded | CallOpened | CallCounted | CallClosed | WantedCall


class Model(Protocol):
    """Something that answers a conversation, a turn at a time, and cannot act."""

    @property
    def name(self) -> EngineName:
        """Name of the engine that is made of it."""

    @property
    def abilities(self) -> Abilities:
        """What it can do; ``tools``: it can be offered some."""

    def answer(
        self, request: EngineRequest, tools: Sequence[Tool]
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        """Say one turn, one event at a time and without reading ahead; leaving the context stops it.

        The messages of *request* end with the user's word or with the results of calls.  The provider is asked when
        the event after CallOpened is asked for.  The end of the iteration is the end of the turn; calls are wanted
        before it.  Raises EngineFailed for what it can name.
        """


class Planning(Protocol):
    """What a model may promise besides: to know its call before it makes it."""

    def plan(self, request: EngineRequest, tools: Sequence[Tool]) -> Plan | None:
        """Say, at once and without effect, what ``answer`` will ask; None if that has to be waited for.

        ``answer`` of the same request with this plan begins with the plan's ``opened``.
        """


def planning(model: Model) -> Planning | None:
    """Return *model* if it plans."""
    return cast("Planning", model) if hasattr(model, "plan") else None


@frozen
class Toolboxes:
    """Several toolboxes as one; without any there are no tools.  The first one that has a name keeps it."""

    boxes: Sequence[Toolbox] = field(factory=tuple)

    async def tools(self) -> Sequence[Tool]:
        """Return those of all."""
        found: dict[str, Tool] = {}
        for box in self.boxes:
            for tool in await box.tools():
                found.setdefault(tool.name, tool)
        return list(found.values())

    async def call(self, call: ToolCall) -> ToolOutput:
        """Make a call where its tool is."""
        for box in self.boxes:
            if any(tool.name == call.name for tool in await box.tools()):
                return await box.call(call)
        return ToolOutput(NO_TOOL, is_error=True)


NO_TOOL = "There is no tool of that name."
