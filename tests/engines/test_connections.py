"""The connection to a provider is used again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from attrs import define, field
from benchmarks.meter import Meter
from benchmarks.stub import Call, Stub

from agentcore.engine import EngineRequest
from agentcore.events import TextDelta
from agentcore.ids import MessageId, SessionId, TaskId, TenantId
from agentcore.messages import Message, Role, TextPart
from agentcore.testing.making import now
from agentcore.tooling import Model
from agentcore_adapters.engines.claude_api import ClaudeModel
from agentcore_adapters.engines.openai import OpenAiModel

pytestmark = pytest.mark.anyio


@define(eq=False)
class Counted:
    """A stub provider, and how often somebody has connected."""

    url: str = ""
    connections: int = 0
    calls: dict[str, list[Call]] = field(factory=dict)

    def connection(self) -> Stub:
        self.connections += 1
        return Stub(self.calls)


@asynccontextmanager
async def provider() -> AsyncIterator[Counted]:
    counted = Counted()
    server = await asyncio.get_running_loop().create_server(counted.connection, "127.0.0.1", 0)
    counted.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield counted
    finally:
        server.close()


def a_request(text: str) -> EngineRequest:
    task = TaskId("7d5c8a4e-0000-4000-8000-000000000000")
    message = Message(id=MessageId(f"{task}.0"), task_id=task, role=Role.USER, parts=(TextPart(text),), at=now())
    return EngineRequest(
        tenant_id=TenantId("t"),
        session_id=SessionId(task),
        task_id=task,
        attempt=1,
        system_prompt="",
        messages=(message,),
        blobs={},
        max_turns=1,
        allowed_tools=None,
        model=None,
    )


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
async def test_the_next_answer_comes_over_the_same_connection(wire: str) -> None:
    async with provider() as counted:
        model: Model
        if wire == "openai":
            model = OpenAiModel(api_key="sk-stub", base_url=counted.url + "/v1")
        else:
            model = ClaudeModel(api_key="sk-stub", base_url=counted.url)
        meter = Meter()
        for _ in range(3):
            async with model.answer(a_request("hello [[stub id=a n=5]]"), ()) as said:
                async for event in said:
                    if isinstance(event, TextDelta):
                        meter.feed(event.text)
        await model.close()
    assert meter.seen == 15
    assert [call.n_sent for call in counted.calls["a"]] == [5, 5, 5]
    assert counted.connections == 1


@pytest.mark.parametrize("kind", [ClaudeModel, OpenAiModel])
async def test_two_that_come_first_at_the_same_time_share_a_client(kind: type[ClaudeModel | OpenAiModel]) -> None:
    """The one that was not kept was never closed."""
    made: list[object] = []
    model = kind(api_key="sk-stub", base_url="http://127.0.0.1:9")

    async def ask() -> None:
        made.append(await model.client())

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
    await model.close()
    assert len({id(client) for client in made}) == 1
