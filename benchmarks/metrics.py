"""The metrics a to f: each loop is bounded in number and in time.

a  TTFT: 60 fresh sessions one after the other, a run of 3 deltas each.  What the server adds: from just before the
   request to the first delta at the client, less what the stub took between request and first delta.
b  latency of a delta: 3 runs of 200, 5 ms apart, one at a time; receipt less stamp, all deltas pooled.
c  throughput: 32 runs at once of 200 deltas of 32 characters, no delay, for at least 3 s; CPU of the server per 1,000.
d  tiny runs: 16 workers, 240 sessions made beforehand, one run of one delta each.
e  growth: one session, N turns of 20 deltas; turn k is the median of turns k-4 to k, turn 5 that of 3 to 7.
f  memory: 1,000 sessions made at 16 at a time, then a run of one delta in each; growth of the server's memory.
"""

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen
from benchmarks import proctree
from benchmarks.load import Gauge, Load, Ran
from benchmarks.meter import percentile
from benchmarks.target import Target

Row = dict[str, Any]
PAUSE_S = 0.02  # between turns: a server may cut off a client that sends more than 50 frames a second
EVERY = (100, 200, 300, 400, 500)  # turns that are reported


@frozen
class Metrics:
    """Measures one target that runs."""

    load: Load
    target: Target
    turns: int = 100
    turns_s: float = 240.0

    async def measure(self, name: str) -> Row:
        """Measure one of ``a`` to ``f``."""
        of: dict[str, Callable[[], Awaitable[Row]]] = {
            "a": self.ttft,
            "b": self.latency,
            "c": self.throughput,
            "d": self.tiny_runs,
            "e": self.growth,
            "f": self.memory,
        }
        return await of[name]()

    async def ttft(self, n: int = 60, limit_s: float = 25.0) -> Row:
        """Metric a."""
        added: list[float] = []
        before: list[float] = []
        after: list[float] = []
        made: list[float] = []
        until = time.monotonic() + limit_s
        while len(added) < n and time.monotonic() < until:
            began = time.monotonic()
            session = await self.target.create_session()
            made.append((time.monotonic() - began) * 1000)
            ran = await self.load.run(self.target, session, 3)
            call = (await self.load.calls(ran.id))[0]
            first = ran.meter.first or ran.ended
            added.append((first - ran.began - call["t_first"] + call["t_req"]) / 1e6)
            before.append((call["t_req"] - ran.began) / 1e6)
            after.append((first - call["t_first"]) / 1e6)
        return {
            "ttft_ms_p50": percentile(added, 50),
            "ttft_ms_p99": percentile(added, 99),
            "pre_llm_ms_p50": percentile(before, 50),
            "post_llm_ms_p50": percentile(after, 50),
            "create_ms_p50": percentile(made, 50),
            "n": len(added),
        }

    async def latency(self, runs: int = 3, n: int = 200) -> Row:
        """Metric b."""
        latencies: list[float] = []
        missing = 0
        for _ in range(runs):
            ran = await self.load.run(self.target, await self.target.create_session(), n, delay_ms=5)
            latencies += [latency / 1e6 for latency in ran.meter.latencies]
            missing += n - ran.meter.seen
        return {
            "lat_ms_p50": percentile(latencies, 50),
            "lat_ms_p99": percentile(latencies, 99),
            "lat_ms_max": max(latencies, default=None),
            "missing": missing,
        }

    async def throughput(self, at_once: int = 32, n: int = 200, least_s: float = 3.0, waves: int = 4) -> Row:
        """Metric c."""
        wall = server = helpers = foreign = 0.0
        deltas = asked = 0
        errors: list[str] = []
        for _ in range(waves):
            sessions = [await self.target.create_session() for _ in range(at_once)]
            gc.collect()
            gauge = Gauge(self.target, self.load.stub_pid)
            runs = (self.load.run(self.target, session, n, keeps=False, limit_s=100) for session in sessions)
            done = await asyncio.gather(*runs, return_exceptions=True)
            spent = gauge.spent()
            wall, server, helpers = wall + spent.wall, server + spent.server, helpers + spent.helpers
            foreign += spent.foreign
            asked += at_once * n
            deltas += sum(one.meter.seen for one in done if isinstance(one, Ran))
            errors += [repr(one)[:200] for one in done if isinstance(one, BaseException)]
            if deltas < asked or wall >= least_s:
                break
        thousands = deltas / 1000 or 1
        return {
            "deltas_per_s": deltas / wall,
            "missing": asked - deltas,
            "cpu_s_per_1k": server / thousands,
            "helpers_cpu_s_per_1k": helpers / thousands,
            "server_cores": server / wall,
            "foreign_cores": foreign / wall,
            "errors": errors[:3],
            "n_errors": len(errors),
        }

    async def tiny_runs(self, at_once: int = 16, runs: int = 240, limit_s: float = 15.0) -> Row:
        """Metric d."""
        sessions: list[str] = []
        until = time.monotonic() + limit_s
        while len(sessions) < runs and time.monotonic() < until:
            sessions.append(await self.target.create_session())
        taken: list[float] = []
        errors: list[str] = []
        until = time.monotonic() + limit_s

        async def work() -> None:
            while sessions and time.monotonic() < until and len(errors) < 20:
                try:
                    ran = await self.load.run(self.target, sessions.pop(), 1, keeps=False, limit_s=60)
                except Exception as error:  # noqa: BLE001 - counted: what a server does under load is what is measured
                    errors.append(repr(error)[:200])
                    continue
                if ran.meter.seen == 1:
                    taken.append(ran.ms)
                else:
                    errors.append(f"{ran.meter.seen} deltas of 1")

        gauge = Gauge(self.target, self.load.stub_pid)
        await asyncio.gather(*(work() for _ in range(at_once)))
        spent = gauge.spent()
        done = len(taken) or 1
        return {
            "runs_per_s": len(taken) / spent.wall,
            "run_ms_p50": percentile(taken, 50),
            "run_ms_p99": percentile(taken, 99),
            "cpu_ms_per_run": 1000 * spent.server / done,
            "helpers_cpu_ms_per_run": 1000 * spent.helpers / done,
            "foreign_cores": spent.foreign_cores,
            "errors": errors[:3],
            "n_errors": len(errors),
        }

    async def growth(self, n: int = 20) -> Row:
        """Metric e."""
        session = await self.target.create_session()
        taken: list[float] = []
        cpu: list[float] = []
        until = time.monotonic() + self.turns_s
        while len(taken) < self.turns and time.monotonic() < until:
            gauge = Gauge(self.target, self.load.stub_pid)
            ran = await self.load.run(self.target, session, n)
            spent = gauge.spent()
            await asyncio.sleep(PAUSE_S)
            taken.append(ran.ms)
            cpu.append(1000 * (spent.server + spent.helpers))
        row: Row = {"turns_done": len(taken)}
        if len(taken) > 12:
            early = statistics.median(taken[2:7])
            row |= {"turn5_ms": early, "cpu_ms_turn5": statistics.mean(cpu[2:12])}
            for k in (k for k in EVERY if len(taken) >= k):
                late = statistics.median(taken[k - 5 : k])
                row |= {f"turn{k}_ms": late, f"ratio{k}": late / early}
                row[f"cpu_ms_turn{k}"] = statistics.mean(cpu[k - 20 : k])
        return row

    async def memory(self, n: int = 1000, at_once: int = 16, limit_s: float = 60.0) -> Row:
        """Metric f."""
        target = self.target
        for _ in range(30):
            await self.load.run(target, await target.create_session(), 1)
        before, helpers = await self._settled()
        sessions: list[str] = []
        errors = 0
        left = n

        async def make() -> None:
            nonlocal left
            while left > 0 and time.monotonic() < until:
                left -= 1
                sessions.append(await target.create_session())

        until = time.monotonic() + limit_s
        began = time.monotonic()
        await asyncio.gather(*(make() for _ in range(at_once)))
        made, took = len(sessions), time.monotonic() - began
        created, _ = await self._settled()

        async def use() -> None:
            nonlocal errors
            while sessions and time.monotonic() < until:
                ran = await self.load.run(target, sessions.pop(), 1, keeps=False, limit_s=60)
                errors += ran.meter.seen != 1

        until = time.monotonic() + limit_s
        await asyncio.gather(*(use() for _ in range(at_once)))
        used, helpers_used = await self._settled()
        ran = made - len(sessions)
        grown = 1000 * (created - before) / max(made, 1)
        return {
            "created": made,
            "creates_per_s": made / took,
            "ran": ran,
            "n_errors": errors,
            "mb_per_1k_created": grown,
            "mb_per_1k_used": grown + 1000 * (used - created) / max(ran, 1),
            "helpers_pss_growth_mb": helpers_used - helpers,
        }

    async def _settled(self) -> tuple[float, float]:
        await asyncio.sleep(1)
        return proctree.rss_mb(self.target.pids()), proctree.pss_mb(self.target.helpers())
