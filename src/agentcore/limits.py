"""What a tenant, its users and their tasks may use.

Law: a limit is one value with one name, the same in the settings, in the store and in the docs.  What the store says
of a tenant stands before what the settings say of it, and that before what they say of all.  None: no limit.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import UnionType
from typing import Any, get_args, get_type_hints

from attrs import evolve, field, fields, frozen

from agentcore.ids import TenantId

GIB = 1024**3
LARGEST = 10**15  # what is larger is a slip of the pen
NONE = "none"
AGAIN_S = 2  #: What is over a limit that others of the tenant use up may be tried again then.
OVER = "The tenant has {} unfinished tasks, and may not have more; try again when one has ended."
Own = Mapping[str, object]  #: Limits by name, as they are written in settings and kept in the store.


def _limit(default: object, doc: str) -> Any:  # noqa: ANN401 - attrs fields are untyped
    return field(default=default, metadata={"doc": doc})


@frozen(kw_only=True)
class Limits:
    """What one tenant may use."""

    max_running: int = _limit(50, "Tasks of a tenant that are driven at a time, on all nodes together.")
    max_queued: int = _limit(500, "Tasks that may wait besides those; one more is refused.")
    tokens_per_day: int | None = _limit(None, "Tokens of a tenant in one day (UTC), input and output together.")
    cost_per_day_usd: Decimal | None = _limit(None, "What they may cost, in USD.")
    task_output_tokens: int | None = _limit(None, "Output tokens of one task.")
    task_cost_usd: Decimal | None = _limit(None, "What one task may cost, in USD.")
    max_turns: int = _limit(100, "The most that a request may ask for as `maxTurns`.")
    stored_bytes: int | None = _limit(10 * GIB, "Attachments of a tenant that are kept, in bytes.")
    stt_seconds: float = _limit(36_000.0, "Seconds of recordings that are listened to in 24 hours.")
    requests_per_minute: int | None = _limit(1200, "Requests of one user, on each node; ten seconds' worth at once.")
    max_in_flight: int = _limit(100, "Requests of a tenant that are answered at a time, on each node.")
    max_sockets: int | None = _limit(1000, "Open streams of a tenant (WebSocket, SSE, long poll), on each node.")
    user_sockets: int | None = _limit(50, "Open streams of one user, on each node.")

    @property
    def max_open(self) -> int:
        """Tasks that may be unfinished."""
        return self.max_running + self.max_queued

    @property
    def has_budget(self) -> bool:
        """Whether what is used in a day has to be known."""
        return self.tokens_per_day is not None or self.cost_per_day_usd is not None

    def with_own(self, own: Own) -> "Limits":
        """Return these limits with those that *own* names; a name that is not known here is another version's."""
        known: dict[str, Any] = {name: read(name, value) for name, value in own.items() if name in NAMES}
        return evolve(self, **known)


COMMON = Limits()
LONE = evolve(COMMON, requests_per_minute=None, max_sockets=None, user_sockets=None)
"""Where nobody has to say who it is there are no users to be told apart: one developer's machine."""
NAMES = frozenset(attribute.name for attribute in fields(Limits))


@frozen(kw_only=True)
class Room:
    """How many tasks of each tenant may run."""

    most: int | None = None  #: Of a tenant that is not named; None: any number.
    tenants: Mapping[TenantId, int] = field(factory=dict)

    def of(self, tenant: TenantId) -> int | None:
        """Return how many of *tenant*'s may."""
        return self.tenants.get(tenant, self.most)


def read(name: str, value: object) -> int | float | Decimal | None:
    """Read a limit as it is written; raises ValueError that says what it must be."""
    if name not in NAMES:
        raise ValueError(f"one of {', '.join(sorted(NAMES))}")
    kind = get_type_hints(Limits)[name]
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    is_optional = type(None) in kinds
    if is_optional and (value is None or str(value).strip().lower() == NONE):
        return None
    text = "" if isinstance(value, bool) else str(value).strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(-1)
    if not (number.is_finite() and 0 <= number <= LARGEST) or (int in kinds and number != int(number)):
        raise ValueError(
            f"a {'whole ' if int in kinds else ''}number of 0 or more" + (f", or {NONE}" if is_optional else "")
        )
    return number if Decimal in kinds else float(number) if float in kinds else int(number)


def written(name: str, value: object) -> int | float | str | None:
    """Write a limit as JSON can keep it; raises ValueError as ``read`` does."""
    found = read(name, value)
    return str(found) if isinstance(found, Decimal) else found
