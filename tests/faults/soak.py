"""A soak: servers under load, and every few seconds something is killed; then the books are compared.

    python -m tests.faults.soak --minutes 10

Prints one table.  Exit status 1 if anything was lost, doubled, missing or unbilled, or if too little was completed.
"""

import argparse
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import anyio
import httpx2
import structlog
from anyio import to_thread
from anyio.abc import TaskGroup
from attrs import define, field
from tests.faults.clients import Client, Facts
from tests.faults.judge import Verdict, judge
from tests.faults.site import Site, a_site, environment
from tests.support.consumer import Consumer, consumer

from agentcore_adapters.testing.provider import StubProvider, stub_provider

FAULTS = {"kill -9": 4, "database kill -9": 2, "database restart": 2, "SIGTERM": 1, "SIGSTOP": 1}
SWEEP_S = 2.0
UP_S = 5.0  # a server that starts needs a while itself on a machine that is busy


@define(eq=False)
class Soak:
    """A site, its clients, and what befalls it."""

    site: Site
    http: httpx2.AsyncClient
    random: Random
    ttl_s: float
    ends_at: float
    facts: Facts = field(factory=Facts)

    async def run(self, clients: int, pause_s: float) -> None:
        """Let everything work until the time is up, then let clients finish what they have begun."""
        async with anyio.create_task_group() as readers:
            async with anyio.create_task_group() as tasks:
                for number in range(clients):
                    client = Client(self.site, self.facts, self.http, Random(f"client {number}"))
                    tasks.start_soon(self._converse, client, readers)
                tasks.start_soon(self._befall, pause_s)
                tasks.start_soon(self._report)
            readers.cancel_scope.cancel()

    @property
    def is_over(self) -> bool:
        """Whether nothing new is begun."""
        return time.monotonic() >= self.ends_at

    async def _befall(self, pause_s: float) -> None:
        while not self.is_over:
            await anyio.sleep(self.random.uniform(0.5, 1.5) * pause_s)
            kind = self.random.choices(list(FAULTS), list(FAULTS.values()))[0]
            node = self.random.choice(self.site.nodes)
            await self.site.befall(kind, node, self.ttl_s * 1.3)

    async def _report(self) -> None:
        while not self.is_over:
            await anyio.sleep(min(30.0, max(0.1, self.ends_at - time.monotonic())))
            sys.stderr.write(f"{len(self.facts.accepted)} accepted, {len(self.site.faults)} faults\n")

    async def _converse(self, client: Client, readers: TaskGroup) -> None:
        random = client.random
        while not self.is_over:
            session, task = await client.post(self._prompt(random), None, **self._asked(random))
            reader = client.read(session, readers)
            for _ in range(random.randint(1, 4)):
                task = await self._meddle(client, session, task, random)
                await client.ended(reader, task)
                if self.is_over:
                    break
                _, task = await client.post(self._prompt(random), session, **self._asked(random))
            await client.ended(reader, task)

    async def _meddle(self, client: Client, session: str, task: str, random: Random) -> str:
        """Stop it, inject into it, supersede it, or leave it alone; return the task that is to be waited for."""
        what = random.random()
        if what < 0.6:
            return task
        await anyio.sleep(random.uniform(0, 1.5))
        if what < 0.75:
            await client.stop(task)
            return task
        if what < 0.85:
            injected = await client.inject(task, self._prompt(random))
            return injected[1] if injected else task
        return (await client.post(self._prompt(random), session, **self._asked(random)))[1]

    def _prompt(self, random: Random) -> str:
        words, pause = random.choice([(5, 0.0), (60, 0.01), (100, 0.02), (400, 0.005), (30, 0.1)])
        trouble = random.choices(["", "[[err_mid]]", "[[drop]]", "[[eof]]", "[[hang]]"], [20, 1, 1, 1, 1])[0]
        return f"[[words:{words}]] [[slow:{pause}]] {trouble}"

    def _asked(self, random: Random) -> dict[str, str | float]:
        return {"onCrash": random.choice(["fail", "resume", "restart_if_pure"]), "deadlineSeconds": 20}


async def soak(minutes: float, pause_s: float, ttl_s: float, nodes: int, clients: int, seed: int) -> bool:
    """Run it and print the table; return whether it was good."""
    folder = Path(tempfile.mkdtemp(prefix="ac-"))
    async with stub_provider() as provider, consumer() as books, httpx2.AsyncClient(timeout=10.0) as http:
        env = environment(provider.url, books.url, 1.0)
        async with a_site(folder, env, "--ttl", str(ttl_s), nodes=nodes) as site:
            for node in site.nodes:
                await node.start()
            began = time.monotonic()
            run = Soak(site, http, Random(seed), ttl_s, began + minutes * 60)
            async with anyio.create_task_group() as tasks:
                # Readers go on until the judge has seen them at the head of their logs.
                await run.run(clients, pause_s)
                for reader in run.facts.readers:
                    tasks.start_soon(Client(site, run.facts, http, Random(reader.session_id)).follow, reader)
                verdict = await judge(site, run.facts, provider, books)
                tasks.cancel_scope.cancel()
            seconds = time.monotonic() - began
            is_good = show(site, verdict, provider, books, seconds, ttl_s)
    if is_good:
        await to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))
    else:
        sys.stdout.write(f"kept: {folder}\n")
    return is_good


def show(site: Site, verdict: Verdict, provider: StubProvider, books: Consumer, seconds: float, ttl_s: float) -> bool:
    """Print the table."""
    kinds = Counter(fault.kind for fault in site.faults)
    took = sorted(verdict.recovered_s)
    bound = ttl_s + SWEEP_S * ttl_s / 15 + UP_S

    def at(part: float) -> str:
        return f"{took[min(len(took) - 1, int(len(took) * part))]:.1f} s" if took else "-"

    rows: list[tuple[str, object]] = [
        ("seconds", round(seconds)),
        ("servers, lease", f"{len(site.nodes)}, {ttl_s:g} s"),
        ("faults", sum(kinds.values())),
        *((f"  {kind}", number) for kind, number in sorted(kinds.items())),
        ("accepted", verdict.accepted),
        ("completed", verdict.completed),
        ("cancelled, failed", f"{verdict.cancelled}, {verdict.failed}"),
        ("lost", f"{verdict.lost} of {verdict.accepted}"),
        ("doubled", f"{verdict.doubled} of {verdict.accepted}"),
        ("undone", f"{verdict.undone} of {verdict.accepted}"),
        ("gaps", f"{verdict.gaps} of {verdict.cuts} cut streams"),
        ("stream resets", verdict.resets),
        ("unbilled", f"{verdict.unbilled} of {len(provider.calls)} calls"),
        ("billed and cut off before it was sent", verdict.unsent),
        ("usage events not counted once", f"{verdict.untold} of {len(books.counted)} ({books.requests} posts)"),
        ("recovered tasks", len(took)),
        ("recovery p50, p99, max", f"{at(0.5)}, {at(0.99)}, {at(1.0)} (lease + sweep + start: {bound:.1f} s)"),
    ]
    for name, value in rows:
        sys.stdout.write(f"{name:<40}{value}\n")
    for line in verdict.broken[:20]:
        sys.stdout.write(f"BROKEN {line}\n")
    has_worked = verdict.completed >= verdict.accepted / 3
    is_in_time = not took or took[-1] <= bound
    return verdict.is_good and has_worked and is_in_time


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between faults, on average")
    parser.add_argument("--ttl", type=float, default=3.0, help="seconds of a lease")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    is_good = anyio.run(soak, options.minutes, options.pause, options.ttl, options.nodes, options.clients, options.seed)
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
