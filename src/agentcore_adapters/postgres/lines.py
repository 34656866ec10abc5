"""Counting against a limit: side by side as long as all who count would still fit, else alone.

Law: a limit is kept whoever counts at the same time, on whichever node; and who has to wait for others of its tenant
holds no connection meanwhile.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import frozen

from agentcore.changes import Changes
from agentcore.errors import AgentcoreError, OverLimit
from agentcore.ids import TenantId
from agentcore.limits import AGAIN_S, OVER
from agentcore.lines import Lines
from agentcore_adapters.postgres import statements as sql
from agentcore_adapters.postgres.batch import Answer
from agentcore_adapters.postgres.connection import Transaction

T = TypeVar("T")
UNBOUNDED = 10**15


class NearLimit(AgentcoreError):
    """So near the limit that whoever counts must be alone."""


async def counted(lines: Lines, tenant: TenantId, most: int | None, work: Callable[[bool], Awaitable[T]]) -> T:
    """Do *work* that counts up to *most*; it is told whether it is alone, and raises NearLimit if it must be."""
    try:
        return await work(most == 0)
    except NearLimit:
        async with lines.at(tenant):
            return await work(True)  # noqa: FBT003 - it is what it is told


@frozen
class Room:
    """Whether a task may be queued, and begun at once; asked together."""

    answer: Answer | None  #: None: nothing bounds either.
    most_open: int
    most: int

    @classmethod
    def asked(cls, transaction: Transaction, changes: Changes, most: int | None, *, alone: bool) -> "Room":
        """Send what counts both."""
        if most is None and changes.most_open is None:
            return cls(None, 0, 0)
        tenant, open_, running = changes.tenant_id, changes.most_open, most
        open_, running = UNBOUNDED if open_ is None else open_, UNBOUNDED if running is None else running
        sent = transaction.send(sql.COUNT_BOTH, tenant, open_ + 1, running + 1, alone)
        return cls(sent, open_, running)

    def checked(self, more: int, *, alone: bool) -> bool:
        """Tell whether one may be begun; raises OverLimit if *more* may not be open, NearLimit if that is not sure."""
        if self.answer is None:
            return True
        (found,) = self.answer.rows()
        if not fits(found["stored"], found["beside"], more, self.most_open, alone=alone):
            raise OverLimit(OVER.format(self.most_open), AGAIN_S)
        try:
            return fits(found["running"], found["beside_running"], 1, self.most, alone=False)
        except NearLimit:  # it waits, and is begun by who may count alone
            return False


def fits(stored: int, beside: int, more: int, most: int, *, alone: bool) -> bool:
    """Tell whether *more* fit; raises NearLimit if the others who count just now might come in between."""
    if more <= 0 or stored + more > most:
        return more <= 0
    if not alone and stored + more + (beside - 1) > most:
        raise NearLimit
    return True


@frozen
class Count:
    """What counts against a limit, on its way."""

    answer: Answer

    def must_fit(self, more: int, most: int, *, alone: bool) -> bool:
        """Tell whether *more* fit; raises NearLimit if others might come in between.  Its rows must have arrived."""
        (found,) = self.answer.rows()
        return fits(found["stored"], found["beside"], more, most, alone=alone)


def count(transaction: Transaction, kind: str, tenant: TenantId, most: int, *, alone: bool) -> Count:
    """Send what counts the tasks of *tenant* of one *kind*, up to *most*; nobody else counts meanwhile if *alone*."""
    return Count(transaction.send(sql.COUNT, kind, tenant, most + 1, alone))
