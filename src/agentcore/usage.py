"""What a provider call cost.

Law: tokens are counted by kind and absent is not zero; money is ``Decimal`` in USD and None where nobody knows a
price.  ``input_tokens`` is the whole prompt, cached parts included (OpenAI counts so; Anthropic's three numbers
are added up by its adapter), ``output_tokens`` includes reasoning.
"""

from decimal import Decimal
from enum import StrEnum

from attrs import evolve, frozen


class Fidelity(StrEnum):
    """How sure a count is."""

    EXACT = "exact"
    ESTIMATED = "estimated"


class Outcome(StrEnum):
    """How the call ended that is billed."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


@frozen(kw_only=True)
class Usage:
    """The counts of one provider call, or of several added up."""

    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_tokens: int = 0
    audio_s: Decimal = Decimal(0)  #: Seconds of recordings that were listened to.
    cost_usd: Decimal | None = None
    fidelity: Fidelity = Fidelity.EXACT

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: "Usage") -> "Usage":
        """Add *other*; the sum is only as exact as its least exact part."""
        costs = [cost for cost in (self.cost_usd, other.cost_usd) if cost is not None]
        exact = self.fidelity is Fidelity.EXACT and other.fidelity is Fidelity.EXACT
        return Usage(
            model=other.model or self.model,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            cache_write_input_tokens=self.cache_write_input_tokens + other.cache_write_input_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            audio_s=self.audio_s + other.audio_s,
            cost_usd=sum(costs, Decimal(0)) if costs else None,
            fidelity=Fidelity.EXACT if exact else Fidelity.ESTIMATED,
        )


@frozen(kw_only=True)
class Price:
    """What a million tokens cost, in USD, by kind; None for a kind that costs what the whole prompt's tokens cost."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write_input: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal:
        """Return what *usage* costs."""
        cached, written = usage.cached_input_tokens, usage.cache_write_input_tokens
        fresh = max(0, usage.input_tokens - cached - written)
        total = (
            self.input * fresh
            + (self.input if self.cached_input is None else self.cached_input) * cached
            + (self.input if self.cache_write_input is None else self.cache_write_input) * written
            + self.output * usage.output_tokens
        )
        return total / 1_000_000


FREE = Price(input=Decimal(0), output=Decimal(0))


@frozen(kw_only=True)
class OpenCall:
    """A provider call that has begun: what is billed, estimated, if nobody hears its end."""

    key: str  #: ``<attempt>:<n>``, unique within the task.
    model: str
    input_tokens: int  #: Estimated from what is sent.
    start: int = 0  #: Position in the session's text where its answer begins.
    price: Price | None = None  #: As it was when the call began; None: nobody knows one.
    counted: Usage | None = None  #: What the provider has counted so far; lost with its node, unlike the rest.
    provider_message_id: str | None = None  #: The same.
    is_sent: bool = True  #: Its driver does not know better; the same.

    def estimate(self, chars: int) -> Usage:
        """Return what the call is billed if its end is not heard, after *chars* characters of answer."""
        if not self.is_sent:
            return Usage(model=self.model, cost_usd=Decimal(0) if self.price else None)
        counted = self.counted or Usage(model=self.model, input_tokens=self.input_tokens)
        output = max(counted.output_tokens, estimated_output(chars))
        usage = evolve(counted, output_tokens=output, fidelity=Fidelity.ESTIMATED)
        return evolve(usage, cost_usd=self.price.cost(usage) if self.price else None)


@frozen(kw_only=True)
class UsageRecord:
    """One row of the ledger: one provider call, whatever became of it."""

    key: str  #: The key of its OpenCall.
    usage: Usage
    outcome: Outcome
    provider_message_id: str | None = None


def estimated_output(chars: int) -> int:
    """Estimate the tokens of an answer of which only the length is kept; three characters are one, rounded up."""
    return (chars + 2) // 3


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of *text*, on the high side.

    Four ASCII characters make about one token in English; other scripts need about one token a character.
    Source: the rule of thumb in both providers' token guides, widened so that a budget is kept.
    """
    ascii_chars = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
    return (ascii_chars + 2) // 3 + (len(text) - ascii_chars)
