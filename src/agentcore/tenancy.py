"""All that a tenant has: taken away, and erased, for whoever runs the installation.

Law: nobody is asked who they are, so nothing that listens to clients uses this.  Session by session, so that nothing
grows with the tenant; what is erased is stopped first, by whoever drives it.
"""

from collections.abc import AsyncIterator

import anyio
from anyio import move_on_after
from attrs import frozen

from agentcore import admission
from agentcore.books import UsageRecorded
from agentcore.errors import SessionNotFound, StoreUnavailable
from agentcore.ids import EngineName, SessionId, TenantId
from agentcore.instances import Instance
from agentcore.ports import Clock, Stale, Store
from agentcore.takeout import Taken, Whole, taken

SESSIONS, ROWS, INSTANCES = 50, 500, 100_000
PATIENCE_S, AGAIN_S = 60.0, 0.2  # a driver looks at its tasks at each beat


@frozen
class Tenant:
    """What a tenant has chosen."""

    id: TenantId
    default_engine: EngineName | None


async def everything(store: Store, tenant: TenantId) -> AsyncIterator[Taken | Tenant | Instance]:
    """Yield the tenant, its remote agents, its sessions, each with all that is in it but costs, and its ledger."""
    yield Tenant(tenant, await store.default_engine(tenant))
    for instance in await store.instances(tenant, None, INSTANCES):
        yield instance
    before = None
    while views := await store.sessions(tenant, before, SESSIONS):
        for view in views:
            async for thing in taken(store, tenant, view.session.id):
                if not isinstance(thing, UsageRecorded | Whole):
                    yield thing
        last = views[-1].session
        before = (last.created_at, last.id)
    after = None
    while rows := await store.ledger(tenant, after, ROWS):
        for row in rows:
            yield row
        after = (rows[-1].at, rows[-1].task_id, rows[-1].record.key)
    yield Whole()


async def erase(store: Store, clock: Clock, tenant: TenantId, patience_s: float = PATIENCE_S) -> int:
    """Close and remove all sessions, then what else there is but the ledger; return how many sessions there were.

    Raises StoreUnavailable if a task does not stop: no server runs that drives it, or it takes too long.
    """
    count = 0
    while True:
        while views := await store.sessions(tenant, None, SESSIONS):
            for view in views:
                await _erase(store, clock, tenant, view.session.id, patience_s)
                count += 1
        try:
            await store.forget_tenant(tenant)
        except Stale:  # somebody has just opened another
            continue
        return count


async def _erase(store: Store, clock: Clock, tenant: TenantId, session_id: SessionId, patience_s: float) -> None:
    with move_on_after(patience_s):
        while True:
            try:
                session, turns = await store.open_turns(tenant, session_id)
                changes = admission.close(session, turns, clock.now())
                if changes.is_durable:
                    await store.commit(changes)
                await store.erase(tenant, session_id)
            except SessionNotFound:
                return
            except Stale:
                await anyio.sleep(AGAIN_S)
            else:
                return
    raise StoreUnavailable(f"A task of the session {session_id} does not stop. Is the server running that drives it?")
