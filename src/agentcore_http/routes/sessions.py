"""/sessions: conversations, their history and their tasks."""

import base64
import binascii
import re
from datetime import datetime
from typing import Annotated

from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from agentcore.caller import Caller
from agentcore.errors import InvalidRequest, NotFound, SessionNotFound
from agentcore.ids import SessionId
from agentcore.runtime import Runtime
from agentcore_http.auth.identifier import AGENT_TOKEN
from agentcore_http.idempotency import Keeper, once
from agentcore_http.routes.context import CALLER_OR_AGENT, Req, caller_of, runtime_of
from agentcore_http.routes.openapi import accepting, json_response
from agentcore_http.wire import answers, ndjson, requests, shapes
from agentcore_http.wire.json import moment

CREATED, OK = 201, 200
AGENT = "agent"  # the subject under which an agent's Idempotency-Keys are kept
Limit = Annotated[int, QueryParameter(ge=1, le=200)]


@get("/sessions")
async def index(
    request: Req,
    cursor: FromQuery[str | None] = None,
    limit: Limit = 50,
    owner: FromQuery[str | None] = None,
    *,
    everybody: Annotated[bool, QueryParameter(name="all")] = False,
) -> Response[bytes]:
    """List the caller's sessions, newest first; an operator may ask for those of an ``owner``, or for ``all``."""
    if everybody and owner is not None:
        raise InvalidRequest("Ask for the sessions of one owner or for all, not for both.", "owner")
    before = _session_cursor(cursor) if cursor else None
    caller, views_ = caller_of(request), runtime_of(request).views
    views = await views_.sessions(caller, before, limit + 1, owner=owner, everybody=everybody)
    more = views[limit - 1].session if len(views) > limit else None
    following = None
    if more is not None:
        following = base64.urlsafe_b64encode(f"{more.created_at.isoformat()} {more.id}".encode()).decode()
    items = [answers.session(view) for view in views[:limit]]
    return json_response(shapes.SessionsAnswer(items=items, next_cursor=following))


@get("/sessions/{session_id:str}")
async def show(request: Req, session_id: FromPath[str]) -> Response[bytes]:
    """Show a session."""
    view = await runtime_of(request).views.session(caller_of(request), requests.session_id(session_id))
    return json_response(answers.session(view))


@patch("/sessions/{session_id:str}", operation_class=accepting(requests.RenameBody))
async def rename(request: Req, session_id: FromPath[str]) -> Response[bytes]:
    """Give a session another title."""
    title = requests.decoded(await request.body(), requests.RenameBody).text()
    view = await runtime_of(request).rename(caller_of(request), requests.session_id(session_id), title)
    return json_response(answers.session(view))


@delete("/sessions/{session_id:str}", status_code=OK)
async def close(request: Req, session_id: FromPath[str], *, erase: FromQuery[bool] = False) -> Response[bytes]:
    """Close a session; with ``erase``, remove what was said in it."""
    caller, runtime = caller_of(request), runtime_of(request)

    async def work(_: Keeper) -> tuple[int, object]:
        return OK, answers.session(await runtime.close(caller, requests.session_id(session_id), erase=erase))

    return await once(runtime, caller, request, work)


@get("/sessions/{session_id:str}/export")
async def export(request: Req, session_id: FromPath[str]) -> Stream:
    """Hand out all that a session holds, a line each; the last line says that it is all."""
    found = requests.session_id(session_id)
    taken = await runtime_of(request).views.takeout(caller_of(request), found)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="session-{found}.ndjson"',
        "X-Content-Type-Options": "nosniff",
    }
    return Stream(ndjson.lines(taken), media_type=ndjson.MEDIA_TYPE, headers=headers)


@get("/sessions/{session_id:str}/messages")
async def messages(
    request: Req, session_id: FromPath[str], after: FromQuery[str | None] = None, limit: Limit = 100
) -> Response[bytes]:
    """Show the history of a session."""
    place = _pair(after) if after else (0, 0)
    found = requests.session_id(session_id)
    shown = await runtime_of(request).views.messages(caller_of(request), found, place, limit + 1)
    last = shown[limit - 1] if len(shown) > limit else None
    following = f"{last.seq}.{last.n}" if last is not None else None
    items = [answers.message(message) for message in shown[:limit]]
    return json_response(shapes.MessagesAnswer(items=items, next_cursor=following))


@get("/sessions/{session_id:str}/tasks")
async def tasks(
    request: Req, session_id: FromPath[str], after: FromQuery[str | None] = None, limit: Limit = 100
) -> Response[bytes]:
    """Show the tasks of a session, in the order in which they came."""
    place = _pair(after)[0] if after else 0
    found = requests.session_id(session_id)
    shown = await runtime_of(request).views.tasks(caller_of(request), found, place, limit + 1)
    following = str(shown[limit - 1].task.number) if len(shown) > limit else None
    items = [answers.task(view) for view in shown[:limit]]
    return json_response(shapes.TasksAnswer(items=items, next_cursor=following))


@post(
    "/sessions/{session_id:str}/oauth-trigger",
    opt=CALLER_OR_AGENT,
    operation_class=accepting(requests.OAuthBody),
)
async def oauth_trigger(request: Req, session_id: FromPath[str]) -> Response[bytes]:
    """Ask the session's subscribers for consent at another service."""
    runtime, found = runtime_of(request), requests.session_id(session_id)
    token = request.headers.get(AGENT_TOKEN)
    caller = caller_of(request) if token is None else agent_of(runtime, token, found)
    prompt = requests.decoded(await request.body(), requests.OAuthBody).event()

    async def work(_: Keeper) -> tuple[int, object]:
        await runtime.ask_consent(caller, found, prompt, token)
        return CREATED, shapes.ConsentAnswer(message="Consent asked for")

    return await once(runtime, caller, request, work)


def agent_of(runtime: Runtime, token: str, session_id: SessionId) -> Caller:
    """Return the agent whose *token* it is: of that session it may ask for consent, and nothing else."""
    tenant_id = runtime.seal.consenter(token, session_id)
    if tenant_id is None:
        raise SessionNotFound("There is no such session.")
    return Caller(tenant_id=tenant_id, subject=AGENT, roles=frozenset())


def _session_cursor(text: str) -> tuple[datetime, str]:
    try:
        at, found = base64.b64decode(text, altchars=b"-_", validate=True).decode().split(" ")
        return moment(at), requests.session_id(found)
    except (binascii.Error, ValueError, OverflowError, NotFound):
        raise InvalidRequest("That is not a cursor of ours.", "cursor") from None


def _pair(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,18})(?:\.([0-9]{1,6}))?", text, re.ASCII)
    if match is None:
        raise InvalidRequest("That is not a cursor of ours.", "after")
    return int(match[1]), int(match[2] or 0)


HANDLERS = (index, show, rename, close, export, messages, tasks, oauth_trigger)
