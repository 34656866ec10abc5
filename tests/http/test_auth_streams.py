"""Streams: who may open one, and when it ends."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import anyio
import httpx2
import pytest
import structlog
from attrs import evolve
from tests.support.server import Served, receive, serving
from tests.support.tokens import (
    GATEWAY_SECRET,
    Issuer,
    bearing,
    gateway_settings,
    guarded,
    jwt_settings,
    memory,
    refusals,
)
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agentcore.caller import Caller, Role
from agentcore.errors import IdentityUnavailable
from agentcore.ids import TenantId
from agentcore.ports import RESERVED_S, Leases, Store
from agentcore.seal import Seal
from agentcore_adapters.memory.clock import ManualClock
from agentcore_adapters.memory.store import MemoryStore
from agentcore_http.app import API
from agentcore_http.auth import tickets
from agentcore_http.auth.identity import Identity, NotProved
from agentcore_http.settings import Settings

pytestmark = pytest.mark.anyio
APP = "https://app.example"


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def asked(issuer: Issuer, stores: tuple[Store, Leases]) -> AsyncIterator[Served]:
    async with guarded(jwt_settings(origins=(APP,)), issuer, stores) as served:
        yield bearing(served, issuer.token())


def opening(
    served: Served, session_id: str, *, origin: str | None = None, offers: tuple[str, ...] = (), **headers: str
) -> connect:
    address = f"{served.url.replace('http', 'ws')}{API}/sessions/{session_id}/stream"
    names: Any = list(offers) or None
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return connect(address, origin=origin, subprotocols=names, additional_headers=more)  # type: ignore[arg-type]


def with_ticket(ticket: str) -> tuple[str, ...]:
    return ("agentcore", f"agentcore.ticket.{ticket}")


async def bought(served: Served, origin: str | None = None) -> str:
    answer = await served.call("POST", "/stream-tickets", **({"Origin": origin} if origin else {}))
    assert answer.status_code == 201, answer.text
    assert set(answer.json()) == {"ticket", "expiresAt"}
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["ticket"])


async def closed(opened: connect) -> tuple[int, str]:
    """How a socket was closed on which nothing was said."""
    async with opened as socket:
        return await closing(socket)


async def closing(socket: ClientConnection) -> tuple[int, str]:
    with anyio.fail_after(10), pytest.raises(ConnectionClosed) as end:
        await socket.recv()
    assert end.value.rcvd is not None
    return end.value.rcvd.code, end.value.rcvd.reason


async def test_SEC10_without_proof_a_socket_is_closed_before_any_content(asked: Served, issuer: Issuer) -> None:
    session_id = (await asked.done("x"))["sessionId"]
    tries: list[dict[str, str]] = [{}, {"Authorization": "Bearer x"}, {"Cookie": "s=1"}, {"X-Tenant-Id": "acme"}]
    for headers in tries:
        with refusals() as reasons:
            opened = opening(asked, session_id, origin=None, offers=(), **headers)
            assert await closed(opened) == (4401, "unauthenticated")
        assert len(reasons) == 1
    address = f"{asked.url.replace('http', 'ws')}{API}/sessions/{session_id}/stream?access_token={issuer.token()}"
    assert await closed(connect(f"{address}&ticket={await bought(asked)}")) == (4401, "unauthenticated")
    async with opening(asked, session_id, Authorization=asked.headers["Authorization"]) as socket:
        assert (await receive(socket))["type"] == "subscribed"


async def test_a_socket_is_told_to_come_back_while_no_keys_can_be_read() -> None:
    issuer = Issuer(error=IdentityUnavailable("no answer in time"))
    async with guarded(jwt_settings(), issuer) as served:
        opened = opening(served, "s", Authorization=f"Bearer {issuer.token()}")
        assert await closed(opened) == (1013, "identity_unavailable")


async def test_SEC10_a_ticket_opens_one_socket_and_is_told_to_nobody(asked: Served) -> None:
    session_id = (await asked.done("x"))["sessionId"]
    with structlog.testing.capture_logs() as logged:
        ticket = await bought(asked, APP)
        async with opening(asked, session_id, origin=APP, offers=with_ticket(ticket)) as socket:
            assert socket.subprotocol == "agentcore"
            assert socket.response is not None
            assert ticket not in str(list(socket.response.headers.raw_items()))
            assert (await receive(socket))["type"] == "subscribed"
        again = await closed(opening(asked, session_id, origin=APP, offers=with_ticket(ticket)))
    assert again == (4401, "unauthenticated")
    assert [line["reason"] for line in logged if line["event"] == "auth.refused"] == ["ticket_used"]
    assert ticket not in str(logged)


async def test_SEC10_of_many_who_bring_one_ticket_one_is_let_in(asked: Served) -> None:
    session_id = (await asked.done("x"))["sessionId"]
    ticket = await bought(asked)
    ends: list[object] = []

    async def bring() -> None:
        async with opening(asked, session_id, offers=with_ticket(ticket)) as socket:
            try:
                ends.append((await receive(socket))["type"])
            except ConnectionClosed as end:
                ends.append(end.rcvd.code if end.rcvd else None)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(bring)
    assert sorted(map(str, ends)) == ["4401"] * 19 + ["subscribed"]


async def test_SEC10_a_ticket_stays_used_when_its_reservation_lapses() -> None:
    clock = ManualClock()
    desk = tickets.Tickets(seal=Seal(b"k" * 32), store=MemoryStore(clock), clock=clock)
    buyer = Caller(tenant_id=TenantId("acme"), subject="ann", email="a@b.c", roles=frozenset({Role.VIEWER}))
    until = clock.now() + timedelta(seconds=20)
    ticket, expires_at = desk.sell(Identity(caller=buyer, until=until), APP)
    assert expires_at - clock.now() == timedelta(seconds=30)
    assert await desk.take(ticket, APP) == Identity(caller=buyer, until=until)
    clock.advance(RESERVED_S + 1)
    with pytest.raises(NotProved, match="ticket_used"):
        await desk.take(ticket, APP)
    late, _ = desk.sell(Identity(caller=buyer, until=until), APP)
    clock.advance(4)  # the token has expired, the ticket has not
    with pytest.raises(NotProved, match="ticket_expired"):
        await desk.take(late, APP)


async def test_SEC10_a_ticket_is_good_once_on_all_nodes(issuer: Issuer, stores: tuple[Store, Leases]) -> None:
    async with guarded(jwt_settings(), issuer, stores) as first:
        one = bearing(first, issuer.token())
        session_id = (await one.done("x"))["sessionId"]
        here, there = await bought(one), await bought(one)
    async with guarded(jwt_settings(), issuer, stores) as two, guarded(jwt_settings(), issuer, stores) as three:
        async with opening(two, session_id, offers=with_ticket(there)) as socket:
            assert (await receive(socket))["type"] == "subscribed"
        assert (await closed(opening(three, session_id, offers=with_ticket(there))))[0] == 4401
        async with opening(three, session_id, offers=with_ticket(here)) as socket:
            assert (await receive(socket))["type"] == "subscribed"


async def test_SEC10_a_ticket_is_bound(asked: Served, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = (await asked.done("x"))["sessionId"]
    cases: list[tuple[str, str | None, str | None]] = [
        (APP, None, "ticket_origin"),
        (APP, asked.url, "ticket_origin"),
        ("", APP, "ticket_origin"),
    ]
    for bought_at, used_at, reason in cases:
        ticket = await bought(asked, bought_at or None)
        with refusals() as reasons:
            assert (await closed(opening(asked, session_id, origin=used_at, offers=with_ticket(ticket))))[0] == 4401
        assert reasons == [reason]
    ticket = await bought(asked)
    version, body, mac = ticket.split(".")
    for forged in (
        f"{version}.{body}.{mac[:-1]}x",
        f"{version}.{body[:-2]}.{mac}",
        f"{version}.{body}A.{mac}",
        "x",
        "..",
        "",
    ):
        with refusals() as reasons:
            assert (await closed(opening(asked, session_id, offers=with_ticket(forged))))[0] == 4401
        assert reasons == ["ticket_forged"]
    with refusals() as reasons:
        two = (*with_ticket(ticket), f"agentcore.ticket.{await bought(asked)}")
        assert (await closed(opening(asked, session_id, offers=two)))[0] == 4401
    assert reasons == ["two_tickets"]
    foreign = await bought(bearing(asked, issuer.token(tenant_id="evil")))
    assert await closed(opening(asked, session_id, offers=with_ticket(foreign))) == (4404, "session_not_found")
    monkeypatch.setattr(tickets, "TICKET_S", -0.1)
    with refusals() as reasons:
        assert (await closed(opening(asked, session_id, offers=with_ticket(await bought(asked)))))[0] == 4401
    assert reasons == ["ticket_expired"]


async def test_SEC10_a_foreign_page_cannot_open_a_socket(asked: Served) -> None:
    session_id = (await asked.done("x"))["sessionId"]
    for origin in ("https://evil.example", "null", f"{APP}.evil.example", "http://app.example"):
        with pytest.raises(InvalidStatus) as refused:
            async with opening(asked, session_id, origin=origin, Authorization=asked.headers["Authorization"]):
                pass
        assert refused.value.response.status_code == 403


async def test_SEC10_a_ticket_carries_the_roles_of_its_buyer(asked: Served) -> None:
    ticket = await bought(asked)
    session_id = (await asked.done("x"))["sessionId"]
    async with opening(asked, session_id, offers=with_ticket(ticket)) as socket:
        await socket.send('{"type": "prompt", "id": "1", "prompt": "[[say:hi]]"}')
        with anyio.fail_after(10):
            while (frame := await receive(socket))["type"] not in {"ack", "problem"}:
                pass
    assert (frame["type"], frame["sessionId"]) == ("ack", session_id)


async def test_a_ticket_needs_the_gateways_secret_too() -> None:
    named = {"X-Gateway-Secret": GATEWAY_SECRET, "X-Tenant-Id": "acme", "X-User-Id": "ann"}
    async with guarded(gateway_settings()) as bare:
        served = evolve(bare, headers=named)
        session_id = (await served.done("x"))["sessionId"]
        offers = with_ticket(await bought(served))
        with refusals() as reasons:
            assert (await closed(opening(served, session_id, offers=offers)))[0] == 4401
        assert reasons == ["no_gateway_secret"]
        async with opening(served, session_id, offers=offers, X_Gateway_Secret=GATEWAY_SECRET) as socket:
            assert (await receive(socket))["type"] == "subscribed"


async def test_without_authentication_a_ticket_is_not_needed_and_works() -> None:
    async with serving(*memory(), Settings()) as bare:
        served = evolve(bare, headers={"X-Tenant-Id": "acme"})
        session_id = (await served.done("x"))["sessionId"]
        offers = with_ticket(await bought(served))
        async with opening(served, session_id, offers=offers) as socket:
            assert (await receive(socket))["type"] == "subscribed"
        assert (await closed(opening(served, session_id, offers=offers)))[0] == 4401
        async with served.socket(session_id) as socket:
            assert (await receive(socket))["type"] == "subscribed"


async def test_SEC11_streams_end_when_the_token_expires(asked: Served, issuer: Issuer) -> None:
    task = await asked.post("[[say:a]] [[hang]]")
    session_id = task["sessionId"]
    await asked.until(task["taskId"], {"running"})
    expires = int(time.time()) + 3
    short = bearing(asked, issuer.token(exp=expires))
    ticket = await bought(short)
    ends: dict[str, tuple[float, object]] = {}

    async def socket(name: str, opened: connect) -> None:
        async with opened as found:
            with anyio.fail_after(20), pytest.raises(ConnectionClosed) as end:
                while True:
                    await found.recv()
        assert end.value.rcvd is not None
        ends[name] = (time.time(), (end.value.rcvd.code, end.value.rcvd.reason))

    async def sse() -> None:
        async with httpx2.AsyncClient(timeout=20) as http:
            address = f"{short.url}{API}/sessions/{session_id}/events"
            headers = short.headers | {"Accept": "text/event-stream"}
            async with http.stream("GET", address, headers=headers) as response:
                text = "".join([chunk async for chunk in response.aiter_text()])
        ends["sse"] = (time.time(), response.status_code if "event: subscribed" in text else text)

    async def poll() -> None:
        head = (await short.get(f"/sessions/{session_id}/events"))["nextCursor"]
        page = await short.get(f"/sessions/{session_id}/events?after={head}&wait=30")
        ends["poll"] = (time.time(), page["items"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(socket, "header", opening(short, session_id, Authorization=short.headers["Authorization"]))
        tasks.start_soon(socket, "ticket", opening(short, session_id, offers=with_ticket(ticket)))
        tasks.start_soon(sse)
        tasks.start_soon(poll)
    assert {name: told for name, (_, told) in ends.items()} == {
        "header": (4401, "token_expired"),
        "ticket": (4401, "token_expired"),
        "sse": 200,
        "poll": [],
    }
    assert all(expires - 0.1 <= at <= expires + 3 for at, _ in ends.values()), (expires, ends)
    assert (await asked.task(task["taskId"]))["status"] == "running"


async def test_SEC11_within_the_leeway_a_request_counts_and_no_stream_begins(asked: Served, issuer: Issuer) -> None:
    session_id = (await asked.done("x"))["sessionId"]
    late = bearing(asked, issuer.token(exp=int(time.time()) - 3))
    assert (await late.call("GET", f"/sessions/{session_id}")).status_code == 200
    opened = opening(late, session_id, Authorization=late.headers["Authorization"])
    assert await closed(opened) == (4401, "token_expired")
    with refusals() as reasons:
        answer = await late.call("GET", f"/sessions/{session_id}/events", Accept="text/event-stream")
    assert (answer.status_code, answer.json()["code"], reasons) == (401, "unauthenticated", ["expired"])
    page = await late.get(f"/sessions/{session_id}/events?wait=30&after=latest")
    assert page["items"] == []
    assert (await closed(opening(late, session_id, offers=with_ticket(await bought(late)))))[0] == 4401


async def test_SEC11_a_cursor_grants_nothing(asked: Served, issuer: Issuer) -> None:
    session_id = (await asked.done("[[say:secret]]"))["sessionId"]
    own = bearing(asked, issuer.token(tenant_id="other"))
    other_id = (await own.done("[[say:mine]]"))["sessionId"]
    head = (await asked.get(f"/sessions/{session_id}/events"))["nextCursor"]
    assert (await own.call("GET", f"/sessions/{session_id}/events?after={head}")).status_code == 404
    for cursor in (head, "-1", "999999", "1" * 65, "1" * 50_000, "\u0661", "1.-1", "0x1", "1 "):
        answer = await own.http.get(
            f"{own.url}{API}/sessions/{other_id}/events", params={"after": cursor}, headers=own.headers
        )
        assert answer.status_code in {200, 400, 414, 431}, cursor
        assert "secret" not in answer.text
    assert await closed(opening(own, session_id, Authorization=own.headers["Authorization"])) == (
        4404,
        "session_not_found",
    )
