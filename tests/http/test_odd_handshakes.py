"""A WebSocket that is asked for in a way that nobody can read is answered, and its connection is closed."""

from typing import Any

import anyio
import pytest
import structlog
from tests.support.server import Served

from agentcore_http.app import API
from agentcore_http.front import Front

pytestmark = pytest.mark.anyio
HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
ODD = {
    "a header of 9 KB": ("", f"Authorization: Bearer {'x' * 9000}\r\n", b"HTTP/1.1 431 "),
    "200 headers": ("", "".join(f"X-{i}: 1\r\n" for i in range(200)), b"HTTP/1.1 431 "),
    "an address of 9 KB": ("x" * 9000, "", b"HTTP/1.1 414 "),
    "no key": ("", "Sec-WebSocket-Key: x\r\n", b"HTTP/1.1 400 "),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_unreadable_handshake_is_answered_and_ends(served: Served, name: str) -> None:
    query, more, begins = ODD[name]
    host, port = served.url.removeprefix("http://").split(":")
    request = f"GET {API}/sessions/x/stream?{query} HTTP/1.1\r\nHost: {host}:{port}\r\n{HANDSHAKE}{more}\r\n"
    heard = b""
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(request.encode())
        with anyio.fail_after(5):
            async for chunk in stream:  # to its end
                heard += chunk
    assert heard.startswith(begins), heard[:200]


@pytest.mark.parametrize("is_gone", [True, False])
async def test_who_has_left_before_the_refusal_is_no_failure_of_ours(is_gone: bool) -> None:
    """A server raises OSError where it is told to send to nobody (ASGI 2.4); any other OSError is one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 4400})
        raise OSError("a disk, say")

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    async def send(message: Any) -> None:
        if is_gone:
            raise OSError("nobody is there")

    scope: Any = {"type": "websocket", "headers": []}
    with structlog.testing.capture_logs() as logged, pytest.raises(OSError, match=r"nobody|disk"):
        await Front(app)(scope, receive, send)
    assert ("request.raised" in [line["event"] for line in logged]) is not is_gone
