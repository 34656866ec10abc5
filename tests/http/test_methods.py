"""What an address knows is said where it is asked, and where it is refused."""

import anyio
import pytest
from tests.support.server import Served

from agentcore_http.app import API

pytestmark = pytest.mark.anyio
KNOWN = {
    "/tasks": "OPTIONS, POST",
    "/tasks/x": "DELETE, GET, OPTIONS",
    "/instances": "GET, OPTIONS, POST",
    "/instances/x": "DELETE, GET, OPTIONS, PATCH",
    "/instances/openclaw-app-callback": "OPTIONS, POST",
    "/sessions/x/events": "GET, OPTIONS",
}


@pytest.mark.parametrize("path", KNOWN)
async def test_an_address_names_its_methods(served: Served, path: str) -> None:
    asked = await served.call("OPTIONS", path)
    assert (asked.status_code, asked.headers["allow"]) == (204, KNOWN[path])
    refused = await served.call("PUT", path, {})
    assert (refused.status_code, refused.headers["allow"]) == (405, KNOWN[path])
    assert refused.json()["code"] == "method_not_allowed"


async def test_what_is_not_there_names_nothing(served: Served) -> None:
    answer = await served.call("OPTIONS", "/nowhere")
    assert answer.status_code == 404
    assert "allow" not in answer.headers


@pytest.mark.parametrize("size", [1, 900_000])
async def test_who_is_refused_at_the_door_hears_why(served: Served, size: int) -> None:
    """Bytes that are not read when a connection is closed reset it, and with it goes the answer."""
    for _ in range(20):
        answer = await served.http.post(
            f"{served.url}{API}/tasks", content=b"x" * size, headers={"Content-Type": "text/plain"}
        )
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media")
        assert int(answer.headers["content-length"]) == len(answer.content)


async def test_nobody_is_waited_for_at_the_door(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    head = f"POST {API}/tasks HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n"
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(head.encode() + b"x")
        with anyio.fail_after(5):
            assert (await stream.receive()).startswith(b"HTTP/1.1 415")


@pytest.mark.parametrize("state", ["null", "None", "", "PENDING"])
async def test_a_state_that_is_none_is_refused(served: Served, state: str) -> None:
    answer = await served.call("GET", f"/usage/events?state={state}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"
