"""/stream-tickets: what a browser opens a WebSocket with."""

from litestar import Response, post

from agentcore_http.routes.context import Req, identity_of, runtime_of, tickets_of
from agentcore_http.routes.openapi import json_response
from agentcore_http.wire import shapes
from agentcore_http.wire.json import timestamp

CREATED = 201


@post("/stream-tickets")
async def sell(request: Req) -> Response[bytes]:
    """Sell a ticket that opens one WebSocket, for the caller and the origin that ask, within half a minute.

    An Idempotency-Key changes nothing here: a stored answer would hold the ticket.
    """
    sold, expires_at = tickets_of(runtime_of(request)).sell(identity_of(request), request.headers.get("origin"))
    response = json_response(shapes.TicketAnswer(ticket=sold, expires_at=timestamp(expires_at)), CREATED)
    response.headers["Cache-Control"] = "no-store"
    return response


HANDLERS = (sell,)
