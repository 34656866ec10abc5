"""A server that asks who comes is attacked over the WebSocket: by an admin, by a user, with tickets, and by nobody."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore
from agentcore_http.app import API
from tests.fuzz import test_websocket
from tests.fuzz.ground import Ground, broken_tokens, guarded_ground
from tests.fuzz.test_websocket import (
    BOUNDLESS,
    CLOSES,
    HOSTILE,
    WITHIN_S,
    Close,
    Move,
    Text,
    attack,
    cursors,
    includes,
    moves,
    perform,
    play,
    portal,
    sessions,
)  # fmt: skip
from tests.support.server import Json
from tests.support.tokens import bearing

__all__ = ["portal"]
pytestmark = pytest.mark.slow
EXAMPLES = max(30, test_websocket.EXAMPLES // 2)
SHOWN = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, phases=(Phase.explicit, Phase.generate))
NOT_KNOWN, TOO_LONG = 4401, 431


@pytest.fixture(scope="module")
def guarded(portal: BlockingPortal) -> Iterator[Ground]:
    clock = SystemClock()
    store = MemoryStore(clock)
    opened = guarded_ground(store, MemoryLeases(store.state, clock), limits=BOUNDLESS)
    with portal.wrap_async_context_manager(opened) as found:
        yield found


def begun(portal: BlockingPortal, guarded: Ground, who: str, *, has_ticket: bool) -> test_websocket.Ground:
    """Return the ground as *who* finds it: a user is beside another one, an admin beside another tenant."""
    served = bearing(guarded.served, guarded.token(who))
    own = portal.call(served.post, "[[say:x]]")
    portal.call(served.ended, own["taskId"])
    other = guarded.planted[0 if who == "admin" else 1]
    return test_websocket.Ground(
        served,
        own["sessionId"],
        other.session_id,
        other.task_id,
        guarded.logged,
        marks=(other.mark, guarded.key),
        has_ticket=has_ticket,
    )


@pytest.mark.parametrize(("who", "has_ticket"), [("admin", False), ("user", False), ("user", True)])
def test_whoever_is_known_touches_nothing_of_others(
    portal: BlockingPortal, guarded: Ground, who: str, has_ticket: bool
) -> None:
    ground = begun(portal, guarded, who, has_ticket=has_ticket)

    @SHOWN
    @example(script=list(HOSTILE), cursor=None, include="all", session="MINE")
    @example(script=list(HOSTILE), cursor="0", include="all", session="THEIRS")
    @given(script=st.lists(moves, min_size=1, max_size=8), cursor=cursors, include=includes, session=sessions)
    def answered(script: list[Move], cursor: str | None, include: str | None, session: str) -> None:
        asked = {"after": cursor, "include": include}
        query = "&".join(f"{name}={value}" for name, value in asked.items() if value is not None)
        code = portal.call(attack, ground, script, query, session)
        ground.reached[code] += 1
        echoed = {move.code for move in script if isinstance(move, Close)}
        assert code is None or code in CLOSES | echoed, code
        assert session == "MINE" or code in {None, 1002, 1006, 1007, 4400, 4404} | echoed
        assert code != NOT_KNOWN

    answered()
    portal.call(guarded.is_as_it_was)
    assert ground.reached["accepted"] >= 3, ground.reached
    assert ground.reached[4404] >= 1, ground.reached


# ------------------------------------------------------------------------------------------------------------ nobody
#: What a header may hold on its way through every client: RFC 9110, 5.6.2 for the names of subprotocols.
names = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789!#$%&'*+-.^_`|~=", max_size=60)
tampered = st.tuples(st.integers(0, 400), st.sampled_from("AZaz09._-"))
proofs = st.one_of(
    st.tuples(st.just("token"), st.integers(0, 200)),
    st.tuples(st.just("name"), names),
    st.tuples(st.just("ticket"), tampered),
    st.tuples(st.sampled_from(["used", "two", "origin", "address", "cookie"]), st.none()),
)


async def knocked(guarded: Ground, proof: tuple[str, Any], script: list[Move], query: str) -> tuple[object, list[str]]:
    """Open a socket to another's session without a proof; return how it was closed and what was said on it."""
    headers, query = await broken(guarded, proof, query)
    address = f"{guarded.served.url.replace('http', 'ws')}{API}/sessions/{guarded.planted[0].session_id}/stream?{query}"
    heard: list[str] = []
    try:
        async with connect(address, max_size=None, close_timeout=1, **headers) as socket:
            await play(socket, [move for move in script if isinstance(move, Text)])
            with anyio.fail_after(WITHIN_S):
                while True:
                    heard.append(str(await socket.recv()))
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None, heard
    except InvalidStatus as refused:
        return refused.response.status_code, heard
    except InvalidHandshake:  # our own side does not like what it was told to offer
        return None, heard


