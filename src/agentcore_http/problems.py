"""Errors as problem details (RFC 9457).

Law: a class has one status, its docstring is the title, its code is stable, and ``str(error)`` is the detail.  What
is not one of ours says nothing about itself to the client.
"""

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from agentcore.errors import (
    AgentcoreError,
    CallbackUnverified,
    Conflict,
    FourEyesRequired,
    InvalidRequest,
    KeyReused,
    NotFound,
    OriginRefused,
    OverLimit,
    RoleRequired,
    SessionBusy,
    SpeechNotDetected,
    TaskConflict,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)
from agentcore_http.front import CODE
from agentcore_http.redaction import failure
from agentcore_http.wire import json

log = structlog.get_logger("agentcore.http")

# The first class that fits counts, so a subclass stands before its base.
STATUS: tuple[tuple[type[AgentcoreError], int], ...] = (
    (InvalidRequest, 400),
    (Unauthenticated, 401),
    (RoleRequired, 403),
    (FourEyesRequired, 403),
    (OriginRefused, 403),
    (NotFound, 404),
    (TaskConflict, 409),
    (KeyReused, 422),
    (SpeechNotDetected, 422),
    (OverLimit, 429),
    (Conflict, 409),
    (TooLarge, 413),
    (UnsupportedMedia, 415),
    (Unavailable, 503),
)
# With these a WebSocket is closed.
BAD_REQUEST, NOT_AUTHENTICATED, NOT_FOUND, TOO_SLOW, TOO_MANY, TRY_AGAIN = 4400, 4401, 4404, 4408, 4429, 1013
TOO_OFTEN = 1008  # more messages than a client may send
CODES = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media",
}


def problem(error: Exception, instance: str) -> tuple[int, dict[str, object], dict[str, str]]:
    """Return status, body and headers of *error*; *instance* is the path that was asked for."""
    headers: dict[str, str] = {}
    more: dict[str, object] = {}
    if isinstance(error, AgentcoreError):
        status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
        code, detail = error.code, str(error)
        title = (type(error).__doc__ or "").strip().splitlines()[0]
        if isinstance(error, Unavailable | OverLimit):
            headers["Retry-After"] = str(error.retry_after_s)
        if isinstance(error, Unauthenticated) and not isinstance(error, CallbackUnverified):
            headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, SessionBusy):
            more["liveTaskId"] = error.live_task_id
        if isinstance(error, InvalidRequest) and error.field is not None:
            more["field"] = error.field
    elif isinstance(error, HTTPException):
        status = error.status_code
        code = CODES.get(status, "http_error")
        title, detail = "The request cannot be answered.", _framework_detail(status)
    else:
        status, code, title = 500, "internal_error", "Something went wrong inside the server."
        detail = title
    if status >= 500:
        log.error("request.failed", code=code, error=failure(error))
    body = {
        "type": f"urn:agentcore:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "message": detail,
        **more,
    }
    return status, body, headers


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a request that failed."""
    status, body, headers = problem(error, request.scope["path"])
    request.scope[CODE] = body["code"]  # type: ignore[literal-required]  # a key of ours
    return Response(json.encode(body), status_code=status, headers=headers, media_type="application/problem+json")


def close_code(error: AgentcoreError) -> int:
    """Return the code that a WebSocket is closed with."""
    match error:
        case Unauthenticated():
            return NOT_AUTHENTICATED
        case NotFound():
            return NOT_FOUND
        case OverLimit():
            return TOO_MANY
        case Unavailable():
            return TRY_AGAIN  # with the last cursor
        case _:
            return BAD_REQUEST


def _framework_detail(status: int) -> str:
    return {
        404: "There is nothing at this address.",
        405: "This address does not know that method.",
        413: "The body is larger than what is accepted here.",
    }.get(status, "The request is malformed.")
