"""The engine ``openai``: Chat Completions, and the many servers that speak them."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from attrs import define, evolve, field
from msgspec import Struct

from agentcore.engine import Abilities, EngineRequest, Plan
from agentcore.events import BlockEnded, CallClosed, CallOpened, TextDelta, ThinkingDelta
from agentcore.ids import EngineName
from agentcore.task import ErrorCode
from agentcore.tooling import ModelEvent, Tool
from agentcore.usage import FREE, Fidelity, Outcome, Price, Usage
from agentcore_adapters.engines.openai_wire import entries, function, joined
from agentcore_adapters.engines.posting import HOOKS, Posting
from agentcore_adapters.engines.prices import cost_of, price_at_hand, price_of
from agentcore_adapters.engines.providers import (
    coalesced,
    events,
    failed,
    is_refusal,
    of_status,
    of_type,
    plausible,
    provider_errors,
    request_tokens,
)
from agentcore_adapters.engines.wanted import Gathering, Names, arguments_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

NAME = EngineName("openai")
PROVIDER = "openai"  # as the price table calls it
DEFAULT_MODEL = "gpt-5-mini"


class Details(Struct):
    """Parts of a count."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Counts(Struct):
    """Usage as OpenAI counts it: the prompt with what the cache gave, the completion with reasoning."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None


class FunctionDelta(Struct):
    """A piece of what is to be called."""

    name: str | None = None
    arguments: Any = None  #: Text in pieces; some servers send an object at once.


class CallDelta(Struct):
    """A piece of a call; some servers leave out the index, the id, or both."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(Struct):
    """A piece of the answer; servers have three names for reasoning."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    tool_calls: list[CallDelta] | None = None


class Choice(Struct):
    """One of the answers asked for, which is one."""

    delta: Delta | None = None
    finish_reason: str | None = None


class Chunk(Struct):
    """One event of the stream."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: Counts | None = None
    error: Any = None


DECODER = msgspec.json.Decoder(Chunk)


