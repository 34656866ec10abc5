"""SEC12, SEC13, SEC27, I2 and I3 at the door: rates, streams, frames, bodies; what is refused costs nothing."""

import base64
import gc
import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pictures import png
from tests.support.server import Served, receive, serving
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from agentcore.caller import Caller
from agentcore.errors import OverLimit
from agentcore.ids import TenantId
from agentcore.limits import Limits
from agentcore.ports import Leases, Store
from agentcore_http.app import API
from agentcore_http.door import REMEMBERED, Door
from agentcore_http.serve import MAX_FRAME_BYTES
from agentcore_http.wire.images import size_of
from agentcore_http.wire.json import DEPTH, is_shallow

pytestmark = pytest.mark.anyio
Stores = tuple[Store, Leases]
GENEROUS = Limits(requests_per_minute=10**6, max_in_flight=10**6)
ME = Caller(tenant_id=TenantId("a"), subject="me")


# --------------------------------------------------------------------------------------------------------------- rates
async def test_SEC27_a_rate_is_the_users_own(stores: Stores) -> None:
    """Keyed by the subject: a forwarded address changes nothing, and another user is not slowed."""
    async with serving(*stores, limits=evolve(GENEROUS, requests_per_minute=60)) as served:
        headers = {"X-User-Id": "me"}
        answers = [
            await served.call("GET", "/sessions", **headers, X_Forwarded_For=f"10.0.0.{i}", Forwarded=f"for=10.0.0.{i}")
            for i in range(30)
        ]
        codes = [answer.status_code for answer in answers]
        assert codes[:10] == [200] * 10
        assert codes.count(429) >= 15
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert (refused.json()["code"], refused.headers["content-type"]) == ("over_limit", "application/problem+json")
        assert refused.headers["Retry-After"] == "1"
        assert (await served.call("GET", "/sessions", **{"X-User-Id": "you"})).status_code == 200
        assert (await served.as_tenant("b").call("GET", "/sessions", **headers)).status_code == 200


async def test_SEC27_who_answers_as_a_bridge_has_no_rate(stores: Stores) -> None:
    async with serving(*stores, limits=evolve(GENEROUS, requests_per_minute=6)) as served:
        codes = [(await served.call("POST", "/instances/openclaw-app-callback", {})).status_code for _ in range(20)]
        assert set(codes) == {401}


async def test_SEC27_a_tenants_crowd_is_not_answered_at_once(stores: Stores) -> None:
    async with serving(*stores, limits=evolve(GENEROUS, max_in_flight=2)) as served:
        task = (await served.post("[[say:on it]][[hang]][[stubborn:1]]"))["taskId"]
        await served.until(task, {"running"})
        codes: list[int] = []

        async def cancel() -> None:
            codes.append((await served.call("DELETE", f"/tasks/{task}?wait=5")).status_code)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(cancel)
            with anyio.fail_after(4):  # the two that are answered wait for longer
                while len(codes) < 3:
                    await anyio.sleep(0.02)
            assert codes == [429] * 3
            assert (await served.as_tenant("b").call("GET", "/sessions")).status_code == 200
        assert (await served.call("GET", "/sessions")).status_code == 200


async def test_SEC27_what_is_refused_leaves_nothing() -> None:
    now = [0.0]
    door = Door(lambda: now[0], lambda _: Limits(requests_per_minute=60))
    for _ in range(10):
        door.knock(ME)
    with pytest.raises(OverLimit) as refused:
        door.knock(ME)
    assert refused.value.retry_after_s == 1
    for _ in range(1000):
        with pytest.raises(OverLimit):
            door.knock(ME)
    now[0] = 1.0
    door.knock(ME)
    now[0] = 1e6
    for _ in range(10):  # no more than at first, however long nobody came
        door.knock(ME)
    with pytest.raises(OverLimit):
        door.knock(ME)
    for i in range(REMEMBERED + 500):
        door.knock(Caller(tenant_id=TenantId("a"), subject=str(i)))
    assert len(door) == REMEMBERED
    with pytest.raises(OverLimit):
        for _ in range(100):
            door.knock(Caller(tenant_id=TenantId("nothing"), subject="x"))


async def test_SEC27_who_is_inside_is_counted_out_again() -> None:
    door = Door(lambda: 0.0, lambda _: Limits(max_in_flight=1, user_sockets=1, max_sockets=2))
    with door.enter(ME), door.stream(ME):
        for way in (door.enter, door.stream):
            with pytest.raises(OverLimit):
                way(ME).__enter__()
        with door.stream(evolve(ME, subject="you")):
            with pytest.raises(OverLimit):
                door.stream(evolve(ME, subject="third")).__enter__()
    assert len(door.requests) == len(door.streams) == 0


