"""/sessions/{id}/events: the log as server-sent events, or page by page with a long poll."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated

import msgspec
import structlog
from anyio import move_on_after
from litestar import Response, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from agentcore.errors import Unavailable
from agentcore.feed import Beat, Feed, Frame, Subscribed, parse_after
from agentcore_http.routes.context import Req, caller_of, identity_of, may_stream, runtime_of
from agentcore_http.routes.openapi import json_response
from agentcore_http.routes.subscription import encoder_for, expiring, left_s
from agentcore_http.wire import requests
from agentcore_http.wire.frames import Encoded, Encoder

log = structlog.get_logger("agentcore.http")
EVENT_STREAM = "text/event-stream"
Wait = Annotated[float, QueryParameter(ge=0, le=60)]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]


@get("/sessions/{session_id:str}/events")
async def events(
    request: Req,
    session_id: FromPath[str],
    after: FromQuery[str | None] = None,
    limit: Limit = 500,
    wait: Wait = 0.0,
    include: FromQuery[str | None] = None,
) -> Response[bytes] | Stream:
    """Read the log of a session: as a stream if asked for one, else a page of it."""
    caller, until, runtime = caller_of(request), identity_of(request).until, runtime_of(request)
    found = requests.session_id(session_id)
    place = parse_after(request.headers.get("last-event-id") or after)
    if EVENT_STREAM in request.headers.get("accept", ""):
        may_stream(request)
        feed = await runtime.views.subscribe(caller, found, place)
        encoder = encoder_for(feed.session, include)
        headers = {"X-Accel-Buffering": "no"}
        return Stream(_stream(feed, encoder, request, until), media_type=EVENT_STREAM, headers=headers)
    feed = await runtime.views.subscribe(caller, found, place)
    encoder = encoder_for(feed.session, include)
    left = left_s(until, runtime.house.clock)
    page = await _page(feed, encoder, request, limit, wait if left is None else min(wait, left))
    return json_response(page)


async def _stream(feed: Feed, encoder: Encoder, request: Req, until: datetime | None) -> AsyncIterator[bytes]:
    """Write what is told, until what proved the caller expires; a client with a new token goes on where it was."""
    clock = runtime_of(request).house.clock
    try:
        async with aclosing(feed.batches()) as batches:
            while True:
                batch: list[Frame] | None = None
                with expiring(until, clock):
                    batch = await anext(batches)
                if batch is None:
                    return
                chunk = b"".join(_sse(frame) for frame in encoder.encode(batch, clock.now()))
                if chunk:
                    yield chunk
    except Unavailable as error:  # the stream ends here, and the client comes back with its last event's id
        log.warning("stream.ended", code=error.code)


def _sse(frame: Encoded) -> bytes:
    # JSON of ours holds no line break, so one data line is enough.
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (frame.cursor.encode(), frame.type.encode(), frame.body)


async def _page(feed: Feed, encoder: Encoder, request: Req, limit: int, wait: float) -> dict[str, object]:
    """Collect what there is, however long reading takes; if there is nothing, wait at most *wait* seconds."""
    items: list[Encoded] = []
    head, is_current = 0, False
    async with aclosing(feed.batches()) as batches:
        while len(items) <= limit and not (is_current and (items or not wait)):
            batch: list[Frame] | None = None
            with move_on_after(wait if is_current else None):
                batch = await anext(batches)
            if batch is None:
                break
            is_current = is_current or not batch
            head = next((f.snapshot.page.head for f in batch if isinstance(f, Subscribed)), head)
            told = [frame for frame in batch if not isinstance(frame, Subscribed | Beat)]
            items += encoder.encode(told, runtime_of(request).house.clock.now())
    following = items[limit - 1].cursor if len(items) > limit else str(feed.follower.cursor)
    return {
        "items": [msgspec.Raw(item.body) for item in items[:limit]],
        "nextCursor": following,
        "headSeq": max(head, feed.follower.seq),
    }


HANDLERS = (events,)