@define(eq=False)
class OpenAiModel:
    """Answers through ``/chat/completions``; keeps the promises of ``Model``."""

    api_key: str = field(repr=False)
    base_url: str | None = None
    model: str = DEFAULT_MODEL
    max_tokens: int | None = None
    temperature: float | None = None
    max_retries: int = 2
    idle_timeout_s: float = 60.0
    is_free: bool = False  #: The model runs here and costs nothing.
    name: EngineName = NAME
    abilities: Abilities = Abilities(tools=True, attachments=True)
    _client: "AsyncOpenAI | None" = None
    _making: anyio.Lock = field(factory=anyio.Lock)

    @asynccontextmanager
    async def answer(self, request: EngineRequest, tools: Sequence[Tool]) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        """Say one turn."""
        async with aclosing(self._say(request, tools)) as said:
            yield said

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    def plan(self, request: EngineRequest, tools: Sequence[Tool]) -> Plan | None:
        """Prepare a call; nobody can before the client is made and the model's price was looked up."""
        try:
            price = FREE if self.is_free else price_at_hand(request.model or self.model, PROVIDER)
        except LookupError:
            return None
        return self._planned(self._client, request, tools, price) if self._client is not None else None

    def _planned(
        self, client: "AsyncOpenAI", request: EngineRequest, tools: Sequence[Tool], price: Price | None
    ) -> Plan:
        body = self.body(request, tools)
        opened = CallOpened(model=body["model"], input_tokens=request_tokens(body), price=price)
        return Posting(client, "/chat/completions", body).planned(opened)

    async def _say(self, request: EngineRequest, tools: Sequence[Tool]) -> AsyncGenerator[ModelEvent, None]:
        client = await self.client()  # before the call is announced: between the two a crash bills what was never sent
        plan = request.plan
        if plan is None:
            price = FREE if self.is_free else await price_of(request.model or self.model, PROVIDER)
            plan = self._planned(client, request, tools, price)
        yield plan.opened
        posting, opened = plan.prepared, plan.opened
        heard = _Heard(request, Names.of(tools), Usage(model=opened.model), opened.input_tokens)
        with provider_errors(request):
            try:
                async with posting.posted() as response:
                    async with aclosing(events(response, DECODER)) as pieces:
                        async for chunks in pieces:
                            for event in coalesced(chain.from_iterable(map(heard.take, chunks))):
                                yield event
            except Exception as error:
                if heard.has_begun:
                    yield CallClosed(usage=heard.bill(), outcome=Outcome.FAILED, provider_message_id=heard.message_id)
                elif is_refusal(error):
                    yield CallClosed(usage=Usage(model=opened.model), outcome=Outcome.FAILED)
                raise
        if not heard.is_over:
            if heard.has_begun:
                yield CallClosed(usage=heard.bill(), outcome=Outcome.FAILED, provider_message_id=heard.message_id)
            raise failed(ErrorCode.ENGINE_EOF)
        for event in heard.calls():
            yield event
        usage = heard.bill()
        usage = usage if self.is_free else evolve(usage, cost_usd=cost_of(usage, PROVIDER))
        yield CallClosed(usage=usage, provider_message_id=heard.message_id)

    async def client(self) -> "AsyncOpenAI":
        """Return the client, made on first use in a thread: its import takes half a second."""
        if self._client is not None:
            return self._client
        async with self._making:  # two that come first at the same time share it
            if self._client is None:
                self._client = await anyio.to_thread.run_sync(self._make)
            return self._client

    def _make(self) -> "AsyncOpenAI":
        import httpx2  # noqa: PLC0415 - heavy
        from openai import AsyncOpenAI, DefaultAioHttpClient  # noqa: PLC0415 - heavy

        timeout = httpx2.Timeout(10.0, read=self.idle_timeout_s, write=30.0, pool=None)
        url = self.base_url or "https://api.openai.com/v1"
        http = DefaultAioHttpClient(timeout=timeout, event_hooks=HOOKS)
        return AsyncOpenAI(api_key=self.api_key, base_url=url, max_retries=self.max_retries, http_client=http)

    def body(self, request: EngineRequest, tools: Sequence[Tool]) -> dict[str, Any]:
        """Return the request as the wire has it."""
        system = [{"role": "system", "content": request.system_prompt}] if request.system_prompt else []
        messages = joined([entry for message in request.messages for entry in entries(message, request)])
        body: dict[str, Any] = {
            "model": request.model or self.model,
            "messages": system + messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if tools:
            body["tools"] = [{"type": "function", "function": function(tool)} for tool in tools]
        return body


@define
class _Heard:
    """What the stream has said so far."""

    request: EngineRequest
    names: Names
    usage: Usage
    estimated_input: int
    message_id: str | None = None
    has_begun: bool = False
    is_over: bool = False
    is_counted: bool = False
    chars: int = 0
    _is_thinking: bool = False
    _calls: list[Gathering] = field(factory=list)

    def take(self, chunk: Chunk) -> list[ModelEvent]:
        """Take in one event of the stream."""
        if chunk.error is not None:
            raise self._error(chunk.error)
        self.has_begun = True
        self.message_id = chunk.id or self.message_id
        if chunk.usage is not None:
            self._count(chunk.usage)
        said: list[ModelEvent] = []
        for choice in chunk.choices or ():
            if choice.delta is not None:
                said += self._delta(choice.delta)
            self.is_over = self.is_over or choice.finish_reason is not None
        return said

    def bill(self) -> Usage:
        """Return what is known of the usage; what the server did not count is estimated."""
        if self.is_counted:
            return self.usage
        output = (self.chars + 2) // 3
        return evolve(self.usage, input_tokens=self.estimated_input, output_tokens=output, fidelity=Fidelity.ESTIMATED)

    def calls(self) -> list[ModelEvent]:
        """Return what the model wants to be done; whether it said so by its finish reason does not matter."""
        return [self.names.wanted(call.id, call.name, call.arguments) for call in self._calls]

    def _call(self, piece: CallDelta) -> None:
        function = piece.function or FunctionDelta()
        call = self._gathering(piece, function)
        call.id, call.name = call.id or piece.id or "", call.name or function.name or ""
        if function.arguments:
            is_text = isinstance(function.arguments, str)
            text = function.arguments if is_text else msgspec.json.encode(function.arguments).decode()
            self.chars += len(text)
            call.pieces.append(text)

    def _gathering(self, piece: CallDelta, function: FunctionDelta) -> Gathering:
        """Find the call that a piece belongs to, or begin one."""
        near = [call for call in self._calls if piece.index is None or call.index == piece.index]
        is_other = bool(near and piece.id and near[-1].id and piece.id != near[-1].id)
        # Without index and id, a name after a whole call begins another one.
        is_whole = piece.index is None and not piece.id and bool(function.name and near and near[-1].pieces)
        if not near or is_other or (is_whole and arguments_of(near[-1].arguments) is not None):
            self._calls.append(Gathering(index=piece.index))
            return self._calls[-1]
        return near[-1]

    def _delta(self, delta: Delta) -> list[ModelEvent]:
        for piece in delta.tool_calls or ():
            self._call(piece)
        said: list[ModelEvent] = []
        thinking = delta.reasoning_content or delta.reasoning or delta.thinking
        if thinking:
            self._is_thinking = True
            self.chars += len(thinking)
            said.append(ThinkingDelta(thinking))
        if delta.content:
            if self._is_thinking:
                self._is_thinking = False
                said.append(BlockEnded())
            self.chars += len(delta.content)
            said.append(TextDelta(delta.content))
        return said

    def _count(self, counts: Counts) -> None:
        cached = counts.prompt_tokens_details.cached_tokens if counts.prompt_tokens_details else None
        reasoning = counts.completion_tokens_details.reasoning_tokens if counts.completion_tokens_details else None
        if counts.prompt_tokens is None and counts.completion_tokens is None:
            return
        self.is_counted = True
        self.usage = evolve(
            self.usage,
            input_tokens=plausible(counts.prompt_tokens) or 0,
            output_tokens=plausible(counts.completion_tokens) or 0,
            cached_input_tokens=plausible(cached) or 0,
            reasoning_tokens=plausible(reasoning) or 0,
        )

    def _error(self, error: object) -> Exception:
        if isinstance(error, dict):
            if isinstance(error.get("code"), int):
                return of_status(error["code"], error, self.request)
            return of_type(error.get("type"))
        return of_type("")