async def broken(guarded: Ground, proof: tuple[str, Any], query: str) -> tuple[Json, str]:
    """Make what a socket is opened with, and its query."""
    kind, how = proof
    owner = guarded.planted[0].owner
    if kind == "token":
        tokens = broken_tokens(guarded.issuer)
        token = tokens[how % len(tokens)]
        return {"additional_headers": {} if token is None else {"Authorization": token}}, query
    if kind == "name":
        return {"subprotocols": ["agentcore", f"agentcore.ticket.{how}"]}, query
    if kind in {"address", "cookie"}:
        token = owner.headers["Authorization"].removeprefix("Bearer ")
        if kind == "cookie":
            return {"additional_headers": {"Cookie": f"token={token}; Authorization=Bearer {token}"}}, query
        return {}, f"{query}&token={token}&access_token={token}&ticket={token}"
    origin = {"Origin": guarded.served.url} if kind == "origin" else {}
    ticket = (await owner.call("POST", "/stream-tickets", **origin)).json()["ticket"]
    offers = ["agentcore", f"agentcore.ticket.{ticket}"]
    if kind == "used":
        address = f"{guarded.served.url.replace('http', 'ws')}{API}/sessions/{guarded.planted[0].session_id}/stream"
        async with connect(address, subprotocols=offers) as socket:  # type: ignore[arg-type]
            await perform(socket, Close(1000))
    if kind == "two":
        offers.append(offers[1])
    if kind == "ticket":
        place, letter = how[0] % len(ticket), how[1]
        letter = letter if ticket[place] != letter else "~"
        offers[1] = f"agentcore.ticket.{ticket[:place]}{letter}{ticket[place + 1 :]}"
    return {"subprotocols": offers}, query


def test_SEC10_nobody_hears_anything_whatever_is_sent(portal: BlockingPortal, guarded: Ground) -> None:
    reached: Counter[object] = Counter()

    @SHOWN
    @example(proof=("token", 0), script=list(HOSTILE), cursor="0")
    @example(proof=("used", None), script=list(HOSTILE), cursor="0")
    @example(proof=("two", None), script=list(HOSTILE), cursor=None)
    @example(proof=("origin", None), script=list(HOSTILE), cursor=None)
    @example(proof=("address", None), script=list(HOSTILE), cursor=None)
    @example(proof=("cookie", None), script=list(HOSTILE), cursor=None)
    @given(proof=proofs, script=st.lists(moves, max_size=4), cursor=cursors)
    def refused(proof: tuple[str, Any], script: list[Move], cursor: str | None) -> None:
        code, heard = portal.call(knocked, guarded, proof, script, "" if cursor is None else f"after={cursor}")
        assert heard == []
        assert code in {NOT_KNOWN, 400, TOO_LONG, None}, code
        reached[code] += 1

    refused()
    assert reached[NOT_KNOWN] > EXAMPLES // 2, reached
    portal.call(guarded.is_as_it_was)


def test_every_broken_token_is_refused(portal: BlockingPortal, guarded: Ground) -> None:
    for number, token in enumerate(broken_tokens(guarded.issuer)):
        expected = TOO_LONG if token is not None and len(token) > 8192 else NOT_KNOWN
        assert portal.call(knocked, guarded, ("token", number), [], "") == (expected, []), token
