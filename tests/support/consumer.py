"""Who receives usage events: checks each signature, and counts by id as a billing system would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from attrs import define, field
from standardwebhooks import Webhook

from agentcore_adapters.testing.listening import listening
from agentcore_adapters.testing.provider import read_request

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0IQ=="


@define(eq=False)
class Consumer:
    """What was received."""

    url: str = ""
    counted: dict[str, dict[str, Any]] = field(factory=dict)  #: Events by id: each counts once.
    requests: int = 0  #: With repeats and refused ones.
    answers: list[int] = field(factory=list)  #: What to answer next; 204 when empty.
    hangs: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await read_request(reader)) is not None:
                _, _, headers, body = request
                status = self._take(headers, body)
                if self.hangs:
                    await asyncio.sleep(3600)
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        writer.close()

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        self.requests += 1
        if self.answers and (status := self.answers.pop(0)) != 204:
            return status
        event = Webhook(SECRET).verify(body, headers)  # raises for a signature that is not ours
        known = self.counted.setdefault(headers["webhook-id"], event)
        assert known == event, "an event was sent again in another form"
        return 204

    def total(self, name: str) -> int:
        """Add up a number of all events."""
        return sum(event["data"][name] for event in self.counted.values())


@asynccontextmanager
async def consumer(port: int = 0) -> AsyncIterator[Consumer]:
    """Run a consumer in this event loop."""
    found = Consumer()
    async with listening(found.serve, port) as place:
        found.url = f"http://127.0.0.1:{place}"
        yield found
