"""What several nodes cost and give: three servers, PostgreSQL, three NATS servers, on one machine.

    python -m benchmarks.cluster [--rounds 3] [--parts text,cancel,live,wait,work]

text    a run of 200 deltas, 20 ms apart, read on the node that drives it and on another: latency of a delta
cancel  driven on one node, read on a second, stopped at a third: until the provider's connection is closed, and until
        the reader is told; with the bus, and without any NATS server
live    tasks that say 20 deltas a second each, on one node: what a second of them costs if nobody reads, if each is
        read where it is driven, and if each is read on another node
wait    more tasks than a node may drive at a time, all posted to one node: how long they take with one and with three
work    the same work for one node and for three: runs per second and deltas per second, and what they cost: processor
        time of nodes, PostgreSQL and NATS, bytes of WAL and of NATS

Everything shares the cores of this machine, so three nodes are no three machines: what counts is the cost of each
piece of work, and its ratio.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import msgspec
import psycopg
import uvloop
from attrs import define, frozen
from benchmarks import proctree
from benchmarks.load import Load, stub_and_load
from benchmarks.meter import NOW, Meter, percentile
from tests.faults.cluster import Cluster, a_cluster
from tests.faults.site import Node

API = "/api/v1/agent"
WAL = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
decode = msgspec.json.decode


@frozen
class Cost:
    """What was spent: processor seconds, and bytes."""

    nodes: float
    postgres: float
    nats: float
    wal: float
    bus: float

    def __sub__(self, other: "Cost") -> "Cost":
        """Return what was spent since *other*."""
        return Cost(
            self.nodes - other.nodes,
            self.postgres - other.postgres,
            self.nats - other.nats,
            self.wal - other.wal,
            self.bus - other.bus,
        )


@define(eq=False)
class Bench:
    """A cluster, and who asks it."""

    cluster: Cluster
    load: Load
    http: aiohttp.ClientSession

    @property
    def nodes(self) -> list[Node]:
        """The servers."""
        return self.cluster.site.nodes

    async def post(self, node: Node, prompt: str, session: str | None = None) -> tuple[str, str]:
        """Ask at one node; return session and task."""
        body = {"prompt": prompt} | ({"sessionId": session} if session else {})
        async with self.http.post(f"{node.url}{API}/tasks", json=body) as answer:
            accepted = decode(await answer.read())
        return str(accepted["sessionId"]), str(accepted["taskId"])

    @asynccontextmanager
    async def reading(self, node: Node, session: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Read what comes from now on at one node, past the frame that says where that is."""
        url = f"{node.url}{API}/sessions/{session}/stream"
        async with self.http.ws_connect(url, params={"after": "latest"}, max_msg_size=0) as socket:
            await socket.receive()
            await asyncio.sleep(0.02)  # until the other nodes know of it
            yield socket

    async def session(self, node: Node) -> str:
        """Make one, with a first answer in it."""
        session, task = await self.post(node, self.load.prompt(1)[1])
        await self.over(node, task)
        return session

    async def over(self, node: Node, task: str, *, look_s: float = 0.01) -> None:
        """Wait for a task's end."""
        while True:
            async with self.http.get(f"{node.url}{API}/tasks/{task}") as answer:
                if decode(await answer.read())["status"] in {"completed", "cancelled", "failed"}:
                    return
            await asyncio.sleep(look_s)

    async def cost(self) -> Cost:
        """Say what was spent so far."""
        site = self.cluster.site
        nodes = [node.process.pid for node in self.nodes if node.process is not None]
        postmaster = site.postmaster()
        servers = site.nats.servers if site.nats else []
        bus = 0
        for server in servers:
            async with self.http.get(f"http://127.0.0.1:{server.monitor}/varz") as answer:
                said = decode(await answer.read())
            bus += said["in_bytes"]
        assert site.database is not None
        with psycopg.connect(site.database[1]) as connection:
            row = connection.execute(WAL).fetchone()
        return Cost(
            proctree.cpu_seconds(nodes),
            proctree.cpu_seconds([postmaster] if postmaster else []),
            proctree.cpu_seconds([server.process.pid for server in servers if server.process]),
            float(row[0]) if row else 0.0,
            float(bus),
        )


async def read(socket: aiohttp.ClientWebSocketResponse, meter: Meter) -> None:
    """Read to the end of a task."""
    async for message in socket:
        frame = decode(message.data)
        if frame["type"] == "text":
            meter.feed(frame["content"])
        elif frame["type"] in {"completed", "error", "cancelled"}:
            return


