"""What each route answers, one row a route.

Law: a row says what no signature can: its name, what it answers, what else it can refuse, which headers it reads.
What all routes have in common (who asks, what any of them refuses) is added by ``openapi``.
"""

from collections.abc import Collection, Mapping
from typing import Any

from attrs import field, frozen

from agentcore.books import DeliveryState, GroupBy
from agentcore_http.wire import instances, shapes, usage
from agentcore_http.wire.words import CURSOR, UUID

SESSION, TASK, INSTANCE = "sessions", "tasks", "instances"
EXAMPLE_ID = "0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34"
Schema = Mapping[str, Any]


@frozen(kw_only=True)
class Row:
    """A route."""

    id: str  #: The operationId: stable, clients are generated from it.
    tag: str
    answers: Mapping[int, Any]  #: Status and type; None: what is not JSON of one type, see ``openapi``.
    refuses: Collection[int] = ()  #: Besides what is common.
    is_keyed: bool = False  #: Reads Idempotency-Key.
    is_open: bool = False  #: Needs no caller.
    is_bare: bool = False  #: About the process: nobody's.
    reads: tuple[str, ...] = ()  #: Header parameters besides.
    parameters: Mapping[str, Schema] = field(factory=dict)  #: What is to be said of those of the signature.
    example: object = None  #: Of the body.
    streams: str | None = None  #: Media type of an answer that is no one JSON.
    leads_to: Mapping[str, str] = field(factory=dict)  #: operationId and the member of the answer that names it.