# ------------------------------------------------------------------------------------------------------------- streams
async def test_SEC12_streams_of_a_user_and_of_a_tenant(stores: Stores) -> None:
    async with serving(*stores, limits=evolve(GENEROUS, user_sockets=2, max_sockets=3)) as served:
        session = (await served.done("[[say:x]]"))["sessionId"]
        one, two = (served.socket(session) for _ in range(2))
        async with one as first, two as second:
            await receive(first)
            await receive(second)
            async with served.socket(session) as third:
                with pytest.raises(ConnectionClosed) as closed:
                    await third.recv()
                assert closed.value.rcvd is not None
                assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4429, "over_limit")
            for accept in ("text/event-stream", "application/json"):
                answer = await served.call("GET", f"/sessions/{session}/events", Accept=accept)
                assert (answer.status_code, answer.json()["code"]) == (429, "over_limit")
            you = Served(served.url, served.runtime, served.engine, served.other, served.http, {"X-User-Id": "you"})
            async with you.socket(session) as third:
                await receive(third)
                assert (await you.call("GET", f"/sessions/{session}/events")).status_code == 429  # of the tenant
        with anyio.fail_after(5):
            while (await served.call("GET", f"/sessions/{session}/events")).status_code != 200:
                await anyio.sleep(0.05)


async def test_SEC12_a_stream_that_is_left_is_counted_no_more(stores: Stores) -> None:
    async with serving(*stores, limits=evolve(GENEROUS, user_sockets=1)) as served:
        session = (await served.post("[[hang]]"))["sessionId"]
        address = f"{served.url}{API}/sessions/{session}/events"
        for _ in range(3):
            with anyio.fail_after(5):
                while True:
                    async with served.http.stream("GET", address, headers={"Accept": "text/event-stream"}) as answer:
                        if answer.status_code == 200:
                            await anext(answer.aiter_bytes())
                            break
                    await anyio.sleep(0.05)


async def test_SEC12_a_frame_of_65_kb(served: Served) -> None:
    session = (await served.done("[[say:x]]"))["sessionId"]
    async with served.socket(session) as socket:
        await socket.send('{"type":"ping","id":"1","x":"' + "x" * (MAX_FRAME_BYTES - 64) + '"}')
        while (await receive(socket))["type"] != "ack":
            pass
        with pytest.raises(ConnectionClosed) as closed:
            await socket.send('{"type":"ping","x":"' + "x" * (65 * 1024) + '"}')
            while True:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
    assert (await served.post("[[say:x]]", session))["sessionId"] == session


async def test_SEC12_a_thousand_messages_a_second(served: Served) -> None:
    session = (await served.done("[[say:x]]"))["sessionId"]
    async with served.socket(session) as socket:
        acks = 0
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(1000):
                await socket.send('{"type":"ping"}')
            while True:
                acks += (await receive(socket))["type"] == "ack"
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "too many messages: send fewer")
        assert acks < 200
    async with served.socket(session) as socket:  # it comes back
        await receive(socket)


async def test_SEC12_nothing_is_compressed(served: Served) -> None:
    session = (await served.done("[[say:x]]"))["sessionId"]
    address = served.url.replace("http", "ws") + f"{API}/sessions/{session}/stream"
    async with connect(address, compression="deflate") as socket:
        assert not socket.protocol.extensions
        assert "Sec-WebSocket-Extensions" not in socket.response.headers  # type: ignore[union-attr]


# -------------------------------------------------------------------------------------------------------------- bodies
JSON_ROUTES = (
    ("POST", "/tasks"),
    ("POST", "/tasks/00000000-0000-4000-8000-000000000000/inject"),
    ("POST", "/tasks/00000000-0000-4000-8000-000000000000/approve"),
    ("PATCH", "/sessions/00000000-0000-4000-8000-000000000000"),
    ("POST", "/sessions/00000000-0000-4000-8000-000000000000/oauth-trigger"),
    ("POST", "/engines/switch"),
    ("POST", "/instances"),
    ("PATCH", "/instances/00000000-0000-4000-8000-000000000000"),
    ("POST", "/instances/00000000-0000-4000-8000-000000000000/tasks"),
    ("POST", "/instances/openclaw-app-callback"),
)
DEEP = 100_000
BODIES = (
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b'{"prompt":"x","message":"x","approved":true,"unknown":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"prompt":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"prompt":"x","message":"x","name":1,"maxTurns":1' + b"0" * 5000 + b"}",
    b'{"prompt":"x","name":1,"deadlineSeconds":1e99999}',
    b'{"prompt":"x","name":1,"deadlineSeconds":-' + b"9" * 5000 + b"}",
    b'{"name":"x","hostPort":1' + b"0" * 5000 + b',"maxTurns":1e99999}',
    b'{"result":"x","ok":true,"callbackData":' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}",
    b'"' + b'\\"' * 200_000,
    b"\xff\xfe{}",
    b"",
)


