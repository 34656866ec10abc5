"""A WebSocket that is asked for in a way that nobody can read is answered, and its connection is closed."""

import anyio
import pytest

from agentcore_http.app import API
from tests.support.server import Served

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