def figures(values: Sequence[float]) -> str:
    """Write median and worst but one in a hundred, in ms."""
    return f"p50 {(percentile(values, 50) or 0) / 1e6:.2f}, p99 {(percentile(values, 99) or 0) / 1e6:.2f} ms"


async def text(bench: Bench, rounds: int) -> None:
    """Read on both nodes at the same time."""
    here, there = bench.nodes[0], bench.nodes[1]
    session = await bench.session(here)
    found = {here.url: list[int](), there.url: list[int]()}
    async with bench.reading(here, session) as near, bench.reading(there, session) as far:
        for _ in range(rounds):
            meters = [Meter(), Meter()]
            readers = [asyncio.create_task(read(*pair)) for pair in zip((near, far), meters, strict=True)]
            await bench.post(here, bench.load.prompt(200, 20.0)[1], session)
            await asyncio.gather(*readers)
            for node, meter in zip((here, there), meters, strict=True):
                assert meter.seen == 200
                found[node.url] += meter.latencies
    print(f"  a delta, read where it is driven: {figures(found[here.url])}", flush=True)
    print(f"  a delta, read on another node:    {figures(found[there.url])}", flush=True)


async def cancel(bench: Bench, rounds: int) -> None:
    """Stop what is driven on one node and read on another, at a third."""
    here, there, third = bench.nodes
    closed: list[float] = []
    told: list[float] = []
    for _ in range(rounds):
        session = await bench.session(here)
        async with bench.reading(there, session) as socket:
            call, prompt = bench.load.prompt(2000, 20.0)
            _, task = await bench.post(here, prompt, session)
            await asyncio.sleep(0.3)
            began = NOW()

            async def stop(address: str = f"{third.url}{API}/tasks/{task}") -> None:
                async with bench.http.delete(address, params={"wait": "20"}) as answer:
                    await answer.read()

            stopping = asyncio.create_task(stop())
            await read(socket, Meter(keeps=False))
            told.append(NOW() - began)
            await stopping
            (seen,) = await bench.load.calls(call)
            closed.append(seen["t_closed"] - began)
    print(f"  a stop at a third node, until the provider's connection is closed: {figures(closed)}", flush=True)
    print(f"  the same, until a reader on another node is told: {figures(told)}", flush=True)


async def live(bench: Bench, tasks: int, seconds: int) -> None:
    """Let the first node drive *tasks* for so long, with no reader, with readers there, and with readers elsewhere."""
    here, there = bench.nodes[0], bench.nodes[1]
    sessions = [await bench.session(here) for _ in range(tasks)]
    for name, node in (("nobody reads", None), ("each read there", here), ("each read on another node", there)):
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(bench.reading(node, one)) for one in sessions] if node else []
            before, began = await bench.cost(), time.monotonic()
            posted = [await bench.post(here, bench.load.prompt(20 * seconds, 50.0)[1], one) for one in sessions]
            if sockets:
                await asyncio.gather(*(read(socket, Meter(keeps=False)) for socket in sockets))
            else:
                await asyncio.sleep(seconds)
            for _, task in posted:
                await bench.over(here, task, look_s=0.5)
            spent, lasted = await bench.cost() - before, time.monotonic() - began
        deltas = tasks * 20 * seconds / 1000
        print(
            f"  {tasks} tasks, {deltas / lasted:.1f} thousand deltas/s, {name}: each thousand "
            f"{1000 * spent.nodes / deltas:.0f} ms of nodes, {1000 * spent.postgres / deltas:.0f} of PostgreSQL, "
            f"{1000 * spent.nats / deltas:.1f} of NATS, {spent.wal / deltas / 1000:.0f} kB of WAL, "
            f"{spent.bus / deltas / 1000:.0f} kB of NATS",
            flush=True,
        )


async def wait(load: Load, nodes: int) -> float:
    """Post to one node five times what it may drive at a time; return how long all of it takes."""
    most, tasks = 10, 50
    async with a_bench(load, nodes=nodes, extra={"AGENTCORE_LIMITS_MAX_RUNNING_PER_NODE": str(most)}) as bench:
        for node in bench.nodes:
            await bench.session(node)
        began = time.monotonic()
        posted = [await bench.post(bench.nodes[0], load.prompt(40, 50.0)[1]) for _ in range(tasks)]
        for _, task in posted:
            await bench.over(bench.nodes[0], task, look_s=0.1)
        return time.monotonic() - began


