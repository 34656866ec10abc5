"""Real servers that are killed, frozen, and lose their database: nothing is lost, nothing happens twice."""

import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Protocol

import anyio
import httpx2
import pytest
from anyio import to_thread
from anyio.abc import TaskGroup
from attrs import define
from tests.faults.clients import Client, Facts
from tests.faults.judge import Verdict, judge
from tests.faults.node import POINTS, WAITING
from tests.faults.site import Site, a_site, environment
from tests.support.consumer import Consumer, consumer

from agentcore_adapters.postgres.embedded import embedded_server
from agentcore_adapters.postgres.migrate import migrate
from agentcore_adapters.testing.provider import StubProvider, stub_provider

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TTL_S = 1.5
AT_ONCE = 3  # sites: each mostly waits
TALK = "[[words:60]] [[slow:0.01]]"
LONG_TALK = "[[words:60]] [[slow:0.03]]"  # so long that its text is stored before it ends


@define(eq=False)
class Run:
    """A site at work, with its clients."""

    site: Site
    client: Client
    facts: Facts
    provider: StubProvider
    books: Consumer
    tasks: TaskGroup

    async def verdict(self) -> Verdict:
        """Judge it; it must be good, and of what it was made of something must have been done."""
        found = await judge(self.site, self.facts, self.provider, self.books)
        assert found.is_good, found
        return found


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A data folder with a database that was made, brought up to date, and stopped."""
    with tempfile.TemporaryDirectory(prefix="ac-", ignore_cleanup_errors=True) as folder:
        anyio.run(make, Path(folder) / "data")
        yield Path(folder) / "data"


async def make(data: Path) -> None:
    async with embedded_server(data) as server:
        await migrate(server.dsn_owner)


@asynccontextmanager
async def a_run(template: Path, *, nodes: int = 1, is_scripted: bool = False) -> AsyncIterator[Run]:
    """Make a site whose models are a stub and whose usage is counted by a consumer."""
    more = ("--scripted",) if is_scripted else ()
    # Not in pytest's folder: its path can be too long for a socket.
    with tempfile.TemporaryDirectory(prefix="ac-", ignore_cleanup_errors=True) as folder:
        await to_thread.run_sync(lambda: shutil.copytree(template, Path(folder) / "data", symlinks=True))
        async with stub_provider() as provider, consumer() as books, httpx2.AsyncClient(timeout=10.0) as http:
            env = environment(provider.url, books.url, 0.2)
            async with a_site(Path(folder), env, "--ttl", str(TTL_S), *more, nodes=nodes) as site:
                async with anyio.create_task_group() as tasks:
                    facts = Facts()
                    yield Run(site, Client(site, facts, http, Random(1)), facts, provider, books, tasks)
                    tasks.cancel_scope.cancel()


class Working(Protocol):
    """Where programs are carried out."""

    @property
    def client(self) -> Client: ...
    @property
    def tasks(self) -> TaskGroup: ...


async def work(run: Working) -> None:
    """Complete, cancel at nine tenths, inject, be superseded and fail, each in a session of its own; all at once."""

    async def complete() -> None:
        session, task = await run.client.post(TALK)
        reader = run.client.read(session, run.tasks)
        await run.client.ended(reader, task)
        _, after = await run.client.post(LONG_TALK, session)
        await run.client.ended(reader, after)

    async def cancel() -> None:
        session, task = await run.client.post(TALK)
        reader = run.client.read(session, run.tasks)
        await run.client.said(reader, task, 200)
        await run.client.stop(task)
        await run.client.ended(reader, task)

    async def inject() -> None:
        session, task = await run.client.post("[[words:600]] [[slow:0.02]]", onCrash="resume")
        reader = run.client.read(session, run.tasks)
        await run.client.said(reader, task, 5)
        injected = await run.client.inject(task, TALK)
        await run.client.ended(reader, injected[1] if injected else task)

    async def supersede() -> None:
        session, task = await run.client.post(TALK, onCrash="restart_if_pure")
        reader = run.client.read(session, run.tasks)
        await run.client.said(reader, task, 20)
        _, after = await run.client.post(TALK, session)
        await run.client.ended(reader, after)

    async def fail() -> None:
        session, task = await run.client.post(f"[[err_mid]] {TALK}")
        await run.client.ended(run.client.read(session, run.tasks), task)

    async with anyio.create_task_group() as programs:
        for program in (complete, cancel, inject, supersede, fail):
            programs.start_soon(program)


async def wait_for_a_person(run: Run) -> None:
    """Ask for leave twice; once it is given, once not."""

    async def ask(*, approved: bool) -> None:
        session, task = await run.client.post("[[say:so]] [[ask:rm:{}]] [[say:done]]", onCrash="resume")
        reader = run.client.read(session, run.tasks)
        while "approval_required" not in reader.seqs.values() and not reader.resets:
            await anyio.sleep(0.01)
        await run.client.approve(task, approved=approved)
        await run.client.ended(reader, task)

    async with anyio.create_task_group() as programs:
        programs.start_soon(lambda: ask(approved=True))
        programs.start_soon(lambda: ask(approved=False))


async def die_and_go_on(run: Run, point: str, program: Callable[[Run], Awaitable[None]]) -> None:
    """Let the server die at *point* under *program*, start it again, and let the program come to its end."""
    (node,) = run.site.nodes
    await node.start("--die", point)

    async def mend() -> None:
        assert await node.over() == -signal.SIGKILL, f"{point} was not passed"
        await node.start()

    with anyio.fail_after(90):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mend)
            await program(run)


async def each(points: Sequence[str], judged: Callable[[str], Awaitable[None]]) -> None:
    """Go through *points*, some at a time, and name those at which something was lost."""
    found: dict[str, str] = {}
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def one(point: str) -> None:
        async with limiter:
            try:
                await judged(point)
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - whatever it was, it is shown for its point
                found[point] = repr(_leaf(error))

    async with anyio.create_task_group() as tasks:
        for point in points:
            tasks.start_soon(one, point)
    assert found == {}


async def test_C1_a_server_killed_anywhere_loses_nothing(template: Path) -> None:
    async def judged(point: str) -> None:
        async with a_run(template) as run:
            await die_and_go_on(run, point, work)
            verdict = await run.verdict()
            assert verdict.accepted >= 6
            assert verdict.unsent <= 5  # calls that were announced, and cut off before they were sent

    await each(POINTS, judged)


async def test_P8_a_server_killed_around_an_approval_loses_nothing(template: Path) -> None:
    async def judged(point: str) -> None:
        async with a_run(template, is_scripted=True) as run:
            await die_and_go_on(run, point, wait_for_a_person)
            verdict = await judge(run.site, run.facts, None, run.books)
            assert verdict.is_good, verdict
            assert (verdict.completed, verdict.cancelled) == (1, 1)

    await each(WAITING, judged)


async def test_B3_the_books_equal_what_the_provider_served(template: Path) -> None:
    """Completed, cancelled at nine tenths, failed, injected over, superseded, and crashed."""
    async with a_run(template) as run:
        (node,) = run.site.nodes
        await node.start()
        await work(run)
        session, task = await run.client.post("[[words:400]] [[slow:0.02]]")
        await run.client.said(run.client.read(session, run.tasks), task, 300)
        await run.site.befall("kill -9", node, 0.0)
        verdict = await run.verdict()
        assert (verdict.unbilled, verdict.unsent, verdict.untold) == (0, 0, 0)
        assert len(run.books.counted) == verdict.accepted == 9
        assert min(verdict.completed, verdict.cancelled, verdict.failed) >= 2


async def test_C7_context_survives_node_loss(template: Path) -> None:
    """Killed midway, continued elsewhere: the engine gets what was said before, the cut part marked as such."""
    async with a_run(template, nodes=2) as run:
        first, second = run.site.nodes
        await first.start()
        run.site.nodes.remove(second)  # not up yet: nobody talks to it
        session, task = await run.client.post("[[words:300]] [[slow:0.02]] remember 7431")
        reader = run.client.read(session, run.tasks)
        await run.client.said(reader, task, 400)
        run.site.nodes[:] = [second]
        await first.kill()
        await second.start()
        await run.client.ended(reader, task)
        _, after = await run.client.post("[[say:so]]", session)
        await run.client.ended(reader, after)
        asked = str(run.provider.calls[-1].body["messages"])
        assert asked.count("remember 7431") == 1
        assert "w0 w1 w2 " in asked
        assert "[中断]" in asked
        await run.verdict()
        run.site.nodes[:] = [first, second]


async def test_S25_a_frozen_server_wakes_up_as_a_stranger(template: Path) -> None:
    """It sleeps past its lease, another one takes its tasks, and it writes and tells nothing more of them."""
    async with a_run(template, nodes=2) as run:
        for node in run.site.nodes:
            await node.start()
        with anyio.fail_after(60):
            posted = [await run.client.post("[[words:300]] [[slow:0.02]]", onCrash="resume") for _ in range(6)]
            readers = [run.client.read(session, run.tasks) for session, _ in posted]
            for reader, (_, task) in zip(readers, posted, strict=True):
                await run.client.said(reader, task, 50)
            await run.site.befall("SIGSTOP", run.site.nodes[0], TTL_S * 3)
            for reader, (_, task) in zip(readers, posted, strict=True):
                await run.client.ended(reader, task)
        verdict = await run.verdict()
        assert verdict.completed == len(posted)


@pytest.mark.parametrize("kind", ["database kill -9", "database restart"])
async def test_C2_a_database_that_restarts_again_and_again(template: Path, kind: str) -> None:
    async with a_run(template) as run:
        (node,) = run.site.nodes
        await node.start()
        with anyio.fail_after(90):
            async with anyio.create_task_group() as programs:
                programs.start_soon(work, run)
                for _ in range(3):
                    await anyio.sleep(0.7)
                    await run.site.befall(kind, node, 0.0)
        assert node.is_up
        verdict = await run.verdict()
        assert verdict.accepted >= 6
        assert run.site.faults


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
