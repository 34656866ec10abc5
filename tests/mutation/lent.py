"""What ``conftest`` would make, lent: a server that runs already, and no whole application."""

import pytest

from tests.support.database import Server

LENT: list[Server] = []  #: The last one hands out copies of the mutant's database.


@pytest.fixture(scope="session")
def postgres() -> Server:
    return LENT[-1]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
