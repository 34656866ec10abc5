"""What models cost.

Law: prices are kept by others (genai-prices, a table with each release); what it does not know has no price, and
then a cost is absent and not zero.  The table is read on first use: it takes a fifth of a second.

Story: most prices are the same for each token, at any time and however many there are.  Those are found out once a day
and then multiplied here; the others are asked for each time, which takes as long as storing the call.
"""

import time
from decimal import Decimal

import anyio
import structlog

from agentcore.usage import Price, Usage

log = structlog.get_logger("agentcore.prices")
SAMPLE = 1_000  # tokens: below every threshold from which some models cost more
MANY = 10_000  # times as many: above every threshold
PLACES = Decimal("0.000000001")  # as many as the ledger keeps
DAY_S = 86_400
MOST_KEPT = 1_000  # prices

_known: dict[tuple[str, str], Price | None] = {}
_flat: dict[tuple[str, str, int], Price | None] = {}


async def price_of(model: str, provider: str) -> Price | None:
    """Return what *model* of *provider* costs a million tokens, in its lowest tier; None if nobody knows."""
    key = (model, provider)
    if key not in _known:
        _known[key] = await anyio.to_thread.run_sync(_look_up, *key)
    return _known[key]


def price_at_hand(model: str, provider: str) -> Price | None:
    """Return what ``price_of`` has said; raises LookupError if it was not asked yet."""
    return _known[model, provider]


def _look_up(model: str, provider: str, tokens: int = SAMPLE) -> Price | None:
    kinds = [
        Usage(model=model, input_tokens=tokens),
        Usage(model=model, output_tokens=tokens),
        Usage(model=model, input_tokens=tokens, cached_input_tokens=tokens),
        Usage(model=model, input_tokens=tokens, cache_write_input_tokens=tokens),
    ]
    costs = [cost for usage in kinds if (cost := _ask(usage, provider)) is not None]
    if len(costs) < len(kinds):
        return None
    fresh, output, cached, written = (cost * 1_000_000 / tokens for cost in costs)
    return Price(input=fresh, output=output, cached_input=cached, cache_write_input=written)


def _flat_price(model: str, provider: str) -> Price | None:
    key = (model, provider, int(time.time() // DAY_S))
    if key not in _flat:
        if len(_flat) >= MOST_KEPT:  # names may be made up by requests
            _flat.clear()
        few, many = _look_up(model, provider), _look_up(model, provider, SAMPLE * MANY)
        _flat[key] = few if few == many else None
    return _flat[key]


def cost_of(usage: Usage, provider: str) -> Decimal | None:
    """Return what *usage* costs at *provider*, in USD; None if nobody knows."""
    if usage.cached_input_tokens + usage.cache_write_input_tokens <= usage.input_tokens:
        price = _flat_price(usage.model, provider)
        if price is not None:
            return price.cost(usage).quantize(PLACES)
    return _ask(usage, provider)


def _ask(usage: Usage, provider: str) -> Decimal | None:
    from genai_prices import Usage as Counts  # noqa: PLC0415 - heavy
    from genai_prices import calc_price  # noqa: PLC0415 - heavy

    counts = Counts(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_input_tokens,
    )
    try:
        return calc_price(counts, usage.model, provider_id=provider).total_price.quantize(PLACES)
    except LookupError:
        return None
    except ValueError:  # counts that contradict each other, such as more cached than there are
        # The model's name may be one that a request has made up.
        log.warning("price.odd_counts", provider=provider, input=usage.input_tokens, cached=usage.cached_input_tokens)
        return None
