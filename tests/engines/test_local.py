"""A real model on this machine."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from agentcore.engine import Engine
from agentcore.errors import EngineUnavailable, UnknownEngine
from agentcore.events import TextDelta
from agentcore.ids import EngineName
from agentcore.testing.contracts import EngineContract
from agentcore.testing.contracts.engine import a_request
from agentcore_adapters.engines.catalog import EngineSettings, Equipment, open_catalog
from agentcore_adapters.engines.llama import LlamaHost
from agentcore_adapters.engines.local import LocalModel
from agentcore_adapters.engines.weights import WeightsUnavailable, fetch_weights

pytestmark = pytest.mark.anyio
QUESTION = "What is the capital of France? Answer in one short sentence."


@pytest.fixture
async def weights(models: Path) -> Path:
    try:
        return await fetch_weights(models, say=print)
    except WeightsUnavailable as error:
        pytest.skip(f"the weights cannot be fetched here: {error}")


@pytest.mark.slow
class TestLocalModel(EngineContract):
    PROMPT = QUESTION

    @pytest.fixture
    async def engine(self, weights: Path) -> AsyncIterator[Engine]:
        model = LocalModel(LlamaHost(weights))
        await model.host.start()
        try:
            yield Equipment().engine(model)
        finally:
            await model.close()


@pytest.mark.slow
async def test_a_real_model_answers_and_its_process_ends(weights: Path) -> None:
    model = LocalModel(LlamaHost(weights))
    engine = Equipment().engine(model)
    said = []
    async with engine.run(a_request(QUESTION)) as run:
        async for event in run:
            said.append(event)  # noqa: PERF401 - streamed
    child = model.host._child
    assert child is not None
    await model.close()
    assert "Paris" in "".join(event.text for event in said if isinstance(event, TextDelta))
    assert child.poll() is not None


async def test_a_broken_model_is_unavailable(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    host = LlamaHost(broken)
    with anyio.fail_after(30), pytest.raises(EngineUnavailable, match="AGENTCORE_LOCAL_MODEL"):
        await host.start()


async def test_the_catalogue_says_what_to_set(tmp_path: Path) -> None:
    async with open_catalog(EngineSettings(data_dir=tmp_path)) as catalog:
        reasons = {state.name: state.reason or "" for state in catalog.states()}
        assert "ANTHROPIC_API_KEY" in reasons[EngineName("claude_api")]
        assert "OPENAI_API_KEY" in reasons[EngineName("openai")]
        with pytest.raises(EngineUnavailable, match="OPENAI_API_KEY"):
            catalog.named(EngineName("openai"))
        with pytest.raises(UnknownEngine, match="Known"):
            catalog.named(EngineName("none"))
        with pytest.raises(EngineUnavailable):
            catalog.default()
    with_key = EngineSettings(data_dir=tmp_path, openai_base_url="http://127.0.0.1:1/v1")
    async with open_catalog(with_key) as catalog:
        assert catalog.default() == "openai"
        assert "key" not in repr(EngineSettings(data_dir=tmp_path, openai_api_key="sk-key")).replace("api_key", "")
