"""The engine ``claude_api``: Anthropic's Messages API, and servers that speak it."""

import base64
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from attrs import define, evolve, field
from msgspec import Struct

from agentcore.engine import Abilities, EngineRequest, Plan
from agentcore.events import BlockEnded, CallClosed, CallCounted, CallOpened, TextDelta, ThinkingDelta
from agentcore.ids import EngineName
from agentcore.messages import (
    FilePart,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    ToolResultPart,
    ToolUsePart,
)
from agentcore.task import ErrorCode
from agentcore.tooling import ModelEvent, Tool
from agentcore.usage import Fidelity, Outcome, Price, Usage
from agentcore_adapters.engines.posting import HOOKS, Posting
from agentcore_adapters.engines.prices import cost_of, price_at_hand, price_of
from agentcore_adapters.engines.providers import (
    coalesced,
    events,
    failed,
    is_refusal,
    of_type,
    plausible,
    provider_errors,
    request_tokens,
)
from agentcore_adapters.engines.wanted import Gathering, Names, names_used, wire_name

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

NAME = EngineName("claude_api")
PROVIDER = "anthropic"  # as the price table calls it
DEFAULT_MODEL = "claude-sonnet-5-5"
OLD_HEADER_VERSION = "2023-06-01"  # what compatible servers know


class Counts(Struct):
    """Usage as Anthropic counts it: input without what the cache gave or took."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class Head(Struct):
    """The message that begins."""

    id: str | None = None
    model: str = ""
    usage: Counts = msgspec.field(default_factory=Counts)


class Delta(Struct):
    """A piece of a block, or the end of the message."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class Block(Struct):
    """A block that begins; of interest if it is a call."""

    type: str = ""
    id: str = ""
    name: str = ""
    input: Any = None


class Failure(Struct):
    """An error in the stream."""

    type: str = ""


class Chunk(Struct):
    """One event of the stream."""

    type: str
    index: int | None = None
    delta: Delta | None = None
    content_block: Block | None = None
    message: Head | None = None
    usage: Counts | None = None
    error: Failure | None = None


DECODER = msgspec.json.Decoder(Chunk)


@define(eq=False)
class ClaudeModel:
    """Answers through ``/v1/messages``; keeps the promises of ``Model``."""

    api_key: str = field(repr=False)
    base_url: str | None = None
    model: str = DEFAULT_MODEL
    max_tokens: int = 8192
    max_retries: int = 2
    idle_timeout_s: float = 60.0
    name: EngineName = NAME
    abilities: Abilities = Abilities(tools=True, attachments=True)
    _client: "AsyncAnthropic | None" = None
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
            price = price_at_hand(request.model or self.model, PROVIDER)
        except LookupError:
            return None
        return self._planned(self._client, request, tools, price) if self._client is not None else None

    def _planned(
        self, client: "AsyncAnthropic", request: EngineRequest, tools: Sequence[Tool], price: Price | None
    ) -> Plan:
        body = self.body(request, tools)
        opened = CallOpened(model=body["model"], input_tokens=request_tokens(body), price=price)
        return Posting(client, "/v1/messages", {**body, "stream": True}).planned(opened)

    async def _say(self, request: EngineRequest, tools: Sequence[Tool]) -> AsyncGenerator[ModelEvent, None]:
        client = await self.client()  # before the call is announced: between the two a crash bills what was never sent
        plan = request.plan
        if plan is None:
            price = await price_of(request.model or self.model, PROVIDER)
            plan = self._planned(client, request, tools, price)
        yield plan.opened
        heard = _Heard(Names.of(tools))
        with provider_errors(request):
            try:
                async with plan.prepared.posted() as response:
                    async with aclosing(events(response, DECODER)) as pieces:
                        async for chunks in pieces:
                            for event in coalesced(chain.from_iterable(map(heard.take, chunks))):
                                yield event
            except Exception as error:
                if heard.has_begun:
                    yield CallClosed(**heard.cut())
                elif is_refusal(error):
                    yield CallClosed(usage=Usage(model=plan.opened.model), outcome=Outcome.FAILED)
                raise
        if not heard.is_over:
            if heard.has_begun:
                yield CallClosed(**heard.cut())
            raise failed(ErrorCode.ENGINE_EOF)
        for event in heard.calls():
            yield event
        usage = evolve(heard.usage, cost_usd=cost_of(heard.usage, PROVIDER))
        yield CallClosed(usage=usage, provider_message_id=heard.message_id)

    async def client(self) -> "AsyncAnthropic":
        """Return the client, made on first use in a thread: its import takes a second."""
        if self._client is not None:
            return self._client
        async with self._making:  # two that come first at the same time share it
            if self._client is None:
                self._client = await anyio.to_thread.run_sync(self._make)
            return self._client

    def _make(self) -> "AsyncAnthropic":
        import httpx2  # noqa: PLC0415 - heavy
        from anthropic import AsyncAnthropic, DefaultAioHttpClient  # noqa: PLC0415 - heavy

        timeout = httpx2.Timeout(10.0, read=self.idle_timeout_s, write=30.0, pool=None)
        headers = {"X-Api-Key": self.api_key, "anthropic-version": OLD_HEADER_VERSION} if self.base_url else {}
        return AsyncAnthropic(
            api_key=self.api_key,
            base_url=self.base_url or "https://api.anthropic.com",
            max_retries=self.max_retries,
            http_client=DefaultAioHttpClient(timeout=timeout, event_hooks=HOOKS),
            default_headers=headers,
        )

    def body(self, request: EngineRequest, tools: Sequence[Tool]) -> dict[str, Any]:
        """Return the request as the wire has it."""
        body: dict[str, Any] = {
            "model": request.model or self.model,
            "max_tokens": self.max_tokens,
            "messages": _messages(request),
        }
        if request.system_prompt:
            body["system"] = request.system_prompt
        if tools:
            body["tools"] = [_tool(tool.name, tool.description, tool.input_schema) for tool in tools]
        elif used := names_used(request.messages):  # calls in a history are refused unless their tools are named
            body["tools"] = [_tool(name, "", {"type": "object"}) for name in used]
            body["tool_choice"] = {"type": "none"}
        return body


