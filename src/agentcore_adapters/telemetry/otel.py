"""Traces, as OpenTelemetry's conventions for generative AI name them.

Law: a span is made of what was committed, and holds ids, counts and codes: no prompt, no answer, no tool's input or
output.  A model is named if it is a configured one, a tool once it has worked: any other name may be made up.

Story: an attempt of a task is ``invoke_agent {engine}``; each provider call in it is ``chat {model}``, each call of a
tool ``execute_tool {name}``.  A task that began within a second of its request belongs to the request's span, and any
other is linked to it: a trace should not last as long as a queue.
Source: semantic conventions v1.41, gen-ai-agent-spans and gen-ai-spans; they are in development, so the names stand
here and nowhere else.
"""

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from attrs import define, field
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agentcore import __version__
from agentcore.changes import Changes
from agentcore.engine import EngineState
from agentcore.events import ToolResult, ToolUse
from agentcore.ids import EngineName, TaskId
from agentcore.ports import Grant
from agentcore.task import Task, TaskQueued, TaskStatus
from agentcore.usage import OpenCall, Outcome, UsageRecord
from agentcore_adapters.telemetry.names import OTHER, known

ID = re.compile(r"[\w.:-]{1,100}", re.ASCII)  # of a provider's message or of a call
CHILD_S = 1.0  # what began later than that after its request is linked to it
REMEMBERED = 10_000  # attempts that ended elsewhere are never heard of again
PROVIDERS = {
    "claude_api": "anthropic",
    "claude_agent_sdk": "anthropic",
    "claude_code_cli": "anthropic",
    "openai": "openai",
    "local": "llama.cpp",
}


