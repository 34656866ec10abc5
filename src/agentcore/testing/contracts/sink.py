"""What every Sink promises."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import anyio
import pytest

from agentcore.books import Sink, SinkFailed, UsageRecorded
from agentcore.ids import EngineName, SessionId, TaskId
from agentcore.testing.making import TENANT, an_id
from agentcore.usage import Outcome, Usage, UsageRecord


def an_event() -> UsageRecorded:
    """Make a usage event of its own id."""
    task_id = TaskId(an_id())
    usage = Usage(model="m", input_tokens=3, output_tokens=4, cost_usd=Decimal("0.000012345"))
    return UsageRecorded(
        tenant_id=TENANT,
        session_id=SessionId(an_id()),
        task_id=task_id,
        engine=EngineName("e"),
        at=datetime.now(UTC),
        record=UsageRecord(key="1:1", usage=usage, outcome=Outcome.COMPLETED),
    )


class SinkContract:
    """Give it fixtures ``sink``, ``received`` (the ids taken so far) and ``refuse`` (the next event is refused)."""

    pytestmark = pytest.mark.anyio

    async def test_an_event_is_there_when_publish_returns(self, sink: Sink, received: Callable[[], list[str]]) -> None:
        events = [an_event() for _ in range(3)]
        for event in events:
            await sink.publish(event)
            assert received()[-1] == event.id
        assert received() == [event.id for event in events]

    async def test_a_repeated_event_has_its_id_again(self, sink: Sink, received: Callable[[], list[str]]) -> None:
        event = an_event()
        await sink.publish(event)
        await sink.publish(event)
        assert set(received()) == {event.id}

    async def test_what_is_refused_is_said_to_have_failed(
        self, sink: Sink, received: Callable[[], list[str]], refuse: Callable[[], None]
    ) -> None:
        event = an_event()
        refuse()
        with pytest.raises(SinkFailed), anyio.fail_after(10):
            await sink.publish(event)
        assert received() == []
        await sink.publish(event)
        assert received() == [event.id]
