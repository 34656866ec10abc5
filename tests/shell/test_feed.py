"""One subscriber: what was not heard is fetched, in order, and shown once."""

from collections.abc import AsyncGenerator, AsyncIterator

import anyio
import pytest
from attrs import define, field

from agentcore.changes import Changes, Logged
from agentcore.events import Finished, OAuthPrompted, TextKind
from agentcore.feed import Feed, Frame, Latest, Restarted, Subscribed, parse_after
from agentcore.follow import Cursor, Entry, Head, Live, Missed, ResetReason, Shown
from agentcore.ids import SessionId, TenantId
from agentcore.ports import Grant
from agentcore.testing.making import TENANT, Talk, a_session, now
from agentcore.turn import Turn
from agentcore_adapters.memory.bus import MemoryBus
from agentcore_adapters.memory.clock import ManualClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore

pytestmark = pytest.mark.anyio


@define(eq=False)
class Wire:
    """A session in a store, and a bus that says only what the test says."""

    store: MemoryStore
    bus: MemoryBus
    talk: Talk
    turn: Turn
    grant: Grant
    tail: tuple[Live, ...] = ()
    asked: int = 0
    feed: AsyncGenerator[list[Frame], None] = field(init=False)

    async def ask(self, _: TenantId, __: SessionId) -> tuple[Live, ...] | None:
        self.asked += 1
        return self.tail

    async def write(self, number: int) -> list[Entry]:
        """Log events past the bus, and return them."""
        log = tuple(Logged(event=OAuthPrompted(provider=str(i), url="u")) for i in range(number))
        changes = Changes(tenant_id=TENANT, session_id=self.talk.session.id, at=now(), log=log)
        return list((await self.store.commit(changes)).entries)

    async def end(self) -> Entry:
        """Let the task end past the bus, and return what is logged of it last."""
        self.turn, committed = await self.talk.say(self.turn, self.grant.lease, Finished())
        return committed[-1].entries[-1]

    async def subscribe(self, after: Cursor | type[Latest] | None = Latest) -> list[Frame]:
        """Begin to read; return the frames up to the head."""
        feed = Feed(store=self.store, bus=self.bus, session=self.talk.session, after=after, heartbeat_s=60.0)
        self.feed = feed.batches()
        frames: list[Frame] = []
        while batch := await anext(self.feed):
            frames += batch
        return frames

    async def tell(self, *said: Entry | Live | Head | Missed, until: int) -> list[Frame]:
        """Tell, and return the frames that come, at least *until* many."""
        self.bus.tell(self.talk.session.id, said)  # type: ignore[arg-type]
        frames: list[Frame] = []
        with anyio.fail_after(5):
            while len(frames) < until:
                frames += await anext(self.feed)
        return frames

    async def live(self, text: str, start: int) -> Live:
        """Make text that is told and not stored."""
        page = await self.store.log(*self.talk.place, 1, 1)
        return Live(
            task_id=self.turn.task.id, since=page.bound, after=page.head, kind=TextKind.TEXT, text=text, start=start,
            at=now(),
        )  # fmt: skip


@pytest.fixture(name="wire")
async def a_wire() -> AsyncIterator[Wire]:
    clock, bus = ManualClock(now()), MemoryBus()
    store = MemoryStore(clock)
    leases = MemoryLeases(store.state, clock, ttl_s=1e5)
    talk = Talk(store, leases, a_session())
    await talk.admit()
    grant = await talk.take()
    wire = Wire(store, bus, talk, grant.turn, grant)
    with bus.serve(wire.ask, _deaf):
        yield wire
        await wire.feed.aclose()


def _deaf(_: TenantId, __: SessionId, /, *, waits: bool) -> None:
    pass


def seqs(frames: list[Frame]) -> list[int]:
    return [frame.entry.seq for frame in frames if isinstance(frame, Shown) and frame.entry is not None]


def texts(frames: list[Frame]) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, Shown))


async def test_the_past_is_shown_to_who_wants_it(wire: Wire) -> None:
    head = (await wire.write(3))[-1].seq
    (subscribed,) = await wire.subscribe(Latest)
    assert isinstance(subscribed, Subscribed)
    assert subscribed.cursor == Cursor(head)
    await wire.feed.aclose()
    assert seqs(await wire.subscribe(None)) == list(range(1, head + 1))
    await wire.feed.aclose()
    assert seqs(await wire.subscribe(Cursor(head - 1))) == [head]


async def test_what_was_not_heard_is_read_and_shown_in_its_place(wire: Wire) -> None:
    await wire.subscribe()
    first, second, third, fourth = await wire.write(4)
    frames = await wire.tell(first, fourth, second, until=4)  # the third is lost, the second late
    assert seqs(frames) == [first.seq, second.seq, third.seq, fourth.seq]


@pytest.mark.parametrize("hint", ["head", "missed"])
async def test_a_hint_that_something_was_missed_is_followed(wire: Wire, hint: str) -> None:
    await wire.subscribe()
    written = [entry.seq for entry in await wire.write(3)]
    frames = await wire.tell(Head(written[-1]) if hint == "head" else Missed(), until=3)
    assert seqs(frames) == written


async def test_nobody_is_asked_for_the_tail_of_what_nobody_drives(wire: Wire) -> None:
    """On a bus between nodes nobody would answer, and each reader would wait for that."""
    await wire.end()
    asked = wire.asked
    await wire.subscribe()
    assert wire.asked == asked


async def test_text_that_was_not_heard_is_asked_for(wire: Wire) -> None:
    await wire.subscribe()
    wire.tail = (await wire.live("one two ", 0),)
    asked = wire.asked
    frames = await wire.tell(await wire.live("two ", 4), until=1)
    assert (texts(frames), wire.asked) == ("one two ", asked + 1)
    frames = await wire.tell(await wire.live("three", 8), until=1)
    assert (texts(frames), wire.asked) == ("three", asked + 1)


async def test_text_that_is_lost_costs_one_reset(wire: Wire) -> None:
    await wire.subscribe()
    assert texts(await wire.tell(await wire.live("made up", 0), until=1)) == "made up"
    ended = await wire.end()
    (restarted,) = await wire.tell(ended, until=1)
    assert isinstance(restarted, Restarted)
    assert (restarted.reason, restarted.cursor) == (ResetReason.TAIL_LOST, Cursor(ended.seq))
    written = await wire.write(1)
    assert seqs(await wire.tell(*written, until=1)) == [written[0].seq]


def test_where_a_client_is() -> None:
    assert (parse_after(None), parse_after(""), parse_after("latest")) == (None, None, Latest)
    assert parse_after("7.3") == Cursor(7, 3)
