"""/usage: what was used, and who has been told of it."""

from datetime import datetime
from typing import Annotated

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter

from agentcore.books import DeliveryState, GroupBy
from agentcore.errors import InvalidRequest
from agentcore_http.idempotency import Keeper, once
from agentcore_http.routes.context import Req, caller_of, runtime_of
from agentcore_http.routes.openapi import json_response
from agentcore_http.wire import requests
from agentcore_http.wire import usage as wire
from agentcore_http.wire.json import moment

ACCEPTED = 202
PAGE, MOST = 50, 200


@get("/usage")
async def report(
    request: Req,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
    group_by: Annotated[GroupBy, QueryParameter(name="groupBy")] = GroupBy.DAY,
) -> Response[bytes]:
    """Add up what the tenant has used, from a time on (included) up to another (excluded)."""
    begin, end = _time(since, "from"), _time(until, "to")
    found = await runtime_of(request).views.usage(caller_of(request), begin, end, group_by)
    return json_response(wire.report(found))


@get("/usage/events")
async def events(
    request: Req,
    wanted: Annotated[str | None, QueryParameter(name="state")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MOST)] = PAGE,
) -> Response[bytes]:
    """List the newest usage events and what became of them; ``dead`` ones were given up."""
    found = await runtime_of(request).views.deliveries(caller_of(request), _state(wanted), limit)
    return json_response(wire.deliveries(found))


@post("/usage/events/{event_id:str}/redeliver", status_code=ACCEPTED)
async def redeliver(request: Req, event_id: FromPath[str]) -> Response[bytes]:
    """Send an event again that was given up."""
    caller, runtime = caller_of(request), runtime_of(request)

    async def work(_: Keeper) -> tuple[int, object]:
        found = requests.event_id(event_id)
        await runtime.redeliver(caller, found)
        assert found is not None  # else there was none to send again
        return ACCEPTED, wire.RedeliveredAnswer(event_id=found)

    return await once(runtime, caller, request, work)


def _state(text: str | None) -> DeliveryState | None:
    """Read a state by hand: the framework takes ``null`` for none, and would show everything."""
    if text is None:
        return None
    try:
        return DeliveryState(text)
    except ValueError:
        raise InvalidRequest(f"state must be one of {', '.join(DeliveryState)}.", "state") from None


def _time(text: str | None, field: str) -> datetime | None:
    """Read a time, or a day, which begins at midnight UTC."""
    if text is None:
        return None
    try:
        return moment(text)
    except (ValueError, OverflowError):
        raise InvalidRequest("A time looks like 2026-11-24 or 2026-11-24T09:30:00Z.", field) from None


HANDLERS = (report, events, redeliver)
