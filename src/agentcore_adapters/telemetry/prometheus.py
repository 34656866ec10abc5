"""Figures, as Prometheus reads them.

Law: counts and times, never content and never a tenant; every label has few values, all of them ours.  A model that is
not one of the configured ones is ``other``, because a request may name any.

What the store has committed is counted as it is committed; what the node knows of itself is read when it is asked for.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from attrs import frozen
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from agentcore import __version__
from agentcore.changes import Changes
from agentcore.engine import EngineState
from agentcore.events import TextSaid, ToolResult, ToolUse
from agentcore.ids import TaskId
from agentcore.ports import Grant
from agentcore.runtime import Runtime
from agentcore.task import ApprovalRequested, ApprovalResolved, Task, TaskQueued, TaskRequeued
from agentcore.usage import OpenCall, UsageRecord
from agentcore_adapters.telemetry.names import OTHER, known

REMEMBERED = 10_000
FAST = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
STREAMS = frozenset({"sse", "websocket"})


@frozen
class Figure:
    """One that is read from the node when somebody asks."""

    name: str
    doc: str
    read: Callable[[Runtime], float]
    is_counter: bool = False


NODE: Sequence[Figure] = (
    Figure("agentcore_tasks_driven", "Tasks that this node drives now.", lambda r: sum(1 for _ in r.lanes.reading())),
    Figure(
        "agentcore_sessions_waiting",
        "Sessions with work that nobody drove when this node last looked; it looks at 100 at most.",
        lambda r: r.counts.waiting,
    ),
    Figure("agentcore_lanes", "Sessions that this node has in its hands.", lambda r: len(r.lanes)),
    Figure(
        "agentcore_sessions_listened",
        "Sessions that somebody is subscribed to here.",
        lambda r: len(r.house.bus.listened()),
    ),
    Figure(
        "agentcore_draining",
        "1 while the node goes away.",
        lambda r: float(r.house.is_leaving or r.house.is_draining),
    ),
    Figure(
        "agentcore_outbox_due",
        "Usage events that were due in the last round; 32 means that there were more.",
        lambda r: r.pulse.relay.due,
    ),
    Figure(
        "agentcore_usage_events_published_total",
        "Usage events that were taken.",
        lambda r: r.pulse.relay.published,
        is_counter=True,
    ),
    Figure(
        "agentcore_usage_events_failed_total", "Tries that failed.", lambda r: r.pulse.relay.failed, is_counter=True
    ),
    Figure(
        "agentcore_usage_events_dead_total",
        "Usage events that were given up.",
        lambda r: r.pulse.relay.dead,
        is_counter=True,
    ),
    Figure(
        "agentcore_leases_lost_total", "Leases that were not renewed in time.", lambda r: r.counts.lost, is_counter=True
    ),
    Figure(
        "agentcore_leases_fenced_total",
        "Tasks that another node had taken.",
        lambda r: r.counts.fenced,
        is_counter=True,
    ),
    Figure(
        "agentcore_tasks_recovered_total",
        "Tasks taken over from a lost node.",
        lambda r: r.counts.recovered,
        is_counter=True,
    ),
    Figure(
        "agentcore_engine_events_late_total",
        "Engine events after the end of their task.",
        lambda r: r.counts.late,
        is_counter=True,
    ),
    Figure(
        "agentcore_engine_events_refused_total",
        "Engine events out of turn.",
        lambda r: r.counts.refused,
        is_counter=True,
    ),
    Figure(
        "agentcore_engines_stuck_total",
        "Engines that did not stop and were left behind.",
        lambda r: r.counts.stuck,
        is_counter=True,
    ),
    Figure("agentcore_work_failed_total", "Work of the node that raised.", lambda r: r.counts.failed, is_counter=True),
    Figure(
        "agentcore_store_unavailable_total",
        "Times that work of the node found no store.",
        lambda r: r.counts.unavailable,
        is_counter=True,
    ),
    Figure(
        "agentcore_bus_connected",
        "1 while other nodes can be reached over the bus; always, where there are none.",
        lambda r: float(r.house.bus.state().is_connected),
    ),
    Figure("agentcore_bus_sent_total", "Messages to other nodes.", lambda r: r.house.bus.state().sent, is_counter=True),
    Figure(
        "agentcore_bus_heard_total", "Messages of other nodes.", lambda r: r.house.bus.state().heard, is_counter=True
    ),
    Figure(
        "agentcore_bus_dropped_total",
        "Messages that could not be sent: their readers wait for the log.",
        lambda r: r.house.bus.state().dropped,
        is_counter=True,
    ),
    Figure(
        "agentcore_bus_refused_total",
        "Messages that were not of our nodes, or could not be read.",
        lambda r: r.house.bus.state().refused,
        is_counter=True,
    ),
    Figure(
        "agentcore_observers_failed_total",
        "Times that who counts or traces raised.",
        lambda r: r.house.observers.failed,
        is_counter=True,
    ),
)


class NodeCollector(Collector):
    """Reads ``NODE``."""

    runtime: Runtime | None = None

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield what the node says of itself."""
        for figure in NODE:
            value = None if self.runtime is None else figure.read(self.runtime)
            if figure.is_counter:
                yield CounterMetricFamily(figure.name, figure.doc, value)
            else:
                yield GaugeMetricFamily(figure.name, figure.doc, value)


