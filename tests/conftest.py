"""Fixtures for all tests."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from agentcore_adapters.testing.provider import StubProvider, stub_provider
from tests.support.database import Server, running_server

settings.register_profile("normal", deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
settings.register_profile("deep", parent=settings.get_profile("normal"), max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "normal"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One throw-away server a run."""
    with running_server(tmp_path_factory.mktemp("pg")) as server:
        yield server


@pytest.fixture
async def provider() -> AsyncIterator[StubProvider]:
    async with stub_provider() as provider:
        yield provider


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
