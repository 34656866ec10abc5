"""What is stored as JSON comes back as it was, and old rows stay readable."""

import json
from datetime import UTC
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcore.events import Event, SessionRenamed, TextKind, TextSaid, ToolResult, ToolUse, UsageSettled
from agentcore.messages import FilePart, Part, TextPart
from agentcore.reply import Reply
from agentcore.task import OnCrash, TaskParams, TaskRequeued
from agentcore.usage import Fidelity, Usage
from agentcore_adapters import codec

EVENTS, PARTS = get_args(Event), get_args(Part)
TAGS = {
    *("task_queued", "task_started", "task_parked", "task_resumed", "task_requeued", "cancel_requested"),
    *("task_completed", "task_failed", "task_cancelled", "approval_requested", "approval_resolved"),
    *(
        "session_opened",
        "session_renamed",
        "session_closed",
        "reply_delivered",
        "prompted",
        "text_said",
        "tool_use",
        "tool_result",
    ),
    *("usage_settled", "oauth_prompted", "resume_lost"),
}

moments = st.datetimes(timezones=st.just(UTC))
money = st.decimals(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
inputs = st.dictionaries(
    st.text(), st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
)


def made(kind: type) -> st.SearchStrategy[Any]:
    """Make values of an attrs class."""
    special = {
        "input": inputs,
        "expires_at": moments,
        "cost_usd": st.none() | money,
        "parts": st.lists(parts).map(tuple),
    }
    special["usage"] = st.deferred(lambda: made(Usage))
    special["reply"] = st.deferred(lambda: made(Reply))
    names = {field.name for field in attrs.fields(kind)}
    return st.builds(kind, **{name: how for name, how in special.items() if name in names})


parts: st.SearchStrategy[Part] = st.sampled_from(PARTS).flatmap(made)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@given(st.data())
def test_an_event_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    event = data.draw(made(kind))
    assert codec.event(json.dumps(codec.event_json(event))) == event


@given(st.lists(parts).map(tuple))
def test_parts_come_back_as_they_were(said: tuple[Part, ...]) -> None:
    assert codec.parts(through_json(codec.parts_json(said))) == said


@given(st.builds(TaskParams))
def test_params_come_back_as_they_were(params: TaskParams) -> None:
    assert codec.params(through_json(codec.params_json(params))) == params


def test_tags_never_change() -> None:
    assert {codec._tag(kind) for kind in EVENTS} == TAGS
    assert {codec._tag(kind) for kind in PARTS} == {
        *("text_part", "thinking_part", "file_part", "tool_use_part", "tool_result_part")
    }


def test_events_pass_no_converter_but_those_that_hold_a_union_of_ours() -> None:
    assert {tag for tag in TAGS if codec._reader(tag) is codec._converted} == {"prompted"}


def test_text_is_written_as_the_flush_statement_writes_it() -> None:
    event = TextSaid(kind=TextKind.THINKING, text="hm")
    assert codec.event_json(event) == {"type": "text_said", "kind": "thinking", "text": "hm"}


def test_an_old_row_lacks_what_came_later() -> None:
    assert codec.event('{"type": "task_requeued"}') == TaskRequeued()
    assert codec.params({"system_prompt": "x"}) == TaskParams(system_prompt="x", on_crash=OnCrash.FAIL)
    assert codec.event('{"type": "usage_settled", "usage": {"model": "m"}}') == UsageSettled(usage=Usage(model="m"))
    file = {"type": "file_part", "media_type": "image/png", "sha256": "0", "size": 1}
    assert codec.parts([file]) == (FilePart(media_type="image/png", sha256="0", size=1),)


def test_a_newer_row_has_keys_we_do_not_know() -> None:
    assert codec.parts([{"type": "text_part", "text": "x", "later": 1}]) == (TextPart("x"),)
    assert codec.event('{"later": 1, "type": "session_renamed", "title": "x"}') == SessionRenamed("x")
    assert codec.params({"system_prompt": "x", "later": {"a": 1}}).system_prompt == "x"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (
            '{"type": "tool_result", "tool_use_id": "u", "output": "o", "is_error": null}',
            ToolResult(tool_use_id="u", output="o", is_error=False),
        ),
        (
            '{"type": "usage_settled", "usage": {"model": "m", "input_tokens": 12.0}}',
            UsageSettled(usage=Usage(model="m", input_tokens=12)),
        ),
        (
            '{"type": "tool_use", "tool_use_id": null, "tool_name": "n", "input": {}}',
            ToolUse(tool_use_id="None", tool_name="n", input={}),
        ),
    ],
)
def test_what_somebody_elses_engine_may_have_said_is_read(written: str, read: Event) -> None:
    assert codec.event(written) == read


def test_text_that_is_none_is_read_as_text() -> None:
    parts = codec.parts([{"type": "text_part", "text": 5}, {"type": "text_part", "text": "x"}])
    assert parts == (TextPart("5"), TextPart("x"))


def test_money_is_a_string_and_enums_are_their_values() -> None:
    usage = Usage(model="m", cost_usd="0.1", fidelity=Fidelity.ESTIMATED)  # type: ignore[arg-type]
    written = codec.event_json(UsageSettled(usage=usage))["usage"]
    assert (written["cost_usd"], written["fidelity"]) == ("0.1", "estimated")
