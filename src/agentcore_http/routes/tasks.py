"""/tasks: prompts and what becomes of them."""

from typing import Annotated

from litestar import Response, delete, get, post
from litestar.params import FromPath, QueryParameter

from agentcore.admission import OnBusy
from agentcore.asking import Accepted, Ask
from agentcore.changes import Receipt
from agentcore.errors import SessionNotFound
from agentcore.ids import ApprovalId, SessionId
from agentcore.task import TaskStatus
from agentcore_http.idempotency import Keeper, once
from agentcore_http.routes.context import Req, caller_of, runtime_of, settings_of
from agentcore_http.routes.openapi import accepting, json_response
from agentcore_http.wire import answers, requests, shapes

CREATED, OK, STILL_STOPPING = 201, 200, 202
DEFAULT_DEADLINE_S = 3600.0
BODY_BYTES = 144 * 1024 * 1024  # 20 attachments of 5 MB in base64, and the prompt


@post("/tasks", operation_class=accepting(requests.ExecuteBody), request_max_body_size=BODY_BYTES)
async def execute(request: Req) -> Response[bytes]:
    """Answer a prompt, in a session or in a new one."""
    body = requests.decoded(await request.body(), requests.ExecuteBody)
    ask = body.ask(settings_of(request).deadline_seconds or DEFAULT_DEADLINE_S)
    return await accepted(request, ask, known_session(body.session_id), body.busy)


@get("/tasks/{task_id:str}")
async def show(request: Req, task_id: FromPath[str]) -> Response[bytes]:
    """Show a task."""
    view = await runtime_of(request).views.task(caller_of(request), requests.task_id(task_id))
    return json_response(answers.task(view))


@delete("/tasks/{task_id:str}", status_code=OK)
async def cancel(
    request: Req, task_id: FromPath[str], wait: Annotated[float, QueryParameter(ge=0, le=30)] = 5.0
) -> Response[bytes]:
    """Stop a task, and wait until it has stopped."""
    caller, runtime = caller_of(request), runtime_of(request)

    async def work(_: Keeper) -> tuple[int, object]:
        view, was_over = await runtime.cancel(caller, requests.task_id(task_id), wait)
        status = view.task.status
        if was_over:
            said = "Task already finished"
        elif status is TaskStatus.CANCELLED:
            said = "Task cancelled"
        else:
            return STILL_STOPPING, shapes.StoppedAnswer(task_id=view.task.id, status="cancelling", message="Stopping")
        return OK, shapes.StoppedAnswer(task_id=view.task.id, status=status.value, message=said)

    return await once(runtime, caller, request, work)


@post(
    "/tasks/{task_id:str}/inject",
    operation_class=accepting(requests.InjectBody),
    request_max_body_size=BODY_BYTES,
)
async def inject(request: Req, task_id: FromPath[str]) -> Response[bytes]:
    """Stop a live task and go on with a message in its place."""
    caller, runtime = caller_of(request), runtime_of(request)
    ask = requests.decoded(await request.body(), requests.InjectBody).ask()

    async def work(keeper: Keeper) -> tuple[int, object]:
        def answer(accepted: Accepted) -> shapes.InjectedAnswer:
            return shapes.InjectedAnswer(session_id=accepted.session_id, task_id=accepted.task_id)

        def keep(accepted: Accepted) -> Receipt | None:
            return keeper.receipt(CREATED, answer(accepted))

        return CREATED, answer(await runtime.inject(caller, requests.task_id(task_id), ask, keep=keep))

    return await once(runtime, caller, request, work)


@post("/tasks/{task_id:str}/approve", operation_class=accepting(requests.ApproveBody))
async def approve(request: Req, task_id: FromPath[str]) -> Response[bytes]:
    """Approve or reject what a task waits for."""
    caller, runtime = caller_of(request), runtime_of(request)
    body = requests.decoded(await request.body(), requests.ApproveBody)

    async def work(keeper: Keeper) -> tuple[int, object]:
        found = requests.task_id(task_id)

        def answer(decided: ApprovalId) -> shapes.DecidedAnswer:
            said = "Command approved" if body.approved else "Command rejected"
            return shapes.DecidedAnswer(message=said, task_id=found, approval_id=decided)

        def keep(decided: ApprovalId) -> Receipt | None:
            return keeper.receipt(CREATED, answer(decided))

        return CREATED, answer(await runtime.decide(caller, found, body.decide(caller.subject), keep=keep))

    return await once(runtime, caller, request, work)


async def accepted(request: Req, ask: Ask, session_id: SessionId | None, on_busy: OnBusy) -> Response[bytes]:
    """Accept a prompt, and answer with what became of it."""
    caller, runtime = caller_of(request), runtime_of(request)

    async def work(keeper: Keeper) -> tuple[int, object]:
        def keep(task: Accepted) -> Receipt | None:
            return keeper.receipt(CREATED, answers.accepted(task))

        task = await runtime.execute(caller, ask, session_id=session_id, on_busy=on_busy, keep=keep)
        return CREATED, answers.accepted(task)

    return await once(runtime, caller, request, work)


def known_session(text: str | None) -> SessionId | None:
    """Read the id of a session to go on with; one that cannot exist is one that does not."""
    try:
        return requests.session_id(text) if text is not None else None
    except SessionNotFound:
        return None


HANDLERS = (execute, show, cancel, inject, approve)
