"""A crowd of one tenant waits behind itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from agentcore_adapters.postgres.shares import Shares

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def one(shares: Shares, tenant: str) -> AsyncIterator[None]:
    await shares.take(tenant)
    try:
        yield
    finally:
        shares.give_back(tenant)


class Crowd:
    """Those who hold a place until told to leave, in the order in which they got it."""

    def __init__(self, shares: Shares, tasks: anyio.abc.TaskGroup) -> None:
        self.shares = shares
        self.tasks = tasks
        self.served: list[str] = []
        self.leaving: dict[str, anyio.Event] = {}

    async def comes(self, *names: str) -> None:
        for name in names:
            self.tasks.start_soon(self._hold, name)
            await anyio.wait_all_tasks_blocked()

    async def leaves(self, name: str) -> None:
        self.leaving[name].set()
        await anyio.wait_all_tasks_blocked()

    async def _hold(self, name: str) -> None:
        self.leaving[name] = anyio.Event()
        async with one(self.shares, name[0]):
            self.served.append(name)
            await self.leaving[name].wait()


async def _with(places: int, told: Callable[[Crowd], Awaitable[None]]) -> Shares:
    shares = Shares(places)
    async with anyio.create_task_group() as tasks:
        await told(Crowd(shares, tasks))
        tasks.cancel_scope.cancel()
    return shares


async def test_what_becomes_free_goes_to_who_has_least_and_then_to_who_came_first() -> None:
    async def told(crowd: Crowd) -> None:
        await crowd.comes("a1", "a2", "a3", "a4", "b1", "b2", "c1")
        assert crowd.served == ["a1", "a2"]
        assert len(crowd.shares) == 5
        for leaving, following in (("a1", "b1"), ("a2", "a3"), ("a3", "c1"), ("b1", "b2"), ("b2", "a4")):
            await crowd.leaves(leaving)
            assert crowd.served[-1] == following

    await _with(2, told)


async def test_one_tenant_alone_may_have_all_of_it() -> None:
    async def told(crowd: Crowd) -> None:
        await crowd.comes("a1", "a2", "a3")
        assert crowd.served == ["a1", "a2", "a3"]

    await _with(3, told)


async def test_who_gives_up_takes_nothing_with_it() -> None:
    async def told(crowd: Crowd) -> None:
        await crowd.comes("a1")
        with anyio.move_on_after(0.01):
            async with one(crowd.shares, "b"):
                raise AssertionError("there was no place")
        assert not len(crowd.shares)
        await crowd.comes("a2")
        await crowd.leaves("a1")
        assert crowd.served == ["a1", "a2"]

    await _with(1, told)


async def test_who_is_served_and_cancelled_in_the_same_moment_passes_its_place_on() -> None:
    shares = Shares(1)
    reached: list[str] = []

    async def wait(name: str) -> None:
        async with one(shares, name):
            reached.append(name)

    async with one(shares, "a"):
        b, c = (asyncio.create_task(wait(name)) for name in "bc")
        await anyio.wait_all_tasks_blocked()
    b.cancel()  # it has its place, and does not know it yet
    await asyncio.wait((b, c), timeout=5)
    assert b.cancelled()
    assert reached == ["c"]
    with anyio.fail_after(5):
        await wait("d")


async def test_of_those_who_have_as_little_each_has_its_turn() -> None:
    async def told(crowd: Crowd) -> None:
        await crowd.comes("a1", "a2", "a3", "b1", "b2")
        for leaving, following in (("a1", "a2"), ("a2", "b1"), ("b1", "a3"), ("a3", "b2")):
            await crowd.leaves(leaving)
            assert crowd.served[-1] == following

    await _with(1, told)
