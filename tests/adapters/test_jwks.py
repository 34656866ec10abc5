"""SEC04, SEC17: key sets are read from the configured place, whatever answers there."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from agentcore.errors import HostNotAllowed, IdentityUnavailable
from agentcore_adapters import jwks
from agentcore_adapters.netguard import only

pytestmark = pytest.mark.anyio
KEYS = b'{"keys": []}'
Answer = Callable[[SocketStream], object]


def ok(body: bytes, *, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


@asynccontextmanager
async def answering(answer: bytes, *, then_wait: bool = False) -> AsyncIterator[tuple[int, list[str]]]:
    """A server that says *answer* to everybody; yields its port and what it was asked."""
    asked: list[str] = []

    async def serve(stream: SocketStream) -> None:
        async with stream:
            asked.append((await stream.receive()).decode("latin-1"))
            try:
                await stream.send(answer)
                if then_wait:
                    await anyio.sleep_forever()
            except anyio.BrokenResourceError:
                asked.append("hung up")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(SocketAttribute.local_port), asked
        tasks.cancel_scope.cancel()


async def test_a_file_and_an_address_are_read(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(KEYS)
    assert await jwks.fetcher(tmp_path / "keys.json")() == KEYS
    async with answering(ok(KEYS)) as (port, asked):
        assert await jwks.fetcher(f"http://127.0.0.1:{port}/realm/keys?v=1")() == KEYS
    assert asked[0].startswith("GET /realm/keys?v=1 HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{port}\r\n" in asked[0].lower()
    with pytest.raises(IdentityUnavailable, match="cannot be read") as missing:
        await jwks.fetcher(tmp_path / "nowhere.json")()
    assert "nowhere" not in str(missing.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ok(b"", status="302 Found", more="location: http://127.0.0.1:1/\r\n"), "the answer was 302"),
        (ok(b"", status="500 Internal Server Error"), "the answer was 500"),
        (ok(b"x" * (jwks.MOST_BYTES + 1)), "too long"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 6,
            "too long",
        ),
        (b"what?\r\n\r\n", "no answer"),
        (b"", "no answer"),
    ],
    ids=["a redirect", "an error", "long", "long, in chunks", "no HTTP", "nothing"],
)
async def test_SEC04_what_is_no_short_answer_is_refused(answer: bytes, said: str) -> None:
    async with answering(answer) as (port, asked):
        with pytest.raises(IdentityUnavailable, match=said) as refused:
            await jwks.fetcher(f"http://127.0.0.1:{port}/")()
    assert str(port) not in str(refused.value)
    assert len([text for text in asked if text.startswith("GET")]) == 1


async def test_SEC04_a_slow_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "WITHIN_S", 0.2)
    for part in (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx", b""):
        async with answering(part, then_wait=True) as (port, _):
            with anyio.fail_after(5), pytest.raises(IdentityUnavailable):
                await jwks.fetcher(f"http://127.0.0.1:{port}/")()
    with pytest.raises(IdentityUnavailable, match="no answer"):
        await jwks.fetcher("http://127.0.0.1:1/")()


async def test_the_environments_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(ok(KEYS)) as (port, _), answering(ok(b"{}")) as (proxy, asked):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        assert await jwks.fetcher(f"http://127.0.0.1:{port}/")() == KEYS
    assert asked == []


def resolving(*addresses: str) -> Callable[[str, int], object]:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "168.63.129.16", "fd00:ec2::254", "::ffff:10.0.0.1", "64:ff9b::a01:1", "0.0.0.0", "224.0.0.1"],
)
async def test_SEC17_the_configured_name_leads_to_no_metadata_and_no_disguise(address: str) -> None:
    resolve = resolving(address)
    with pytest.raises(HostNotAllowed):
        await only("https", "keys.example", 443, resolve).target("keys.example", 443)  # type: ignore[arg-type]
    with pytest.raises(IdentityUnavailable, match="may not be reached"):
        await jwks.fetcher("https://keys.example/jwks", resolve=resolve)()  # type: ignore[arg-type]


async def test_SEC17_the_configured_place_is_the_whole_list() -> None:
    for address in ("10.0.0.7", "192.168.1.2", "fd12::1", "93.184.215.14", "127.0.0.1"):
        guard = only("https", "keys.example", 443, resolving(address))  # type: ignore[arg-type]
        assert str((await guard.target("keys.example", 443)).address) == address
    guard = only("https", "keys.example", 443, resolving("10.0.0.7"))  # type: ignore[arg-type]
    for host, port in (("keys.example", 8443), ("other.example", 443), ("10.0.0.7", 443), ("keys.example.", 443)):
        with pytest.raises(HostNotAllowed):
            await guard.target(host, port)
    assert str((await only("https", "::1", 8443).target("::1", 8443)).address) == "::1"


async def test_SEC17_plain_http_is_spoken_in_private_networks_only() -> None:
    fetch = jwks.fetcher("http://keys.example/jwks", resolve=resolving("93.184.215.14"))  # type: ignore[arg-type]
    with pytest.raises(IdentityUnavailable, match="plain http"):
        await fetch()


async def test_https_stays_https_on_loopback() -> None:
    async with answering(ok(KEYS)) as (port, asked):
        with pytest.raises(IdentityUnavailable):
            await jwks.fetcher(f"https://127.0.0.1:{port}/")()
    assert not any(text.startswith("GET") for text in asked)
