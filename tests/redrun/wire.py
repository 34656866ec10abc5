"""The routes that the hazard tests speak, over the port.

Law: generous in form, honest in substance.  Fields, lists and problem documents that only let a test look on are given
as the product gives them, from the port's rows and its notebook.  What the original could not do (cursors, streams over
HTTP, idempotency keys, ``onBusy``, validation) is not there.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import anyio
import httpx2
import msgspec
import pytest
from litestar import Litestar, Request, Response, Router, WebSocket, delete, get, patch, post, websocket
from litestar.exceptions import ClientException, HTTPException, NotFoundException, WebSocketDisconnect
from litestar.params import FromPath

from agentcore.ids import EngineName
from agentcore.messages import FilePart, TextPart
from agentcore.runtime import Runtime
from agentcore.testing.scripted import ScriptedEngine
from agentcore_http import problems
from agentcore_http.app import API
from tests.redrun.engines import Engine, EngineRegistry
from tests.redrun.original import CUT, Controller
from tests.redrun.tables import Json, MessageRow, Session, Task
from tests.support.server import Served, listening_on

Req = Request[Any, Any, Any]


def controller_of(request: Req | WebSocket[Any, Any, Any]) -> Controller:
    controller: Controller = request.app.state.controller
    return controller


def tenant_of(request: Req) -> str:
    return request.headers.get("X-Tenant-Id", "default")


async def body_of(request: Req) -> Json:
    """Read the body as the original's framework did: objects and lists pass, and nothing checks what is in them."""
    try:
        found = msgspec.json.decode(await request.body() or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ClientException("malformed") from None
    if not isinstance(found, dict | list):
        raise ClientException("malformed")
    return found if isinstance(found, dict) else {}


# ----------------------------------------------------------------------------------------------- the original's routes
@post("/tasks")
async def execute(request: Req) -> Json:
    controller, body = controller_of(request), await body_of(request)
    answer = await controller.execute_task(tenant_of(request), body)
    is_new = answer["sessionId"] != body.get("sessionId")
    return answer | {"sessionCreated": is_new, "status": controller.tasks.rows[answer["taskId"]].status}


@delete("/tasks/{task_id:str}", status_code=200)
async def cancel(request: Req, task_id: FromPath[str]) -> Json:
    controller = controller_of(request)
    answer = await controller.cancel_task(tenant_of(request), task_id)
    is_stopped = answer["message"] == "Task cancelled"  # what the answer says; the row may say otherwise by now
    return answer | {"status": "cancelled" if is_stopped else controller.tasks.rows[task_id].status}


@post("/tasks/{task_id:str}/inject")
async def inject(request: Req, task_id: FromPath[str]) -> Json:
    return await controller_of(request).inject_message(tenant_of(request), task_id, await body_of(request))


@post("/tasks/{task_id:str}/approve")
async def approve(request: Req, task_id: FromPath[str]) -> Json:
    return await controller_of(request).approve_command(tenant_of(request), task_id, await body_of(request))


@post("/engines/switch")
async def switch(request: Req) -> Json:
    return await controller_of(request).switch_engine(await body_of(request))


@websocket("/sessions/{session_id:str}/stream")
async def stream(socket: WebSocket[Any, Any, Any], session_id: FromPath[str]) -> None:
    with controller_of(socket).gateway.listening(session_id) as heard:
        await socket.accept()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_gone, socket, tasks.cancel_scope)
            async for event in heard:
                await socket.send_json(event)


async def _until_gone(socket: WebSocket[Any, Any, Any], scope: anyio.CancelScope) -> None:
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        scope.cancel()


# ------------------------------------------------------------------------------- other controllers of the original's
@patch("/sessions/{session_id:str}")
async def rename(request: Req, session_id: FromPath[str]) -> Json:
    controller, session = controller_of(request), _session(request, session_id)
    session.metadata = {**session.metadata, "title": (await body_of(request))["title"]}
    await controller.sessions.save(session)
    return session_view(session)


@delete("/sessions/{session_id:str}", status_code=200)
async def close(request: Req, session_id: FromPath[str]) -> Json:
    session = _session(request, session_id)
    session.status = "closed"
    await controller_of(request).sessions.save(session)
    return session_view(session)


# ----------------------------------------------------------------------------------------------- how the tests look on
@get("/tasks/{task_id:str}")
async def task(request: Req, task_id: FromPath[str]) -> Json:
    found = await controller_of(request).tasks.find(task_id)
    if found is None or found.tenant_id != tenant_of(request):
        raise NotFoundException
    return task_view(controller_of(request), found)


