"""Every line of the log goes one way, and what must not be told stays behind."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog
from attrs import asdict

from agentcore.errors import StoreUnavailable
from agentcore.task import TaskStatus
from agentcore_http import logs, settings
from agentcore_http.redaction import HIDDEN, Redactor, Secret, failure
from agentcore_http.settings import Settings, secrets_of

KEY = "hush-0123456789"
DSN = "postgresql://me:hush-pass%2Fword@db.example:5432/x"
Read = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def read() -> Iterator[Read]:
    """Set logging up, and put everything back afterwards."""
    root = logging.getLogger()
    was = (root.level, list(root.handlers), warnings.showwarning)
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    last, raising = logging.lastResort, logging.raiseExceptions
    stream = io.StringIO()
    logs.set_up(level="debug", secrets=[KEY, DSN], stream=stream)
    structlog.configure(cache_logger_on_first_use=False)
    try:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    finally:
        root.level, root.handlers, warnings.showwarning = was
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        logging.lastResort, logging.raiseExceptions = last, raising
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()


def boom() -> None:
    raise StoreUnavailable("canary-message")


def caught() -> BaseException:
    def outer() -> None:
        try:
            boom()
        except StoreUnavailable as error:
            raise RuntimeError("canary-outer") from error

    with pytest.raises(RuntimeError) as found:
        outer()
    return found.value


def test_C6_text_from_outside_begins_no_second_line(read: Read) -> None:
    structlog.get_logger("x").warning("event", value="a\nb\r\u2028c\u202ed\x1b[31m", **{"n\name": 1})
    (line,) = read()
    assert line["value"] == "a\nb\r\u2028c\u202ed\x1b[31m"
    assert line["n\name"] == 1


def test_a_line_is_bounded(read: Read) -> None:
    log = structlog.get_logger("x")
    deep: Any = "x"
    for _ in range(9):
        deep = [deep]
    log.info("long", text="x" * 5000, many=list(range(500)), deep=deep, **{"f" + str(i): "y" * 290 for i in range(20)})
    log.info("longer", **{"f" + str(i): ["y" * 290] * 20 for i in range(20)})
    first, second = read()
    assert first["text"].endswith("5000 characters")
    assert (len(first["text"]), len(first["many"])) == (317, 20)
    assert first["deep"] == [[[["<list>"]]]]
    assert second["event"] == "longer"
    assert second["too_long"] > 100_000


def test_only_plain_data_is_shown(read: Read) -> None:
    class Prompt:
        def __repr__(self) -> str:
            return "canary"

    told = {
        "object": Prompt(),
        "bytes": b"canary",
        "status": TaskStatus.FAILED,
        "cost": Decimal("0.1"),
        "id": UUID(int=1),
    }
    structlog.get_logger("x").info("event", **told, nested={"password": "canary", "a": [Prompt()]}, api_key="canary")
    (line,) = read()
    assert (line["object"], line["bytes"], line["status"], line["cost"]) == ("<Prompt>", "<bytes>", "failed", "0.1")
    assert (line["nested"], line["api_key"]) == ({"password": HIDDEN, "a": ["<Prompt>"]}, HIDDEN)
    assert "canary" not in str(line)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f"x{KEY}y",
        "hush-pass%2Fword",
        "hush-pass/word",
        DSN,
        "Authorization: Bearer hush.hush.hush",
        "sk-ant-hush-0123456789",
        "whsec_hush0123456789+/=",
        "ghp_hush0123456789",
        "eyJhbGciOi.eyJzdWIiOi.hush",
        "https://user:hush@host/path",
        "password=hush1234 host=x",
        "api_key: 'hush1234'",
        "?token=hush1234&a=b",
    ],
)
def test_SEC24_what_is_known_or_looks_like_a_secret_is_hidden(text: str) -> None:
    redactor = Redactor()
    redactor.hide([KEY, DSN, ""])
    shown = redactor.text(f"before {text} after")
    assert "hush" not in shown
    assert HIDDEN in shown
    assert shown.startswith("before ")
    assert shown.endswith("after")


def test_a_secret_at_the_cut_is_not_half_shown() -> None:
    redactor = Redactor()
    redactor.hide([KEY])
    assert "hush" not in redactor.text("x" * 295 + KEY + "x" * 50)


@pytest.mark.parametrize("text", ["tokens used: 12", "secretary", "task-skip-1", "12 bearers", "a@b.example"])
def test_what_is_no_secret_is_shown(text: str) -> None:
    assert Redactor().text(text) == text


def test_C6_a_librarys_record_is_told_by_its_place_and_template(read: Read) -> None:
    library = logging.getLogger("some.library")
    library.warning("sent %s to %s", "canary", "canary")
    library.warning(f"sent {'canary'}")
    library.warning("wrong %d", "canary")  # cannot be formatted
    library.debug("canary")
    try:
        boom()
    except StoreUnavailable:
        library.exception("canary", exc_info=True)
    lines = read()
    assert [line["event"] for line in lines] == ["library.some.library"] * 4
    assert [line.get("template") for line in lines] == ["sent %s to %s", None, "wrong %d", None]
    assert lines[0]["at"].startswith("test_logs:")
    assert lines[3]["error"]["kind"] == "agentcore.errors.StoreUnavailable"
    assert "canary" not in str(lines)


def test_E10_an_error_is_told_by_its_kind_and_its_way(read: Read) -> None:
    error = caught()
    structlog.get_logger("x").error("event", exc_info=error)
    (line,) = read()
    assert line["error"]["kind"] == "RuntimeError"
    assert line["error"]["after"]["code"] == "store_unavailable"
    assert line["error"]["after"]["at"][-1].endswith(" boom")
    assert str(Path(__file__).parent) not in str(line)
    assert "canary" not in str(line)


def test_groups_are_told_too_and_have_an_end() -> None:
    error: Exception = ValueError("canary")
    for _ in range(10):
        error = ExceptionGroup("canary", [error, KeyError("canary")])
    told = failure(error)
    assert [one["kind"] for one in told["of"]] == ["ExceptionGroup", "KeyError"]
    assert "canary" not in str(told)
    assert str(told).count("ExceptionGroup") == 5


def test_C6_what_nobody_caught_goes_the_same_way(read: Read) -> None:
    error = caught()
    sys.excepthook(type(error), error, error.__traceback__)
    thread = threading.Thread(target=boom)
    thread.start()
    thread.join()
    warnings.showwarning("canary", DeprecationWarning, __file__, 7)

    async def nobody_awaits() -> None:
        logs.listen_to_loop(asyncio.get_running_loop())
        asyncio.get_running_loop().call_soon(boom)
        await asyncio.sleep(0.01)

    asyncio.run(nobody_awaits())
    lines = read()
    assert [line["event"] for line in lines] == ["uncaught", "uncaught", "warning", "loop.unhandled"]
    assert [line["level"] for line in lines] == ["critical", "critical", "warning", "error"]
    assert (lines[2]["kind"], lines[2]["at"]) == ("DeprecationWarning", "test_logs.py:7")
    assert lines[3]["error"]["code"] == "store_unavailable"
    assert "canary" not in str(lines)


def test_C6_a_process_that_ends_with_an_error_shows_no_traceback() -> None:
    code = "from agentcore_http import logs; logs.set_up(form='console'); secret = 'canary'; raise ValueError('canary')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert 'critical uncaught error={"kind":"ValueError","at":["__main__:1 <module>"]}' in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "canary" not in ended.stderr


def test_a_level_is_a_setting(read: Read) -> None:
    assert settings.load({"AGENTCORE_LOG_LEVEL": "info"}).log_level == "info"
    with pytest.raises(settings.SettingsError, match="AGENTCORE_LOG_LEVEL must be debug, info, warning or error"):
        settings.load({"AGENTCORE_LOG_LEVEL": "loud"})
    logs.set_up(level="error", stream=io.StringIO())
    logging.getLogger("library").warning("quiet")
    assert read() == []


def test_SEC24_settings_never_show_their_secrets() -> None:
    loaded = settings.load({"OPENAI_API_KEY": KEY, "AGENTCORE_DATABASE_URL": DSN, "AGENTCORE_SECRET_KEY": "hush-key"})
    assert isinstance(loaded.openai_api_key, Secret)
    assert "hush" not in repr(loaded) + str(loaded) + f"{[loaded.openai_api_key]!r}" + repr(asdict(loaded))
    assert sorted(secrets_of(loaded)) == sorted([KEY, DSN, "hush-key"])
    assert f"Bearer {loaded.openai_api_key}" == f"Bearer {KEY}"  # what an SDK does with it
    assert secrets_of(Settings()) == []
