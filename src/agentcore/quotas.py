"""What each tenant may use, and has used today, as far as this node knows.

Law: nothing here is asked of the store for one request: own limits are read for all tenants every few seconds, what a
tenant has used in the day only if there is a limit to it, and then every few seconds, too.  So it is a few seconds old;
what must be exact is counted by the store itself, when it is stored.

Story: a tenant that has used up its day is refused, what it has queued is not begun, and what it runs is stopped when
the provider's call under way is paid for.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal

import structlog
from attrs import define, field

from agentcore.books import GroupBy, Totals
from agentcore.errors import BudgetUsedUp, OverLimit, Unavailable
from agentcore.ids import TenantId
from agentcore.limits import Limits, Own, Room
from agentcore.ports import Clock, Store
from agentcore.usage import Usage

log = structlog.get_logger("agentcore.quotas")
WATCHED_S = 900.0  # a tenant of which nothing was heard for so long is forgotten, and asked about again
FULL_S = 3600


@define
class _Spent:
    """What a tenant has used in a day."""

    day: date
    tokens: int
    cost_usd: Decimal
    asked_at: float  #: Monotonic seconds.


@define(eq=False)
class Quotas:
    """Limits of all tenants, and what is used of those that are counted by day."""

    store: Store
    clock: Clock
    common: Limits = field(factory=Limits)
    tenants: Mapping[TenantId, Own] = field(factory=dict)  #: What the settings say of some.
    _stored: Mapping[TenantId, Own] = field(factory=dict)
    _known: dict[TenantId, Limits] = field(factory=dict)
    _spent: dict[TenantId, _Spent] = field(factory=dict)

    def of(self, tenant: TenantId) -> Limits:
        """Return the limits of a tenant."""
        if tenant not in self.tenants and tenant not in self._stored:
            return self.common
        found = self._known.get(tenant)
        if found is None:
            found = self.common.with_own(self.tenants.get(tenant, {})).with_own(self._stored.get(tenant, {}))
            self._known[tenant] = found
        return found

    def room(self) -> Room:
        """Return how many tasks of each tenant may run: none of one that has used up its day."""
        named = {tenant: self.of(tenant).max_running for tenant in {*self.tenants, *self._stored}}
        paused = {tenant: 0 for tenant in self._spent if self.is_used_up(tenant)}
        return Room(most=self.common.max_running, tenants=named | paused)

    def is_used_up(self, tenant: TenantId) -> bool:
        """Tell whether a tenant is known to have used up its day."""
        return self._what_is_used_up(tenant) is not None

    async def may_run(self, tenant: TenantId) -> int:
        """Return how many tasks of a tenant may run now; raises StoreUnavailable."""
        await self._look(tenant)
        return 0 if self.is_used_up(tenant) else self.of(tenant).max_running

    async def must_have_budget(self, tenant: TenantId) -> None:
        """Raise BudgetUsedUp if a tenant has used up its day; raises StoreUnavailable."""
        await self._look(tenant)
        what = self._what_is_used_up(tenant)
        if what is not None:
            raise BudgetUsedUp(f"The tenant has used up its {what} of today (UTC).", _until_tomorrow(self.clock.now()))

    async def must_have_space(self, tenant: TenantId, more: int) -> None:
        """Raise OverLimit if a tenant may not keep *more* bytes of attachments; raises StoreUnavailable."""
        most = self.of(tenant).stored_bytes
        if more and most is not None and await self.store.stored_bytes(tenant) + more > most:
            raise OverLimit("The tenant's attachments take all the space they may; erase sessions.", FULL_S)

    def spend(self, tenant: TenantId, before: Usage, after: Usage) -> None:
        """Count what a task was just billed here, until the store is asked again."""
        spent = self._spent.get(tenant)
        if spent is not None and spent.day == self.clock.now().date():
            spent.tokens += after.total_tokens - before.total_tokens
            spent.cost_usd += (after.cost_usd or Decimal(0)) - (before.cost_usd or Decimal(0))

    async def refresh(self) -> None:
        """Read again what the store says; raises StoreUnavailable."""
        self._stored = await self.store.limits()
        self._known.clear()
        now = self.clock.monotonic()
        for tenant, spent in list(self._spent.items()):
            if now - spent.asked_at > WATCHED_S or not self.of(tenant).has_budget:
                del self._spent[tenant]
            else:
                await self._read(tenant, spent.asked_at)

    async def open(self) -> None:
        """Begin; without the store, with what the settings say."""
        try:
            await self.refresh()
        except Unavailable as error:
            log.warning("limits.unknown", code=error.code)

    async def _look(self, tenant: TenantId) -> None:
        if not self.of(tenant).has_budget:
            return
        now = self.clock.monotonic()
        spent = self._spent.get(tenant)
        if spent is None or spent.day != self.clock.now().date():
            await self._read(tenant, now)
        else:
            spent.asked_at = now

    async def _read(self, tenant: TenantId, asked_at: float) -> None:
        now = self.clock.now()
        total: Totals = (await self.store.usage(tenant, _midnight(now), None, GroupBy.DAY)).total
        self._spent[tenant] = _Spent(now.date(), total.total_tokens, total.cost_usd or Decimal(0), asked_at)

    def _what_is_used_up(self, tenant: TenantId) -> str | None:
        spent, limits = self._spent.get(tenant), self.of(tenant)
        if spent is None or spent.day != self.clock.now().date():
            return None
        if limits.tokens_per_day is not None and spent.tokens >= limits.tokens_per_day:
            return "tokens"
        if limits.cost_per_day_usd is not None and spent.cost_usd >= limits.cost_per_day_usd:
            return "money"
        return None


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _until_tomorrow(now: datetime) -> int:
    return max(1, int((_midnight(now) + timedelta(days=1) - now).total_seconds()) + 1)
