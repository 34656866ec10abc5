"""Who watches this server.

Law: watching is chosen here and nowhere else, and what is not chosen costs nothing: no package is imported for it, and
no request or commit passes through it.
"""

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from attrs import field, frozen

from agentcore.engine import EngineState
from agentcore.observe import Observer
from agentcore.runtime import Runtime
from agentcore_http.front import Answered, Watchers
from agentcore_http.settings import SettingsError

# Source: the OpenTelemetry specification of its environment variables; any of these says where traces go.
OTEL = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
OFF = ("none", "")


@frozen(kw_only=True)
class Telemetry:
    """What a server tells about itself, and to whom."""

    observers: tuple[Observer, ...] = ()
    watchers: Watchers = field(factory=Watchers)
    exposition: Callable[[Runtime], bytes] | None = None  #: None: there are no figures.
    know: Callable[[Iterable[EngineState]], None] = lambda _: None  #: Told which engines there are.


@contextmanager
def open_telemetry(environ: Mapping[str, str] | None = None) -> Iterator[Telemetry]:
    """Open figures if their package is there, and traces if the standard variables ask for them."""
    environ = os.environ if environ is None else environ
    telemetry = figures() if importlib.util.find_spec("prometheus_client") else Telemetry()
    if not wants_traces(environ):
        yield telemetry
        return
    _must_be_ours(environ)
    from agentcore_adapters.telemetry.otel import open_traces  # noqa: PLC0415 - needs its extra

    with open_traces() as traces:

        def know(engines: Iterable[EngineState]) -> None:
            for told in (telemetry.know, traces.know):
                told(engines)

        watchers = Watchers(
            opened=telemetry.watchers.opened,
            answered=telemetry.watchers.answered,
            trace=traces.request,
        )
        yield Telemetry(
            observers=(*telemetry.observers, traces),
            watchers=watchers,
            exposition=telemetry.exposition,
            know=know,
        )


def wants_traces(environ: Mapping[str, str]) -> bool:
    """Whether the standard variables say that traces are to be sent, and do not say the contrary."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(environ.get(name, "") not in OFF for name in OTEL)


def _must_be_ours(environ: Mapping[str, str]) -> None:
    """Raise SettingsError if traces are asked for in a way that is not here."""
    if any(importlib.util.find_spec(name) is None for name in ("opentelemetry", "opentelemetry.sdk")):
        raise SettingsError("Traces are asked for by OTEL_*; they need: pip install 'agentcore[otel]'.")
    if environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        raise SettingsError("OTEL_TRACES_EXPORTER must be otlp or none.")
    names = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((environ[name] for name in names if environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        raise SettingsError("OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf.")


def figures() -> Telemetry:
    """Make figures."""
    from agentcore_adapters.telemetry.prometheus import Metrics  # noqa: PLC0415 - needs its extra

    metrics = Metrics()

    def answered(told: Answered) -> None:
        metrics.answered(told.kind, told.method, told.route, told.status, told.seconds, told.code)

    return Telemetry(
        observers=(metrics,),
        watchers=Watchers(opened=metrics.opened, answered=answered),
        exposition=metrics.exposition,
        know=metrics.know,
    )
