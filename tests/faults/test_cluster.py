"""Three servers, PostgreSQL, three NATS servers: as on one node, and whatever befalls them costs time only."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import anyio
import msgspec
import pytest
from anyio import to_thread
from tests.faults.clients import Client
from tests.faults.cluster import Cluster, a_cluster
from tests.faults.network import cannot
from tests.faults.site import Node
from tests.faults.test_faults import make, work
from websockets.asyncio.client import connect

from agentcore_http.app import API

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TTL_S = 1.5
SLOW = "[[words:100]] [[slow:0.02]]"


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A data folder with a database that was made, brought up to date, and stopped."""
    with tempfile.TemporaryDirectory(prefix="ac-", ignore_cleanup_errors=True) as folder:
        anyio.run(make, Path(folder) / "data")
        yield Path(folder) / "data"


@asynccontextmanager
async def pieces_of(node: Node, session_id: str, found: list[dict[str, object]]) -> AsyncIterator[None]:
    """Read a session from its beginning on one node, frame by frame, as long as this is open."""
    address = f"{node.url.replace('http', 'ws', 1)}{API}/sessions/{session_id}/stream?after=0"

    async def read() -> None:
        async with connect(address, max_size=None) as socket:
            while True:
                found.append(msgspec.json.decode(await socket.recv()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        yield
        tasks.cancel_scope.cancel()


def texts(frames: list[dict[str, object]]) -> list[str]:
    return [str(frame["content"]) for frame in frames if frame["type"] == "text"]


async def until(frames: list[dict[str, object]], kind: str) -> None:
    with anyio.fail_after(30):
        while not any(frame["type"] == kind for frame in frames):
            await anyio.sleep(0.01)


async def test_E7_subscribe_on_other_node(template: Path) -> None:
    """Run on one, read on all: the same frames, word by word; without any NATS server the same, later."""
    async with a_cluster("--ttl", str(TTL_S), template=template) as cluster:
        first, second, third = cluster.site.nodes
        session, task = await cluster.at(first).post("[[say:begun]]")
        await cluster.at(first).ended(cluster.client.read(session, cluster.tasks), task)
        found: list[list[dict[str, object]]] = [[], [], []]
        async with (
            pieces_of(first, session, found[0]),
            pieces_of(second, session, found[1]),
            pieces_of(third, session, found[2]),
        ):
            for frames in found:
                await until(frames, "completed")
                frames.clear()
            await cluster.at(first).post(SLOW, session)
            for frames in found:
                await until(frames, "completed")
            here, *elsewhere = found
            assert len(texts(here)) > 50
            for frames in elsewhere:
                assert "".join(texts(frames)) == "".join(texts(here))
                assert [f.get("seq") for f in frames if "seq" in f] == [f.get("seq") for f in here if "seq" in f]
                assert len(texts(frames)) > len(texts(here)) / 2, "it came in the pieces in which it is stored"
                frames.clear()
            here.clear()
            assert cluster.site.nats is not None
            cluster.site.nats.kill()
            await cluster.at(first).post(SLOW, session)
            for frames in found:
                await until(frames, "completed")
            assert {"".join(texts(frames)) for frames in elsewhere} == {"".join(texts(here))}
            await to_thread.run_sync(cluster.site.nats.start)
        await cluster.verdict()


@pytest.mark.parametrize("servers", [3, 0])
async def test_S22_cancel_through_other_node(template: Path, servers: int) -> None:
    """Stopped, injected into and superseded through others than the one that drives; without NATS by the next beat."""
    async with a_cluster("--ttl", str(TTL_S), template=template, servers=servers) as cluster:
        first, second, third = cluster.site.nodes
        reader_at, asks = cluster.at(second), cluster.at(third)
        rounds = 3 if servers else 1
        for _ in range(rounds):
            session, task = await cluster.at(first).post("[[words:600]] [[slow:0.02]]", onCrash="resume")
            reader = reader_at.read(session, cluster.tasks)
            await reader_at.said(reader, task, 20)
            await asks.stop(task)
            assert await reader_at.ended(reader, task) == "cancelled"
            _, task = await cluster.at(first).post("[[words:600]] [[slow:0.02]]", session)
            await reader_at.said(reader, task, 20)
            injected = await asks.inject(task, "[[say:injected]]")
            assert injected is not None
            assert await reader_at.ended(reader, task) == "cancelled"
            assert await reader_at.ended(reader, injected[1]) == "completed"
        verdict = await cluster.verdict()
        assert (verdict.cancelled, verdict.completed) == (2 * rounds, rounds)


async def test_P8_approved_through_another_node(template: Path) -> None:
    async with a_cluster("--ttl", str(TTL_S), "--scripted", template=template) as cluster:
        first, second, third = cluster.site.nodes
        session, task = await cluster.at(first).post("[[say:so]] [[ask:rm:{}]] [[say:done]]", onCrash="resume")
        reader = cluster.at(second).read(session, cluster.tasks)
        with anyio.fail_after(20):
            while "approval_required" not in reader.seqs.values():
                await anyio.sleep(0.01)
            await cluster.at(third).approve(task, approved=True)
            assert await cluster.at(second).ended(reader, task) == "completed"


FAULTS = ["kill -9", "SIGTERM", "SIGSTOP", "NATS kill -9", "all NATS kill -9", "database restart"]


async def storm(cluster: Cluster, kinds: list[str]) -> None:
    """Let one thing after another happen to the last node, or to what it stands on, while everybody works."""

    async def befall() -> None:
        for kind in kinds:
            await anyio.sleep(0.5)
            await cluster.site.befall(kind, cluster.site.nodes[-1], TTL_S * 2)

    with anyio.fail_after(120):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(befall)
            for _ in range(2):
                tasks.start_soon(work, cluster)


async def test_C5_nothing_is_lost_whatever_befalls_a_cluster(template: Path) -> None:
    async with a_cluster("--ttl", str(TTL_S), template=template) as cluster:
        await storm(cluster, FAULTS)
        verdict = await cluster.verdict()
        assert verdict.accepted >= 12
        assert len(cluster.site.faults) == len(FAULTS)


async def test_S25_a_server_that_is_cut_off_is_a_stranger_when_it_comes_back(template: Path) -> None:
    """It hears and reaches nobody past its lease, others take its tasks, and then it is there again."""
    if reason := cannot():
        pytest.skip(reason)
    async with a_cluster("--ttl", str(TTL_S), template=template, is_apart=True) as cluster:
        alone = cluster.site.nodes[-1]
        posted = [await cluster.at(alone).post(SLOW, onCrash="resume") for _ in range(3)]
        readers = [cluster.client.read(session, cluster.tasks) for session, _ in posted]
        with anyio.fail_after(60):
            for reader, (_, task) in zip(readers, posted, strict=True):
                await cluster.client.said(reader, task, 50)
            await cluster.site.befall("partition", alone, TTL_S * 3)
            for reader, (_, task) in zip(readers, posted, strict=True):
                assert await cluster.client.ended(reader, task) in {"completed", "over"}
            session, task = await cluster.at(alone).post("[[say:there again]]")
            await cluster.at(alone).ended(cluster.client.read(session, cluster.tasks), task)
        verdict = await cluster.verdict()
        assert verdict.completed == len(posted) + 1


async def test_C5_a_rolling_restart_under_load_loses_nothing(template: Path) -> None:
    """200 tasks, all three servers replaced one after another: no request fails for good, no task is lost."""
    async with a_cluster(template=template, drain_s=1.0) as cluster:
        many = 200

        async def converse(number: int) -> None:
            client = Client(cluster.site, cluster.facts, cluster.http, Random(number))
            session, task = await client.post("[[words:40]] [[slow:0.05]]", onCrash="resume")
            if number % 8 == 0:  # a reader for each would mostly measure the readers
                await client.ended(client.read(session, cluster.tasks), task)

        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                for number in range(many):
                    tasks.start_soon(converse, number)
                for node in cluster.site.nodes:
                    await anyio.sleep(0.5)
                    await cluster.site.befall("SIGTERM", node, 0.0)
        verdict = await cluster.verdict()
        assert (verdict.accepted, verdict.completed) == (many, many), verdict
