"""An engine that a test moves by hand, one event at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
from attrs import define, field

from agentcore.approval import Approval
from agentcore.engine import Abilities, EngineRequest, EngineState
from agentcore.errors import UnknownEngine
from agentcore.events import EngineEvent
from agentcore.ids import EngineName, TaskId

NAME = EngineName("puppet")


@define(eq=False)
class PuppetRun:
    """One run; ``say`` and ``break_`` are the test's hand."""

    request: EngineRequest
    is_over: bool = False
    answered: list[Approval] = field(factory=list)
    _waiting: list[EngineEvent | Exception | None] = field(factory=list)
    _called: anyio.Event = field(factory=anyio.Event)

    def say(self, event: EngineEvent | Exception | None) -> None:
        """Let the engine say *event*, raise it, or (None) end its stream."""
        self._waiting.append(event)
        self._called.set()

    def answer(self, decided: Sequence[Approval]) -> None:
        """Hear what was decided."""
        self.answered += decided

    def interrupt(self) -> None:
        """Do nothing: the test's hand decides."""

    def __aiter__(self) -> AsyncIterator[EngineEvent]:
        """Say what the test wants."""
        return self._say()

    async def _say(self) -> AsyncGenerator[EngineEvent, None]:
        while True:
            while not self._waiting:
                self._called = anyio.Event()
                await self._called.wait()
            event = self._waiting.pop(0)
            if event is None:
                return
            if isinstance(event, Exception):
                raise event
            yield event


@define(eq=False)
class Puppet:
    """The engine, which is its own catalogue, too."""

    name: EngineName = NAME
    abilities: Abilities = Abilities(tools=True, approvals=True)
    runs: dict[TaskId, list[PuppetRun]] = field(factory=dict)

    @asynccontextmanager
    async def run(self, request: EngineRequest) -> AsyncIterator[PuppetRun]:
        """Begin a run."""
        run = PuppetRun(request)
        self.runs.setdefault(request.task_id, []).append(run)
        try:
            yield run
        finally:
            run.is_over = True

    def running(self) -> list[PuppetRun]:
        """Return the runs that are not over."""
        return [run for runs in self.runs.values() for run in runs if not run.is_over]

    def named(self, name: EngineName) -> "Puppet":
        """Return itself."""
        if name != self.name:
            raise UnknownEngine("There is only a puppet.")
        return self

    def states(self) -> Sequence[EngineState]:
        """Return itself."""
        return [EngineState(name=self.name, abilities=self.abilities, is_available=True)]

    def default(self) -> EngineName:
        """Return its name."""
        return self.name