class Metrics:
    """An Observer, and what counts requests; one for each process."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.registry = CollectorRegistry()
        self._node = NodeCollector()
        self._models: set[str] = set()
        self._accepted_at: dict[TaskId, datetime] = {}  # of tasks that have not made a provider call
        self.registry.register(self._node)
        ProcessCollector(registry=self.registry)
        self.build = self._gauge("agentcore_build_info", "1; what runs.", "version", "python")
        self.build.labels(__version__, platform.python_version()).set(1)
        self.accepted = self._counter("agentcore_tasks_accepted_total", "Prompts that became tasks.", "engine")
        self.attempts = self._counter(
            "agentcore_attempts_total", "Attempts begun here: 2 for a task that went on.", "engine"
        )
        self.requeued = self._counter("agentcore_tasks_requeued_total", "Tasks put back into their queue.", "engine")
        self.ended = self._counter("agentcore_tasks_total", "Tasks that have ended.", "status", "code", "engine")
        self.lasted = self._histogram(
            "agentcore_task_seconds", "From its prompt to a task's end.", LONG, "status", "engine"
        )
        self.waited = self._histogram(
            "agentcore_task_queue_seconds", "From a prompt to its first attempt.", LONG, "engine"
        )
        self.first = self._histogram(
            "agentcore_first_token_seconds", "From a prompt to the first text told.", LONG, "engine"
        )
        self.until_called = self._histogram(
            "agentcore_first_call_seconds",
            "From a prompt to its first provider call: what is added to the time to the first token.",
            FAST,
            "engine",
        )
        kinds = ("engine", "model", "fidelity")
        self.calls = self._counter("agentcore_provider_calls_total", "Provider calls settled.", *kinds, "outcome")
        self.tokens = self._counter(
            "agentcore_provider_tokens_total", "Tokens; input includes what was cached.", *kinds, "kind"
        )
        self.cost = self._counter("agentcore_provider_cost_usd_total", "Cost, of calls with a known price.", *kinds)
        self.tools = self._counter("agentcore_tool_calls_total", "Tool calls: begun, and how they ended.", "outcome")
        self.approvals = self._counter(
            "agentcore_approvals_total", "Approvals requested, and what was decided.", "outcome"
        )
        self.events = self._counter("agentcore_events_committed_total", "Events that have entered a log.")
        self.chars = self._counter("agentcore_text_committed_chars_total", "Characters of text and thinking in logs.")
        self.commits = self._histogram("agentcore_commit_seconds", "How long the store took to commit.", FAST, "kind")
        self.requests = self._counter(
            "agentcore_http_requests_total", "Requests answered.", "method", "route", "status"
        )
        self.answers = self._histogram(
            "agentcore_http_seconds", "Time to the end of an answer, streams apart.", FAST, "method", "route"
        )
        self.problems = self._counter("agentcore_http_problems_total", "Problems answered.", "code")
        self.streams = self._gauge("agentcore_streams_open", "Streams of events that are open.", "kind")

    def know(self, engines: Iterable[EngineState]) -> None:
        """Use the names of these engines' models as labels."""
        self._models |= {model for state in engines for model in state.models}

    def exposition(self, runtime: Runtime) -> bytes:
        """Return all of it, with what *runtime* says of itself."""
        self._node.runtime = runtime
        return generate_latest(self.registry)

    # ------------------------------------------------------------------------------------------------- an Observer
    def committed(self, changes: Changes, seconds: float) -> None:
        """Count what was stored."""
        kind = "text" if changes.is_text_only else "driver" if changes.id is not None else "command"
        self.commits.labels(kind).observe(seconds)
        engines = {task.id: str(task.engine) for task in changes.tasks}
        if changes.log:
            self.events.inc(len(changes.log))
        for logged in changes.log:
            engine = engines.get(logged.task_id, OTHER) if logged.task_id else OTHER
            match logged.event:
                case TextSaid(text=text):
                    self.chars.inc(len(text))
                case TaskQueued():
                    self.accepted.labels(engine).inc()
                case TaskRequeued():
                    self.requeued.labels(engine).inc()
                case ApprovalRequested():
                    self.approvals.labels("requested").inc()
                case ApprovalResolved(decision=decision):
                    self.approvals.labels(decision.value).inc()
                case ToolUse():
                    self.tools.labels("begun").inc()
                case ToolResult(is_error=is_error):
                    self.tools.labels("error" if is_error else "ok").inc()
                case _:
                    pass
        for ledger in changes.ledgers:
            if ledger.begun:
                self._began_to_call(ledger.task_id, str(ledger.engine), changes.at)
            for record in ledger.settled:
                self._settled(str(ledger.engine), record)
        for task in changes.tasks:
            if task.is_final:  # a final task moves no more, so it stands in one commit only
                self._ended(task)

    def took(self, grant: Grant) -> None:
        """Count an attempt, and what beginning it has logged."""
        self.events.inc(len(grant.entries))
        if grant.is_takeover:
            return
        task = grant.turn.task
        self.attempts.labels(str(task.engine)).inc()
        if task.attempt == 1 and task.started_at is not None:
            self._accepted_at[task.id] = task.created_at
            if len(self._accepted_at) > REMEMBERED:  # of tasks that are no longer ours nothing more is heard
                self._accepted_at.pop(next(iter(self._accepted_at)))
            self.waited.labels(str(task.engine)).observe(max(0.0, (task.started_at - task.created_at).total_seconds()))

    def called(self, task: Task, call: OpenCall, at: datetime) -> None:
        """Observe the time to a call that was announced."""
        del call
        self._began_to_call(task.id, str(task.engine), at)

    def spoke(self, task: Task, seconds: float) -> None:
        """Observe the time to the first token."""
        if task.attempt == 1:
            self.first.labels(str(task.engine)).observe(max(0.0, seconds))

    # --------------------------------------------------------------------------------------------------- requests
    def opened(self, kind: str, by: int) -> None:
        """Count open streams."""
        self.streams.labels(kind).inc(by)

    def answered(self, kind: str, method: str, route: str, status: int, seconds: float, code: str | None) -> None:
        """Count a request."""
        self.requests.labels(method, route, str(status)).inc()
        if kind not in STREAMS:
            self.answers.labels(method, route).observe(seconds)
        if code is not None:
            self.problems.labels(code).inc()

    # ---------------------------------------------------------------------------------------------------- private
    def _began_to_call(self, task_id: TaskId, engine: str, at: datetime) -> None:
        accepted_at = self._accepted_at.pop(task_id, None)
        if accepted_at is not None:
            self.until_called.labels(engine).observe(max(0.0, (at - accepted_at).total_seconds()))

    def _ended(self, task: Task) -> None:
        self._accepted_at.pop(task.id, None)
        code = task.error_code or task.stop_code
        self.ended.labels(task.status.value, code.value if code else "", str(task.engine)).inc()
        if task.completed_at is not None:
            seconds = (task.completed_at - task.created_at).total_seconds()
            self.lasted.labels(task.status.value, str(task.engine)).observe(max(0.0, seconds))

    def _settled(self, engine: str, record: UsageRecord) -> None:
        usage = record.usage
        labels = (engine, known(usage.model, self._models), usage.fidelity.value)
        self.calls.labels(*labels, record.outcome.value).inc()
        for kind, count in (
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cached_input", usage.cached_input_tokens),
            ("cache_write_input", usage.cache_write_input_tokens),
            ("reasoning", usage.reasoning_tokens),
        ):
            if count:
                self.tokens.labels(*labels, kind).inc(count)
        if usage.cost_usd is not None:
            self.cost.labels(*labels).inc(float(usage.cost_usd))

    def _counter(self, name: str, doc: str, *labels: str) -> Counter:
        return Counter(name, doc, labels, registry=self.registry)

    def _gauge(self, name: str, doc: str, *labels: str) -> Gauge:
        return Gauge(name, doc, labels, registry=self.registry)

    def _histogram(self, name: str, doc: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, doc, labels, registry=self.registry, buckets=buckets)


def table() -> list[tuple[str, str, str, str]]:
    """Return name, kind, labels and meaning of every figure."""
    metrics = Metrics()
    rows = [(figure.name, "counter" if figure.is_counter else "gauge", "", figure.doc) for figure in NODE]
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = family.name + ("_total" if family.type == "counter" else "")
            rows.append((name, family.type, ", ".join(metric._labelnames), family.documentation))  # noqa: SLF001
    return sorted(rows)
