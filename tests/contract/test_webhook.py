"""The webhook keeps the promises of its port."""

from collections.abc import AsyncIterator, Callable

import pytest
from tests.support.consumer import SECRET, Consumer, consumer

from agentcore.books import Sink
from agentcore.testing.contracts import SinkContract
from agentcore_adapters.webhook import webhook_sink


@pytest.fixture
async def books() -> AsyncIterator[Consumer]:
    async with consumer() as books:
        yield books


@pytest.fixture
async def sink(books: Consumer) -> AsyncIterator[Sink]:
    async with webhook_sink(books.url, SECRET) as sink:
        yield sink


@pytest.fixture
def received(books: Consumer) -> Callable[[], list[str]]:
    return lambda: list(books.counted)


@pytest.fixture
def refuse(books: Consumer) -> Callable[[], None]:
    return lambda: books.answers.append(500)


class TestWebhook(SinkContract):
    pass
