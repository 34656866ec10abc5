"""Both clients behind one face, so that one suite tests them."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import to_thread
from attrs import define

from agentcore_http.client import AsyncClient, Client, Event, Result

STREAMS = frozenset({"events", "follow", "export"})


@define(eq=False)
class Hands:
    """Uses either client; whatever blocks does so in a thread."""

    client: Client | AsyncClient

    async def do(self, name: str, *args: Any, **named: Any) -> Any:
        method = getattr(self.client, name)
        if isinstance(self.client, AsyncClient):
            return await method(*args, **named)
        return await to_thread.run_sync(lambda: method(*args, **named))

    async def all(self, name: str, *args: Any, **named: Any) -> list[Any]:
        return [item async for item in self.each(name, *args, **named)]

    async def each(self, name: str, *args: Any, **named: Any) -> AsyncGenerator[Any, None]:
        told = getattr(self.client, name)(*args, **named)
        if isinstance(self.client, AsyncClient):
            try:
                async for item in told:
                    yield item
            finally:
                if name in STREAMS:
                    await told.aclose()
            return
        try:
            while (item := await to_thread.run_sync(next, told, told)) is not told:
                yield item
        finally:
            if name in STREAMS:
                told.close()

    async def run(self, prompt: str, *args: Any, **named: Any) -> Result:
        result: Result = await self.do("run", prompt, *args, **named)
        return result


@asynccontextmanager
async def hands(kind: type[Client] | type[AsyncClient], url: str, **named: Any) -> AsyncIterator[Hands]:
    """Open a client of either kind."""
    if kind is AsyncClient:
        async with AsyncClient(url, **named) as client:
            yield Hands(client)
    else:
        with Client(url, **named) as blocking:
            yield Hands(blocking)


def text_of(events: list[Event]) -> str:
    """Return what was said."""
    return "".join(getattr(event.payload, "content", "") for event in events if event.type == "text")
