"""``agentcore tenant``: take all of a tenant away, or erase it."""

import sys
from pathlib import Path

import anyio
from anyio import open_file

from agentcore import tenancy
from agentcore.errors import StoreUnavailable
from agentcore.ids import TenantId
from agentcore_adapters.memory.clock import SystemClock
from agentcore_http import wiring
from agentcore_http.settings import Settings
from agentcore_http.wire import ndjson

FAILED, DONE = 1, 0


def export(settings: Settings, name: str, output: Path) -> int:
    """Write all that a tenant has to a new file; return the status."""

    async def work() -> int:
        count, is_whole = 0, False
        async with wiring.stored(settings) as store, await open_file(output, "xb") as file:
            async for line in ndjson.lines(tenancy.everything(store, TenantId(name))):
                await file.write(line)
                count, is_whole = count + 1, line.startswith(ndjson.END)
        return (
            _say(f"{count} lines are in {output}.") if is_whole else _fail("The store has gone: it is not all there.")
        )

    if output.exists():
        return _fail(f"{output} is there already; name another file.")
    return anyio.run(work)


def erase(settings: Settings, name: str, *, is_meant: bool) -> int:
    """Erase all that a tenant has but the numbers of its ledger; return the status."""
    if not is_meant:
        return _fail(
            f"This removes every session of {name} for good. If that is meant: agentcore tenant erase {name} --yes"
        )

    async def work() -> int:
        async with wiring.stored(settings) as store:
            try:
                count = await tenancy.erase(store, SystemClock(), TenantId(name))
            except StoreUnavailable as error:
                return _fail(str(error))
        return _say(f"{count} sessions of {name} are erased; the ledger keeps its numbers.")

    return anyio.run(work)


def _say(line: str) -> int:
    print(line)  # noqa: T201 - this is the command line
    return DONE


def _fail(line: str) -> int:
    print(f"agentcore: {line}", file=sys.stderr)  # noqa: T201
    return FAILED
