"""The engine ``local``: a small model on this machine, with no key and no network.

Law: llama.cpp serves the model in a child process (``llama``); the wire is the one of ``openai``.  A model of 135
million parameters is confused by a long system prompt, so it is given the instructions only, without user context
and routes, and its window is small: a prompt of 1,500 tokens costs ten seconds.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from attrs import define, evolve, field

from agentcore.engine import Abilities, EngineRequest
from agentcore.ids import EngineName
from agentcore.tooling import ModelEvent, Tool
from agentcore_adapters.engines.llama import LlamaHost
from agentcore_adapters.engines.openai import OpenAiModel

NAME = EngineName("local")
ANSWER_TOKENS = 512
SHOWN_TOKENS = 1400  # with the answer and the template it stays within a slot's 2,048


@define(eq=False)
class LocalModel:
    """Answers with a model in a GGUF file, which takes no notice of tools."""

    host: LlamaHost
    name: EngineName = NAME
    abilities: Abilities = Abilities(context_tokens=SHOWN_TOKENS)
    _model: OpenAiModel | None = field(default=None)

    @asynccontextmanager
    async def answer(
        self,
        request: EngineRequest,
        tools: Sequence[Tool],  # noqa: ARG002 - it declares that it can use none
    ) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        """Say one turn; the first one loads the model."""
        model = await self._ready()
        instructions = request.system_prompt.partition("\n\n")[0]
        # A model that the caller names is another engine's: this one has a single one.
        async with model.answer(evolve(request, system_prompt=instructions, model=None), ()) as said:
            yield said

    async def close(self) -> None:
        """Stop the model."""
        if self._model is not None:
            await self._model.close()
        await self.host.stop()

    async def _ready(self) -> OpenAiModel:
        address = await self.host.start()
        if self._model is None or self._model.base_url != address.base_url:
            self._model = OpenAiModel(
                address.api_key,
                address.base_url,
                model=self.host.model_name,
                max_tokens=ANSWER_TOKENS,
                temperature=0.0,
                max_retries=1,  # its server may close a connection just when it is used again
                is_free=True,
            )
        return self._model
