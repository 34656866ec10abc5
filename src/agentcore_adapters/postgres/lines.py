"""Counting against a limit: side by side as long as all who count would still fit, else alone.

Law: a limit is kept whoever counts at the same time, on whichever node; and who has to wait for others of its tenant
holds no connection meanwhile.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import frozen

from agentcore.errors import AgentcoreError
from agentcore.ids import TenantId
from agentcore.lines import Lines
from agentcore_adapters.postgres import statements as sql
from agentcore_adapters.postgres.connection import Cursor, Transaction

T = TypeVar("T")


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
class Count:
    """What counts against a limit, on its way."""

    cursor: Cursor

    async def must_fit(self, more: int, most: int, *, alone: bool) -> bool:
        """Tell whether *more* fit; raises NearLimit if others might come in between.  Its rows must have arrived."""
        (found,) = await self.cursor.fetchall()
        if more <= 0 or found["stored"] + more > most:
            return more <= 0
        if not alone and found["stored"] + more + (found["beside"] - 1) > most:
            raise NearLimit
        return True


async def count(transaction: Transaction, kind: str, tenant: TenantId, most: int, *, alone: bool) -> Count:
    """Send what counts the tasks of *tenant* of one *kind*, up to *most*; nobody else counts meanwhile if *alone*."""
    return Count(await transaction.send(sql.COUNT, kind, tenant, most + 1, alone))
