"""How agentcore bears many of a kind: subscribers of one session, sessions of one tenant, events of one log.

    python -m benchmarks.scale [--subscribers 1,100,1000] [--parts subscribers,live,tasks,sessions,replay]

subscribers  sockets on one session while a run of 200 deltas, 5 ms apart, is told: CPU of the server for each delta
             that is delivered, the worst-served one, latency at one of them, memory for each socket that waits
sessions     10,000 of one tenant (rows like those the server writes): time of the first page and of the last
tasks        10,000 in sessions of their own, eight at a time, each heard to its end: memory at their end, and before
live         50 at once that nobody hears: memory for each
replay       a log of 10,000 events read to its head, by a new socket and as server-sent events
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence

import msgspec
import psycopg
import uvloop
from aiohttp import ClientWebSocketResponse
from benchmarks import proctree
from benchmarks.compare import end_on_signal
from benchmarks.load import Gauge, Load, stub_and_load
from benchmarks.meter import Meter, percentile
from benchmarks.target import answered
from benchmarks.targets.agentcore import API, Agentcore

MANY, DELTAS, PAGE = 10_000, 200, 50
PARTS = ("subscribers", "live", "tasks", "sessions", "replay")
SESSIONS = """
    INSERT INTO agentcore.session (tenant_id, id, owner_sub, engine, title, voice_mode, status, version, created_at,
                                   updated_at)
    SELECT s.tenant_id, gen_random_uuid(), s.owner_sub, s.engine, s.title, s.voice_mode, s.status, 1,
           s.created_at - make_interval(secs => i), s.updated_at
    FROM (SELECT * FROM agentcore.session LIMIT 1) s, generate_series(1, %s) i"""
EVENTS = """
    INSERT INTO agentcore.session_event (tenant_id, session_id, seq, text_pos, task_id, attempt, event, created_at)
    SELECT e.tenant_id, e.session_id, h.head + i, h.text_pos, e.task_id, e.attempt, e.event, e.created_at
    FROM agentcore.log_head h JOIN agentcore.session_event e USING (tenant_id, session_id), generate_series(1, %s) i
    WHERE h.session_id = %s AND e.event ->> 'type' = 'usage_settled'"""
HEAD = "UPDATE agentcore.log_head SET head = head + %s WHERE session_id = %s"


async def subscribers(load: Load, target: Agentcore, n: int) -> str:
    """Tell one run to *n* sockets."""
    session = await target.create_session()
    url = f"{target.base}{API}/sessions/{target.held[session].id}/stream"
    before = proctree.rss_mb(target.pids())
    sockets = [await target.http.ws_connect(url, params={"after": "latest"}) for _ in range(n)]
    await asyncio.sleep(1)
    each_kb = (proctree.rss_mb(target.pids()) - before) * 1000 / n
    meters = [Meter(keeps=not place) for place in range(n)]
    gauge = Gauge(target, load.stub_pid)
    readers = [asyncio.create_task(_read(*pair)) for pair in zip(sockets, meters, strict=True)]
    await load.run(target, session, DELTAS, delay_ms=5, keeps=False)
    await asyncio.gather(*readers)
    spent = gauge.spent()
    seen = [meter.seen for meter in meters]
    latency = (percentile(meters[0].latencies, 50) or 0) / 1e6
    for socket in sockets:
        await socket.close()
    cost = 1e6 * spent.server / (sum(seen) + DELTAS)
    return (
        f"{n:5} subscribers: {cost:6.1f} us of CPU for a delta delivered, the worst-served had {min(seen)}, "
        f"latency at one of them {latency:.2f} ms, {each_kb:.0f} kB each"
    )


async def _read(socket: ClientWebSocketResponse, meter: Meter) -> None:
    async for message in socket:
        frame = msgspec.json.decode(message.data)
        if frame["type"] == "text":
            meter.feed(frame["content"])
        elif frame["type"] == "completed":
            return


async def sessions(target: Agentcore) -> str:
    """List many sessions by page."""
    await asyncio.to_thread(_execute, target, (SESSIONS, (MANY,)))
    taken: list[float] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
        began = time.perf_counter()
        async with target.http.get(f"{target.base}{API}/sessions", params=params) as response:
            cursor = msgspec.json.decode(await answered(response))["nextCursor"]
        taken.append(1000 * (time.perf_counter() - began))
    half = len(taken) // 2
    early, late = statistics.median(taken[:half]), statistics.median(taken[half:])
    return f"{MANY} sessions: a page of {PAGE} in {early:.1f} ms (the newest half), {late:.1f} ms (the oldest half)"


async def replay(target: Agentcore) -> str:
    """Read a long log from its beginning."""
    held = target.held[await target.create_session()]
    await asyncio.to_thread(_execute, target, (EVENTS, (MANY, held.id)), (HEAD, (MANY, held.id)))
    taken = [statistics.median([await read(target, held.id) for _ in range(5)]) for read in (_by_socket, _by_sse)]
    return f"replay of {MANY} events: {taken[0]:.0f} ms on a socket, {taken[1]:.0f} ms as server-sent events"


async def _by_socket(target: Agentcore, session_id: str) -> float:
    began, seen = time.perf_counter(), 0
    async with target.http.ws_connect(f"{target.base}{API}/sessions/{session_id}/stream", max_msg_size=0) as socket:
        while seen < MANY:
            seen += '"usage"' in (await socket.receive()).data
    return 1000 * (time.perf_counter() - began)


async def _by_sse(target: Agentcore, session_id: str) -> float:
    began, seen, held = time.perf_counter(), 0, b""
    accept = {"Accept": "text/event-stream"}
    async with target.http.get(f"{target.base}{API}/sessions/{session_id}/events", headers=accept) as answer:
        while seen < MANY:
            *lines, held = (held + await answer.content.readany()).split(b"\n")
            seen += lines.count(b"event: usage")
    return 1000 * (time.perf_counter() - began)


async def tasks(target: Agentcore) -> str:
    """Run many, and see what is left of them."""
    taken: list[float] = []

    async def worker(left: list[None]) -> None:
        while left:
            left.pop()
            await target.hang_up(await target.create_session())  # which runs one

    for n in (1000, MANY - 1000):
        left = [None] * n
        await asyncio.gather(*(worker(left) for _ in range(8)))
        await asyncio.sleep(1)
        taken.append(proctree.rss_mb(target.pids()))
    return f"{MANY} tasks: {taken[0]:.0f} MB after the first 1,000, {taken[1]:.0f} MB after all"


async def live(load: Load, target: Agentcore) -> str:
    """Let many tasks run whose streams nobody hears."""
    n, spacing_ms = 50, 50.0
    ids = [
        await target.post(load.prompt(2, 1.0)[1]) for _ in range(n)
    ]  # what one more of them costs, and not the first
    await _all_over(target, ids)
    before = proctree.rss_mb(target.pids())
    ids = [await target.post(load.prompt(200, spacing_ms)[1]) for _ in range(n)]
    await asyncio.sleep(4)
    each_kb = (proctree.rss_mb(target.pids()) - before) * 1000 / n
    running = [await target.task(task_id) for task_id in ids]
    await _all_over(target, ids)
    return f"{running.count('running')} live tasks: {each_kb:.0f} kB each"


async def _all_over(target: Agentcore, ids: Sequence[str]) -> None:
    while [True for task_id in ids if await target.task(task_id) != "completed"]:
        await asyncio.sleep(0.2)


def _execute(target: Agentcore, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Write as the owner of the embedded database."""
    lines = (target.work / "data" / "postgres" / "postmaster.pid").read_text().splitlines()
    with psycopg.connect(host=lines[4], port=5432, user="agentcore", dbname="agentcore") as connection:
        for statement, values in statements:
            connection.execute(statement.encode(), values)


async def measured(load: Load, target: Agentcore, part: str, count: int) -> str:
    """Measure one part."""
    match part:
        case "subscribers":
            return await subscribers(load, target, count)
        case "live":
            return await live(load, target)
        case "tasks":
            return await tasks(target)
        case "sessions":
            return await sessions(target)
        case _:
            return await replay(target)


async def run(counts: Sequence[int], parts: Sequence[str]) -> None:
    """Measure and print."""
    end_on_signal()
    async with stub_and_load(9880) as load:
        target = Agentcore(9890, load.stub_url)
        try:
            await target.start()
            for _ in range(5):
                await load.run(target, await target.create_session(), 20)
            for part in parts:
                for count in counts if part == "subscribers" else (0,):
                    print(await measured(load, target, part, count), flush=True)
        finally:
            await target.stop()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", default="1,100,1000")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of them, in the order wanted")
    given = parser.parse_args()
    parts = given.parts.split(",")
    if odd := sorted(set(parts) - set(PARTS)):
        parser.error(f"there is no part {', '.join(odd)}; there are {', '.join(PARTS)}")
    uvloop.run(run([int(count) for count in given.subscribers.split(",")], parts))


if __name__ == "__main__":
    main()
