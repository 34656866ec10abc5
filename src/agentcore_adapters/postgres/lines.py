"""Counting against a limit: side by side as long as all who count would still fit, else alone.

Law: a limit is kept whoever counts at the same time, on whichever node; and who has to wait for others of its tenant
holds no connection meanwhile.
"""

from collections.abc import Awaitable, Callable
from typing import LiteralString, TypeVar

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


@frozen(kw_only=True)
class Count:
    """What counts against a limit, on its way."""

    beside: Cursor
    stored: Cursor

    async def must_fit(self, more: int, most: int, *, alone: bool) -> bool:
        """Tell whether *more* fit; raises NearLimit if others might come in between.  Its rows must have arrived."""
        (stored,) = await self.stored.fetchall()
        if more <= 0 or stored["n"] + more > most:
            return more <= 0
        (beside,) = await self.beside.fetchall()
        if not alone and stored["n"] + more + (beside["n"] - 1) > most:
            raise NearLimit
        return True


async def count(
    transaction: Transaction, kind: int, statement: LiteralString, tenant: TenantId, most: int, *, alone: bool
) -> Count:
    """Send what counts the rows of *tenant* by *statement*, up to *most*; nobody else counts meanwhile if *alone*."""
    name = (kind, tenant)
    await transaction.send(sql.ALONE if alone else sql.SIDE_BY_SIDE, *name)
    return Count(
        beside=await transaction.send(sql.BESIDE, *name),
        stored=await transaction.send(statement, tenant, most + 1),
    )
