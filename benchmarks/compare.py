"""Targets side by side against one stub provider, in rounds that interleave.

In each round each target in turn is started with empty storage, warmed up, measured and stopped.  One line of JSON is
appended for each; ``python -m benchmarks.report`` makes tables and plots of them.

    python -m benchmarks.compare --targets direct,handrolled:raw,agentcore:openai-ws --rounds 3 --metrics abcd
"""

import argparse
import asyncio
import gc
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop
from benchmarks import proctree
from benchmarks.load import Gauge, Load, stub_and_load
from benchmarks.metrics import Metrics, Row
from benchmarks.places import home
from benchmarks.target import Target, load

OURS = ("agentcore:openai-ws", "agentcore:openai-sse", "agentcore:anthropic-ws")
DEFAULT = ("direct:openai", "direct:sdk-openai", "handrolled:raw", "handrolled:openai", *OURS)
SHOWN = frozenset(
    {
        *(
            "ttft_ms_p50",
            "lat_ms_p50",
            "lat_ms_p99",
            "deltas_per_s",
            "cpu_s_per_1k",
            "runs_per_s",
            "ratio100",
            "ratio500",
        ),
        *("mb_per_1k_used", "missing", "n_errors", "failed", "foreign_cores"),
    }
)


async def measured(load_: Load, target: Target, options: argparse.Namespace) -> Row:
    """Start a target, measure it, stop it."""
    row: Row = {"target": target.label, "notes": target.notes, "time": time.time(), "load1": os.getloadavg()[0]}
    try:
        row["cold_start_s"] = await target.start(fresh=True)
        await asyncio.sleep(1.0)
        row["idle_rss_mb"] = proctree.rss_mb(target.pids())
        row["idle_helpers_pss_mb"] = proctree.pss_mb(target.helpers())
        row["processes"] = len(proctree.tree(target.pids()))
        row["first_run_ms"] = (await load_.run(target, await target.create_session(), 3)).ms
        for _ in range(6):
            await load_.run(target, await target.create_session(), 50)
        row["engine_rss_mb"] = proctree.rss_mb(target.pids())
        metrics = Metrics(load_, target, options.turns, options.turn_limit)
        for name in options.metrics:
            gc.collect()
            waited = await load_.quiet(target, options.quiet_wait)
            gauge = Gauge(target, load_.stub_pid)
            try:
                row[name] = await metrics.measure(name)
            except Exception as error:  # noqa: BLE001 - one metric of one target; the others go on
                row[name] = {"failed": repr(error)[:300]}
            row[name].setdefault("foreign_cores", gauge.spent().foreign_cores)
            row[name]["quiet_waited_s"] = waited
        row["rss_after_mb"] = proctree.rss_mb(target.pids())
    except Exception as error:  # noqa: BLE001 - the same
        row["failed"] = repr(error)[:500]
    finally:
        await target.stop()
    return row


def end_on_signal() -> None:
    """Let signals cancel the main task, so that what was started is stopped; one of a background job ignores SIGINT."""
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def run(options: argparse.Namespace) -> None:
    """Do what was asked."""
    end_on_signal()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    async with stub_and_load(options.stub_port) as load_:
        for number in range(options.rounds):
            for place, name in enumerate(options.targets.split(",")):
                began = time.monotonic()
                row = await measured(load_, load(name, options.port + place, load_.stub_url), options)
                row["round"] = number
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"[{number}] {row['target']:24} {time.monotonic() - began:4.0f} s  {_brief(row)}", flush=True)


def _brief(row: Row) -> str:
    said: dict[str, Any] = {"cold": round(row.get("cold_start_s", 0.0), 2)}
    for metric in "abcdef":
        for name, value in row.get(metric, {}).items():
            if name in SHOWN and value:
                said[f"{metric}.{name}"] = round(value, 3) if isinstance(value, float) else value
    return f"{said} {row.get('failed', '')}"


def parser(description: str | None, *, port: int, out: str) -> argparse.ArgumentParser:
    """Return what the commands have in common."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--targets", default=",".join(DEFAULT), help="NAME or NAME:VARIANT, with commas between")
    found.add_argument("--port", type=int, default=port, help="first port of the servers")
    found.add_argument("--stub-port", type=int, default=port - 10)
    found.add_argument("--out", type=Path, default=home() / "results" / out)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line."""
    options = parser(__doc__, port=9400, out="compare.jsonl")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--metrics", default="abcd")
    options.add_argument("--turns", type=int, default=100, help="of metric e")
    options.add_argument("--turn-limit", type=float, default=240, help="seconds that metric e may take")
    options.add_argument("--quiet-wait", type=float, default=6, help="seconds to wait for a quiet machine")
    with suppress(asyncio.CancelledError):  # by a signal, after what was started was stopped
        uvloop.run(run(options.parse_args(arguments)))


if __name__ == "__main__":
    main()
