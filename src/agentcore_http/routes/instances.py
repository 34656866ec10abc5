"""/instances: remote agents, what is asked of them, and what they answer."""

import base64
from typing import Annotated

from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, QueryParameter

from agentcore_http.idempotency import Keeper, once
from agentcore_http.routes.context import ANYBODY, Req, caller_of, runtime_of, settings_of
from agentcore_http.routes.openapi import accepting, json_response
from agentcore_http.routes.tasks import DEFAULT_DEADLINE_S, accepted, known_session
from agentcore_http.wire import instances as wire
from agentcore_http.wire import requests

CREATED, OK = 201, 200
CALLBACK_BYTES = 256 * 1024
Limit = Annotated[int, QueryParameter(ge=1, le=200)]


@post("/instances", operation_class=accepting(wire.NewInstanceBody))
async def add(request: Req) -> Response[bytes]:
    """Register a remote agent."""
    caller, runtime = caller_of(request), runtime_of(request)
    body = requests.decoded(await request.body(), wire.NewInstanceBody)

    async def work(_: Keeper) -> tuple[int, object]:
        made = await runtime.remote.add(caller, body.told(), instance_id=body.chosen_id(), owner=body.owner())
        return CREATED, wire.instance(made)

    return await once(runtime, caller, request, work)


@get("/instances")
async def index(request: Req, limit: Limit = 200) -> Response[bytes]:
    """List the caller's remote agents, newest first."""
    found = await runtime_of(request).remote.instances(caller_of(request), limit)
    return json_response([wire.instance(value) for value in found])


@get("/instances/{instance_id:str}")
async def show(request: Req, instance_id: FromPath[str]) -> Response[bytes]:
    """Show a remote agent."""
    found = await runtime_of(request).remote.instance(caller_of(request), wire.instance_id(instance_id))
    return json_response(wire.instance(found))


@patch("/instances/{instance_id:str}", operation_class=accepting(wire.ChangeInstanceBody))
async def change(request: Req, instance_id: FromPath[str]) -> Response[bytes]:
    """Change a remote agent."""
    body = requests.decoded(await request.body(), wire.ChangeInstanceBody)
    found = wire.instance_id(instance_id)
    return json_response(wire.instance(await runtime_of(request).remote.change(caller_of(request), found, body.told())))


@delete("/instances/{instance_id:str}", status_code=OK)
async def drop(request: Req, instance_id: FromPath[str]) -> Response[bytes]:
    """Remove a remote agent; its sessions stay."""
    caller, runtime = caller_of(request), runtime_of(request)

    async def work(_: Keeper) -> tuple[int, object]:
        return OK, wire.instance(await runtime.remote.drop(caller, wire.instance_id(instance_id)))

    return await once(runtime, caller, request, work)


@get("/instances/{instance_id:str}/secret")
async def secret(request: Req, instance_id: FromPath[str]) -> Response[bytes]:
    """Show the key with which the agent's bridge may sign its callbacks after Standard Webhooks."""
    key = await runtime_of(request).remote.webhook_key(caller_of(request), wire.instance_id(instance_id))
    response = json_response(wire.SecretAnswer(secret=f"whsec_{base64.b64encode(key).decode()}"))
    response.headers["Cache-Control"] = "no-store"
    return response


@post("/instances/{instance_id:str}/tasks", operation_class=accepting(wire.InstanceTaskBody))
async def execute(request: Req, instance_id: FromPath[str]) -> Response[bytes]:
    """Send a prompt to a remote agent, in a session with it or in a new one."""
    body = requests.decoded(await request.body(), wire.InstanceTaskBody)
    ask = body.ask(wire.instance_id(instance_id), settings_of(request).deadline_seconds or DEFAULT_DEADLINE_S)
    return await accepted(request, ask, known_session(body.session_id), body.busy)


@get("/instances/{instance_id:str}/sessions")
async def sessions(request: Req, instance_id: FromPath[str], limit: Limit = 50) -> Response[bytes]:
    """List the caller's newest sessions with a remote agent; all of them stand in the pages of ``GET /sessions``."""
    found = wire.instance_id(instance_id)
    views = await runtime_of(request).remote.sessions(caller_of(request), found, limit)
    return json_response([wire.session(view) for view in views])


@post(
    "/instances/openclaw-app-callback",
    opt=ANYBODY,  # the signature is the proof
    status_code=OK,
    operation_class=accepting(wire.CallbackBody),
    request_max_body_size=CALLBACK_BYTES,
)
async def callback(request: Req) -> Response[bytes]:
    """Take a bridge's answer; it shows by the signature in ``callbackData`` that it was asked."""
    body = await request.body()
    session_id, task_id, signature = wire.proof(body)
    signed = wire.webhook(request.headers, body)
    await runtime_of(request).remote.deliver(session_id, task_id, signature, signed, lambda: wire.reply(body))
    return json_response(wire.ReceivedAnswer())


HANDLERS = (add, index, show, change, drop, secret, execute, sessions, callback)
