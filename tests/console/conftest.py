"""One browser for all tests of a module, one server and one page for each test."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from tests.support.browser import Looking, browsing, looking
from tests.support.loop import PatientLoop
from tests.support.server import Served, serving
from tests.support.tokens import memory

if TYPE_CHECKING:
    from playwright.async_api import Browser


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The loop that the browser's driver lives in."""
    return "asyncio", {"loop_factory": PatientLoop}


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator["Browser"]:
    async with browsing() as found:
        yield found


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(*memory()) as found:
        yield found


@pytest.fixture
async def view(browser: "Browser", served: Served) -> AsyncIterator[Looking]:
    async with looking(browser, served.url) as found:
        await found.open()
        yield found
