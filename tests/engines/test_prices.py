"""What is multiplied here is what the table of prices says, to the last place."""

import time
from decimal import Decimal

import genai_prices
import pytest
from structlog.testing import capture_logs

from agentcore.usage import Usage
from agentcore_adapters.engines import prices
from agentcore_adapters.engines.prices import PLACES, cost_of

FLAT, TIERED = "gpt-5-mini", "claude-sonnet-4-5"  # the second costs more for each token of a prompt over 200,000
PROVIDERS = {FLAT: "openai", TIERED: "anthropic"}


def said(usage: Usage) -> Decimal:
    counts = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_input_tokens,
    )
    found = genai_prices.calc_price(counts, usage.model, provider_id=PROVIDERS[usage.model])
    return found.total_price.quantize(PLACES)


@pytest.mark.parametrize("model", PROVIDERS)
@pytest.mark.parametrize("input_tokens", [0, 7, 199_999, 200_001, 3_000_000])
def test_a_cost_is_what_the_table_says(model: str, input_tokens: int) -> None:
    for cached, written in ((0, 0), (input_tokens, 0), (input_tokens // 3, input_tokens // 7)):
        usage = Usage(
            model=model,
            input_tokens=input_tokens,
            output_tokens=1_234_567,
            cached_input_tokens=cached,
            cache_write_input_tokens=written,
        )
        assert cost_of(usage, PROVIDERS[model]) == said(usage)


def test_only_what_costs_the_same_for_each_token_is_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    for model, provider in PROVIDERS.items():
        cost_of(Usage(model=model, input_tokens=1), provider)
    asked: list[str] = []

    def ask(usage: Usage, _: str) -> None:
        asked.append(usage.model)

    monkeypatch.setattr(prices, "_ask", ask)
    for model, provider in PROVIDERS.items():
        cost_of(Usage(model=model, input_tokens=1), provider)
    assert asked == [TIERED]


def test_a_price_is_asked_for_again_every_day(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = Usage(model=FLAT, input_tokens=1_000_000)
    before = cost_of(usage, "openai")
    assert before is not None
    monkeypatch.setattr(prices, "_ask", lambda of, _: Decimal(of.input_tokens + of.output_tokens))
    assert cost_of(usage, "openai") == before
    tomorrow = time.time() + prices.DAY_S
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    assert cost_of(usage, "openai") == 1_000_000


def test_counts_that_contradict_each_other_have_no_cost() -> None:
    with capture_logs() as logs:
        assert cost_of(Usage(model=FLAT, input_tokens=1, cached_input_tokens=5), "openai") is None
    assert [entry["event"] for entry in logs] == ["price.odd_counts"]


def test_names_that_nobody_knows_are_not_kept_for_ever() -> None:
    for number in range(prices.MOST_KEPT + 5):
        assert cost_of(Usage(model=f"made up {number}", input_tokens=1), "openai") is None
    assert len(prices._flat) <= prices.MOST_KEPT