async def test_SEC13_however_deep_or_long_it_is_no_5xx(served: Served) -> None:
    for method, path in JSON_ROUTES:
        for body in BODIES:
            answer = await served.http.request(
                method, served.url + API + path, content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code in {400, 401, 404, 413}, (method, path, body[:40], answer.text)
    assert (await served.get("/sessions"))["items"] == []


async def test_SEC13_frames_that_are_deep(served: Served) -> None:
    session = (await served.done("[[say:x]]"))["sessionId"]
    async with served.socket(session) as socket:
        for frame in (
            "[" * 60_000,
            '{"a":' * 10_000 + "1" + "}" * 10_000,
            '{"type":"prompt","prompt":"x","more":' + "[" * 900 + "]" * 900 + "}",
            '{"type":"prompt","prompt":"x","maxTurns":1' + "0" * 5000 + "}",
            '{"type":' + "[" * 70 + "]" * 70 + "}",
        ):
            await socket.send(frame)
            while (answer := await receive(socket))["type"] != "problem":
                pass
            assert answer["status"] == 400, frame[:40]


async def test_SEC13_bodies_have_a_limit_for_each_route(served: Served) -> None:
    for method, path in JSON_ROUTES:
        is_prompt = path.endswith(("/tasks", "/inject")) and "instances" not in path
        size = 145 if is_prompt else 1 if "callback" not in path else 0.25
        head = f"{method} {API}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        host, port = served.url.removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(f"{head}Content-Length: {int(size * 1024**2) + 2}\r\n\r\n{{".encode())
            with anyio.fail_after(5):  # by its length alone, before it is sent
                answer = await stream.receive()
        assert answer.startswith(b"HTTP/1.1 413 "), (path, answer[:80])


async def test_SEC13_a_body_without_a_length_is_counted(served: Served) -> None:
    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * 65_536

    for method, path in JSON_ROUTES[3:6]:
        answer = await served.http.request(
            method, served.url + API + path, content=chunks(), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413, path


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"[]{}\\', max_size=4), inner, max_size=3),
    max_leaves=100,
)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@given(JSON, st.integers(0, 90))
def test_SEC13_depth_is_counted_as_it_is(value: object, more: int) -> None:
    import json

    for _ in range(more):
        value = [value, '[{"' * 30]
    assert is_shallow(json.dumps(value).encode()) == (_depth(value) <= DEPTH)


def test_SEC13_looking_for_depth_takes_no_time_and_no_memory() -> None:
    hostile = (
        b'"' + b'\\"' * 2_000_000,
        b"[" * 65 + b'"' * 3_000_001,
        b"[" * 64 + b'"' + b"x" * 4_000_000,
        b"[]" * 1_000_000,
        b"[" * 70 + b"\\" * 4_000_000,
    )  # fmt: skip
    gc.collect()
    tracemalloc.start()
    try:
        began = time.process_time()
        for body in hostile:
            is_shallow(body)
        assert time.process_time() - began < 8  # seconds under a tracer; going back would take hours
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


# -------------------------------------------------------------------------------------------------------------- images
def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;"


def jpeg(width: int, height: int) -> bytes:
    app = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + b"\0" * 9
    frame = b"\xff\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8" + app + frame + b"\xff\xd9"


def webp(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_lossless(width: int, height: int) -> bytes:
    body = b"VP8L" + struct.pack("<I", 5) + b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_lossy(width: int, height: int) -> bytes:
    body = b"VP8 " + struct.pack("<I", 10) + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


Make = Callable[[int, int], bytes]
IMAGES: tuple[tuple[str, Make], ...] = (
    ("image/png", png),
    ("image/gif", gif),
    ("image/jpeg", jpeg),
    ("image/webp", webp),
    ("image/webp", webp_lossless),
    ("image/webp", webp_lossy),
)


@pytest.mark.parametrize(("kind", "made"), IMAGES)
def test_SEC15_sizes_are_read_from_the_header(kind: str, made: Make) -> None:
    assert size_of(kind, made(8001, 3)) == (8001, 3)
    assert size_of(kind, made(640, 480)) == (640, 480)
    whole = made(640, 480)
    for end in range(len(whole)):
        assert size_of(kind, whole[:end]) in {None, (640, 480)}
    assert size_of(kind, whole[:9]) is None


@given(st.sampled_from(IMAGES), st.binary(max_size=200), st.integers(0, 60))
def test_SEC15_no_header_breaks_the_reader(
    image: tuple[str, Callable[[int, int], bytes]], noise: bytes, at: int
) -> None:
    kind, made = image
    whole = made(640, 480)
    size_of(kind, whole[:at] + noise + whole[at:])
    size_of(kind, noise)


async def test_SEC15_images_are_measured_before_anything_is_stored(served: Served) -> None:
    for kind, made in IMAGES:
        for data, status in (
            (made(8000, 8000), 201),
            (made(8001, 1), 413),
            (made(1, 8001), 413),
            (made(9, 9)[:9], 400),
        ):
            file = {"base64Data": base64.b64encode(data).decode(), "mediaType": kind}
            answer = await served.call("POST", "/tasks", {"prompt": "x", "attachments": [file]})
            assert answer.status_code == status, (kind, answer.text)
    assert len((await served.get("/sessions"))["items"]) == len(IMAGES)
