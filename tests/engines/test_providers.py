"""The API engines through the real SDKs, against a provider that speaks their wire."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.support.acting import RULES, Effects

from agentcore.changes import Blob
from agentcore.engine import Engine, EngineRequest, foreseeing
from agentcore.errors import EngineFailed
from agentcore.events import BlockEnded, CallClosed, CallOpened, EngineEvent, Finished, TextDelta, ThinkingDelta
from agentcore.messages import FilePart, TextPart
from agentcore.task import ErrorCode, TaskParams
from agentcore.testing.contracts import EngineContract
from agentcore.testing.contracts.engine import a_request, calls_in
from agentcore.testing.making import TENANT
from agentcore.usage import Fidelity, Outcome
from agentcore_adapters.engines.catalog import Equipment
from agentcore_adapters.engines.claude_api import ClaudeModel
from agentcore_adapters.engines.openai import OpenAiModel
from agentcore_adapters.testing.provider import StubProvider

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def a_model(name: str, provider: StubProvider) -> AsyncIterator[ClaudeModel | OpenAiModel]:
    made: ClaudeModel | OpenAiModel
    if name == "claude_api":
        made = ClaudeModel("key", provider.url, idle_timeout_s=0.5)
    else:
        made = OpenAiModel("key", provider.url + "/v1", idle_timeout_s=0.5)
    yield made
    await made.close()


@pytest.fixture(params=["claude_api", "openai"])
async def engine(request: pytest.FixtureRequest, provider: StubProvider) -> AsyncIterator[Engine]:
    async with a_model(request.param, provider) as model:
        yield Equipment().engine(model)


async def answer(engine: Engine, *texts: str, request: EngineRequest | None = None) -> list[EngineEvent]:
    async with engine.run(request or a_request(*texts)) as run:
        return [event async for event in run]


async def failure(engine: Engine, text: str) -> tuple[EngineFailed, list[EngineEvent]]:
    said: list[EngineEvent] = []
    with pytest.raises(EngineFailed) as failed:
        async with engine.run(a_request(text)) as run:
            async for event in run:
                said.append(event)  # noqa: PERF401 - what came before the failure is looked at
    assert "secret" not in str(failed.value)
    return failed.value, said


def text_of(said: list[EngineEvent]) -> str:
    return "".join(event.text for event in said if isinstance(event, TextDelta))


class TestApiEngines(EngineContract):
    PROMPT = "[[say:one two three]]"
    TOOL_PROMPT = '[[tool:t__look:{"at": "x"}]][[tool:t__look:{"at": "y"}]][[after:so]]'
    ASK_PROMPT = '[[tool:t__note:{"text": "x"}]][[tool:t__note:{"text": "y"}]][[after:so]]'
    ASKS = 2
    FORESEES = True
    seen: Effects

    @pytest.fixture(params=["claude_api", "openai"])
    async def engine(self, request: pytest.FixtureRequest, provider: StubProvider) -> AsyncIterator[Engine]:
        self.seen = Effects()
        async with a_model(request.param, provider) as model:
            yield Equipment(toolbox=self.seen.toolbox(), policy=RULES).engine(model)

    def effects(self, engine: Engine) -> int:
        return len(self.seen.done)


async def test_system_prompt_and_history_reach_the_provider(engine: Engine, provider: StubProvider) -> None:
    said = await answer(engine, "first", "answered", "second [[say:ok]]")
    assert text_of(said) == "ok"
    body = provider.calls[-1].body
    assert "Be brief." in str(body.get("system") or body["messages"][0])
    roles = [message["role"] for message in body["messages"] if message["role"] != "system"]
    assert roles == ["user", "assistant", "user"]
    assert "answered" in str(body["messages"])


async def test_what_is_planned_is_what_is_sent(engine: Engine, provider: StubProvider) -> None:
    able = foreseeing(engine)
    assert able is not None
    params = TaskParams(system_prompt="Be brief.")
    request = a_request("first", "answered", "second [[say:ok]]")
    foresight = await able.foresee(TENANT, params)
    assert foresight is not None
    assert foresight(request) is None  # its client is not made yet, which takes a while
    await answer(engine, request=request)
    plan = foresight(request)
    assert plan is not None
    assert foresight(evolve(request, model="nobody has asked what it costs")) is None
    assert text_of(await answer(engine, request=evolve(request, plan=plan))) == "ok"
    planned, unplanned = provider.calls[-1].body, provider.calls[-2].body
    assert planned == unplanned == plan.prepared[1].prepared.body
    other = evolve(a_request("other [[say:not]]"), plan=plan)  # what is sent is what was announced, and nothing else
    assert text_of(await answer(engine, request=other)) == "ok"


async def test_thinking_comes_before_the_answer(engine: Engine) -> None:
    said = await answer(engine, "[[think]] [[say:so]]")
    thought = "".join(event.text for event in said if isinstance(event, ThinkingDelta))
    assert thought == "Let me think."
    kinds = [type(event) for event in said]
    assert kinds.index(BlockEnded) < kinds.index(TextDelta)
    if engine.name == "claude_api":
        assert BlockEnded("c2lnbmVk") in said


async def test_usage_is_counted_in_one_way(engine: Engine) -> None:
    said = await answer(engine, "[[say:x]]")
    _, closed = calls_in(said)
    assert isinstance(closed, CallClosed)
    usage = closed.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens) == (35, 42, 7)
    assert usage.fidelity is Fidelity.EXACT
    assert closed.provider_message_id
    assert isinstance(said[-1], Finished)
    if engine.name == "claude_api":
        assert usage.cache_write_input_tokens == 3
    else:
        assert usage.reasoning_tokens == 11


async def test_a_picture_reaches_the_provider(engine: Engine, provider: StubProvider) -> None:
    request = a_request("look [[say:seen]]")
    part = FilePart(media_type="image/png", sha256="00", size=3)
    message = evolve(request.messages[0], parts=(part, TextPart("look [[say:seen]]")))
    blob = Blob(sha256="00", media_type="image/png", data=b"abc")
    request = evolve(request, messages=(message,), blobs={"00": blob})
    assert text_of(await answer(engine, request=request)) == "seen"
    assert "YWJj" in str(provider.calls[-1].body)
    assert "image/png" in str(provider.calls[-1].body)
    refused = evolve(message, parts=(part, TextPart("[[refuse_image]]")))
    with pytest.raises(EngineFailed) as failed:
        await answer(engine, request=evolve(request, messages=(refused,)))
    assert failed.value.refused_attachments


async def test_it_tries_again_before_the_first_byte(engine: Engine, provider: StubProvider) -> None:
    assert text_of(await answer(engine, "[[http:429:2]] [[say:at last]]")) == "at last"
    assert len(provider.calls) == 3


@pytest.mark.parametrize(
    ("marker", "code"),
    [
        ("[[http:401]]", ErrorCode.ENGINE_AUTH),
        ("[[http:429]]", ErrorCode.ENGINE_OVERLOADED),
        ("[[http:529]]", ErrorCode.ENGINE_OVERLOADED),
        ("[[http:500]]", ErrorCode.ENGINE_UNAVAILABLE),
        ("[[overflow]]", ErrorCode.CONTEXT_TOO_LARGE),
    ],
)
async def test_a_refusal_has_its_code(engine: Engine, marker: str, code: ErrorCode) -> None:
    error, said = await failure(engine, marker)
    assert error.error_code == code
    assert not text_of(said)
    (closed,) = [event for event in said if isinstance(event, CallClosed)]  # an error costs nothing
    assert (closed.usage.total_tokens, closed.usage.fidelity, closed.outcome) == (0, Fidelity.EXACT, Outcome.FAILED)


@pytest.mark.parametrize(
    ("marker", "code"),
    [
        ("[[err_mid]]", ErrorCode.ENGINE_OVERLOADED),
        ("[[drop]]", ErrorCode.ENGINE_UNAVAILABLE),
        ("[[eof]]", ErrorCode.ENGINE_EOF),
        ("[[hang]]", ErrorCode.ENGINE_UNAVAILABLE),
    ],
)
async def test_a_stream_that_breaks_keeps_its_text_and_is_billed(
    engine: Engine, provider: StubProvider, marker: str, code: ErrorCode
) -> None:
    error, said = await failure(engine, f"[[say:one two three]] {marker}")
    assert error.error_code == code
    assert text_of(said).startswith("one ")
    (closed,) = [event for event in said if isinstance(event, CallClosed)]
    assert closed.usage.fidelity is Fidelity.ESTIMATED
    assert len(provider.calls) == 1


async def test_being_stopped_closes_the_connection(engine: Engine, provider: StubProvider) -> None:
    with anyio.fail_after(5):
        async with engine.run(a_request("[[words:500]] [[slow:0.01]]")) as run:
            async for event in run:
                if isinstance(event, TextDelta):
                    break
        while provider.calls[0].disconnected_at is None:
            await anyio.sleep(0.001)
    assert not provider.calls[0].finished


async def test_nothing_is_sent_before_the_call_is_on_record(engine: Engine, provider: StubProvider) -> None:
    async with engine.run(a_request("[[say:x]]")) as run:
        events: Any = aiter(run)
        assert isinstance(await anext(events), CallOpened)
        await anyio.sleep(0.05)
        assert not provider.calls
        await anext(events)
        assert provider.calls
