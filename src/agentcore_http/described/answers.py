"""Examples of answers, made by the code that sends them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from agentcore import errors
from agentcore.books import DeliveryState
from agentcore.errors import ShuttingDown
from agentcore.instances import InstanceStatus
from agentcore.messages import Role
from agentcore.task import TaskStatus
from agentcore.usage import Fidelity
from agentcore_http.described.examples import AT, FRAMES, MORE_COUNTS, SESSION, SNAPSHOT, TASK, UNLOGGED, of_frame
from agentcore_http.wire import instances, json, shapes, usage
from agentcore_http.wire.parts import TextAnswer

INSTANCE = "0190c2d4-7a33-7f02-9d41-2b6e8c0f1a57"
STAMPS: dict[str, Any] = {"created_at": AT, "updated_at": AT}
TASK_ANSWER = shapes.TaskAnswer(
    id=TASK,
    session_id=SESSION,
    status=TaskStatus.COMPLETED.value,
    prompt="What is a monad?",
    engine_type="claude_api",
    result="A monoid in the category of endofunctors.",
    error=None,
    stop_code=None,
    usage=shapes.UsageAnswer(
        **MORE_COUNTS, total_tokens=46, cost_usd=0.00042, model="a-model", fidelity=Fidelity.EXACT.value
    ),
    created_at=AT,
    started_at=AT,
    completed_at=AT,
    pending_approvals=[],
)
MESSAGE = shapes.MessageAnswer(
    id=f"{TASK}.0",
    seq=3,
    role=Role.USER.value,
    content=[TextAnswer(text="What is a monad?")],
    interrupted=False,
    task_id=TASK,
    created_at=AT,
)
ENGINE = shapes.EngineAnswer(
    engine_type="claude_api",
    available=True,
    default=True,
    reason=None,
    models=["a-model"],
    capabilities={"streaming": True, "tools": True, "resume": False},
)
TOTALS: dict[str, Any] = {"input_tokens": 12, "output_tokens": 34, "total_tokens": 46}
OF_A_DAY = usage.TotalsAnswer(key="2026-01-01", tasks=1, calls=1, **TOTALS, audio_seconds="0", cost_usd="0.00042")
OF_ALL = usage.TotalsAnswer(key=None, tasks=1, calls=1, **TOTALS, audio_seconds="0", cost_usd="0.00042")
DELIVERY = usage.DeliveryAnswer(
    event_id=INSTANCE,
    task_id=TASK,
    session_id=SESSION,
    call="1.1",
    state=DeliveryState.DELIVERED.value,
    attempts=1,
    error=None,
    created_at=AT,
)
REMOTE = instances.InstanceAnswer(
    id=INSTANCE,
    name="Butler",
    server_host="bridge.example",
    host_port=8443,
    status=InstanceStatus.RUNNING.value,
    user_id="alice",
    **STAMPS,
)
STOPPED = shapes.StoppedAnswer(task_id=TASK, status=TaskStatus.CANCELLED.value, message="Task cancelled")
KNOWN: tuple[Any, ...] = (
    shapes.AcceptedAnswer(session_id=SESSION, task_id=TASK, session_created=True, status=TaskStatus.QUEUED.value),
    TASK_ANSWER,
    STOPPED,
    shapes.InjectedAnswer(session_id=SESSION, task_id=TASK),
    shapes.DecidedAnswer(message="Command rejected", task_id=TASK, approval_id=f"{TASK}.a"),
    shapes.SessionsAnswer(items=[SNAPSHOT.session], next_cursor=None),
    SNAPSHOT.session,
    shapes.MessagesAnswer(items=[MESSAGE], next_cursor=None),
    shapes.TasksAnswer(items=[TASK_ANSWER], next_cursor=None),
    shapes.ConsentAnswer(message="Consent asked for"),
    shapes.SwitchedAnswer(message="Engine switched", engine_type="claude_api"),
    shapes.SpokenAnswer(session_id=SESSION, task_id=TASK, transcript="What is a monad?", session_created=False),
    shapes.HeardAnswer(text="What is a monad?", language="en", duration_seconds=1.4, no_speech_probability=0.02),
    shapes.TicketAnswer(ticket="a-ticket-for-one-websocket", expires_at=AT),
    shapes.EnginesAnswer(engines=[ENGINE]),
    usage.ReportAnswer(items=[OF_A_DAY], total=OF_ALL),
    usage.DeliveriesAnswer(items=[DELIVERY]),
    usage.RedeliveredAnswer(event_id=INSTANCE),
    REMOTE,
    instances.SecretAnswer(secret="whsec_ZGVmYXVsdA=="),  # noqa: S106 - an example
    instances.ReceivedAnswer(),
    shapes.AliveAnswer(status="ok"),
    shapes.ReadyAnswer(ready=True, reasons=[], degraded=[]),
)
OTHERS: Mapping[tuple[object, int], Any] = {
    (shapes.StoppedAnswer, 202): shapes.StoppedAnswer(task_id=TASK, status=TaskStatus.CANCELLING.value),
    (shapes.ReadyAnswer, 503): shapes.ReadyAnswer(ready=False, reasons=[ShuttingDown.code], degraded=[]),
    (list[instances.InstanceAnswer], 200): [REMOTE],
    (list[instances.InstanceSessionAnswer], 200): [
        instances.InstanceSessionAnswer(id=SESSION, title="Plants", status="active", **STAMPS)
    ],
}
STREAMED: Mapping[str, str] = {
    "text/plain": "# HELP agentcore_lanes Sessions that this node has in its hands.\n"
    "# TYPE agentcore_lanes gauge\nagentcore_lanes 3.0\n",
}


def of(kind: object, status: int) -> Any:  # noqa: ANN401 - JSON
    """Return what an answer of *kind* with *status* can look like."""
    other = OTHERS.get((kind, status))
    found = other if other is not None else next(one for one in KNOWN if type(one) is kind)
    return msgspec.json.decode(json.encode(found))


def of_page() -> Mapping[str, Any]:
    """Return a page of the log: a frame of each kind that a log can hold."""
    frames = [of_frame(type(one)) for one in FRAMES if not isinstance(one, UNLOGGED)]
    return {"items": frames, "nextCursor": "7", "headSeq": 7}


def of_stream() -> str:
    """Return two server-sent events."""
    frames = [of_frame(type(one)) for one in FRAMES if not isinstance(one, UNLOGGED)][:2]
    return "".join(f"id: {f['cursor']}\nevent: {f['type']}\ndata: {json.encode(f).decode()}\n\n" for f in frames)


def of_problem(status: int, code: str) -> Mapping[str, Any]:
    """Return a problem."""
    found = (kind for kind in vars(errors).values() if isinstance(kind, type) and vars(kind).get("code") == code)
    kind = next(found, None)
    title = (kind.__doc__ or "").strip().splitlines()[0] if kind else "The request cannot be answered."
    return {
        "type": f"urn:agentcore:problem:{code}",
        "title": title,
        "status": status,
        "detail": title,
        "instance": f"/api/v1/agent/tasks/{TASK}",
        "code": code,
        "message": title,
    }
