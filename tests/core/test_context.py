"""What an engine is shown."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from agentcore.context import CONTINUE, CUT_TOOL, INTERRUPTED_MARKER, estimated_message_tokens, rendered, untold, window
from agentcore.errors import ContextTooLarge
from agentcore.ids import MessageId, TaskId
from agentcore.messages import FilePart, Message, Part, Role, TextPart, ToolResultPart, ToolUsePart
from agentcore.testing.making import now

AT = now()


def a_message(role: Role, *parts: Part, interrupted: bool = False, refused: bool = False) -> Message:
    return Message(
        id=MessageId("m"),
        task_id=TaskId("t"),
        role=role,
        parts=parts,
        at=AT,
        interrupted=interrupted,
        attachments_refused=refused,
    )


def user(text: str) -> Message:
    return a_message(Role.USER, TextPart(text))


def said(text: str) -> Message:
    return a_message(Role.ASSISTANT, TextPart(text))


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    history: list[Message] = []
    for number in range(draw(st.integers(1, 8))):
        history.append(user(draw(st.text("ab ", min_size=1, max_size=60))))
        for step in range(draw(st.integers(0, 3))):
            use = f"{number}.{step}"
            history.append(a_message(Role.ASSISTANT, ToolUsePart(tool_use_id=use, tool_name="t", input={})))
            history.append(a_message(Role.TOOL, ToolResultPart(tool_use_id=use, output="x" * draw(st.integers(0, 90)))))
        if draw(st.booleans()):
            history.append(said(draw(st.text("cd ", max_size=90))))
    history.append(user("the last"))
    return history


limits = st.integers(1, 30)
budgets = st.integers(20, 800)


@given(histories(), limits, budgets)
def test_both_limits_hold_and_the_last_prompt_is_there(history: list[Message], limit: int, budget: int) -> None:
    shown = window(history, limit=limit, budget=budget)
    assert len(shown) <= max(limit, 1)
    assert sum(map(estimated_message_tokens, shown)) <= budget
    assert shown[-1] == history[-1]
    assert shown == tuple(history[len(history) - len(shown) :])


@given(histories(), limits, budgets)
def test_no_call_is_split_from_its_result(history: list[Message], limit: int, budget: int) -> None:
    shown = window(history, limit=limit, budget=budget)
    parts = [part for message in shown for part in message.parts]
    uses = {part.tool_use_id for part in parts if isinstance(part, ToolUsePart)}
    results = {part.tool_use_id for part in parts if isinstance(part, ToolResultPart)}
    assert uses == results
    assert shown[0].role is Role.USER


@given(histories(), limits, budgets, st.integers(0, 10), st.integers(0, 300))
def test_a_larger_limit_shows_the_same_and_more(
    history: list[Message], limit: int, budget: int, more: int, tokens: int
) -> None:
    small = window(history, limit=limit, budget=budget)
    large = window(history, limit=limit + more, budget=budget + tokens)
    assert large[len(large) - len(small) :] == small


@given(histories(), limits, budgets)
def test_a_window_of_a_window_is_itself(history: list[Message], limit: int, budget: int) -> None:
    shown = window(history, limit=limit, budget=budget)
    assert window(shown, limit=limit, budget=budget) == shown


def test_a_prompt_that_alone_is_too_large_is_refused() -> None:
    with pytest.raises(ContextTooLarge):
        window([user("short"), user("long " * 1000)], limit=20, budget=100)


def test_the_marker_stands_in_what_is_shown_and_nowhere_else() -> None:
    cut = a_message(Role.ASSISTANT, TextPart("so far"), interrupted=True)
    shown = rendered([user("q"), cut, user("next")])
    assert shown[1].text == "so far" + INTERRUPTED_MARKER
    assert cut.text == "so far"
    assert INTERRUPTED_MARKER == "\n[中断]"


def test_a_call_without_a_result_is_answered_for_the_engine() -> None:
    use = ToolUsePart(tool_use_id="1", tool_name="t", input={})
    shown = rendered([user("q"), a_message(Role.ASSISTANT, use, interrupted=True), user("next")])
    assert shown[2].role is Role.TOOL
    assert shown[2].parts == (ToolResultPart(tool_use_id="1", output=CUT_TOOL, is_error=True),)


def test_a_call_after_words_is_answered_too() -> None:
    use = ToolUsePart(tool_use_id="1", tool_name="t", input={})
    (_, _, answer, _) = rendered([user("q"), a_message(Role.ASSISTANT, TextPart("I look"), use), user("again")])
    assert answer.parts == (ToolResultPart(tool_use_id="1", output=CUT_TOOL, is_error=True),)


def test_a_resumed_attempt_asks_to_go_on() -> None:
    assert rendered([user("q"), said("half")])[-1].text == CONTINUE


def test_nothing_to_tell_is_nothing() -> None:
    assert rendered([]) == ()
    assert untold([evolve(user("q"), id=MessageId("known"))], MessageId("known"), limit=5, budget=100) == ()


def test_what_is_told_begins_after_what_is_known() -> None:
    messages = [evolve(user(str(n)), id=MessageId(str(n))) for n in range(4)]
    assert untold(messages, MessageId("1"), limit=5, budget=100) == tuple(messages[2:])
    assert untold(messages, MessageId("older"), limit=5, budget=100) == tuple(messages)
    assert untold(messages, MessageId("0"), limit=1, budget=100) == (messages[3],)
    assert untold(messages, MessageId("0"), limit=9, budget=1) == (messages[3],)  # the prompt is always told


def test_a_refused_attachment_is_left_out_of_later_turns() -> None:
    picture = FilePart(media_type="image/png", sha256="0" * 64, size=3)
    shown = rendered([a_message(Role.USER, picture, TextPart("look"), refused=True), user("next")])
    assert not any(isinstance(part, FilePart) for message in shown for part in message.parts)
    assert "left out" in shown[0].text


def test_calls_answered_in_messages_of_their_own_are_answered() -> None:
    uses = [ToolUsePart(tool_use_id=str(n), tool_name="t", input={}) for n in range(3)]
    results = [a_message(Role.TOOL, ToolResultPart(tool_use_id=str(n), output="x")) for n in range(2)]
    shown = rendered([user("q"), a_message(Role.ASSISTANT, *uses), *results, user("next")])
    answers = [part for message in shown for part in message.parts if isinstance(part, ToolResultPart)]
    assert sorted(part.tool_use_id for part in answers) == ["0", "1", "2"]
    assert [part.tool_use_id for part in answers if part.output == CUT_TOOL] == ["2"]
    assert [message.role for message in shown[2:5]] == [Role.TOOL] * 3


def test_a_call_that_was_cut_needs_no_marker_of_cut_text() -> None:
    use = ToolUsePart(tool_use_id="1", tool_name="t", input={})
    cut = a_message(Role.ASSISTANT, TextPart("so"), use, interrupted=True)
    assert rendered([user("q"), cut, user("next")])[1].parts == cut.parts


def test_what_was_decided_goes_before_anything_else_is_asked() -> None:
    assert rendered([user("q"), said("let me")], goes_on=False)[-1].text == "let me"
