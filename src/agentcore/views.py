"""What can be looked at.

Law: looking changes nothing, and every look names the caller.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from attrs import frozen

from agentcore import access
from agentcore.books import Delivery, DeliveryState, GroupBy, UsageReport
from agentcore.caller import Caller
from agentcore.engine import EngineState
from agentcore.feed import HEARTBEAT_S, Feed, Latest
from agentcore.follow import Cursor
from agentcore.house import House
from agentcore.ids import EngineName, SessionId, TaskId
from agentcore.instances import ENGINE as REMOTE
from agentcore.messages import Message
from agentcore.ports import SessionView, Snapshot, Store, TaskView
from agentcore.takeout import Taken, taken


@frozen
class Views:
    """The reading use cases of one node."""

    house: House

    @property
    def store(self) -> Store:
        """The store."""
        return self.house.store

    async def task(self, caller: Caller, task_id: TaskId) -> TaskView:
        """Return a task, or raise TaskNotFound."""
        access.look(caller)
        return access.seen_task(caller, await self.store.task(caller.tenant_id, task_id))

    async def session(self, caller: Caller, session_id: SessionId) -> SessionView:
        """Return a session, or raise SessionNotFound."""
        access.look(caller)
        return access.seen(caller, await self.store.session(caller.tenant_id, session_id))

    async def sessions(
        self,
        caller: Caller,
        before: tuple[datetime, str] | None,
        limit: int,
        *,
        owner: str | None = None,
        everybody: bool = False,
    ) -> list[SessionView]:
        """Return sessions, newest first: the caller's, or those of *owner*, or everybody's of the tenant."""
        access.look(caller)
        shown = access.listed(caller, owner, everybody=everybody)
        return await self.store.sessions(caller.tenant_id, before, limit, owner=shown)

    async def messages(
        self, caller: Caller, session_id: SessionId, after: tuple[int, int], limit: int
    ) -> list[Message]:
        """Return the history of a session, page by page."""
        await self.session(caller, session_id)
        return await self.store.messages(caller.tenant_id, session_id, after, limit)

    async def tasks(self, caller: Caller, session_id: SessionId, after: int, limit: int) -> list[TaskView]:
        """Return the tasks of a session, page by page."""
        await self.session(caller, session_id)
        return await self.store.tasks(caller.tenant_id, session_id, after, limit)

    async def subscribe(
        self,
        caller: Caller,
        session_id: SessionId,
        after: Cursor | type[Latest] | None = None,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> Feed:
        """Return the frames of a session from a cursor on; raises SessionNotFound."""
        view = await self.session(caller, session_id)
        return Feed(
            session=view.session,
            store=self.store,
            bus=self.house.bus,
            after=after,
            heartbeat_s=heartbeat_s,
        )

    async def usage(
        self, caller: Caller, since: datetime | None, until: datetime | None, group_by: GroupBy
    ) -> UsageReport:
        """Add up what the caller's tenant has used."""
        access.oversee(caller)
        return await self.store.usage(caller.tenant_id, since, until, group_by)

    async def deliveries(self, caller: Caller, state: DeliveryState | None, limit: int) -> list[Delivery]:
        """Return the newest usage events of the caller's tenant."""
        access.oversee(caller)
        return await self.store.deliveries(caller.tenant_id, state, limit)

    async def snapshot(self, caller: Caller, session_id: SessionId) -> Snapshot:
        """Return a session as one reading; raises SessionNotFound."""
        access.look(caller)
        snapshot = await self.store.snapshot(caller.tenant_id, session_id)
        access.seen(caller, snapshot.view)
        return snapshot

    async def takeout(self, caller: Caller, session_id: SessionId) -> AsyncIterator[Taken]:
        """Return all that a session holds, read bit by bit; raises SessionNotFound before it returns."""
        await self.session(caller, session_id)
        return taken(self.store, caller.tenant_id, session_id)

    async def engines(self, caller: Caller) -> tuple[Sequence[EngineState], EngineName | None]:
        """Return all engines, and the one that a new session of the caller's tenant gets, if there is one."""
        access.look(caller)
        states = self.house.engines.states()
        chosen = await self.store.default_engine(caller.tenant_id)
        if chosen is None and any(state.is_available and state.name != REMOTE for state in states):
            chosen = self.house.engines.default()
        return states, chosen
