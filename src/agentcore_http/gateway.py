"""OpenClaw's gateway, over its WebSocket (protocol 4).

Law: one connection for one run.  A run is named by our key: sending it again after a broken connection finds the same
run, and what the gateway told in between is told no more.
Source: the frames of protocol 4 as they were seen with OpenClaw's gateway; ``tests/support/gateway.py`` speaks them.
"""

import itertools
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from attrs import define, field, frozen
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from agentcore import __version__

PROTOCOL = 4
FRAME_BYTES = 4 * 1024 * 1024
MOST_TOKENS = 10**12  # the most that the server takes
SCOPES = ("operator.read", "operator.write")
Json = dict[str, Any]


class GatewayError(Exception):
    """The gateway cannot be reached, or does not speak as it should."""


@frozen(kw_only=True)
class Outcome:
    """What became of a run."""

    ok: bool
    text: str = ""
    usage: Mapping[str, int] | None = None


@frozen
class Gateway:
    """Where it is, and what opens it."""

    url: str
    token: str | None = field(default=None, repr=False)

    async def run(self, session_key: str, message: str, key: str) -> Outcome:
        """Send *message* and hear the run out; raises GatewayError."""
        async with self._open() as link:
            await link.request("chat.send", {"sessionKey": session_key, "message": message, "idempotencyKey": key})
            return await link.hear_out(key)

    async def abort(self, session_key: str, key: str) -> None:
        """Stop a run; raises GatewayError."""
        async with self._open() as link:
            await link.request("chat.abort", {"sessionKey": session_key, "runId": key})

    @asynccontextmanager
    async def _open(self) -> AsyncIterator["Link"]:
        try:
            async with connect(self.url, max_size=FRAME_BYTES, proxy=None) as socket:
                link = Link(socket)
                await link.greet(self.token)
                yield link
        except (OSError, InvalidHandshake, WebSocketException) as error:
            raise GatewayError(f"The gateway cannot be reached ({type(error).__name__}).") from None


@define(eq=False)
class Link:
    """One connection."""

    socket: ClientConnection
    _events: list[Json] = field(factory=list)  # what was told while an answer was waited for
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1))

    async def greet(self, token: str | None) -> None:
        """Answer the gateway's challenge."""
        while (await self._event()).get("event") != "connect.challenge":
            pass
        client = {"id": "gateway-client", "mode": "backend", "version": __version__, "platform": sys.platform}
        params: Json = {
            "minProtocol": PROTOCOL,
            "maxProtocol": PROTOCOL,
            "client": client,
            "role": "operator",
            "scopes": SCOPES,
            "caps": [],
        }
        await self.request("connect", params | ({"auth": {"token": token}} if token else {}))

    async def request(self, method: str, params: Json) -> None:
        """Ask, and wait until the gateway has agreed."""
        number = str(next(self._numbers))
        frame = {"type": "req", "id": number, "method": method, "params": params}
        await self.socket.send(msgspec.json.encode(frame).decode())
        while (heard := await self._frame()).get("type") != "res" or heard.get("id") != number:
            if heard.get("type") == "event":
                self._events.append(heard)
        if heard.get("ok") is not True:
            raise GatewayError(f"The gateway refused {method}.")

    async def hear_out(self, key: str) -> Outcome:
        """Wait for the end of the run *key*."""
        usage: dict[str, int] | None = None
        while True:
            event = await self._event()
            told = _object(event.get("payload"))
            if told.get("runId") != key:
                continue
            if event.get("event") == "agent" and told.get("stream") == "usage":
                usage = _counts(_object(told.get("data"))) or usage
            elif event.get("event") == "chat" and told.get("state") in {"final", "error", "aborted"}:
                usage = _counts(_object(told.get("usage"))) or usage
                is_final = told["state"] == "final"
                return Outcome(ok=is_final, text=text_of(told.get("message")) if is_final else "", usage=usage)

    async def _event(self) -> Json:
        if self._events:
            return self._events.pop(0)
        while (heard := await self._frame()).get("type") != "event":
            pass
        return heard

    async def _frame(self) -> Json:
        return frame_of(await self.socket.recv())


def frame_of(data: str | bytes) -> Json:
    """Read a frame; what is no object says nothing.  Raises GatewayError."""
    try:
        return _object(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise GatewayError("The gateway does not speak JSON.") from None


def text_of(message: object) -> str:
    """Return the text of a message: a text, or parts of which some are texts."""
    if isinstance(message, str):
        return message
    content = _object(message).get("content", "")
    if isinstance(content, str):
        return content
    parts = [_object(part) for part in content] if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")


def _counts(told: Json) -> dict[str, int] | None:
    found = {name: told.get(name, told.get(name.removesuffix("Tokens"))) for name in ("inputTokens", "outputTokens")}
    # What is no count is left out, or the server would refuse the whole answer for it.
    counts = {name: value for name, value in found.items() if type(value) is int and 0 <= value <= MOST_TOKENS}
    return counts if len(counts) == len(found) else None


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}
