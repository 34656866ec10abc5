"""Figures and traces of a server at work."""

from collections.abc import AsyncIterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client.parser import text_string_to_metric_families
from tests.support.server import Served, receive, serving, until_final

from agentcore.ports import Leases, Store
from agentcore_adapters.telemetry.otel import Traces
from agentcore_adapters.telemetry.prometheus import table
from agentcore_http.front import Watchers
from agentcore_http.settings import SettingsError
from agentcore_http.telemetry import Telemetry, figures, open_telemetry, wants_traces

pytestmark = pytest.mark.anyio
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
async def counted(stores: tuple[Store, Leases]) -> AsyncIterator[Served]:
    async with serving(*stores, telemetry=figures()) as served:
        yield served


async def read(served: Served) -> Figures:
    answer = await served.http.get(served.url + "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def of(found: Figures, name: str, **labels: str) -> float:
    return sum(v for (n, all_), v in found.items() if n == name and set(labels.items()) <= set(all_))


async def test_figures_say_what_the_log_says(counted: Served) -> None:
    one = await counted.done('[[say:hello]] [[tool:t:{"a": 1}]]')
    await counted.done("[[err_mid]] [[say:a b c]]", one["sessionId"])
    broken = await counted.done("[[raise]]")
    stopped = await counted.post("[[hang]]")
    await counted.until(stopped["taskId"], {"running"})
    assert of(await read(counted), "agentcore_tasks_driven") == 1
    async with counted.socket(stopped["sessionId"]) as socket:
        await receive(socket)
        found = await read(counted)
        assert of(found, "agentcore_streams_open", kind="websocket") == 1
        assert of(found, "agentcore_sessions_listened") == 1
        await counted.call("DELETE", f"/tasks/{stopped['taskId']}")
        await until_final(socket, stopped["taskId"])
    found = await read(counted)
    assert of(found, "agentcore_tasks_accepted_total", engine="scripted") == 4
    assert of(found, "agentcore_attempts_total", engine="scripted") == 4
    ends = {
        (labels["status"], labels["code"]): value
        for (name, items), value in found.items()
        if name == "agentcore_tasks_total" and (labels := dict(items))
    }
    assert ends == {
        ("completed", ""): 1,
        ("failed", "ENGINE_OVERLOADED"): 1,
        ("failed", "EXECUTION_ERROR"): 1,
        ("cancelled", "USER_CANCEL"): 1,
    }
    assert of(found, "agentcore_tool_calls_total", outcome="begun") == 1
    assert of(found, "agentcore_tool_calls_total", outcome="ok") == 1
    exact = {"engine": "scripted", "model": "scripted-1", "fidelity": "exact"}
    usage = (await counted.get("/usage"))["total"]
    assert of(found, "agentcore_provider_tokens_total", kind="input") == usage["inputTokens"]
    assert of(found, "agentcore_provider_tokens_total", kind="output") == usage["outputTokens"]
    assert of(found, "agentcore_provider_calls_total", **exact, outcome="completed") == 1
    assert of(found, "agentcore_provider_calls_total") == usage["calls"]
    sessions = [task["sessionId"] for task in (one, broken, stopped)]
    logs = [await counted.log(session, "&include=all") for session in sessions]
    assert of(found, "agentcore_events_committed_total") == sum(map(len, logs))
    assert of(found, "agentcore_text_committed_chars_total") >= len("hello")
    assert of(found, "agentcore_first_token_seconds_count") == 4
    assert of(found, "agentcore_task_seconds_count") == 4
    assert of(found, "agentcore_commit_seconds_count", kind="command") >= 4
    assert of(found, "agentcore_commit_seconds_count", kind="driver") >= 4
    assert of(found, "agentcore_streams_open") == of(found, "agentcore_tasks_driven") == 0
    asked = of(found, "agentcore_http_requests_total", method="POST", route="/api/v1/agent/tasks", status="201")
    assert asked == of(found, "agentcore_http_seconds_count", method="POST", route="/api/v1/agent/tasks") == 4
    assert of(found, "agentcore_observers_failed_total") == 0
    assert of(found, "agentcore_build_info") == 1


async def test_SEC25_labels_have_few_values_whatever_is_asked(counted: Served) -> None:
    for number in range(3):
        await counted.done("[[say:x]]", model=f"canary-{number}")
        await counted.call("GET", f"/tasks/canary-{number}")
        await counted.call("GET", f"/canary-{number}")
        await counted.call("POST", "/tasks", {"prompt": "x", "engineType": f"canary-{number}"})
        await counted.http.request("PROPFIND", counted.url + "/healthz")
        await counted.as_tenant(f"canary-{number}").done("[[say:x]]")
    answer = await counted.http.get(counted.url + "/metrics")
    assert "canary" not in answer.text.lower()
    found = await read(counted)
    assert of(found, "agentcore_http_requests_total", route="none", status="404") == 3
    assert of(found, "agentcore_http_requests_total", method="OTHER") == 3
    assert of(found, "agentcore_http_problems_total", code="unknown_engine") == 3


async def test_every_figure_is_in_the_table(counted: Served) -> None:
    await counted.done('[[ask:t:{"a": 1}]]', deadlineSeconds=0.3)
    names = {name for name, *_ in table()}
    answer = await counted.http.get(counted.url + "/metrics")
    shown = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(answer.text)
        if family.name.startswith("agentcore_") and not family.name.endswith("_created")
    }
    assert shown <= names
    assert all(doc for *_, doc in table())


# --------------------------------------------------------------------------------------------------------- traces
@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def traced(stores: tuple[Store, Leases], exporter: InMemorySpanExporter) -> AsyncIterator[Served]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces = Traces(provider)
    watching = Telemetry(observers=(traces,), watchers=Watchers(trace=traces.request), know=traces.know)
    async with serving(*stores, telemetry=watching) as served:
        yield served


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


