"""How long readers of a cluster hear nothing when something breaks: three servers, PostgreSQL, three NATS servers.

    python -m tests.faults.recovery [--tasks 12] [--ttl 15] [--kinds kill -9,partition]

For each fault a cluster of its own: tasks that go on for a minute are driven by the last node and read on the others,
the fault befalls it (or what all stand on), and every task must come to its end with nothing lost, doubled or missing.
Prints a row for each: the longest that a reader heard nothing, and what the judge found.
"""

import argparse
import logging
import sys
import time
from random import Random

import anyio
import httpx2
import structlog
from attrs import define
from tests.faults.clients import Client, Json, Reader
from tests.faults.cluster import Cluster, a_cluster
from tests.faults.judge import judge
from websockets.exceptions import WebSocketException

from agentcore_http.app import API

KINDS = {
    "none": 0.0,
    "NATS kill -9": 10.0,
    "all NATS kill -9": 20.0,
    "SIGTERM": 0.0,
    "kill -9": 0.0,
    "SIGSTOP": 40.0,
    "partition": 40.0,
    "database restart": 0.0,
}
DRAIN_S = 5.0


@define(eq=False)
class Timed(Reader):
    """A reader with a clock."""

    heard_at: float = 0.0
    longest_s: float = 0.0

    def take(self, frame: Json) -> None:
        """Note how long it has heard no text."""
        now = time.monotonic()
        if frame["type"] in {"text", "stream_reset"}:
            if self.heard_at:
                self.longest_s = max(self.longest_s, now - self.heard_at)
            self.heard_at = now
        super().take(frame)


async def read(client: Client, reader: Timed) -> None:
    """Read on one node, and on another when it is gone."""
    while True:
        node = client.random.choice(client.site.nodes)
        try:
            await client._socket(f"{node.url}{API}/sessions/{reader.session_id}", reader)
        except (OSError, WebSocketException, httpx2.TransportError, EOFError):
            await anyio.sleep(0.05)


async def converse(cluster: Cluster, tasks: int, words: int) -> tuple[list[Timed], list[str]]:
    """Let the last node drive so many, and others read them."""
    *others, last = cluster.site.nodes
    readers: list[Timed] = []
    ids: list[str] = []
    for number in range(tasks):
        session, task = await cluster.at(last).post(f"[[words:{words}]] [[slow:0.02]]", onCrash="resume")
        reader = Timed(session)
        cluster.facts.readers.append(reader)
        client = cluster.at(*others)
        client.random = Random(number)
        cluster.tasks.start_soon(read, client, reader)
        readers.append(reader)
        ids.append(task)
    return readers, ids


async def try_(kind: str, lasts_s: float, tasks: int, ttl_s: float) -> str:
    """Let it happen, and return the row."""
    async with a_cluster("--ttl", str(ttl_s), is_apart=kind == "partition", drain_s=DRAIN_S) as cluster:
        for node in cluster.site.nodes:  # whose engine is loaded when it is first used
            session, task = await cluster.at(node).post("[[say:warm]]")
            await cluster.client.ended(cluster.client.read(session, cluster.tasks), task)
        words = int((lasts_s + 2 * ttl_s + 10) * 50)
        readers, ids = await converse(cluster, tasks, words)
        for reader, task in zip(readers, ids, strict=True):
            await cluster.client.said(reader, task, 100)
        if kind != "none":
            await cluster.site.befall(kind, cluster.site.nodes[-1], lasts_s)
        for reader, task in zip(readers, ids, strict=True):
            await cluster.client.ended(reader, task)
        verdict = await judge(cluster.site, cluster.facts, cluster.provider, cluster.books)
        silences = sorted(reader.longest_s for reader in readers)
        completed = verdict.completed - len(cluster.site.nodes)
        resets = sum(len(reader.resets) for reader in readers)
        found = "nothing" if verdict.is_good and completed == tasks else f"{verdict}"
        silence = f"{silences[len(silences) // 2]:.1f}, {silences[-1]:.1f}"
        return f"| {kind} | {lasts_s:g} | {silence} | {completed} of {tasks} | {resets} | {found} |"


async def run(kinds: list[str], tasks: int, ttl_s: float) -> None:
    """Print the table."""
    say("| what happens | lasts, s | longest silence, s: median, worst | completed | resets | lost, doubled, missing |")
    say("|---|---|---|---|---|---|")
    for kind in kinds:
        say(await try_(kind, KINDS[kind], tasks, ttl_s))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=12)
    parser.add_argument("--ttl", type=float, default=15.0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    anyio.run(run, options.kinds.split(","), options.tasks, options.ttl)


if __name__ == "__main__":
    main()
