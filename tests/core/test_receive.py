"""What an engine says at the edges: signatures, costs, summaries, and ends."""

from decimal import Decimal

import pytest
from attrs import evolve

from agentcore.admission import OnBusy, admit
from agentcore.changes import Changes
from agentcore.ending import settle_call
from agentcore.errors import TaskConflict
from agentcore.events import BlockEnded, CallClosed, CallOpened, EngineEvent, Finished, TextDelta, ThinkingDelta
from agentcore.messages import ThinkingPart
from agentcore.receive import receive
from agentcore.testing.making import a_prompt, a_session, now
from agentcore.turn import Turn
from agentcore.usage import Outcome, Price, Usage

AT = now()
PRICE = Price(input=Decimal(3), output=Decimal(15))
USAGE = Usage(model="m", input_tokens=1_000_000)


def heard(*events: EngineEvent) -> tuple[Turn, list[Changes]]:
    task, changes = admit(a_session(), [], a_prompt(), OnBusy.REJECT, AT)
    assert changes.session is not None
    turn, all_changes = Turn(session=changes.session, task=task, position=0).begin(AT)[0], []
    for event in events:
        turn, changes = receive(turn, event, AT)
        all_changes.append(changes)
    return turn, all_changes


def texts(changes: list[Changes]) -> list[str]:
    return [message.text for one in changes for entry in one.log for message in entry.messages]


def test_a_signature_without_thinking_signs_nothing() -> None:
    assert heard(BlockEnded("sig"))[0].said == ()
    assert heard(ThinkingDelta("hm"), BlockEnded("sig"), BlockEnded())[0].said == (ThinkingPart("hm", "sig"),)
    turn, _ = heard(TextDelta("x"), BlockEnded("sig"))
    assert [part for part in turn.said if hasattr(part, "signature")] == []


def test_what_the_provider_says_it_cost_is_what_it_cost() -> None:
    opened = CallOpened(model="m", input_tokens=1, price=PRICE)
    assert heard(opened, CallClosed(usage=USAGE))[0].usage.cost_usd == Decimal(3)
    stated = evolve(USAGE, cost_usd=Decimal(2))
    assert heard(opened, CallClosed(usage=stated))[0].usage.cost_usd == Decimal(2)
    assert heard(evolve(opened, price=None), CallClosed(usage=USAGE))[0].usage.cost_usd is None


def test_a_summary_is_not_said_again() -> None:
    _, changes = heard(TextDelta("Hello"), Finished(summary="Hello"))
    assert texts(changes) == ["Hello"]
    _, changes = heard(CallOpened(model="m", input_tokens=1), TextDelta("Hello"), CallClosed(usage=USAGE),
                       Finished(summary="Hello"))  # fmt: skip
    assert texts(changes) == ["Hello"]


def test_a_call_is_settled_only_behind_its_text() -> None:
    turn, _ = heard(CallOpened(model="m", input_tokens=1), TextDelta("told, and not durable"))
    with pytest.raises(TaskConflict):
        settle_call(turn, AT, Outcome.COMPLETED)
