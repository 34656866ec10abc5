"""A request that is got ready goes to its provider when it is posted, and not before; through the real SDKs."""

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest
from attrs import evolve
from tests.engines.test_providers import a_model, answer, text_of

from agentcore.engine import Engine, EngineRequest, Plan, foreseeing
from agentcore.errors import EngineFailed
from agentcore.events import CallOpened
from agentcore.task import TaskParams
from agentcore.testing.contracts.engine import a_request
from agentcore.testing.making import TENANT
from agentcore_adapters.engines.catalog import Equipment
from agentcore_adapters.testing.provider import StubProvider

pytestmark = pytest.mark.anyio
LONG_S = 0.1  # in which a request on loopback would have arrived long since


@pytest.fixture(params=["claude_api", "openai"])
async def engine(request: pytest.FixtureRequest, provider: StubProvider) -> AsyncIterator[Engine]:
    """One whose client has been made: only then it plans."""
    async with a_model(request.param, provider) as model:
        engine = Equipment().engine(model)
        await answer(engine, "[[say:hello]]")
        provider.calls.clear()
        yield engine


async def begun(engine: Engine, text: str) -> tuple[EngineRequest, Plan]:
    able, request = foreseeing(engine), a_request(text)
    assert able is not None
    foresight = await able.foresee(TENANT, TaskParams(system_prompt=""))
    plan = foresight(request) if foresight is not None else None
    assert plan is not None
    assert plan.begin is not None
    plan.begin()
    await anyio.sleep(LONG_S)
    return evolve(request, plan=plan), plan


def waiting() -> list[str]:
    return [name for task in asyncio.all_tasks() if "_post" in (name := repr(task.get_coro()))]


async def test_nothing_is_sent_before_it_is_posted_and_then_once(engine: Engine, provider: StubProvider) -> None:
    request, plan = await begun(engine, "[[say:so]]")
    assert plan.begin is not None
    plan.begin()  # begun again, and still one
    await anyio.sleep(LONG_S)
    assert (provider.calls, len(waiting())) == ([], 1)
    async with engine.run(request) as run:
        async for event in run:
            if isinstance(event, CallOpened):
                await anyio.sleep(LONG_S)
                assert provider.calls == []  # it is asked for the next when that is stored
    assert [call.body for call in provider.calls] == [plan.prepared[1].prepared.body]
    assert waiting() == []


async def test_what_is_left_off_is_never_sent(engine: Engine, provider: StubProvider) -> None:
    _, plan = await begun(engine, "[[say:so]]")
    plan.abandon()
    plan.abandon()
    await anyio.sleep(LONG_S)
    assert (provider.calls, waiting()) == ([], [])


async def test_it_can_be_run_again_when_it_was_used_or_left_off(engine: Engine, provider: StubProvider) -> None:
    request, plan = await begun(engine, "[[say:so]]")
    assert text_of(await answer(engine, request=request)) == "so"
    assert text_of(await answer(engine, request=request)) == "so"
    assert plan.begin is not None
    plan.begin()
    plan.abandon()
    assert text_of(await answer(engine, request=request)) == "so"
    assert len(provider.calls) == 3


async def test_an_error_is_the_error_it_would_be(engine: Engine) -> None:
    request, _ = await begun(engine, "[[http:401]]")
    with pytest.raises(EngineFailed) as failed:
        await answer(engine, request=request)
    assert failed.value.error_code == "ENGINE_AUTH"


async def test_who_is_cancelled_while_it_waits_closes_the_connection(engine: Engine, provider: StubProvider) -> None:
    request, _ = await begun(engine, "[[hang]] [[words:9]]")
    with anyio.move_on_after(LONG_S) as scope:
        await answer(engine, request=request)
    assert scope.cancelled_caught
    with anyio.fail_after(5):
        while not (provider.calls and provider.calls[0].disconnected_at):
            await anyio.sleep(0.01)
    assert waiting() == []