@get("/sessions")
async def sessions(request: Req) -> Json:
    rows = await controller_of(request).sessions.all()
    return {"items": [session_view(row) for row in rows if row.tenant_id == tenant_of(request)], "nextCursor": None}


@get("/sessions/{session_id:str}")
async def session(request: Req, session_id: FromPath[str]) -> Json:
    return session_view(_session(request, session_id))


@get("/sessions/{session_id:str}/messages")
async def messages(request: Req, session_id: FromPath[str]) -> Json:
    found, rows = _session(request, session_id), await controller_of(request).messages.all()
    return {"items": [message_view(row) for row in rows if row.session_id == found.id], "nextCursor": None}


@get("/sessions/{session_id:str}/tasks")
async def tasks(request: Req, session_id: FromPath[str]) -> Json:
    controller, found = controller_of(request), _session(request, session_id)
    rows = await controller.tasks.all()
    return {"items": [task_view(controller, row) for row in rows if row.session_id == found.id], "nextCursor": None}


@get("/sessions/{session_id:str}/events")
async def events(request: Req, session_id: FromPath[str]) -> Json:
    found = _session(request, session_id)
    return {"items": controller_of(request).gateway.notes(found.id), "nextCursor": None}


def _session(request: Req, session_id: str) -> Session:
    found = controller_of(request).sessions.rows.get(session_id)
    if found is None or found.tenant_id != tenant_of(request):
        raise NotFoundException
    return found


def session_view(row: Session) -> Json:
    shown = {"id": row.id, "status": row.status, "engineType": row.engine_type}
    return shown | {"title": row.metadata.get("title", ""), "voiceMode": row.metadata.get("voiceMode", False)}


def task_view(controller: Controller, row: Task) -> Json:
    gateway = controller.gateway
    error = {"code": "EXECUTION_ERROR"} | gateway.last(row.id, "error")  # that one is told after the row has changed
    used = [usage for usage in controller.usage.rows.values() if usage.task_id == row.id]
    return {
        "id": row.id,
        "sessionId": row.session_id,
        "status": row.status,
        "prompt": row.prompt,
        "engineType": gateway.engine_of.get(row.id),
        "result": row.result,
        "error": {"code": error["code"], "message": row.result} if row.status == "failed" else None,
        "stopCode": gateway.last(row.id, "cancelled").get("code"),
        "usage": {
            "inputTokens": sum(usage.input_tokens for usage in used),
            "outputTokens": sum(usage.output_tokens for usage in used),
        },
        "completedAt": row.completed_at and row.completed_at.isoformat(),
    }


def message_view(row: MessageRow) -> Json:
    parts = [
        {"type": "image", "mediaType": part.media_type, "size": part.size}
        if isinstance(part, FilePart)
        else {"type": "text", "text": cast("TextPart", part).text}
        for part in row.shown.parts
    ]
    is_cut = row.shown.text.endswith(CUT)
    return {"id": row.id, "role": row.shown.role.value, "content": parts, "interrupted": is_cut}


# ------------------------------------------------------------------------------------------------------------ serving
def refused(request: Req, error: Exception) -> Response[bytes]:
    """Answer as a problem document; whatever nobody has foreseen was a bare 500."""
    return problems.answer(request, error if isinstance(error, HTTPException) else RuntimeError())


HANDLERS = (execute, cancel, inject, approve, switch, stream, rename, close)
LOOKING_ON = (task, sessions, session, messages, tasks, events)


class NoLeases:
    """It has none; tests that break a write find it here and nobody calls it."""

    async def submit(self) -> None:
        raise AssertionError("the original has no leases")


@asynccontextmanager
async def serving_original() -> AsyncIterator[Served]:
    engine, other = ScriptedEngine(), ScriptedEngine(name=EngineName("other"))
    registry = EngineRegistry({"scripted": Engine(engine), "other": Engine(other)}, "scripted")
    controller = Controller(registry)
    app = Litestar(
        route_handlers=[Router(API, route_handlers=[*HANDLERS, *LOOKING_ON])],
        exception_handlers={HTTPException: refused, Exception: refused},
        logging_config=None,
        openapi_config=None,
    )
    app.state.controller = controller
    # The few tests that reach inside find the store and the clock where the product has them.
    house = SimpleNamespace(clock=controller.clock, leases=NoLeases())
    runtime = cast("Runtime", SimpleNamespace(store=controller.store, house=house))
    async with listening_on(app) as url, httpx2.AsyncClient(timeout=30.0) as http:
        yield Served(url, runtime, engine, other, http)
        await controller.end()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """The port, in the place of the product."""
    async with serving_original() as found:
        yield found