async def work(bench: Bench, nodes: int) -> tuple[float, float]:
    """Let the first *nodes* do it; return runs and deltas per second."""
    some = bench.nodes[:nodes]

    async def many(count: int, at_once: int, deltas: int) -> tuple[float, Cost]:
        left = list(range(count))
        sessions = [await bench.session(some[number % nodes]) for number in range(at_once)]

        async def worker(number: int) -> None:
            node = some[number % nodes]
            async with bench.reading(node, sessions[number]) as socket:
                while left:
                    left.pop()
                    frame = {"type": "prompt", "id": "1", "prompt": bench.load.prompt(deltas)[1]}
                    await socket.send_str(msgspec.json.encode(frame).decode())
                    await read(socket, Meter(keeps=False))

        before, began = await bench.cost(), time.monotonic()
        await asyncio.gather(*map(worker, range(at_once)))
        return time.monotonic() - began, await bench.cost() - before

    tiny = 600
    seconds, spent = await many(tiny, 16, 1)
    runs = tiny / seconds
    print(
        f"  {nodes} node(s): {runs:.0f} tiny runs/s; each {1000 * spent.nodes / tiny:.2f} ms of nodes, "
        f"{1000 * spent.postgres / tiny:.2f} of PostgreSQL, {1000 * spent.nats / tiny:.3f} of NATS, "
        f"{spent.wal / tiny / 1000:.1f} kB of WAL, {spent.bus / tiny:.0f} bytes of NATS",
        flush=True,
    )
    deltas = 2000
    seconds, spent = await many(64, 32, deltas)
    total = 64 * deltas
    print(
        f"  {nodes} node(s): {total / seconds:.0f} deltas/s; each 1,000 {1000 * 1000 * spent.nodes / total:.1f} ms of "
        f"nodes, {1000 * 1000 * spent.postgres / total:.1f} of PostgreSQL, {1000 * 1000 * spent.nats / total:.2f} of "
        f"NATS, {spent.wal / total:.1f} kB of WAL, {spent.bus / total:.1f} kB of NATS",
        flush=True,
    )
    return runs, total / seconds


@asynccontextmanager
async def a_bench(
    load: Load, *, nodes: int = 3, servers: int = 3, extra: Mapping[str, str] | None = None
) -> AsyncIterator[Bench]:
    """Open a cluster whose model is the stub."""
    more = {"ANTHROPIC_BASE_URL": load.stub_url, "AGENTCORE_DEFAULT_ENGINE": "claude_api"}
    more |= {"AGENTCORE_LIMITS_MAX_RUNNING": "1000", **(extra or {})}
    as_many_as_are_wanted = aiohttp.TCPConnector(limit=0)
    async with (
        a_cluster(nodes=nodes, servers=servers, more=more) as cluster,
        aiohttp.ClientSession(connector=as_many_as_are_wanted) as http,
    ):
        yield Bench(cluster, load, http)


async def run(parts: Sequence[str], rounds: int) -> None:
    """Measure and print."""
    async with stub_and_load(9880) as load:
        for servers, name in ((3, "with NATS"), (0, "without")) if {"text", "cancel"} & set(parts) else ():
            async with a_bench(load, servers=servers) as bench:
                print(name, flush=True)
                if "text" in parts:
                    await text(bench, rounds)
                if "cancel" in parts:
                    await cancel(bench, 40 if servers else 10)
        if "live" in parts:
            async with a_bench(load) as bench:
                await live(bench, 200, 15)
        if "wait" in parts:
            took = [await wait(load, nodes) for nodes in (1, 3)]
            print(f"  50 tasks of 2 s, at most 10 a node: {took[0]:.1f} s with one, {took[1]:.1f} s with three")
        if "work" in parts:
            print("the same work, with NATS", flush=True)
            async with a_bench(load) as bench:
                for _ in range(rounds):
                    one, three = await work(bench, 1), await work(bench, 3)
                    print(f"  three to one: runs {three[0] / one[0]:.2f}, deltas {three[1] / one[1]:.2f}", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default="text,cancel,live,wait,work")
    options = parser.parse_args()
    uvloop.run(run(options.parts.split(","), options.rounds))


if __name__ == "__main__":
    main()
