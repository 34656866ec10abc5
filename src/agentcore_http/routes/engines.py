"""/engines: what can answer."""

from litestar import Response, get, post

from agentcore.ids import EngineName
from agentcore_http.idempotency import Keeper, once
from agentcore_http.routes.context import Req, caller_of, runtime_of
from agentcore_http.routes.openapi import accepting, json_response
from agentcore_http.wire import answers, requests, shapes

CREATED = 201


@get("/engines")
async def index(request: Req) -> Response[bytes]:
    """List the engines, and what is missing for those that cannot be used."""
    states, default = await runtime_of(request).views.engines(caller_of(request))
    return json_response(answers.engines(states, default))


@post("/engines/switch", operation_class=accepting(requests.SwitchBody))
async def switch(request: Req) -> Response[bytes]:
    """Choose the engine of the tenant's new sessions."""
    caller, runtime = caller_of(request), runtime_of(request)
    name = EngineName(requests.decoded(await request.body(), requests.SwitchBody).engine_type)

    async def work(_: Keeper) -> tuple[int, object]:
        await runtime.switch_engine(caller, name)
        return CREATED, shapes.SwitchedAnswer(message="Engine switched", engine_type=name)

    return await once(runtime, caller, request, work)


HANDLERS = (index, switch)
