"""What every Engine promises whose answers come by a callback, so as the command ``Deliver`` and not from its run."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from attrs import evolve

from agentcore.engine import Engine, EngineRequest
from agentcore.errors import EngineFailed
from agentcore.events import CallClosed, CallOpened, EngineEvent
from agentcore.testing.contracts.engine import STOP_S, a_request
from agentcore.usage import Outcome

QUIET_S = 0.1


class CallbackEngineContract:
    """Give it a fixture ``engine``, and override what tells of the other side."""

    pytestmark = pytest.mark.anyio

    def request(self, *texts: str) -> EngineRequest:
        """Return a request that the engine can dispatch."""
        return a_request(*texts)

    def unreachable(self, request: EngineRequest) -> EngineRequest:
        """Return the request, to an agent that cannot be reached."""
        raise NotImplementedError

    def dispatched(self, engine: Engine) -> Sequence[str]:
        """Return the ids of the tasks that the other side was asked to do, repeats included."""
        raise NotImplementedError

    async def withdrawn(self, engine: Engine, request: EngineRequest) -> None:
        """Wait until the other side was told to stop."""
        raise NotImplementedError

    async def test_nothing_is_sent_before_the_call_is_on_record(self, engine: Engine) -> None:
        request = self.request("Do it.")
        async with engine.run(request) as run:
            said = aiter(run)
            assert isinstance(await anext(said), CallOpened)
            await anyio.sleep(QUIET_S)
            assert request.task_id not in self.dispatched(engine)
            with anyio.fail_after(STOP_S):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._next, said)
                    await self._until_dispatched(engine, request)
                    tasks.cancel_scope.cancel()
        assert list(self.dispatched(engine)).count(request.task_id) == 1

    async def test_it_is_silent_until_it_is_left(self, engine: Engine) -> None:
        request = self.request("Do it.")
        said: list[EngineEvent] = []
        async with self._running(engine, request, said=said):
            await self._until_dispatched(engine, request)
            await anyio.sleep(QUIET_S)
        assert [type(event) for event in said] == [CallOpened]

    async def test_each_attempt_dispatches_the_same_task(self, engine: Engine) -> None:
        request = self.request("Do it.")
        for attempt in (1, 2):
            async with self._running(engine, evolve(request, attempt=attempt)):
                await self._until_dispatched(engine, request, times=attempt)
        assert list(self.dispatched(engine)).count(request.task_id) == 2

    async def test_two_tasks_at_once_do_not_mix(self, engine: Engine) -> None:
        requests = [self.request("Do this."), self.request("Do that.")]
        async with self._running(engine, *requests):
            for request in requests:
                await self._until_dispatched(engine, request)
            await anyio.sleep(QUIET_S)
        assert sorted(self.dispatched(engine)) == sorted(request.task_id for request in requests)

    async def test_an_interrupted_run_withdraws_its_task_and_ends(self, engine: Engine) -> None:
        request = self.request("Do it.")
        with anyio.fail_after(STOP_S):
            async with engine.run(request) as run:

                async def interrupt() -> None:
                    await self._until_dispatched(engine, request)
                    await anyio.sleep(QUIET_S)
                    run.interrupt()

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(interrupt)
                    assert [type(event) async for event in run] == [CallOpened]
            await self.withdrawn(engine, request)

    async def test_an_agent_that_is_not_reached_costs_nothing(self, engine: Engine) -> None:
        request = self.unreachable(self.request("Do it."))
        said: list[EngineEvent] = []
        with anyio.fail_after(STOP_S), pytest.raises(EngineFailed):
            await self._run(engine, request, said)
        opened, closed = said
        assert isinstance(opened, CallOpened)
        assert isinstance(closed, CallClosed)
        assert (closed.usage.total_tokens, closed.outcome) == (0, Outcome.FAILED)
        assert request.task_id not in self.dispatched(engine)

    async def _until_dispatched(self, engine: Engine, request: EngineRequest, times: int = 1) -> None:
        while list(self.dispatched(engine)).count(request.task_id) < times:
            await anyio.sleep(0.01)

    @asynccontextmanager
    async def _running(
        self, engine: Engine, *requests: EngineRequest, said: list[EngineEvent] | None = None
    ) -> AsyncIterator[None]:
        """Run them while the block lasts, then leave them; none ends by itself, what they say is added to *said*."""
        ended: list[str] = []

        async def run(request: EngineRequest) -> None:
            await self._run(engine, request, [] if said is None else said)
            ended.append(request.task_id)

        with anyio.fail_after(STOP_S):
            async with anyio.create_task_group() as tasks:
                for request in requests:
                    tasks.start_soon(run, request)
                yield
                assert not ended
                tasks.cancel_scope.cancel()

    async def _next(self, said: AsyncIterator[EngineEvent]) -> None:
        await anext(said)

    async def _run(self, engine: Engine, request: EngineRequest, said: list[EngineEvent]) -> None:
        async with engine.run(request) as run:
            async for event in run:
                said.append(event)
