"""What those who listen to a session are told of one reading.

Law: entries and text are told in the order in which they came about; that of the beginning comes first, whoever tells
something else before it was told.

Story: telling is quick and deciding is not, so whoever reads an engine gives way to those who were told something,
before it decides and stores what takes longer.
"""

from collections.abc import Sequence

import anyio.lowlevel
from attrs import define

from agentcore.changes import Said
from agentcore.follow import Entry, Live
from agentcore.house import House
from agentcore.ids import SessionId, TaskId
from agentcore.ports import Grant
from agentcore.task import Task

TURNS = 2  # of the event loop, after which what was told is on its way: one to wake who listens, one to send it


@define(eq=False)
class Telling:
    """The voice of one reading."""

    house: House
    session_id: SessionId
    task_id: TaskId
    since: int  #: seq of the event that began the attempt.
    after: int  #: seq of the last event that its driver has logged.
    untold: Sequence[Entry] = ()  #: Of its beginning: told once its engine has been asked.
    _has_spoken: bool = False
    _is_fresh: bool = False  # text was told, and who listens may not have run since

    @classmethod
    def granted(cls, house: House, grant: Grant) -> "Telling":
        """Begin with what was taken, whose beginning is told already."""
        since = grant.entries[0].seq if grant.entries else 0
        after = grant.entries[-1].seq if grant.entries else 0
        return cls(house, grant.lease.session_id, grant.lease.task_id, since, after)

    def begin(self) -> None:
        """Tell of the beginning, if it is untold."""
        entries, self.untold = self.untold, ()
        if entries:
            self.house.bus.tell(self.session_id, entries)

    def log(self, entries: Sequence[Entry]) -> None:
        """Tell what the driver has logged."""
        self.begin()
        if entries:
            self.after = entries[-1].seq
            self.house.bus.tell(self.session_id, entries)

    def text(self, said: Sequence[Said], task: Task) -> None:
        """Tell text that is not stored yet."""
        self.begin()
        self.house.bus.tell(self.session_id, self.live(said))
        self._is_fresh = True
        if not self._has_spoken:
            self._has_spoken = True
            self.house.observers.spoke(task, (self.house.clock.now() - task.created_at).total_seconds())

    def live(self, said: Sequence[Said]) -> tuple[Live, ...]:
        """Return *said* as it is told."""
        task_id, at = self.task_id, self.house.clock.now()
        return tuple(
            Live(task_id=task_id, since=self.since, after=self.after, kind=s.kind, text=s.text, start=s.start, at=at)
            for s in said
        )

    async def give_way(self) -> None:
        """Let those who were told text act on it."""
        if self._is_fresh:
            self._is_fresh = False
            for _ in range(TURNS):
                await anyio.lowlevel.cancel_shielded_checkpoint()
