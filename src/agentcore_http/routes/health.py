"""Whether the server lives and can work."""

from anyio import fail_after
from litestar import Response, get
from litestar.exceptions import NotFoundException

from agentcore.errors import EngineUnavailable, ShuttingDown, StoreUnavailable, Unavailable
from agentcore.ports import Store
from agentcore_http.routes.context import ANYBODY, Req, runtime_of
from agentcore_http.routes.openapi import json_response
from agentcore_http.wire.shapes import DEGRADED, AliveAnswer, ReadyAnswer

PATIENCE_S = 2.0
NOT_READY = 503
FIGURES = "text/plain; version=0.0.4"


@get("/healthz", opt=ANYBODY)
async def healthz() -> Response[bytes]:
    """Say that the process is up."""
    return json_response(AliveAnswer(status="ok"))


@get("/readyz", opt=ANYBODY)
async def readyz(request: Req) -> Response[bytes]:
    """Say whether requests can be served, and if not why."""
    house = runtime_of(request).house
    reasons: list[type[Unavailable]] = [ShuttingDown] if house.is_leaving or house.is_draining else []
    if not any(state.is_available for state in house.engines.states()):
        reasons.append(EngineUnavailable)
    if (found := await _trouble_of(house.store)) is not None:
        reasons.append(found)
    # A node without its bus serves as before, only later: were it unready, a broken bus would take all nodes away.
    degraded = [] if house.bus.state().is_connected else list(DEGRADED)
    answer = ReadyAnswer(ready=not reasons, reasons=[reason.code for reason in reasons], degraded=degraded)
    if not reasons:
        return json_response(answer)
    wait = {"Retry-After": str(max(reason.retry_after_s for reason in reasons))}
    return json_response(answer, NOT_READY, wait)


async def _trouble_of(store: Store) -> type[Unavailable] | None:
    try:
        with fail_after(PATIENCE_S):
            await store.ping()
    except Unavailable as error:
        return type(error)
    except TimeoutError:
        return StoreUnavailable
    return None


@get("/metrics", opt=ANYBODY)
async def metrics(request: Req) -> Response[bytes]:
    """Show the node's figures to Prometheus: counts and times, of no tenant."""
    exposition = request.app.state.telemetry.exposition
    if exposition is None:
        raise NotFoundException
    return Response(exposition(runtime_of(request)), media_type=FIGURES)


HANDLERS = (healthz, readyz, metrics)