PLACE = {"type": "string", "pattern": f"^latest$|^$|{CURSOR}"}
PAIR = {"type": "string", "pattern": "^$|^[0-9]{1,18}(\\.[0-9]{1,6})?$"}
TIME = {"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]}
INCLUDE = {"type": "string", "enum": ["all"]}
TASK_LINKS = {"getTask": "taskId", "cancelTask": "taskId", "injectIntoTask": "taskId", "decideApproval": "taskId"}
SESSION_LINKS = {
    "getSession": "sessionId",
    "renameSession": "sessionId",
    "closeSession": "sessionId",
    "listMessages": "sessionId",
    "listTasks": "sessionId",
    "readEvents": "sessionId",
}
OWN = {"getInstance": "id", "changeInstance": "id", "removeInstance": "id", "listInstanceSessions": "id"}
MADE = TASK_LINKS | SESSION_LINKS

ROWS: Mapping[tuple[str, str], Row] = {
    ("post", "/tasks"): Row(
        id="createTask",
        tag=TASK,
        answers={201: shapes.AcceptedAnswer},
        is_keyed=True,
        example={"prompt": "What is a monad?", "onBusy": "enqueue"},
        leads_to=MADE,
    ),
    ("get", "/tasks/{task_id}"): Row(id="getTask", tag=TASK, answers={200: shapes.TaskAnswer}),
    ("delete", "/tasks/{task_id}"): Row(
        id="cancelTask", tag=TASK, answers={200: shapes.StoppedAnswer, 202: shapes.StoppedAnswer}, is_keyed=True
    ),
    ("post", "/tasks/{task_id}/inject"): Row(
        id="injectIntoTask",
        tag=TASK,
        answers={201: shapes.InjectedAnswer},
        is_keyed=True,
        example={"message": "Shorter, please."},
        leads_to=TASK_LINKS,
    ),
    ("post", "/tasks/{task_id}/approve"): Row(
        id="decideApproval",
        tag=TASK,
        answers={201: shapes.DecidedAnswer},
        is_keyed=True,
        example={"approved": False, "onReject": "continue", "reason": "Not on a Friday."},
    ),
    ("get", "/sessions"): Row(
        id="listSessions",
        tag=SESSION,
        answers={200: shapes.SessionsAnswer},
        parameters={"cursor": {"type": "string", "pattern": "^[A-Za-z0-9_=-]*$"}},
    ),
    ("get", "/sessions/{session_id}"): Row(id="getSession", tag=SESSION, answers={200: shapes.SessionAnswer}),
    ("patch", "/sessions/{session_id}"): Row(
        id="renameSession",
        tag=SESSION,
        answers={200: shapes.SessionAnswer},
        refuses=(409,),
        example={"title": "Monads"},
    ),
    ("delete", "/sessions/{session_id}"): Row(
        id="closeSession", tag=SESSION, answers={200: shapes.SessionAnswer}, is_keyed=True
    ),
    ("get", "/sessions/{session_id}/export"): Row(
        id="exportSession", tag=SESSION, answers={200: None}, streams="application/x-ndjson"
    ),
    ("get", "/sessions/{session_id}/messages"): Row(
        id="listMessages", tag=SESSION, answers={200: shapes.MessagesAnswer}, parameters={"after": PAIR}
    ),
    ("get", "/sessions/{session_id}/tasks"): Row(
        id="listTasks", tag=SESSION, answers={200: shapes.TasksAnswer}, parameters={"after": PAIR}
    ),
    ("post", "/sessions/{session_id}/oauth-trigger"): Row(
        id="askForConsent",
        tag=SESSION,
        answers={201: shapes.ConsentAnswer},
        is_keyed=True,
        reads=("X-OAuth-Token",),
        example={"provider": "calendar", "url": "https://calendar.example/consent"},
    ),
    ("get", "/sessions/{session_id}/events"): Row(
        id="readEvents",
        tag=SESSION,
        answers={200: None},
        reads=("Last-Event-ID",),
        parameters={"after": PLACE, "include": INCLUDE},
    ),
    ("post", "/sessions/{session_id}/voice-message"): Row(
        id="speak", tag="voice", answers={201: shapes.SpokenAnswer}, is_keyed=True, leads_to=MADE
    ),
    ("post", "/transcribe"): Row(id="transcribe", tag="voice", answers={201: shapes.HeardAnswer}, is_keyed=True),
    ("post", "/stream-tickets"): Row(id="buyTicket", tag=SESSION, answers={201: shapes.TicketAnswer}),
    ("get", "/engines"): Row(id="listEngines", tag="engines", answers={200: shapes.EnginesAnswer}),
    ("post", "/engines/switch"): Row(
        id="switchEngine",
        tag="engines",
        answers={201: shapes.SwitchedAnswer},
        is_keyed=True,
        example={"engineType": "claude_api"},
    ),
    ("get", "/usage"): Row(
        id="reportUsage",
        tag="usage",
        answers={200: usage.ReportAnswer},
        parameters={
            "from": TIME,
            "to": TIME,
            "groupBy": {"type": "string", "enum": [kind.value for kind in GroupBy], "default": GroupBy.DAY.value},
        },
    ),
    ("get", "/usage/events"): Row(
        id="listUsageEvents",
        tag="usage",
        answers={200: usage.DeliveriesAnswer},
        parameters={"state": {"type": "string", "enum": [state.value for state in DeliveryState]}},
    ),
    ("post", "/usage/events/{event_id}/redeliver"): Row(
        id="redeliverUsageEvent",
        tag="usage",
        answers={202: usage.RedeliveredAnswer},
        is_keyed=True,
    ),
    ("post", "/instances"): Row(
        id="addInstance",
        tag=INSTANCE,
        answers={201: instances.InstanceAnswer},
        is_keyed=True,
        example={"name": "Butler", "serverHost": "bridge.example", "hostPort": 8443, "status": "running"},
        leads_to={**OWN, "askInstance": "id"},
    ),
    ("get", "/instances"): Row(id="listInstances", tag=INSTANCE, answers={200: list[instances.InstanceAnswer]}),
    ("get", "/instances/{instance_id}"): Row(id="getInstance", tag=INSTANCE, answers={200: instances.InstanceAnswer}),
    ("patch", "/instances/{instance_id}"): Row(
        id="changeInstance",
        tag=INSTANCE,
        answers={200: instances.InstanceAnswer},
        refuses=(409,),
        example={"status": "stopped"},
    ),
    ("delete", "/instances/{instance_id}"): Row(
        id="removeInstance", tag=INSTANCE, answers={200: instances.InstanceAnswer}, is_keyed=True
    ),
    ("get", "/instances/{instance_id}/secret"): Row(
        id="getInstanceSecret", tag=INSTANCE, answers={200: instances.SecretAnswer}
    ),
    ("post", "/instances/{instance_id}/tasks"): Row(
        id="askInstance",
        tag=INSTANCE,
        answers={201: shapes.AcceptedAnswer},
        is_keyed=True,
        example={"prompt": "Water the plants."},
        leads_to=MADE,
    ),
    ("get", "/instances/{instance_id}/sessions"): Row(
        id="listInstanceSessions", tag=INSTANCE, answers={200: list[instances.InstanceSessionAnswer]}
    ),
    ("post", "/instances/openclaw-app-callback"): Row(
        id="answerAsBridge",
        tag=INSTANCE,
        answers={200: instances.ReceivedAnswer},
        is_open=True,
        reads=("webhook-id", "webhook-timestamp", "webhook-signature"),
        example={
            "ok": True,
            "result": "Watered.",
            "callbackData": {"sessionId": EXAMPLE_ID, "taskId": EXAMPLE_ID, "signature": "v1.ZGVmYXVsdA==.00"},
        },
    ),
    ("get", "/healthz"): Row(id="isAlive", tag="process", answers={200: shapes.AliveAnswer}, is_bare=True),
    ("get", "/readyz"): Row(
        id="isReady", tag="process", answers={200: shapes.ReadyAnswer, 503: shapes.ReadyAnswer}, is_bare=True
    ),
    ("get", "/metrics"): Row(
        id="readFigures", tag="process", answers={200: None}, streams="text/plain", refuses=(404,), is_bare=True
    ),
}
ID_PARAMETERS: Mapping[str, Schema] = {
    name: {"type": "string", "format": "uuid", "pattern": UUID}
    for name in ("task_id", "session_id", "instance_id", "event_id")
}
