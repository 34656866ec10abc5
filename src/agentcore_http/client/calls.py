"""What can be asked of a server, and how its answers are read.

Law: a function per request, without I/O; both clients are made from these, so neither can know what the other does
not.  What changes something carries an Idempotency-Key, so it may be sent again.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict, Unpack

import msgspec

from agentcore_http.client.call import (
    JSON,
    Attachment,
    Call,
    Pages,
    attached,
    change,
    get,
    given,
    nothing,
    pages,
    reader,
    record,
    word,
)
from agentcore_http.client.values import Message, Page, messages_of
from agentcore_http.wire.events import ApprovalRequired
from agentcore_http.wire.shapes import (
    AcceptedAnswer,
    ApprovalAnswer,
    DecidedAnswer,
    EnginesAnswer,
    HeardAnswer,
    InjectedAnswer,
    SessionAnswer,
    SessionsAnswer,
    SpokenAnswer,
    StoppedAnswer,
    SwitchedAnswer,
    TaskAnswer,
    TasksAnswer,
)

PAGE = 100
OnBusy = Literal["interrupt", "enqueue", "reject"]
OnCrash = Literal["fail", "resume", "restart_if_pure"]
Asked = ApprovalRequired | ApprovalAnswer


class TaskOptions(TypedDict, total=False):
    """How a prompt is to be answered; what is left out is as the server has it."""

    engine: str  #: The name of an engine, for this task only; else the session's.
    on_busy: OnBusy  #: What becomes of what the session does now; ``interrupt`` unless said otherwise.
    system_prompt: str
    model: str
    attachments: Sequence[Attachment]
    allowed_tools: Sequence[str]  #: None of them if it is empty.
    max_turns: int
    max_context_messages: int
    max_output_tokens: int
    max_cost_usd: float
    deadline_seconds: float
    on_crash: OnCrash
    voice_mode: bool


_NAMES = {"engine": "engineType"}


def create_task(
    prompt: str, session_id: str | None = None, *, idempotency_key: str | None = None, **options: Unpack[TaskOptions]
) -> Call[AcceptedAnswer]:
    """Ask something, in a session or in a new one; *options* are those of ``TaskOptions``.

    *idempotency_key*: the same key asks once, however often and from wherever it is sent. Raises ApiError:
    ``session_busy``, ``session_closed``, ``unknown_engine``, ``engine_unavailable``, ``over_limit``, ...
    """
    if unknown := options.keys() - TaskOptions.__annotations__.keys():
        raise TypeError(f"There is no option {', '.join(sorted(unknown))}.")
    body: dict[str, object] = {"prompt": prompt, "sessionId": session_id}
    for name, value in options.items():
        body[_NAMES.get(name) or re.sub(r"_(\w)", lambda found: found[1].upper(), name)] = value
    if "attachments" in options:
        body["attachments"] = attached(options["attachments"])
    return change("POST", "/tasks", AcceptedAnswer, body, key=idempotency_key)


def get_task(task_id: str) -> Call[TaskAnswer]:
    """Show a task. Raises ApiError: ``task_not_found``."""
    return get(f"/tasks/{word(task_id)}", TaskAnswer)


def cancel_task(task_id: str, *, wait_s: float = 5.0) -> Call[StoppedAnswer]:
    """Stop a task; status ``cancelling``: it has not stopped within *wait_s*. Raises ApiError: ``task_not_found``."""
    params = {"wait": f"{wait_s:g}"}
    return change("DELETE", f"/tasks/{word(task_id)}", StoppedAnswer, params=params, wait_s=wait_s)


def inject(task_id: str, message: str, *, attachments: Sequence[Attachment] = ()) -> Call[InjectedAnswer]:
    """Stop a live task and go on with a message in its place. Raises ApiError: ``task_not_live``."""
    body = {"message": message, "attachments": attached(attachments)}
    return change("POST", f"/tasks/{word(task_id)}/inject", InjectedAnswer, body)


def approve(task_id: str, asked: Asked) -> Call[DecidedAnswer]:
    """Allow the call that was shown: what it is bound to is sent along, so nothing else is allowed.

    Raises ApiError: ``approval_conflict`` if it is decided, expired, or was changed; ``role_required``,
    ``four_eyes_required`` if the caller may not decide it.
    """
    return _decide(task_id, asked, {"approved": True})


def reject(
    task_id: str, asked: Asked, *, on_reject: Literal["cancel", "continue"] = "cancel", reason: str | None = None
) -> Call[DecidedAnswer]:
    """Forbid the call that was shown; the task is stopped, or told so and goes on. Raises ApiError as approve does."""
    return _decide(task_id, asked, {"approved": False, "onReject": on_reject, "reason": reason})


def sessions(*, owner: str | None = None, everybody: bool = False, page: int = PAGE) -> Pages[SessionAnswer]:
    """List the caller's sessions, newest first; an operator may ask for those of an *owner*, or of *everybody*.

    Raises ApiError: ``role_required``.
    """

    def call(cursor: str | None) -> Call[Page]:
        params = given(limit=str(page), cursor=cursor, owner=owner, all="true" if everybody else None)
        return Call(method="GET", path="/sessions", params=params, read=pages(SessionsAnswer))

    return Pages(call)


def messages(session_id: str, *, page: int = PAGE) -> Pages[Message]:
    """List the history of a session. Raises ApiError: ``session_not_found``."""

    def call(cursor: str | None) -> Call[Page]:
        params = given(limit=str(page), after=cursor)
        return Call(method="GET", path=f"/sessions/{word(session_id)}/messages", params=params, read=messages_of)

    return Pages(call)


def tasks(session_id: str, *, page: int = PAGE) -> Pages[TaskAnswer]:
    """List the tasks of a session in the order in which they came. Raises ApiError: ``session_not_found``."""

    def call(cursor: str | None) -> Call[Page]:
        params = given(limit=str(page), after=cursor)
        path = f"/sessions/{word(session_id)}/tasks"
        return Call(method="GET", path=path, params=params, read=pages(TasksAnswer))

    return Pages(call)


def get_session(session_id: str) -> Call[SessionAnswer]:
    """Show a session. Raises ApiError: ``session_not_found``."""
    return get(f"/sessions/{word(session_id)}", SessionAnswer)


def rename_session(session_id: str, title: str) -> Call[SessionAnswer]:
    """Give a session another title. Raises ApiError: ``session_not_found``."""
    content = msgspec.json.encode({"title": title})
    path = f"/sessions/{word(session_id)}"
    return Call(method="PATCH", path=path, content=content, headers=JSON, read=reader(SessionAnswer))


def close_session(session_id: str, *, erase: bool = False) -> Call[SessionAnswer]:
    """Close a session, and remove what was said in it if *erase*. Raises ApiError: ``session_not_found``."""
    params = {"erase": "true"} if erase else {}
    return change("DELETE", f"/sessions/{word(session_id)}", SessionAnswer, params=params)


def export(session_id: str, *, idle_s: float) -> Call[None]:
    """Ask for all that a session holds."""
    path = f"/sessions/{word(session_id)}/export"
    return Call(method="GET", path=path, read=nothing, idle_s=idle_s)


def event_stream(session_id: str, after: str | None, *, idle_s: float, include_all: bool) -> Call[None]:
    """Ask for the events after a cursor."""
    headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": after})
    params = {"include": "all"} if include_all else {}
    path = f"/sessions/{word(session_id)}/events"
    return Call(method="GET", path=path, params=params, headers=headers, read=nothing, idle_s=idle_s)


def latest(session_id: str) -> Call[str]:
    """Ask where the log of a session ends now: a cursor. Raises ApiError: ``session_not_found``."""

    class Place(msgspec.Struct, rename="camel"):
        next_cursor: str

    def read(body: bytes) -> str:
        return msgspec.json.decode(body, type=Place).next_cursor

    return Call(method="GET", path=f"/sessions/{word(session_id)}/events", params={"after": "latest"}, read=read)


def engines() -> Call[EnginesAnswer]:
    """List the engines, and what is missing for those that cannot be used."""
    return get("/engines", EnginesAnswer)


def switch_engine(engine: str) -> Call[SwitchedAnswer]:
    """Choose the engine of the tenant's new sessions. Raises ApiError: ``unknown_engine``, ``role_required``."""
    return change("POST", "/engines/switch", SwitchedAnswer, {"engineType": engine})


def transcribe(audio: bytes | Path, *, language: str | None = None) -> Call[HeardAnswer]:
    """Return what is said in a recording. Raises OSError, and ApiError: ``unsupported_media``, ``stt_unavailable``."""
    return record("/transcribe", HeardAnswer, audio, language)


def speak(audio: bytes | Path, session_id: str | None = None, *, language: str | None = None) -> Call[SpokenAnswer]:
    """Ask what is said in a recording, in a voice session or in a new one.

    Raises OSError, and ApiError: ``speech_not_detected``, ``unsupported_media``, ``stt_unavailable``.
    """
    return record(f"/sessions/{word(session_id or 'new')}/voice-message", SpokenAnswer, audio, language)


def _decide(task_id: str, asked: Asked, body: Mapping[str, object]) -> Call[DecidedAnswer]:
    bound = {"approvalId": asked.approval_id, "inputSha256": asked.input_sha256}
    return change("POST", f"/tasks/{word(task_id)}/approve", DecidedAnswer, {**body, **bound})