@define
class _Heard:
    """What the stream has said so far."""

    names: Names
    usage: Usage = Usage()
    message_id: str | None = None
    has_begun: bool = False
    is_over: bool = False
    chars: int = 0
    _signature: str | None = None
    _calls: list[Gathering] = field(factory=list)

    def take(self, chunk: Chunk) -> list[ModelEvent]:
        """Take in one event of the stream."""
        delta = chunk.delta
        match chunk.type:
            case "content_block_start" if chunk.content_block is not None:
                self._begin(chunk.content_block, chunk.index)
            case "content_block_delta" if delta is not None:
                return self._delta(delta, chunk.index)
            case "content_block_stop" if not any(call.index == chunk.index for call in self._calls):
                signature, self._signature = self._signature, None
                return [BlockEnded(signature)]
            case "message_start" if chunk.message is not None:
                self.has_begun, self.message_id = True, chunk.message.id
                self.usage = evolve(self.usage, model=chunk.message.model)
                self._count(chunk.message.usage)
                return [CallCounted(usage=self.usage, provider_message_id=self.message_id)]
            case "message_delta":
                self._count(chunk.usage or Counts())
                self.is_over = self.is_over or bool(delta and delta.stop_reason)
            case "message_stop":
                self.is_over = True
            case "error":
                raise of_type(chunk.error.type if chunk.error else "")
        return []

    def cut(self) -> dict[str, Any]:
        """Return the bill of an answer that was cut: the input is known, the output is estimated."""
        output = max(self.usage.output_tokens, (self.chars + 2) // 3)
        usage = evolve(self.usage, output_tokens=output, fidelity=Fidelity.ESTIMATED)
        return {"usage": usage, "outcome": Outcome.FAILED, "provider_message_id": self.message_id}

    def calls(self) -> list[ModelEvent]:
        """Return what the model wants to be done."""
        return [self.names.wanted(call.id, call.name, call.arguments) for call in self._calls]

    def _begin(self, block: Block, index: int | None) -> None:
        if block.type == "tool_use":
            whole = [msgspec.json.encode(block.input).decode()] if block.input else []  # some servers do not stream it
            self._calls.append(Gathering(block.id, block.name, index, whole))

    def _delta(self, delta: Delta, index: int | None) -> list[ModelEvent]:
        if delta.text:
            self.chars += len(delta.text)
            return [TextDelta(delta.text)]
        if delta.thinking:
            self.chars += len(delta.thinking)
            return [ThinkingDelta(delta.thinking)]
        if delta.partial_json:
            self.chars += len(delta.partial_json)
            for call in self._calls:
                if call.index == index:
                    call.pieces.append(delta.partial_json)
        if delta.signature:
            self._signature = (self._signature or "") + delta.signature
        return []

    def _count(self, counts: Counts) -> None:
        """Take over counts: they are totals so far, and what is missing stays as it was."""
        known = self.usage
        read, write = plausible(counts.cache_read_input_tokens), plausible(counts.cache_creation_input_tokens)
        told, output = plausible(counts.input_tokens), plausible(counts.output_tokens)
        cached = known.cached_input_tokens if read is None else read
        written = known.cache_write_input_tokens if write is None else write
        fresh = known.input_tokens - known.cached_input_tokens - known.cache_write_input_tokens
        fresh = fresh if told is None else told
        self.usage = evolve(
            known,
            input_tokens=fresh + cached + written,
            cached_input_tokens=cached,
            cache_write_input_tokens=written,
            output_tokens=known.output_tokens if output is None else output,
        )


def _messages(request: EngineRequest) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for message in request.messages:
        role = "assistant" if message.role is Role.ASSISTANT else "user"
        content = [block for part in message.parts if (block := _block(part, request)) is not None]
        if not content:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += content
        else:
            messages.append({"role": role, "content": content})
    return messages


def _block(part: Part, request: EngineRequest) -> dict[str, Any] | None:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text} if text.strip() else None
        case ThinkingPart(text, signature):  # without its signature it would be refused
            return {"type": "thinking", "thinking": text, "signature": signature} if signature else None
        case FilePart():
            data = base64.b64encode(request.blobs[part.sha256].data).decode()
            source = {"type": "base64", "media_type": part.media_type, "data": data}
            return {"type": "image" if part.is_image else "document", "source": source}
        case ToolUsePart():
            return {"type": "tool_use", "id": part.tool_use_id, "name": wire_name(part.tool_name), "input": part.input}
        case ToolResultPart():
            result = {"type": "tool_result", "tool_use_id": part.tool_use_id, "content": part.output}
            return result | {"is_error": True} if part.is_error else result


def _tool(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": wire_name(name), "description": description, "input_schema": schema}
