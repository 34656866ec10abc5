"""Logs.

Law: ids, lengths, hashes and codes; never a prompt, a token or an address.  There is one way out, for our own records
and for those of libraries, for warnings, and for errors that nobody caught: one line an event, bounded, redacted, and
pure ASCII, so that text from outside can neither begin a second line nor turn one around.

Of a library's record the place, and the text as it stands in the library's source, are told; what was formatted into
it is not: it is somebody's prompt as likely as not.
"""

import asyncio
import json
import logging
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

from agentcore_http.redaction import Redactor, failure

LEVELS = {name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error")}
LINE_CHARS = 16_384
FIRST = ("timestamp", "level", "event")  # in this order, so that lines can be read one under another
QUIET = ("asyncio", "httpx", "httpx2", "openai", "anthropic", "mcp")  # a line a call, of which nothing may be told

Format = Literal["json", "console"]
EventDict = MutableMapping[str, Any]
redactor = Redactor()


def set_up(
    *, level: str = "warning", form: Format = "json", secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Send everything that is logged to *stream*, else to standard error; *secrets* never stand in it."""
    redactor.hide(secrets)
    least, out = LEVELS[level], stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _clean,
            _as_json if form == "json" else _as_console,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, Outlet):
            root.removeHandler(handler)
    root.addHandler(Outlet())
    root.setLevel(max(least, logging.INFO))  # libraries debug with what they send and get
    for name in QUIET:
        logging.getLogger(name).setLevel(max(least, logging.WARNING))
    logging.lastResort = None
    logging.raiseExceptions = False  # else a record that cannot be formatted is printed, arguments and all
    warnings.showwarning = _warned
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    sys.unraisablehook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def listen_to_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Tell what nobody awaited; the loop itself would print messages, coroutines and their arguments."""
    loop.set_exception_handler(_unawaited)


class Outlet(logging.Handler):
    """Records of the standard library's logging, on the one way out."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell where the record comes from, and its template; a text without arguments may be a formatted one."""
        told: dict[str, Any] = {"at": f"{record.module}:{record.lineno}"}
        if record.args and isinstance(record.msg, str):
            told["template"] = record.msg
        if record.exc_info and record.exc_info[1] is not None:
            told["error"] = failure(record.exc_info[1])
        level = "critical" if record.levelno >= logging.CRITICAL else record.levelname.lower()
        _say(level, f"library.{record.name}", told)


def _say(level: str, event: str, told: Mapping[str, Any]) -> None:
    log = structlog.get_logger("agentcore.log")
    getattr(log, level if level in {*LEVELS, "critical"} else "info")(event, **told)


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - as Python calls it
    line: str | None = None,  # noqa: ARG001
) -> None:
    del message
    _say("warning", "warning", {"kind": category.__name__, "at": f"{filename.rpartition('/')[2]}:{lineno}"})


def _uncaught(
    kind: type[BaseException], error: BaseException | None, traceback: types.TracebackType | None = None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    told = failure(error.with_traceback(traceback)) if error is not None else {"kind": kind.__name__}
    _say("critical", "uncaught", {"error": told})


def _unawaited(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    del loop
    error = context.get("exception")
    told: dict[str, Any] = {"error": failure(error)} if isinstance(error, BaseException) else {}
    source = context.get("future") or context.get("task") or context.get("transport")
    _say("error", "loop.unhandled", told | {"of": type(source).__name__})


# ------------------------------------------------------------------------------------------------------- processors
def _clean(_: object, __: str, event: EventDict) -> EventDict:
    """Make plain, bounded data of it, in a fixed order."""
    info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = failure(error)
    ordered = {name: event.pop(name) for name in FIRST if name in event}
    told = {name: redactor.value(value, name, -2 if name == "error" else 0) for name, value in event.items()}
    return {name: redactor.value(value) for name, value in ordered.items()} | told


def _as_json(_: object, __: str, event: EventDict) -> str:
    line = _dumped(event)
    if len(line) > LINE_CHARS:
        kept = {name: event[name] for name in FIRST if name in event}
        line = _dumped({**kept, "too_long": len(line)})
    return line


def _as_console(_: object, __: str, event: EventDict) -> str:
    rest = " ".join(f"{name}={_dumped(value)}" for name, value in event.items() if name not in FIRST)
    head = f"{event.get('timestamp', '')} {event.get('level', ''):<8} {_dumped(event.get('event', ''))[1:-1]}"
    return f"{head} {rest}".rstrip()[:LINE_CHARS]


# ASCII alone: what is no letter of it, controls and bidi marks among them, stands as \uXXXX.
_dumped: Callable[[object], str] = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode
