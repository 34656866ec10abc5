"""What one subscriber is shown, frame by frame.

Law: a follower decides, the feed fetches.  It listens before it reads the log: in the other order an event
between the two is seen by neither.

Story: first ``Subscribed`` with a snapshot, then the log from the cursor on, then the tail of whoever drives, then
what is told.  What ran over or was not heard is read from the log; what cannot be had any more costs one
``Restarted``.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable

from anyio import CancelScope, current_time
from attrs import define, field, frozen

from agentcore.bus import Bus, Ear
from agentcore.follow import (
    Cursor,
    Follower,
    Heard,
    Need,
    Reset,
    ResetReason,
    Shown,
    Step,
)
from agentcore.ids import SessionId, TenantId
from agentcore.ports import Snapshot, Store
from agentcore.session import Session

PAGE = 500
HEARTBEAT_S = 15.0


class Latest:
    """Not a cursor: begin with what is said from now on."""


@frozen
class Subscribed:
    """Where the reader stands, and the session as it is."""

    cursor: Cursor
    snapshot: Snapshot


@frozen
class Restarted:
    """The reader begins anew from the snapshot."""

    cursor: Cursor
    snapshot: Snapshot
    reason: ResetReason


@frozen
class Beat:
    """Nothing was said for a while; the connection lives."""

    cursor: Cursor
    head: int


Frame = Subscribed | Shown | Restarted | Beat


@define(eq=False, kw_only=True)
class Feed:
    """The frames of one subscriber; iterate over ``batches`` once."""

    store: Store
    bus: Bus
    session: Session  #: As it was when the subscriber came.
    after: Cursor | type[Latest] | None = None  #: None: from the first event.
    heartbeat_s: float = HEARTBEAT_S
    follower: Follower = field(factory=lambda: Follower(0, 0, 0))

    @property
    def tenant(self) -> TenantId:
        """Whose it is."""
        return self.session.tenant_id

    @property
    def session_id(self) -> SessionId:
        """What is told."""
        return self.session.id

    async def batches(self) -> AsyncGenerator[list[Frame], None]:
        """Yield frames as they come, all that are ready together; an empty list says that the head is reached.

        Raises SessionNotFound.
        """
        with self.bus.listen(self.tenant, self.session_id) as ear:
            async for batch in self._begin():
                yield batch
            yield []
            told_at = current_time()
            while True:
                heard = await self._heard(ear, told_at + self.heartbeat_s)
                if heard is None:
                    yield [Beat(self.follower.cursor, self.follower.seq)]
                    told_at = current_time()
                    continue
                shown: list[Frame] = []
                for item in heard:
                    needs = self._take(self.follower.hear(item), shown)
                    if needs:
                        told_at = current_time()
                        if shown:
                            yield shown
                            shown = []
                        async for batch in self._mend(needs, item):
                            yield batch
                if shown:
                    yield shown
                    told_at = current_time()

    async def _heard(self, ear: Ear, until: float) -> list[Heard] | None:
        """Return what is heard; None at the time *until*: what is heard and not told is silence, too."""
        with CancelScope(deadline=until):
            return await ear.hear()
        return None

    async def _begin(self) -> AsyncIterator[list[Frame]]:
        snapshot = await self.store.snapshot(self.tenant, self.session_id)
        reset: Reset | None = None
        if self.after is Latest:
            self.follower = Follower.at_head(snapshot.page)
        elif isinstance(self.after, Cursor):
            page = await self.store.log(self.tenant, self.session_id, self.after.seq, 1)
            found = Follower.resume(self.after, page)
            if isinstance(found, Reset):
                reset = found
                self.follower = Follower.at_head(snapshot.page)
            else:
                self.follower = found
        yield [Subscribed(self.follower.cursor, snapshot)]
        if reset is not None:
            yield [Restarted(self.follower.cursor, snapshot, reset.reason)]
        async for batch in self._catch_up():
            yield batch

    async def _mend(self, needs: list[Need | Reset], item: Heard) -> AsyncIterator[list[Frame]]:
        """Fetch what the follower lacks, then let it hear *item* again; what it lacks then must be waited for."""
        if Need.TAIL in needs:
            tail = await self._tail()
            if tail:
                yield tail
        else:  # a reset, too, is come upon again in the log
            async for batch in self._catch_up():
                yield batch
        again: list[Frame] = []
        resets = [need for need in self._take(self.follower.hear(item), again) if isinstance(need, Reset)]
        again += [await self._restart(reset) for reset in resets]
        if again:
            yield again

    async def _catch_up(self) -> AsyncIterator[list[Frame]]:
        """Read the log to its head, then ask for the tail."""
        behind, is_driven = True, False
        while behind:
            page = await self.store.log(self.tenant, self.session_id, self.follower.seq + 1, PAGE)
            shown: list[Frame] = []
            needs = self._take(self.follower.read(page), shown)
            behind, is_driven = Need.LOG in needs and bool(page.entries), page.is_driven
            for need in needs:
                if isinstance(need, Reset):
                    shown.append(await self._restart(need))
                    behind = True
            if shown:
                yield shown
        tail = await self._tail() if is_driven else None
        if tail:
            yield tail

    async def _tail(self) -> list[Frame]:
        shown: list[Frame] = []
        for live in await self.bus.tail(self.tenant, self.session_id) or ():
            self._take(self.follower.hear(live), shown)
        return shown

    async def _restart(self, reset: Reset) -> Restarted:
        snapshot = await self.store.snapshot(self.tenant, self.session_id)
        self.follower = Follower.at_head(snapshot.page)
        return Restarted(self.follower.cursor, snapshot, reset.reason)

    @staticmethod
    def _take(steps: Iterable[Step], shown: list[Frame]) -> list[Need | Reset]:
        needs: list[Need | Reset] = []
        for step in steps:
            if isinstance(step, Shown):
                shown.append(step)
            else:
                needs.append(step)
        return needs


def parse_after(text: str | None) -> Cursor | type[Latest] | None:
    """Read what a client says about where it is: nothing, ``latest``, or a cursor; raises InvalidRequest."""
    if text is None or text == "":
        return None
    return Latest if text == "latest" else Cursor.parse(text)
