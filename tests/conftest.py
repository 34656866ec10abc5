"""Fixtures for all tests."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from agentcore.ports import Leases, Store
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore
from agentcore_adapters.postgres.store import postgres_store
from agentcore_adapters.testing.provider import StubProvider, stub_provider
from tests.support.bridge import RemoteServed, serving_remote
from tests.support.database import Server, running_server
from tests.support.loop import PatientLoop
from tests.support.server import Served, serving

settings.register_profile("normal", deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
settings.register_profile("deep", parent=settings.get_profile("normal"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "normal"))


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": PatientLoop}


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One throw-away server a run."""
    with running_server(tmp_path_factory.mktemp("pg")) as server:
        yield server


@pytest.fixture
async def provider() -> AsyncIterator[StubProvider]:
    async with stub_provider() as provider:
        yield provider


@pytest.fixture(params=["memory", "postgres"])
def database(request: pytest.FixtureRequest) -> str | None:
    """The address of a fresh database; None: keep everything in memory."""
    if request.param == "memory":
        return None
    server: Server = request.getfixturevalue("postgres")
    return server.fresh()[1]


@pytest.fixture
async def stores(database: str | None) -> AsyncIterator[tuple[Store, Leases]]:
    """Each store, empty, with its leases."""
    if database is None:
        clock = SystemClock()
        store = MemoryStore(clock)
        yield store, MemoryLeases(store.state, clock)
        return
    async with postgres_store(database) as found:
        yield found


@pytest.fixture
async def served(stores: tuple[Store, Leases]) -> AsyncIterator[Served]:
    """A server with scripted engines, on each store."""
    async with serving(*stores) as found:
        yield found


@pytest.fixture
async def remote(stores: tuple[Store, Leases]) -> AsyncIterator[RemoteServed]:
    """A server with a remote agent behind a bridge, on each store."""
    async with serving_remote(*stores) as found:
        yield found


@pytest.fixture(scope="session")
def models() -> Path:
    """Where the local model's weights are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "agentcore-tests"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In CI nothing may be skipped: what is missing there must be installed."""
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
