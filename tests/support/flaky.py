"""A server whose store can go away."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from agentcore.ports import Leases, Store
from agentcore.testing.chaos import CALM, Fate, Flaky
from tests.support.server import Served, serving


@pytest.fixture(name="fate")
def a_fate() -> Fate:
    return Fate(Random(1), CALM)


@pytest.fixture(name="served")
async def a_served_fate(stores: tuple[Store, Leases], fate: Fate) -> AsyncIterator[Served]:
    line: Any = [Flaky(port, fate) for port in stores]
    async with serving(*line) as found:
        yield found
