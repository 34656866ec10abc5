"""What every Bus promises."""

import anyio
import pytest

from agentcore.events import TextKind
from agentcore.follow import Head, Live, Missed
from agentcore.ids import SessionId, TaskId, TenantId
from agentcore.ports import Bus
from agentcore.testing.making import TENANT, an_id, now


def a_live(text: str, start: int = 0) -> Live:
    """Make a piece of live text."""
    return Live(task_id=TaskId("t"), since=1, after=1, kind=TextKind.TEXT, text=text, start=start, at=now())


class BusContract:
    """Give it a fixture ``bus``."""

    pytestmark = pytest.mark.anyio

    async def test_what_is_told_is_heard_in_order(self, bus: Bus) -> None:
        session_id = SessionId(an_id())
        with bus.listen(TENANT, session_id) as ear:
            bus.tell(session_id, [a_live("a"), a_live("b", 1)])
            bus.tell(session_id, [Head(3)])
            with anyio.fail_after(2):
                heard = await ear.hear()
        assert heard == [a_live_like(heard[0], "a", 0), a_live_like(heard[1], "b", 1), Head(3)]

    async def test_only_what_is_told_while_listening_is_heard(self, bus: Bus) -> None:
        session_id = SessionId(an_id())
        bus.tell(session_id, [Head(1)])
        with bus.listen(TENANT, session_id) as ear:
            bus.tell(SessionId(an_id()), [Head(2)])
            bus.tell(session_id, [Head(3)])
            with anyio.fail_after(2):
                assert await ear.hear() == [Head(3)]
        bus.tell(session_id, [Head(4)])

    async def test_a_reader_that_does_not_read_is_bounded_and_told(self, bus: Bus) -> None:
        session_id = SessionId(an_id())
        with bus.listen(TENANT, session_id) as ear:
            for number in range(100_000):
                bus.tell(session_id, [a_live("x" * 100, number * 100)])
            heard = await ear.hear()
        assert any(isinstance(item, Missed) for item in heard)
        assert len(heard) < 50_000

    async def test_it_knows_what_is_listened_to(self, bus: Bus) -> None:
        session_id = SessionId(an_id())
        with bus.listen(TENANT, session_id), bus.listen(TENANT, session_id):
            assert list(bus.listened()) == [(TENANT, session_id)]
        assert list(bus.listened()) == []

    async def test_the_driver_is_asked_for_its_tail(self, bus: Bus) -> None:
        session_id = SessionId(an_id())
        tail = (a_live("tail"),)
        woken: list[tuple[TenantId, SessionId]] = []

        async def ask(asked: SessionId) -> tuple[Live, ...]:
            return tail if asked == session_id else ()

        assert await bus.tail(session_id) is None
        with bus.serve(ask, lambda tenant, found: woken.append((tenant, found))):
            assert await bus.tail(session_id) == tail
            assert not await bus.tail(SessionId(an_id()))
            bus.wake(TENANT, session_id)
            with anyio.fail_after(2):
                while not woken:
                    await anyio.sleep(0.01)
        assert woken == [(TENANT, session_id)]


def a_live_like(heard: object, text: str, start: int) -> Live:
    """Make what must have been heard, but for its time."""
    assert isinstance(heard, Live)
    return Live(task_id=TaskId("t"), since=1, after=1, kind=TextKind.TEXT, text=text, start=start, at=heard.at)
