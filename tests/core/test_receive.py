"""What an engine says at the edges: signatures, costs, summaries, and ends."""

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from agentcore.admission import OnBusy, admit
from agentcore.changes import Changes
from agentcore.ending import settle_call
from agentcore.errors import TaskConflict
from agentcore.events import BlockEnded, CallClosed, CallOpened, EngineEvent, Finished, TextDelta, ThinkingDelta
from agentcore.messages import ThinkingPart
from agentcore.receive import announce, receive
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


def announced(opened: CallOpened) -> Turn:
    turn, changes = announce(heard()[0], opened, AT)
    (ledger,) = changes.ledgers
    assert turn.call is not None
    assert [evolve(call, is_sent=False) for call in ledger.begun] == [turn.call]
    assert (turn.call.key, turn.calls) == ("1:1", 1)
    return turn


def test_a_call_that_was_announced_is_the_one_that_is_made() -> None:
    opened = CallOpened(model="m", input_tokens=1, price=PRICE)
    turn, changes = receive(announced(opened), opened, AT)
    assert not changes.is_durable
    assert turn.call is not None
    assert (turn.call.key, turn.call.is_sent, turn.calls) == ("1:1", True, 1)
    turn, changes = receive(turn, opened, AT)  # once made, it is not made again: this is another one
    assert turn.call is not None
    assert (turn.call.key, [[call.key for call in ledger.begun] for ledger in changes.ledgers]) == (
        "1:2",
        [[], ["1:2"]],
    )


@pytest.mark.parametrize("other", [{"model": "n"}, {"input_tokens": 2}, {"price": None}])
def test_a_call_that_is_not_the_one_that_was_announced_is_another(other: dict[str, Any]) -> None:
    opened = CallOpened(model="m", input_tokens=1, price=PRICE)
    turn, changes = receive(announced(opened), evolve(opened, **other), AT)
    ((record,), ()) = (ledger.settled for ledger in changes.ledgers)
    assert (record.key, record.usage) == ("1:1", Usage(model="m", cost_usd=Decimal(0)))
    assert turn.call is not None
    assert (turn.call.key, turn.call.is_sent, turn.calls) == ("1:2", True, 2)


def test_a_call_that_was_not_made_costs_nothing() -> None:
    opened = CallOpened(model="m", input_tokens=1_000_000, price=PRICE)
    for price, nothing, all_of_it in ((PRICE, Decimal(0), Decimal(3)), (None, None, None)):
        turn = announced(evolve(opened, price=price))
        assert settle_call(turn, AT, Outcome.FAILED)[0].usage == Usage(model="m", cost_usd=nothing)
        made, _ = receive(turn, evolve(opened, price=price), AT)
        billed = settle_call(made, AT, Outcome.FAILED)[0].usage
        assert (billed.input_tokens, billed.cost_usd) == (1_000_000, all_of_it)


def test_whether_a_call_was_made_is_known_to_its_driver_alone() -> None:
    turn = announced(CallOpened(model="m", input_tokens=1))
    assert turn.call is not None
    stored = evolve(turn, call=evolve(turn.call, is_sent=True))
    assert turn.refreshed(stored).call == turn.call
    assert stored.unsent() == turn
    assert evolve(turn, call=None).unsent().call is None


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