async def test_an_attempt_its_calls_and_its_tools_are_spans(traced: Served, exporter: InMemorySpanExporter) -> None:
    answer = await traced.call(
        "POST", "/tasks", {"prompt": 'canary [[tool:t:{"a": "canary"}]]'}, traceparent=TRACEPARENT
    )
    task = await traced.ended(answer.json()["taskId"])
    (request,) = named(exporter, "POST /api/v1/agent/tasks")
    (attempt,) = named(exporter, "invoke_agent scripted")
    (chat,) = named(exporter, "chat scripted-1")
    (tool,) = named(exporter, "execute_tool t")
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == "b7ad6b7169203331"
    spans: Sequence[ReadableSpan] = (request, attempt, chat, tool)
    assert {f"{span.context.trace_id:032x}" for span in spans} == {"0af7651916cd43dd8448eb211c80319c"}
    assert [span.parent.span_id for span in (attempt, chat, tool) if span.parent] == [
        request.context.span_id,
        attempt.context.span_id,
        attempt.context.span_id,
    ]
    assert [span.kind for span in spans] == [SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.INTERNAL]
    assert attributes(attempt) | {"agentcore.first_text_seconds": 0} == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "scripted",
        "gen_ai.agent.name": "scripted",
        "gen_ai.conversation.id": task["sessionId"],
        "agentcore.tenant.id": "default",
        "agentcore.task.id": task["id"],
        "agentcore.task.attempt": 1,
        "agentcore.task.status": "completed",
        "agentcore.first_text_seconds": 0,
    }
    assert attributes(chat) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "scripted-1",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "scripted-1",
        "gen_ai.usage.input_tokens": 23,
        "gen_ai.usage.output_tokens": 17,
        "gen_ai.usage.cache_read.input_tokens": 5,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "agentcore.usage.fidelity": "exact",
    }
    assert attributes(tool)["gen_ai.operation.name"] == "execute_tool"
    assert all(span.start_time and span.end_time and span.start_time <= span.end_time for span in spans)
    assert {span.status.status_code for span in spans} == {StatusCode.UNSET}
    assert "canary" not in "".join(span.to_json() for span in exporter.get_finished_spans())


async def test_a_failure_has_its_type_and_nothing_more(traced: Served, exporter: InMemorySpanExporter) -> None:
    await traced.done("[[err_mid]] [[say:a b]]")
    await traced.done("[[raise]]")
    await traced.call("GET", "/tasks/canary")
    attempts = named(exporter, "invoke_agent scripted")
    assert [attributes(span)["error.type"] for span in attempts] == ["ENGINE_OVERLOADED", "EXECUTION_ERROR"]
    assert {attributes(span)["error.type"] for span in named(exporter, "chat scripted-1")} == {"failed"}
    assert not any(span.events for span in exporter.get_finished_spans())
    assert {span.status.description for span in exporter.get_finished_spans()} == {None}
    (missing,) = [s for s in exporter.get_finished_spans() if attributes(s).get("http.response.status_code") == 404]
    assert missing.name == "GET /api/v1/agent/tasks/{task_id}"


async def test_what_waited_is_linked_to_its_request(
    traced: Served, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentcore_adapters.telemetry.otel.CHILD_S", 0.1)
    first = await traced.post("[[say:x]] [[words:30]] [[slow:0.01]]")
    await traced.done("[[say:y]]", first["sessionId"], onBusy="enqueue")
    one, two = named(exporter, "invoke_agent scripted")
    requests = named(exporter, "POST /api/v1/agent/tasks")
    assert one.parent is not None
    assert one.parent.span_id == requests[0].context.span_id
    assert two.parent is None
    assert [link.context.span_id for link in two.links] == [requests[1].context.span_id]


async def test_a_task_without_a_trace_is_a_trace(traced: Served, exporter: InMemorySpanExporter) -> None:
    answer = await traced.call("POST", "/tasks", {"prompt": "[[say:x]]"}, traceparent="00-canary")
    await traced.ended(answer.json()["taskId"])
    (request,) = named(exporter, "POST /api/v1/agent/tasks")
    assert request.parent is None


async def test_nothing_is_kept_of_what_is_over(traced: Served, exporter: InMemorySpanExporter) -> None:
    (traces,) = traced.runtime.house.observers.observers
    assert isinstance(traces, Traces)
    hung = await traced.post("[[hang]]")
    await traced.until(hung["taskId"], {"running"})
    assert len(traces._attempts) == 1
    await traced.call("DELETE", f"/tasks/{hung['taskId']}")
    await traced.ended(hung["taskId"])
    assert (len(traces._attempts), len(traces._requests)) == (0, 0)
    assert attributes(named(exporter, "invoke_agent scripted")[0])["error.type"] == "USER_CANCEL"


# -------------------------------------------------------------------------------------------------------- choosing
@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, False),
    ],
)
def test_the_standard_variables_choose(environ: dict[str, str], wanted: bool) -> None:
    assert wants_traces(environ) is wanted


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
    ],
)
def test_what_is_not_here_stops_the_start(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said), open_telemetry(environ):
        pass


def test_without_its_package_there_are_no_figures_and_no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with open_telemetry({}) as found:
        assert (found.observers, found.exposition, found.watchers) == ((), None, Watchers())
    with pytest.raises(SettingsError, match=r"agentcore\[otel\]"), open_telemetry({"OTEL_TRACES_EXPORTER": "otlp"}):
        pass


async def test_a_server_that_nobody_watches_has_no_figures(served: Served) -> None:
    answer = await served.http.get(served.url + "/metrics")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
