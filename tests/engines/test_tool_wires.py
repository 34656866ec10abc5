"""How calls are written and read on both wires, odd servers included."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcore.testing.contracts.engine import a_request
from agentcore.tooling import Tool, WantedCall
from agentcore.usage import Usage
from agentcore_adapters.engines import claude_api, openai
from agentcore_adapters.engines.wanted import NAME, Names, arguments_of, own_name, wire_name

TOOLS = [Tool(name=name, description="", input_schema={}) for name in ("clock.now", "fs.read_file")]


def openai_calls(*pieces: Any) -> list[Any]:
    heard = openai._Heard(a_request("x"), Names.of(TOOLS), Usage(), 1)
    for piece in pieces:
        chunk = {"choices": [{"delta": {"tool_calls": piece if isinstance(piece, list) else [piece]}}]}
        heard.take(openai.DECODER.decode(json.dumps(chunk)))
    return list(heard.calls())


def piece(arguments: Any = None, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {**more, "function": {"name": name, "arguments": arguments}}


NOW = WantedCall("a", "clock.now", {"zone": "UTC"})


@pytest.mark.parametrize(
    "pieces",
    [
        [piece("", "clock__now", index=0, id="a"), piece('{"zone"', index=0), piece(': "UTC"}', index=0)],
        [piece('{"zone": "UTC"}', "clock__now", id="a")],  # all at once, without an index
        [piece({"zone": "UTC"}, "clock__now", index=0, id="a")],  # an object in place of text
        [piece('{"zone":', "clock__now", id="a"), piece(' "UTC"}')],  # nothing says which
        [piece('{"zone":', "clock__now", index=0, id="a"), piece(' "UTC"}', "clock__now", index=0, id="a")],  # repeated
        [piece('{"zone": "UTC"}', "clock.now", index=0, id="a")],  # our own name
    ],
)
def test_a_call_is_put_together_from_whatever_comes(pieces: list[Any]) -> None:
    assert openai_calls(*pieces) == [NOW]


@pytest.mark.parametrize(
    "pieces",
    [
        [piece('{"zone": "UTC"}', "clock__now", index=0, id="a"), piece("{}", "fs__read_file", index=1, id="b")],
        [piece('{"zone": "UTC"}', "clock__now", index=0, id="a"), piece("{}", "fs__read_file", index=0, id="b")],
        [piece('{"zone": "UTC"}', "clock__now", id="a"), piece("{}", "fs__read_file", id="b")],
        [[piece('{"zone": "UTC"}', "clock__now", id="a"), piece("{}", "fs__read_file", id="b")]],
    ],
)
def test_two_calls_are_two(pieces: list[Any]) -> None:
    assert openai_calls(*pieces) == [NOW, WantedCall("b", "fs.read_file", {})]


def test_two_whole_calls_without_index_and_id_are_two() -> None:
    calls = openai_calls(piece("{}", "clock__now"), piece("{}", "fs__read_file"))
    assert [call.name for call in calls] == ["clock.now", "fs.read_file"]


def test_a_finish_reason_does_not_decide() -> None:
    heard = openai._Heard(a_request("x"), Names.of(TOOLS), Usage(), 1)
    heard.take(openai.DECODER.decode(json.dumps({"choices": [{"delta": {"tool_calls": [piece("{}", "clock__now")]}}]})))
    heard.take(openai.DECODER.decode(json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]})))
    assert heard.is_over
    assert next(call for call in heard.calls() if isinstance(call, WantedCall)).name == "clock.now"


def test_a_block_that_comes_whole_is_read() -> None:
    heard = claude_api._Heard(Names.of(TOOLS))
    block = {"type": "tool_use", "id": "a", "name": "clock__now", "input": {"zone": "UTC"}}
    for event in (
        {"type": "content_block_start", "index": 1, "content_block": block},
        {"type": "content_block_stop", "index": 1},
    ):
        assert heard.take(claude_api.DECODER.decode(json.dumps(event))) == []
    assert heard.calls() == [NOW]


@pytest.mark.parametrize(
    "text", ["{", "[]", "1", '"x"', "null", "[" * 5000, '{"a":' * 500 + "1" + "}" * 500, '{"a": 1e999}x']
)
def test_what_is_not_an_object_is_none(text: str) -> None:
    assert arguments_of(text) is None


def test_no_text_stands_for_no_arguments() -> None:
    assert arguments_of("") == {}
    assert arguments_of('{"a": {"b": [1, 2.5, null]}}') == {"a": {"b": [1, 2.5, None]}}


def test_names_are_what_providers_take() -> None:
    assert wire_name("clock.now") == "clock__now"
    assert own_name("clock__now") == "clock.now"
    assert wire_name("Read") == "Read"
    odd = ["a__b", "a.b.c", "a.b/c", "x." + "y" * 100, "a.b__c", "é.x", "a b", ""]
    written = [wire_name(name) for name in odd]
    assert len(set(written)) == len(odd)
    assert all(NAME.fullmatch(name) for name in written)
    tools = [Tool(name=name, description="", input_schema={}) for name in odd]
    assert [Names.of(tools).wanted("1", name, "{}").name for name in written] == odd


@given(st.lists(st.text("ab._-/", max_size=70), unique=True))
def test_no_two_tools_share_a_name(names: list[str]) -> None:
    assert len({wire_name(name) for name in names}) == len(names)


def test_a_history_of_calls_keeps_its_tools_where_the_wire_wants_them() -> None:
    from attrs import evolve

    from agentcore.messages import Role, ToolResultPart, ToolUsePart

    request = a_request("x")
    use = evolve(
        request.messages[0], role=Role.ASSISTANT, parts=(ToolUsePart(tool_use_id="a", tool_name="clock.now", input={}),)
    )
    result = evolve(use, role=Role.TOOL, parts=(ToolResultPart(tool_use_id="a", output="noon"),))
    request = evolve(request, messages=(*request.messages, use, result))
    body = claude_api.ClaudeModel("key").body(request, ())
    assert [tool["name"] for tool in body["tools"]] == ["clock__now"]
    assert body["tool_choice"] == {"type": "none"}
    assert "tool_choice" not in claude_api.ClaudeModel("key").body(request, TOOLS)
    assert "tools" not in openai.OpenAiModel("key").body(request, ())
    assert msgspec.json.encode(body)
