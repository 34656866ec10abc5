"""What the core needs of those who answer prompts, as promises.

Law: an engine says one thing at a time and is asked for the next when that is stored; what it can do is declared in
``Abilities``, and ``agentcore.testing`` proves it.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol, cast

from attrs import field, frozen

from agentcore.approval import Approval
from agentcore.changes import Blob, Conversation
from agentcore.events import CallOpened, EngineEvent
from agentcore.ids import EngineName, SessionId, TaskId, TenantId
from agentcore.instances import Instance
from agentcore.messages import Message
from agentcore.task import TaskParams


@frozen(kw_only=True)
class Abilities:
    """What an engine can do, as declared and as proved by its conformance suite."""

    streaming: bool = True
    tools: bool = False
    approvals: bool = False
    resume: bool = False  #: Keeps conversations of its own.
    attachments: bool = False
    usage: bool = True
    context_tokens: int = 150_000  #: What it can be shown of a conversation.
    pure_until_tool: bool = True  #: Acts by nothing but the calls it says, each said before it is made.
    stop_grace_s: float = 0.0  #: After ``Run.interrupt``, it may end by itself for so long; 0: it is cancelled.


@frozen(kw_only=True)
class Plan:
    """The first call of a run, ready to be sent."""

    opened: CallOpened  #: What is announced, and what the run says first.
    prepared: Any = field(repr=False)  #: The engine's own; it is given back with the request.
    begin: Callable[[], None] | None = field(default=None, eq=False, repr=False)
    """Gets it ready in the background, up to what anybody else would see; returns at once.  None: it is ready."""
    leave_off: Callable[[], None] | None = field(default=None, eq=False, repr=False)
    """Gives up what was begun; once it was run there is nothing to give up."""

    def abandon(self) -> None:
        """Give up what was begun, if anything was."""
        if self.leave_off is not None:
            self.leave_off()


@frozen(kw_only=True)
class EngineRequest:
    """What an engine is asked to answer."""

    tenant_id: TenantId
    session_id: SessionId
    task_id: TaskId
    attempt: int
    system_prompt: str
    messages: tuple[Message, ...]  #: Rendered; the last one is not the engine's, unless calls of it were decided.
    blobs: Mapping[str, Blob]  #: By hash, for the FileParts of the messages.
    max_turns: int
    allowed_tools: tuple[str, ...] | None
    model: str | None
    decisions: tuple[Approval, ...] = ()  #: Decided before this attempt began; ``used``: an earlier one has had it.
    instance: Instance | None = None  #: The remote agent that is to answer; None, too, if it is registered no more.
    turns: int = 0  #: Provider calls that the task has made in earlier attempts.
    deadline: datetime | None = None  #: Of the task.
    resume: Conversation | None = None  #: Of an engine that keeps conversations.
    untold: tuple[Message, ...] = ()  #: Rendered; the messages that *resume* does not know.
    plan: Plan | None = None  #: What the engine has planned for this very request; its call is on record.


class Run(Protocol):
    """One answer under way."""

    def __aiter__(self) -> AsyncIterator[EngineEvent]:
        """Yield what the engine says, one at a time and without reading ahead.

        Raises EngineFailed for what the engine can name.
        """

    def answer(self, decided: Sequence[Approval]) -> None:
        """Let a stream that stayed open know what was decided; returns at once."""

    def interrupt(self) -> None:
        """Ask the engine to stop by itself and to say what it has cost; returns at once.

        Called if ``stop_grace_s`` is not 0, when a person has stopped the task; after it the run is left.
        """


class Engine(Protocol):
    """Something that answers prompts."""

    @property
    def name(self) -> EngineName:
        """Its name on the wire."""

    @property
    def abilities(self) -> Abilities:
        """What it can do."""

    def run(self, request: EngineRequest) -> AbstractAsyncContextManager[Run]:
        """Answer *request*; leaving the context stops the engine, within its own bounded grace."""


Foresight = Callable[[EngineRequest], Plan | None]


class Foresees(Protocol):
    """What an engine may promise besides: to know its first call before it is run.

    That call goes on record in the transaction that begins the task, and may be sent as soon as the engine is run.
    """

    async def foresee(self, tenant: TenantId, params: TaskParams) -> Foresight | None:
        """Return what plans the run of a request; None if nothing can be said now.

        Quick, because the prompt is not accepted yet, and without effect, because it may be refused.  What is returned
        answers at once, has no effect either, and may say None, too.  The run of a request that has its plan begins
        with the plan's ``opened``, whether the plan was begun or not; a plan that was begun is run or abandoned.
        """


def foreseeing(engine: Engine) -> Foresees | None:
    """Return *engine* if it foresees; a look at its protocol would take as long as all that follows."""
    return cast("Foresees", engine) if hasattr(engine, "foresee") else None


@frozen(kw_only=True)
class EngineState:
    """Whether an engine can be used here, and what to set if not."""

    name: EngineName
    abilities: Abilities
    is_available: bool
    reason: str | None = None
    models: tuple[str, ...] = ()


class Engines(Protocol):
    """The engines of this server."""

    def named(self, name: EngineName) -> Engine:
        """Look one up and do nothing else; raises UnknownEngine or EngineUnavailable, saying what to set."""

    def states(self) -> Sequence[EngineState]:
        """Return all of them, in order of preference."""

    def default(self) -> EngineName:
        """Return the configured engine, else the first usable; raises EngineUnavailable if there is none."""
