"""How long ``agentcore serve`` takes to answer, what it holds in memory, and which imports that is made of.

    python -m benchmarks.startup [--top 15]

First start: with no data; then with what the first one has left.  Memory: of the server's process, before any engine
is loaded and after each of the API engines has answered once.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Iterable

import uvloop
from attrs import frozen
from benchmarks import proctree
from benchmarks.compare import end_on_signal
from benchmarks.load import Load, stub_and_load
from benchmarks.target import load

STARTS = 5
MODULE = "agentcore_http.serve"  # what ``serve`` imports, with the wiring


@frozen
class Import:
    """One line of ``-X importtime``."""

    own_us: int
    whole_us: int
    depth: int
    name: str


async def measured(load_: Load) -> None:
    """Start a server in each way and print."""
    for engine in ("openai", "anthropic"):
        target = load(f"agentcore:{engine}-ws", 9790, load_.stub_url)
        try:
            first = await target.start(fresh=True)
            idle = proctree.rss_mb(target.pids())
            await load_.run(target, await target.create_session(), 3)
            with_engine = proctree.rss_mb(target.pids())
            print(f"first start {first:.2f} s; RSS {idle:.0f} MB, with the engine of {engine} {with_engine:.0f} MB")
            database = proctree.pss_mb(target.helpers())
            print(f"PostgreSQL beside it: {database:.0f} MB")
            again: list[float] = []
            for _ in range(STARTS):
                await target.stop()
                again.append(await target.start(fresh=False))
            print(f"start with data {statistics.median(again):.2f} s (best {min(again):.2f})")
        finally:
            await target.stop()


def imports(module: str) -> list[Import]:
    """Import *module* in a fresh interpreter and return what that took."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}, agentcore_adapters.postgres.store"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    found: list[Import] = []
    for line in done.stderr.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        whole, _, name = rest.partition("|")
        if own.strip().isdecimal():
            found.append(Import(int(own), int(whole), (len(name) - len(name.lstrip()) - 1) // 2, name.strip()))
    return found


def heaviest(found: Iterable[Import], top: int) -> list[str]:
    """Sum own times by distribution, roughly: by the first part of the name."""
    sums: dict[str, int] = {}
    for one in found:
        package = one.name.partition(".")[0]
        sums[package] = sums.get(package, 0) + one.own_us
    ranked = sorted(sums.items(), key=lambda item: -item[1])
    total = sum(sums.values())
    lines = [f"imports of {MODULE}: {total / 1000:.0f} ms"]
    return lines + [f"{us / 1000:7.1f} ms  {name}" for name, us in ranked[:top]]


async def run() -> None:
    """Measure."""
    end_on_signal()
    async with stub_and_load(9780) as load_:
        await measured(load_)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--top", type=int, default=15, help="packages to show")
    options = parser.parse_args()
    uvloop.run(run())
    imports(MODULE)  # the first one may compile
    print("\n".join(heaviest(imports(MODULE), options.top)))


if __name__ == "__main__":
    main()
