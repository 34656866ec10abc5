"""What Claude Code says, frame by frame."""

from typing import Any

from agentcore.events import BlockEnded, CallClosed, CallOpened, EngineEvent, Resumable, TextDelta, ToolResult, ToolUse
from agentcore.usage import Outcome
from agentcore_adapters.engines.claude_child import project_name
from agentcore_adapters.engines.claude_wire import Heard

Frame = dict[str, Any]


def heard() -> Heard:
    return Heard("m", None, "s")


def said(heard: Heard, *frames: Frame) -> list[EngineEvent]:
    return [event for frame in frames for event in heard.take(frame)]


def text_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def stream(kind: str, abandoned: Frame | None = None, **event: Any) -> Frame:
    frame: Frame = {"type": "stream_event", "event": {"type": kind, **event}}
    return frame | ({"abandoned_blocks": abandoned} if abandoned else {})


def begin(message_id: str) -> Frame:
    return stream("message_start", message={"id": message_id, "model": "m", "usage": {"input_tokens": 5}})


def words(*texts: str) -> list[Frame]:
    deltas = [stream("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts]
    return [stream("content_block_start", index=0, content_block={"type": "text"}), *deltas]


def whole(message_id: str, text: str) -> Frame:
    return {"type": "assistant", "message": {"id": message_id, "content": [{"type": "text", "text": text}]}}


def mirrored(*entries: Frame, path: str = "/x/s.jsonl") -> Frame:
    return {"type": "transcript_mirror", "filePath": path, "entries": list(entries)}


BROKEN = stream("message_stop", {"api_message_id": "m1", "from_block_index": 0})


def test_a_replacement_in_one_piece_is_not_told_twice() -> None:
    one = heard()
    events = said(one, begin("m1"), *words("one ", "two "), BROKEN, whole("m2", "one two three"))
    assert text_of(events) == "one two three"
    assert [event.outcome for event in events if isinstance(event, CallClosed)] == [Outcome.FAILED]
    assert isinstance(events[-1], BlockEnded)


def test_a_replacement_in_pieces_is_not_told_twice() -> None:
    one = heard()
    events = said(one, begin("m1"), *words("one ", "two "), begin("m2"), *words("on", "e two", " three"))
    assert text_of(events) == "one two three"
    closed = [event for event in events if isinstance(event, CallClosed | CallOpened)]
    assert [type(event) for event in closed] == [CallOpened, CallClosed, CallOpened]


def test_another_answer_in_place_of_the_broken_one_is_told_whole() -> None:
    events = said(heard(), begin("m1"), *words("one ", "two "), BROKEN, begin("m2"), *words("one ", "more"))
    assert text_of(events) == "one two \n\none more"


def test_blocks_that_were_kept_are_not_held_against_it() -> None:
    kept = stream("message_stop", {"api_message_id": "m1", "from_block_index": 1})
    events = said(heard(), begin("m1"), *words("one "), kept, begin("m2"), *words("one "))
    assert text_of(events) == "one one "


def test_a_failure_in_the_words_of_a_message_is_not_told() -> None:
    one = heard()
    assert said(one, whole("m2", "API Error at 10.0.0.1") | {"error": "server_error"}) == []
    assert one.error == "server_error"


def test_what_a_helper_says_is_not_told() -> None:
    assert said(heard(), begin("m1") | {"parent_tool_use_id": "t"}, whole("m", "x") | {"parent_tool_use_id": "t"}) == []


def test_kinds_that_are_new_are_passed_over() -> None:
    assert said(heard(), {"type": "news"}, {"type": "system", "subtype": "news"}, stream("news"), {}) == []


def test_it_is_resumable_when_the_transcript_has_caught_up() -> None:
    one = heard()
    prompt: Frame = {"type": "user", "message": {"role": "user", "content": "hi"}}
    (first,) = said(one, mirrored({"type": "mode"}), mirrored(prompt))
    assert isinstance(first, Resumable)
    assert (first.start, len(first.lines)) == (0, 2)
    use: Frame = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}
    call: Frame = {"type": "assistant", "message": {"id": "m1", "content": [use]}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "out"}]}
    back: Frame = {"type": "user", "message": {"role": "user", "content": [result]}}
    events = said(one, begin("m1"), call, stream("message_stop"), back, mirrored(call))
    assert not [event for event in events if isinstance(event, Resumable)]
    assert [event for event in events if isinstance(event, ToolUse | ToolResult)] == [
        ToolUse(tool_use_id="t1", tool_name="Bash", input={}),
        ToolResult(tool_use_id="t1", output="out"),
    ]
    (second,) = said(one, mirrored(back))
    assert isinstance(second, Resumable)
    assert (second.start, len(second.lines)) == (2, 2)
    assert said(one, mirrored(prompt, path="/x/agent-1.jsonl")) == []
    one.is_muted = True
    assert said(one, mirrored(prompt)) == []


def test_the_folder_of_a_transcript_is_named_as_the_program_does() -> None:
    assert project_name("/tmp/a_b c/d.e") == "-tmp-a-b-c-d-e"
    long = project_name("/" + "x" * 300)
    assert long.startswith("-" + "x" * 199 + "-")
    assert long == project_name("/" + "x" * 300)
