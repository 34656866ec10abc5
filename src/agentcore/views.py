"""What can be looked at.

Law: looking changes nothing, and every look names the caller.
"""

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from agentcore.books import Delivery, DeliveryState, GroupBy, UsageReport
from agentcore.caller import Caller, Role
from agentcore.changes import Blob
from agentcore.engine import EngineState
from agentcore.feed import HEARTBEAT_S, Feed, Latest
from agentcore.follow import Cursor
from agentcore.house import House
from agentcore.ids import EngineName, SessionId, TaskId
from agentcore.instances import ENGINE as REMOTE
from agentcore.messages import Message
from agentcore.ports import SessionView, Snapshot, Store, TaskView


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
        return await self.store.task(caller.tenant_id, task_id)

    async def session(self, caller: Caller, session_id: SessionId) -> SessionView:
        """Return a session, or raise SessionNotFound."""
        return await self.store.session(caller.tenant_id, session_id)

    async def sessions(self, caller: Caller, before: tuple[datetime, str] | None, limit: int) -> list[SessionView]:
        """Return the caller's sessions, newest first."""
        return await self.store.sessions(caller.tenant_id, before, limit)

    async def messages(
        self, caller: Caller, session_id: SessionId, after: tuple[int, int], limit: int
    ) -> list[Message]:
        """Return the history of a session, page by page."""
        await self.store.session(caller.tenant_id, session_id)
        return await self.store.messages(caller.tenant_id, session_id, after, limit)

    async def tasks(self, caller: Caller, session_id: SessionId, after: int, limit: int) -> list[TaskView]:
        """Return the tasks of a session, page by page."""
        await self.store.session(caller.tenant_id, session_id)
        return await self.store.tasks(caller.tenant_id, session_id, after, limit)

    async def subscribe(
        self,
        caller: Caller,
        session_id: SessionId,
        after: Cursor | type[Latest] | None = None,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> Feed:
        """Return the frames of a session from a cursor on; raises SessionNotFound."""
        await self.store.session(caller.tenant_id, session_id)
        return Feed(
            store=self.store,
            bus=self.house.bus,
            tenant=caller.tenant_id,
            session_id=session_id,
            after=after,
            heartbeat_s=heartbeat_s,
        )

    async def usage(
        self, caller: Caller, since: datetime | None, until: datetime | None, group_by: GroupBy
    ) -> UsageReport:
        """Add up what the caller's tenant has used."""
        return await self.store.usage(caller.tenant_id, since, until, group_by)

    async def deliveries(self, caller: Caller, state: DeliveryState | None, limit: int) -> list[Delivery]:
        """Return the newest usage events of the caller's tenant."""
        caller.needs(Role.ADMIN)
        return await self.store.deliveries(caller.tenant_id, state, limit)

    async def snapshot(self, caller: Caller, session_id: SessionId) -> Snapshot:
        """Return a session as one reading."""
        return await self.store.snapshot(caller.tenant_id, session_id)

    async def blob(self, caller: Caller, sha256: str) -> Blob | None:
        """Return an attachment of the caller's tenant."""
        return (await self.store.blobs(caller.tenant_id, [sha256])).get(sha256)

    async def engines(self, caller: Caller) -> tuple[Sequence[EngineState], EngineName | None]:
        """Return all engines, and the one that a new session of the caller's tenant gets, if there is one."""
        states = self.house.engines.states()
        chosen = await self.store.default_engine(caller.tenant_id)
        if chosen is None and any(state.is_available and state.name != REMOTE for state in states):
            chosen = self.house.engines.default()
        return states, chosen
