"""Whether the server lives and can work."""

from anyio import move_on_after
from litestar import Response, get
from litestar.exceptions import NotFoundException

from agentcore.errors import Unavailable
from agentcore_http.routes.context import ANYBODY, Req, runtime_of
from agentcore_http.routes.openapi import json_response
from agentcore_http.wire.shapes import AliveAnswer, ReadyAnswer

PATIENCE_S = 2.0
READY, NOT_READY = 200, 503
FIGURES = "text/plain; version=0.0.4"


@get("/healthz", opt=ANYBODY)
async def healthz() -> Response[bytes]:
    """Say that the process is up."""
    return json_response(AliveAnswer(status="ok"))


@get("/readyz", opt=ANYBODY)
async def readyz(request: Req) -> Response[bytes]:
    """Say whether requests can be served, and if not why."""
    runtime = runtime_of(request)
    reasons = ["shutting_down"] if runtime.house.is_draining else []
    store_answers = False
    with move_on_after(PATIENCE_S):
        try:
            await runtime.store.ping()
            store_answers = True
        except Unavailable as error:
            reasons.append(error.code)
    if not store_answers and not reasons:
        reasons.append("store_unavailable")
    return json_response(ReadyAnswer(ready=not reasons, reasons=reasons), NOT_READY if reasons else READY)


@get("/metrics", opt=ANYBODY)
async def metrics(request: Req) -> Response[bytes]:
    """Show the node's figures to Prometheus: counts and times, of no tenant."""
    exposition = request.app.state.telemetry.exposition
    if exposition is None:
        raise NotFoundException
    return Response(exposition(runtime_of(request)), media_type=FIGURES)


HANDLERS = (healthz, readyz, metrics)
