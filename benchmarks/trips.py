"""The way of one prompt to the database: transactions, statements and round trips, in order, with times.

    python -m benchmarks.trips [--target agentcore:openai-ws]

Times count from just before the prompt was sent; ``|`` in a list of statements is where an answer is waited for, and
the COMMIT is one more wait.  The medians of several runs are printed.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from benchmarks.compare import end_on_signal
from benchmarks.load import Load, stub_and_load
from benchmarks.target import load
from benchmarks.targets.agentcore import Agentcore

RUNS = 9
Seen = dict[str, Any]


class Traced(Agentcore):
    """A server that writes down its transactions."""

    @property
    def trace(self) -> Path:
        """The file that it writes."""
        return self.work / "trips.jsonl"

    def command(self) -> Sequence[str]:
        """Start it wrapped."""
        program = super().command()[0]
        return [program, "-m", "benchmarks.traced", *super().command()[3:]]

    def environment(self) -> Mapping[str, str]:
        """Say where to write."""
        root = Path(__file__).parent.parent
        return {**super().environment(), "TRIPS_FILE": str(self.trace), "PYTHONPATH": f"{root}:{root / 'src'}"}


async def traced(load_: Load, target: Traced) -> tuple[list[Seen], list[tuple[str, float]]]:
    """Run one prompt; return its transactions, and when things happened."""
    session = await target.create_session()
    if target.reader == "sse":
        await load_.run(target, session, 1)  # so that both readers are looked at in a session that is known
    target.trace.write_bytes(b"")
    ran = await load_.run(target, session, 3, delay_ms=5)
    call = (await load_.calls(ran.id))[0]
    transactions = [msgspec.json.decode(line) for line in target.trace.read_bytes().splitlines()]
    for one in transactions:
        one["began"], one["ended"] = (one["began"] - ran.began) / 1e6, (one["ended"] - ran.began) / 1e6
        one["waits"] = [wait / 1e6 for wait in one["waits"]]
    marks = {"the provider is called": call["t_req"], "first delta is heard": ran.meter.first or 0, "over": ran.ended}
    return transactions, [(name, (at - ran.began) / 1e6) for name, at in marks.items()]


def shown(runs: Sequence[tuple[list[Seen], list[tuple[str, float]]]]) -> str:
    """Show the medians of runs that made the same transactions."""
    usual = statistics.mode(len(transactions) for transactions, _ in runs)
    alike = [run for run in runs if len(run[0]) == usual]
    rows: list[tuple[float, str]] = []
    for place, one in enumerate(alike[0][0]):
        same = [run[0][place] for run in alike]
        began = statistics.median(s["began"] for s in same)
        took = statistics.median(s["ended"] - s["began"] for s in same)
        trips = one["statements"].count("|") + 1
        rows.append((began, f"{began:7.2f} ms  {took:5.2f} ms  {trips} trips  {' '.join(one['statements'])}"))
    for place, (name, _) in enumerate(alike[0][1]):
        at = statistics.median(run[1][place][1] for run in alike)
        rows.append((at, f"{at:7.2f} ms  -- {name}"))
    total = sum(one["statements"].count("|") + 1 for one in alike[0][0])
    head = f"{usual} transactions, {total} round trips, {len(alike)} of {len(runs)} runs alike"
    return "\n".join([head, *(line for _, line in sorted(rows))])


async def run(name: str) -> str:
    """Trace a few runs."""
    end_on_signal()
    async with stub_and_load(9680) as load_:
        plain = load(name, 9690, load_.stub_url)
        target = Traced(9690, load_.stub_url, plain.variant)
        try:
            await target.start()
            for _ in range(5):
                await load_.run(target, await target.create_session(), 20)
            return shown([await traced(load_, target) for _ in range(RUNS)])
        finally:
            await target.stop()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="agentcore:openai-ws")
    print(uvloop.run(run(parser.parse_args().target)))


if __name__ == "__main__":
    main()
