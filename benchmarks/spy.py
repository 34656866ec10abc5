"""Where a server's time goes under a metric's load: py-spy on its process, stacks summed by frame.

    python -m benchmarks.spy agentcore:openai-ws --metric c --seconds 8

Prints own time by line and inclusive time by function; the raw stacks are kept for a flame graph.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import uvloop
from benchmarks import proctree
from benchmarks.compare import end_on_signal
from benchmarks.load import Load, stub_and_load
from benchmarks.metrics import Metrics
from benchmarks.places import home
from benchmarks.target import Target, load

HZ = 500


async def run(options: argparse.Namespace) -> Path:
    """Record, and return where the stacks are."""
    end_on_signal()
    async with stub_and_load(options.port - 10) as load_:
        target = load(options.target, options.port, load_.stub_url)
        try:
            await target.start()
            for _ in range(6):
                await load_.run(target, await target.create_session(), 50)
            return await _recorded(load_, target, options)
        finally:
            await target.stop()


async def _recorded(load_: Load, target: Target, options: argparse.Namespace) -> Path:
    out = home() / "results" / f"stacks-{target.label.replace(':', '-')}-{options.metric}.txt"
    out.parent.mkdir(parents=True, exist_ok=True)
    largest = max(proctree.tree(target.pids()), key=lambda pid: proctree.rss_mb([pid]))
    program = shutil.which("py-spy") or str(Path(sys.executable).with_name("py-spy"))
    command = [program, "record", "-p", str(largest), "-d", str(options.seconds), "-r", str(HZ), "-f", "raw"]
    command += ["-o", str(out)] if options.idle else ["-o", str(out), "--gil"]
    spy = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = Metrics(load_, target)
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        await metrics.measure(options.metric)
    await spy.wait()
    return out


def summary(path: Path, top: int) -> str:
    """Sum stacks: own time by line, inclusive time by function."""
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    total = 0
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in {frame.rsplit(":", 1)[0] for frame in frames}:
            inclusive[frame] += int(count)
    lines = [f"{total} samples", "own time"]
    lines += [f"{100 * count / total:5.1f} %  {frame}" for frame, count in own.most_common(top)]
    lines.append("inclusive")
    lines += [f"{100 * count / total:5.1f} %  {frame}" for frame, count in inclusive.most_common(2 * top)]
    return "\n".join(lines)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--metric", default="c", choices=list("abcde"))
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--top", type=int, default=40)
    parser.add_argument("--idle", action="store_true", help="count threads that wait, too")
    parser.add_argument("--port", type=int, default=9690)
    options = parser.parse_args()
    print(summary(uvloop.run(run(options)), options.top))


if __name__ == "__main__":
    main()