class Ended(Protocol):
    """How a request ended."""

    @property
    def method(self) -> str: ...  # noqa: D102 - as ``agentcore_http.front`` says
    @property
    def route(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def code(self) -> str | None: ...  # noqa: D102


@define(eq=False)
class Attempt:
    """An attempt under way."""

    span: Span
    calls: dict[str, Span] = field(factory=dict)
    tools: dict[str, tuple[str, Span]] = field(factory=dict)  #: With their names.

    def end(self, at: int, error: str | None) -> None:
        """End it, with what is open in it."""
        for span in (*self.calls.values(), *(span for _, span in self.tools.values())):
            _end(span, at, error or "interrupted")
        _end(self.span, at, error)


class Traces:
    """An Observer, and what surrounds requests."""

    def __init__(self, provider: TracerProvider) -> None:
        """Give spans to *provider*."""
        self._tracer = provider.get_tracer("agentcore", __version__)
        self._requests: OrderedDict[TaskId, SpanContext] = OrderedDict()  # that gave rise to tasks
        self._attempts: OrderedDict[TaskId, Attempt] = OrderedDict()
        self._propagator = TraceContextTextMapPropagator()
        self._models: set[str] = set()
        self._tools: set[str] = set()  # that have worked

    def know(self, engines: Iterable[EngineState]) -> None:
        """Name these engines' models."""
        self._models |= {model for state in engines for model in state.models}

    @contextmanager
    def request(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[Callable[[Ended], None]]:
        """Surround a request with its span; a trace that its headers name goes on here."""
        given = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in headers
            if name in {b"traceparent", b"tracestate"}
        }
        outside = self._propagator.extract(given, Context()) if given else Context()
        with self._tracer.start_as_current_span(
            method, outside, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:

            def done(ended: Ended) -> None:
                span.update_name(f"{ended.method} {ended.route}")
                span.set_attribute("http.request.method", ended.method)
                span.set_attribute("http.route", ended.route)
                span.set_attribute("http.response.status_code", ended.status)
                if ended.status >= 500:
                    span.set_attribute("error.type", ended.code or str(ended.status))
                    span.set_status(Status(StatusCode.ERROR))

            yield done

    # ------------------------------------------------------------------------------------------------- an Observer
    def committed(self, changes: Changes, seconds: float) -> None:
        """Draw what was stored."""
        del seconds
        at = _ns(changes.at)
        for logged in changes.log:
            attempt = self._attempts.get(logged.task_id) if logged.task_id else None
            match logged.event:
                case TaskQueued():
                    self._remember(logged.task_id)
                case ToolUse() if attempt is not None:
                    self._tool(attempt, logged.event, at)
                case ToolResult(tool_use_id=key, is_error=is_error) if attempt is not None:
                    self._tool_ended(attempt, key, at, is_error=is_error)
                case _:
                    pass
        for ledger in changes.ledgers:
            if (attempt := self._attempts.get(ledger.task_id)) is not None:
                for call in ledger.begun:
                    self._call(attempt, ledger.engine, call, at)
                for record in ledger.settled:
                    if (span := attempt.calls.pop(record.key, None)) is not None:
                        span.set_attribute("gen_ai.response.model", known(record.usage.model, self._models))
                        _settle(span, record, at)
        for task in changes.tasks:
            if task.is_final:
                self._requests.pop(task.id, None)
            if not task.driven and (over := self._attempts.pop(task.id, None)) is not None:
                over.span.set_attribute("agentcore.task.status", task.status.value)
                over.end(at, _error(task))

    def took(self, grant: Grant) -> None:
        """Begin an attempt; who takes over a lost task begins none."""
        task = grant.turn.task
        if grant.is_takeover or task.started_at is None:
            return
        began = grant.entries[0].at if grant.entries else task.started_at
        self._drop(task.id, _ns(began))
        request = self._requests.get(task.id)
        waited = (began - task.created_at).total_seconds()
        context, links = Context(), []
        if request is not None and task.attempt == 1 and waited <= CHILD_S:
            context = set_span_in_context(trace.NonRecordingSpan(request), context)
        elif request is not None:
            links = [Link(request)]
        span = self._tracer.start_span(
            f"invoke_agent {task.engine}",
            context,
            SpanKind.INTERNAL,
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.provider.name": PROVIDERS.get(task.engine, str(task.engine)),
                "gen_ai.agent.name": str(task.engine),
                "gen_ai.conversation.id": str(task.session_id),
                "agentcore.tenant.id": str(task.tenant_id),
                "agentcore.task.id": str(task.id),
                "agentcore.task.attempt": task.attempt,
            },
            links,
            _ns(began),
        )
        self._attempts[task.id] = Attempt(span)
        if len(self._attempts) > REMEMBERED:
            self._drop(next(iter(self._attempts)), _ns(began))

    def called(self, task: Task, call: OpenCall, at: datetime) -> None:
        """Begin a call that was announced."""
        if (attempt := self._attempts.get(task.id)) is not None:
            self._call(attempt, task.engine, call, _ns(at))

    def spoke(self, task: Task, seconds: float) -> None:
        """Note the time to the first text."""
        if (attempt := self._attempts.get(task.id)) is not None and task.attempt == 1:
            attempt.span.set_attribute("agentcore.first_text_seconds", seconds)

    # ---------------------------------------------------------------------------------------------------- private
    def _remember(self, task_id: TaskId | None) -> None:
        request = trace.get_current_span().get_span_context()
        if task_id is not None and request.is_valid:
            self._requests[task_id] = request
            if len(self._requests) > REMEMBERED:
                self._requests.popitem(last=False)

    def _drop(self, task_id: TaskId, at: int) -> None:
        if (lost := self._attempts.pop(task_id, None)) is not None:
            lost.end(at, "lost")

    def _call(self, attempt: Attempt, engine: EngineName, call: OpenCall, at: int) -> None:
        model = known(call.model, self._models)
        attempt.calls[call.key] = self._tracer.start_span(
            f"chat {model}",
            set_span_in_context(attempt.span, Context()),
            SpanKind.CLIENT,
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": PROVIDERS.get(engine, str(engine)),
                "gen_ai.request.model": model,
                "gen_ai.request.stream": True,
            },
            start_time=at,
        )

    def _tool(self, attempt: Attempt, use: ToolUse, at: int) -> None:
        span = self._tracer.start_span(
            "execute_tool",
            set_span_in_context(attempt.span, Context()),
            SpanKind.INTERNAL,
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.call.id": _id(use.tool_use_id),
            },
            start_time=at,
        )
        attempt.tools[use.tool_use_id] = (use.tool_name, span)

    def _tool_ended(self, attempt: Attempt, key: str, at: int, *, is_error: bool) -> None:
        name, span = attempt.tools.pop(key, ("", None))
        if span is None:
            return
        if not is_error and len(self._tools) < REMEMBERED:
            self._tools.add(name)
        shown = name if name in self._tools else OTHER
        span.update_name(f"execute_tool {shown}")
        span.set_attribute("gen_ai.tool.name", shown)
        _end(span, at, "tool_error" if is_error else None)


@contextmanager
def open_traces(exporter: SpanExporter | None = None) -> Iterator[Traces]:
    """Send traces where the standard variables say, or to *exporter*; at the end what is left is sent."""
    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - heavy

        exporter = OTLPSpanExporter()
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    about = {"service.version": __version__} | ({} if named else {"service.name": "agentcore"})
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield Traces(provider)
    finally:
        provider.shutdown()


def _settle(span: Span, record: UsageRecord, at: int) -> None:
    usage = record.usage
    span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
    span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
    span.set_attribute("gen_ai.usage.cache_read.input_tokens", usage.cached_input_tokens)
    span.set_attribute("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_input_tokens)
    span.set_attribute("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens)
    span.set_attribute("agentcore.usage.fidelity", usage.fidelity.value)
    if usage.cost_usd is not None:
        span.set_attribute("agentcore.usage.cost_usd", float(usage.cost_usd))
    if record.provider_message_id is not None:
        span.set_attribute("gen_ai.response.id", _id(record.provider_message_id))
    _end(span, at, None if record.outcome is Outcome.COMPLETED else record.outcome.value)


def _end(span: Span, at: int, error: str | None) -> None:
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))
    span.end(at)


def _error(task: Task) -> str | None:
    if task.status is TaskStatus.FAILED and task.error_code is not None:
        return task.error_code.value
    if task.status is TaskStatus.CANCELLED and task.stop_code is not None:
        return task.stop_code.value
    return None


def _id(text: str) -> str:
    return text if ID.fullmatch(text) else OTHER


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
