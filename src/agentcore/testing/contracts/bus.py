"""What every Bus promises."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from agentcore.bus import Bus
from agentcore.events import SessionRenamed, TextKind
from agentcore.follow import Entry, Head, Live, Missed
from agentcore.ids import SessionId, TaskId, TenantId
from agentcore.testing.making import TENANT, an_id, now

Settled = Callable[[], Awaitable[None]]


def a_live(text: str, start: int = 0) -> Live:
    """Make a piece of live text."""
    return Live(task_id=TaskId("t"), since=1, after=1, kind=TextKind.TEXT, text=text, start=start, at=now())


def an_entry(seq: int, title: str = "a title") -> Entry:
    """Make a logged event."""
    return Entry(seq=seq, position=0, event=SessionRenamed(title), at=now())


class BusContract:
    """Give it a fixture ``bus``; if it connects several nodes, also ``far``, that of another node, and ``settled``.

    *settled* waits until each has heard what the other has said so far.
    """

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def far(self, bus: Bus) -> Bus:
        """Return the same: it is the bus of one process."""
        return bus

    @pytest.fixture
    def settled(self) -> Settled:
        """Return at once."""

        async def settled() -> None:
            pass

        return settled

    async def test_what_is_told_is_heard_in_order(self, bus: Bus, far: Bus, settled: Settled) -> None:
        session_id = SessionId(an_id())
        said: list[Entry | Live | Head] = [a_live("a"), a_live("b", 1), an_entry(2), a_live("c", 2)]
        with bus.listen(TENANT, session_id) as near, far.listen(TENANT, session_id) as ear:
            await settled()
            bus.tell(session_id, said[:2])
            bus.tell(session_id, said[2:])
            for one in (near, ear):
                heard = await one.hear()
                while len(heard) < len(said):
                    with anyio.fail_after(5):
                        heard += await one.hear()
                assert heard == said

    async def test_a_head_is_for_those_who_listen_here(self, bus: Bus) -> None:
        session_id = SessionId(an_id())
        with bus.listen(TENANT, session_id) as ear:
            bus.tell(session_id, [Head(3)])
            with anyio.fail_after(5):
                assert await ear.hear() == [Head(3)]

    async def test_only_what_is_told_while_listening_is_heard(self, bus: Bus, far: Bus, settled: Settled) -> None:
        session_id = SessionId(an_id())
        bus.tell(session_id, [a_live("before")])
        with far.listen(TENANT, session_id) as ear:
            await settled()
            bus.tell(SessionId(an_id()), [a_live("elsewhere")])
            bus.tell(session_id, [told := a_live("now")])
            with anyio.fail_after(5):
                assert await ear.hear() == [told]
        bus.tell(session_id, [a_live("after")])

    async def test_large_text_arrives_whole(self, bus: Bus, far: Bus, settled: Settled) -> None:
        session_id = SessionId(an_id())
        text = "\N{GRINNING FACE}x" * 60_000
        with far.listen(TENANT, session_id) as ear:
            await settled()
            bus.tell(session_id, [a_live(text)])
            heard = ""
            with anyio.fail_after(5):
                while len(heard) < len(text):
                    for item in await ear.hear():
                        assert isinstance(item, Live)
                        assert item.start == len(heard)
                        heard += item.text
        assert heard == text

    async def test_an_event_too_large_to_be_told_is_a_hint(self, bus: Bus, far: Bus, settled: Settled) -> None:
        session_id = SessionId(an_id())
        with far.listen(TENANT, session_id) as ear:
            await settled()
            bus.tell(session_id, [large := an_entry(7, "x" * 2_000_000)])
            with anyio.fail_after(5):
                assert await ear.hear() in ([large], [Head(7)])

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

    async def test_the_driver_is_asked_for_its_tail(self, bus: Bus, far: Bus, settled: Settled) -> None:
        session_id, idle, other = (SessionId(an_id()) for _ in range(3))
        tails: dict[tuple[TenantId, SessionId], tuple[Live, ...]]
        tails = {(TENANT, session_id): (a_live("tail"),), (TENANT, idle): ()}

        async def ask(tenant_id: TenantId, asked: SessionId) -> tuple[Live, ...] | None:
            return tails.get((tenant_id, asked))

        assert await far.tail(TENANT, session_id) is None
        with bus.serve(ask, _deaf):
            await settled()
            for one in (bus, far):
                assert await one.tail(TENANT, session_id) == tails[TENANT, session_id]
                assert await one.tail(TENANT, idle) == ()
                assert await one.tail(TENANT, other) is None
                assert await one.tail(TenantId("another"), session_id) is None
        assert await far.tail(TENANT, session_id) is None

    @pytest.mark.parametrize("waits", [False, True])
    async def test_whoever_may_drive_a_session_is_woken(
        self, bus: Bus, far: Bus, settled: Settled, *, waits: bool
    ) -> None:
        session_id = SessionId(an_id())
        woken: list[tuple[TenantId, SessionId, bool]] = []

        async def ask(_: TenantId, __: SessionId) -> tuple[Live, ...] | None:
            return None

        def wake(tenant_id: TenantId, asked: SessionId, /, *, waits: bool) -> None:
            woken.append((tenant_id, asked, waits))

        with far.serve(ask, wake):
            await settled()
            bus.wake(TENANT, session_id, waits=waits)
            with anyio.fail_after(5):
                while not woken:
                    await anyio.sleep(0.01)
        assert woken == [(TENANT, session_id, waits)]

    async def test_it_says_how_it_does(self, bus: Bus) -> None:
        assert bus.state().is_connected


def _deaf(_: TenantId, __: SessionId, /, *, waits: bool) -> None:
    """Do nothing."""
