"""The world that is simulated: the memory adapters on virtual time."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from agentcore.ports import Clock
from agentcore.testing.chaos import Weather
from agentcore.testing.simulation import Report, World, simulate
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore


@asynccontextmanager
async def memory_world(clock: Clock) -> AsyncIterator[World]:
    store = MemoryStore(clock)
    yield World(store=store, leases=MemoryLeases(store.state, clock), bus=MemoryBus())


def run(seed: int, weather: Weather | None = None) -> Report | str:
    """Run one seed; return what it came to, or which promise it broke."""
    try:
        return simulate(seed, memory_world, weather)
    except Exception as error:  # noqa: BLE001 - whatever breaks, its seed is what counts
        return f"seed {seed}: {_leaf(error)!r}"


def be_silent() -> None:
    """Log nothing: a simulation says in an hour what a server says in a year."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
