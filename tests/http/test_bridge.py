"""The bridge that is shipped, between a server of ours and a gateway that speaks OpenClaw's documented frames."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
import msgspec
import pytest
from attrs import define, field
from litestar import Litestar, Response, post
from tests.support.bridge import RemoteServed, serving_remote
from tests.support.gateway import FakeGateway, fake_gateway
from tests.support.server import Json, listening_on

from agentcore.ports import Leases, Store
from agentcore.seal import is_signed
from agentcore.testing.making import an_id
from agentcore_http.bridge import Bridge, create_bridge
from agentcore_http.gateway import Gateway, text_of
from agentcore_http.routes.context import Req

pytestmark = pytest.mark.anyio


@define(eq=False)
class Receiver:
    """A server that is called back."""

    url: str = ""
    received: list[tuple[dict[str, str], bytes]] = field(factory=list)
    answers: list[int] = field(factory=list)  #: Statuses of the next answers; then 200.
    _told: anyio.Condition = field(factory=anyio.Condition)

    async def until(self, count: int) -> Json:
        async with self._told:
            with anyio.fail_after(10):
                while len(self.received) < count:
                    await self._told.wait()
        body: Json = msgspec.json.decode(self.received[-1][1])
        return body


@asynccontextmanager
async def a_receiver() -> AsyncIterator[Receiver]:
    found = Receiver()

    @post("/back")
    async def back(request: Req) -> Response[bytes]:
        async with found._told:
            found.received.append((dict(request.headers), await request.body()))
            found._told.notify_all()
        return Response(b"{}", status_code=found.answers.pop(0) if found.answers else 200)

    async with listening_on(Litestar([back], openapi_config=None, logging_config=None)) as url:
        found.url = url
        yield found


@define
class World:
    """A gateway, the bridge, and who is called back."""

    gateway: FakeGateway
    bridge: Bridge
    url: str
    receiver: Receiver
    http: httpx2.AsyncClient

    async def ask(self, prompt: str, key: str | None = None, **more: object) -> tuple[str, httpx2.Response]:
        key = key or an_id()
        where = {"callbackUrl": f"{self.receiver.url}/back", "sessionKey": "it0:s"}
        data = {"callbackData": {"any": ["thing", 1.50], "signature": "x"}}
        body = {"prompt": prompt, "idempotencyKey": key} | where | data | more
        return key, await self.http.post(f"{self.url}/task-async", json=body)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with fake_gateway() as gateway, a_receiver() as receiver, httpx2.AsyncClient() as http:
        bridge = Bridge(gateway=Gateway(gateway.url, gateway.token), server=receiver.url, retries_s=(0.01, 0.02))
        async with listening_on(create_bridge(bridge)) as url:
            yield World(gateway, bridge, url, receiver, http)


async def test_a_task_is_run_and_its_answer_called_back(world: World) -> None:
    key, answer = await world.ask("say:hello")
    assert (answer.status_code, answer.json()) == (202, {"runId": key, "isOver": False, "cancel": True})
    told = await world.receiver.until(1)
    assert told == {
        "ok": True,
        "result": "hello",
        "usage": {"inputTokens": 11, "outputTokens": 7},
        "callbackData": {"any": ["thing", 1.5], "signature": "x"},
    }
    assert world.gateway.sent == [{"sessionKey": "it0:s", "message": "say:hello", "idempotencyKey": key}]
    (hello,) = world.gateway.connects
    assert (hello["role"], hello["client"]["id"], hello["client"]["mode"]) == ("operator", "gateway-client", "backend")


async def test_a_key_is_run_once_and_called_back_once(world: World) -> None:
    key, _ = await world.ask("say:once")
    await world.receiver.until(1)
    for _ in range(3):
        assert (await world.ask("say:twice", key))[1].json()["isOver"]
    other, _ = await world.ask("say:other")
    assert (await world.receiver.until(2))["result"] == "other"
    assert [sent["idempotencyKey"] for sent in world.gateway.sent] == [key, other]


async def test_a_callback_is_tried_until_it_is_taken_and_kept_if_it_is_not(world: World) -> None:
    world.receiver.answers = [503, 500, 429]
    key, _ = await world.ask("say:x")
    await world.receiver.until(3)  # as often as it has patience
    with anyio.fail_after(10):
        while world.bridge.runs[key].is_telling:
            await anyio.sleep(0.005)
    await world.ask("say:x", key)
    assert (await world.receiver.until(4))["result"] == "x"
    assert len(world.gateway.sent) == 1
    world.receiver.answers = [401]
    await world.ask("say:y")
    await world.receiver.until(5)
    key, _ = await world.ask("say:z")
    assert (await world.receiver.until(6))["result"] == "z"  # a refusal is not repeated


async def test_an_error_of_the_gateway_says_nothing_of_it(world: World) -> None:
    await world.ask("error")
    told = await world.receiver.until(1)
    assert (told["ok"], "10.9.8.7" in str(told)) == (False, False)


async def test_its_own_time_is_up_and_the_run_is_aborted(world: World) -> None:
    world.bridge.timeout_s = 0.2
    key, _ = await world.ask("hang")
    told = await world.receiver.until(1)
    assert (told["ok"], told["isTimeout"]) == (False, True)
    await world.gateway.until_aborted(key)


async def test_a_broken_connection_finds_the_same_run(world: World) -> None:
    world.gateway.drops = 2
    key, _ = await world.ask("say:again")
    assert (await world.receiver.until(1))["result"] == "again"
    assert [sent["idempotencyKey"] for sent in world.gateway.sent] == [key] * 3


async def test_a_gateway_that_is_not_there_or_does_not_know_us_is_a_failure(world: World) -> None:
    world.gateway.token = "another"
    await world.ask("say:x")
    assert (await world.receiver.until(1))["ok"] is False
    assert world.gateway.sent == []
    world.bridge.gateway = Gateway("ws://127.0.0.1:1")
    await world.ask("say:x")
    assert (await world.receiver.until(2))["ok"] is False


async def test_a_task_can_be_withdrawn(world: World) -> None:
    key, _ = await world.ask("hang")
    await world.gateway.until_sent(key)
    for body, cancelled in (({"idempotencyKey": key}, True), ({"idempotencyKey": "unknown"}, False)):
        answer = await world.http.post(f"{world.url}/task-cancel", json=body)
        assert (answer.status_code, answer.json()) == (200, {"cancelled": cancelled})
    await world.gateway.until_aborted(key)
    assert world.receiver.received == []


async def test_answers_go_to_the_server_it_serves_and_bad_requests_nowhere(world: World) -> None:
    for url in ("http://169.254.169.254/x", world.receiver.url + ".evil.example/back", "", world.receiver.url[:-1]):
        answer = (await world.ask("say:x", callbackUrl=url))[1]
        assert (answer.status_code, answer.json()["field"]) == (400, "callbackUrl")
    assert (await world.ask("say:x", sessionKey=5))[1].status_code == 400
    assert (await world.http.post(f"{world.url}/task-async", content=b"[]")).status_code == 400
    assert (await world.http.get(f"{world.url}/healthz")).json() == {"status": "ok"}
    assert world.gateway.connects == []


async def test_callbacks_are_signed_if_there_is_a_secret(world: World) -> None:
    world.bridge.key = b"s" * 32
    key, _ = await world.ask("say:x")
    await world.receiver.until(1)
    ((headers, body),) = world.receiver.received
    assert headers["webhook-id"] == key
    assert is_signed(b"s" * 32, key, headers["webhook-timestamp"], body, [headers["webhook-signature"]])


@pytest.mark.parametrize(
    ("message", "text"),
    [("x", "x"), ({"content": "x"}, "x"), ({"content": [{"type": "text", "text": "x"}, 5]}, "x"), (None, ""), ([], "")],
)
def test_a_message_has_a_text(message: object, text: str) -> None:
    assert text_of(message) == text


@pytest.fixture
async def whole(stores: tuple[Store, Leases]) -> AsyncIterator[tuple[RemoteServed, FakeGateway]]:
    """The server, the real bridge and a gateway."""
    async with fake_gateway() as gateway, serving_remote(*stores) as remote:
        bridge = Bridge(gateway=Gateway(gateway.url, gateway.token), server=remote.served.url, retries_s=(0.01, 0.02))
        async with listening_on(create_bridge(bridge)) as url:
            made = await remote.add(hostPort=int(url.rpartition(":")[2]))
            secret = (await remote.served.get(f"/instances/{made['id']}/secret"))["secret"]
            bridge.key = base64.b64decode(secret.removeprefix("whsec_"))
            remote.instance = made["id"]
            yield remote, gateway


async def test_a_prompt_goes_all_the_way_and_its_answer_comes_back(whole: tuple[RemoteServed, FakeGateway]) -> None:
    remote, gateway = whole
    task = await remote.post("say:from afar")
    ended = await remote.served.ended(task["taskId"])
    assert (ended["status"], ended["result"]) == ("completed", "from afar")
    assert (ended["usage"]["inputTokens"], ended["usage"]["fidelity"]) == (11, "exact")
    failed = await remote.served.ended((await remote.post("error"))["taskId"])
    assert failed["error"]["code"] == "BRIDGE_ERROR"
    stopped = await remote.post("hang")
    await gateway.until_sent(stopped["taskId"])
    with anyio.fail_after(10):
        while (await remote.served.task(stopped["taskId"]))["status"] != "cancelled":
            await remote.served.call("DELETE", f"/tasks/{stopped['taskId']}")
    await gateway.until_aborted(stopped["taskId"])
