"""Where a request is asked who sends it.

Law: a route needs an identity unless it says otherwise where it is declared.  What is refused is answered with one
body, whatever the reason was, and leaves one line in the log.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import structlog
from attrs import frozen
from litestar.connection import ASGIConnection
from litestar.types import ASGIApp, Receive, Scope, Send

from agentcore.caller import Caller
from agentcore.errors import AgentcoreError, Unauthenticated
from agentcore.runtime import Runtime
from agentcore_http.auth.identity import Authenticator, Headers, Identity, NotProved
from agentcore_http.auth.origin import refuse
from agentcore_http.auth.tickets import Tickets, agreed, offered
from agentcore_http.front import TENANT
from agentcore_http.problems import close_code

log = structlog.get_logger("agentcore.http")
Connection = ASGIConnection[Any, Any, Any, Any]
DETAIL = "Send a valid token as Authorization: Bearer, or come through the gateway."
STATE = "agentcore.identity"
AGENT_TOKEN = "x-oauth-token"  # noqa: S105 - the name of a header


class Needs(StrEnum):
    """What a route wants to know of who asks."""

    CALLER = "caller"
    CALLER_OR_AGENT = "caller_or_agent"  #: An agent's token is a proof of its own, which the route looks at.
    NOTHING = "nothing"  #: It shows nothing of a tenant, or has a proof of its own.


ANYBODY: Mapping[str, Any] = {"needs": Needs.NOTHING}
CALLER_OR_AGENT: Mapping[str, Any] = {"needs": Needs.CALLER_OR_AGENT}


def needs(opt: Mapping[str, Any]) -> Needs:
    """Return what a route with these options needs: without a word, a caller."""
    return Needs(opt.get("needs", Needs.CALLER))


@frozen
class Identifier:
    """ASGI middleware: puts the identity beside the request, or refuses it."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask, where the route needs to know."""
        if scope["type"] in {"http", "websocket"}:
            wanted = needs(scope["route_handler"].opt)
            headers = Headers.of(scope["headers"])
            has_own = wanted is Needs.CALLER_OR_AGENT and any(name == AGENT_TOKEN for name, _ in headers.raw)
            if wanted is not Needs.NOTHING and not has_own:
                try:
                    identity = scope["state"][STATE] = await _identified(scope, headers)
                    scope[TENANT] = identity.caller.tenant_id  # type: ignore[literal-required]  # for the request's line
                except AgentcoreError as error:
                    await _turn_away(scope, receive, send, error)
                    return
        await self.app(scope, receive, send)


async def _identified(scope: Scope, headers: Headers) -> Identity:
    state = scope["litestar_app"].state
    authenticator: Authenticator = state.authenticator
    try:
        ticket = offered(subprotocols(scope))
        if ticket is None:
            return await authenticator.identify(headers)
        authenticator.admit(headers)
        return await tickets_of(state.runtime).take(ticket, headers.get("origin"))
    except NotProved as refusal:
        log.warning("auth.refused", reason=refusal.reason, mode=authenticator.mode)
        raise Unauthenticated(DETAIL) from None


def subprotocols(scope: Scope) -> Sequence[str]:
    """Return what a WebSocket's client offers to speak; a request offers nothing."""
    offers: Sequence[str] = dict(scope).get("subprotocols", ())  # type: ignore[assignment]  # of a WebSocket
    return offers


def tickets_of(runtime: Runtime) -> Tickets:
    """Return who sells and takes tickets on this node."""
    return Tickets(seal=runtime.seal, store=runtime.store, clock=runtime.house.clock)


def identity_of(connection: Connection) -> Identity:
    """Return who asks, and until when that is known; raises Unauthenticated where nobody was asked."""
    identity: Identity | None = connection.scope["state"].get(STATE)
    if identity is None:
        raise Unauthenticated(DETAIL)
    return identity


def may_stream(connection: Connection) -> None:
    """Raise Unauthenticated if what proved the caller has expired: the leeway is for clocks, not for more time."""
    until, state = identity_of(connection).until, connection.app.state
    if until is not None and until <= state.runtime.house.clock.now():
        log.warning("auth.refused", reason="expired", mode=state.authenticator.mode)
        raise Unauthenticated(DETAIL)


def caller_of(connection: Connection) -> Caller:
    """Return who asks; raises Unauthenticated where nobody was asked."""
    return identity_of(connection).caller


async def _turn_away(scope: Scope, receive: Receive, send: Send, error: AgentcoreError) -> None:
    if str(scope["type"]) != "websocket":
        await refuse(scope, receive, send, error)
        return
    # A page is told the code of a socket only if that was open, so it is opened, and closed before any content.
    await receive()
    await send({"type": "websocket.accept", "subprotocol": agreed(subprotocols(scope)), "headers": []})
    await send({"type": "websocket.close", "code": close_code(error), "reason": error.code})
