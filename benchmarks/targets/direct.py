"""No server at all: the load client calls the stub itself.  With raw HTTP, this is what the machine can do.

variants: openai and anthropic (raw HTTP), sdk-openai and sdk-anthropic (the providers' SDKs)
"""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
from benchmarks.target import Target, sse

Messages = list[dict[str, str]]
decode = msgspec.json.decode


class Direct(Target):
    """A client, which is its own server."""

    name = "direct"
    notes = "no server: the client asks the stub"
    variants = ("openai", "anthropic", "sdk-openai", "sdk-anthropic")

    def __init__(self, port: int, stub_url: str, variant: str = "openai") -> None:
        """Keep histories here."""
        super().__init__(port, stub_url, variant or "openai")
        self.histories: dict[str, Messages] = {}
        self.sdk: Any = None  # either SDK's client

    async def start(self, *, fresh: bool = True) -> float:  # noqa: ARG002 - there is nothing to start
        """Make the client."""
        if self.variant == "sdk-openai":
            from openai import AsyncOpenAI  # noqa: PLC0415 - heavy

            self.sdk = AsyncOpenAI(base_url=self.stub_url + "/v1", api_key="sk-stub", max_retries=0)
        elif self.variant == "sdk-anthropic":
            from anthropic import AsyncAnthropic  # noqa: PLC0415 - heavy

            self.sdk = AsyncAnthropic(base_url=self.stub_url, api_key="sk-stub", max_retries=0)
        return 0.0

    def pids(self) -> Sequence[int]:
        """Return the client."""
        return [os.getpid()]

    async def stop(self) -> None:
        """Close the client."""
        if self.sdk is not None:
            await self.sdk.close()
        await super().stop()

    async def create_session(self) -> str:
        """Begin a history."""
        name = str(len(self.histories))
        self.histories[name] = []
        return name

    async def run(self, session: str, prompt: str) -> AsyncIterator[str]:
        """Ask with the whole history."""
        history = self.histories[session]
        history.append({"role": "user", "content": prompt})
        said: list[str] = []
        by_variant = {"sdk-openai": self._openai, "sdk-anthropic": self._anthropic}
        async for text in by_variant.get(self.variant, self._raw)(history):
            said.append(text)
            yield text
        history.append({"role": "assistant", "content": "".join(said)})

    async def _openai(self, messages: Messages) -> AsyncIterator[str]:
        async for chunk in await self.sdk.chat.completions.create(model="stub", messages=messages, stream=True):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    async def _anthropic(self, messages: Messages) -> AsyncIterator[str]:
        async with self.sdk.messages.stream(model="stub", messages=messages, max_tokens=9999) as stream:
            async for text in stream.text_stream:
                yield text

    async def _raw(self, messages: Messages) -> AsyncIterator[str]:
        path = "/v1/messages" if self.variant == "anthropic" else "/v1/chat/completions"
        body = {"model": "stub", "stream": True, "max_tokens": 9999, "messages": messages}
        async with self.http.post(self.stub_url + path, json=body) as response:
            async for _, data in sse(response):
                if data[:1] == b"{" and (text := text_of(decode(data))):
                    yield text


def text_of(event: Mapping[str, Any]) -> str:
    """Return what an event of either wire says."""
    if event.get("type") == "content_block_delta":
        return str(event["delta"].get("text", ""))
    choices = event.get("choices") or [{}]
    return str(choices[0].get("delta", {}).get("content") or "")


TARGET = Direct
