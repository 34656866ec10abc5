"""Prints the reference from the code; with ``--check``, says whether the printed pages have drifted."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from attrs import fields
from msgspec import to_builtins

from agentcore import errors, task
from agentcore.errors import AgentcoreError
from agentcore.events import Event, TextKind
from agentcore.ids import ApprovalId, MessageId
from agentcore.reply import Reply
from agentcore.usage import Usage
from agentcore_adapters.telemetry import prometheus as telemetry
from agentcore_http.app import create_app
from agentcore_http.described import asyncapi, openapi
from agentcore_http.problems import STATUS
from agentcore_http.settings import Settings, in_file, variable
from agentcore_http.wire.frames import event_payload

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a script it finds only its own folder
from docs import printed

HERE = Path(__file__).parent / "reference"
AT = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLES: dict[str, object] = {
    "attempt": 1,
    "approval_id": ApprovalId("a"),
    "tool_use_id": "u",
    "tool_name": "t",
    "input": {},
    "input_sha256": "0" * 64,
    "expires_at": AT,
    "decision": task.Decision.APPROVED,
    "by": "me",
    "summary": "",
    "message": "",
    "title": "",
    "message_id": MessageId("m"),
    "parts": (),
    "kind": TextKind.TEXT,
    "text": "",
    "output": "",
    "usage": Usage(),
    "provider": "p",
    "url": "u",
    "reply": Reply(ok=True),
    "receipt": "r",
    "engine": "claude_code_cli",
}


def states() -> str:
    """Draw the transition table."""
    lines = ["# States of a task", "", "```mermaid", "stateDiagram-v2", "  [*] --> queued"]
    for was, row in task.TRANSITIONS.items():
        lines += [f"  {was.value} --> {becomes.value}: {event.__name__}" for event, becomes in row.items()]
        lines += [] if row else [f"  {was.value} --> [*]"]
    lines += ["```", "", "| from | event | to |", "|---|---|---|"]
    for was, row in task.TRANSITIONS.items():
        lines += [f"| {was.value} | {event.__name__} | {becomes.value} |" for event, becomes in row.items()]
    lines += ["", "| event | what happened |", "|---|---|"]
    lines += [f"| {kind.__name__} | {_title(kind)} |" for kind in get_args(task.TaskEvent)]
    return "\n".join(lines)


def settings() -> str:
    """List the settings."""
    lines = ["# Settings", "", "Environment over `agentcore.toml` (`--config`) over default.", ""]
    lines += ["| variable | in the file | meaning |", "|---|---|---|"]
    lines += [f"| `{variable(a)}` | `{in_file(a)}` | {a.metadata['doc']} |" for a in fields(Settings)]
    return "\n".join(lines)


def problems() -> str:
    """List the errors that a client may see."""
    lines = [
        "# Problems",
        "",
        "`application/problem+json`, RFC 9457.",
        "",
        "| code | status | title |",
        "|---|---|---|",
    ]
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, AgentcoreError) and "code" in vars(kind):
            status = next((status for base, status in STATUS if issubclass(kind, base)), 500)
            lines.append(f"| `{kind.code}` | {status} | {_title(kind)} |")
    return "\n".join(lines)


def wire_events() -> str:
    """List the durable events of the log, as the wire names them."""
    lines = ["# Events", "", "| type | payload | what happened |", "|---|---|---|"]
    for kind in get_args(Event):
        payload = to_builtins(event_payload(a_sample(kind), ""))
        name = payload.pop("type")
        lines.append(f"| `{name}` | {', '.join(f'`{key}`' for key in payload) or '-'} | {_title(kind)} |")
    return "\n".join(lines)


def a_sample(kind: type[Event]) -> Event:
    """Make an event of a kind."""
    make: Callable[..., Event] = kind
    return make(**{a.name: _sample(kind, a.name) for a in fields(kind)})


def _sample(kind: type, name: str) -> object:
    if name == "code":
        return task.ErrorCode.DEADLINE if kind is task.TaskFailed else task.StopCode.USER_CANCEL
    default = next(a.default for a in fields(kind) if a.name == name)
    return SAMPLES.get(name, default)


def openapi_document() -> str:
    """Print the OpenAPI document."""
    app = create_app(_unopened, Settings())
    return _json(openapi.completed(app.openapi_schema.to_schema()))


def asyncapi_document() -> str:
    """Print the AsyncAPI document."""
    return _json(asyncapi.document())


def _json(document: object) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False)


def _unopened() -> Any:  # noqa: ANN401 - never called
    raise AssertionError("an application that is only described is not opened")


def _title(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def metrics() -> str:
    """List the figures."""
    lines = [
        "# Metrics",
        "",
        "`GET /metrics`, as Prometheus reads it. No tenant and no content stands in it; the figures",
    ]
    lines[-1] += " are those of one node, so add up what is to be said of all."
    lines += ["", "| name | kind | labels | meaning |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {labels} | {doc} |" for name, kind, labels, doc in telemetry.table()]
    return "\n".join(lines)


def http() -> str:
    """Print the OpenAPI document for people."""
    return printed.http_page(json.loads(openapi_document()))


PAGES: dict[str, Callable[[], str]] = {
    "states.md": states,
    "settings.md": settings,
    "problems.md": problems,
    "events.md": wire_events,
    "metrics.md": metrics,
    "ports.md": printed.ports_page,
    "client.md": printed.client_page,
    "command-line.md": printed.command_page,
    "http.md": http,
    "openapi.json": openapi_document,
    "asyncapi.json": asyncapi_document,
}
PRINTED = "\n\n<!-- printed by docs/generate.py -->\n"


def main() -> int:
    """Write the pages, or check them."""
    drifted = []
    for name, page in PAGES.items():
        text = page() + (PRINTED if name.endswith(".md") else "\n")
        if "--check" in sys.argv:
            drifted += [name] if not (HERE / name).exists() or (HERE / name).read_text() != text else []
        else:
            (HERE / name).write_text(text)
    if drifted:
        print(f"drifted: {', '.join(drifted)}; run docs/generate.py")
    return 1 if drifted else 0


if __name__ == "__main__":
    raise SystemExit(main())
