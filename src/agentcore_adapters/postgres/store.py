"""The store on PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import anyio
from attrs import field, frozen
from psycopg.types.json import Jsonb

from agentcore.changes import Changes, Receipt, ReceiptKey
from agentcore.errors import KeyInFlight, KeyReused, SessionNotFound
from agentcore.follow import Entry
from agentcore.ids import ChangeId, EngineName, InstanceId, NodeId, SessionId, TaskId, TenantId
from agentcore.instances import Instance
from agentcore.limits import Own
from agentcore.lines import Lines
from agentcore.ports import RESERVED_S, Committed, Lease, Stale
from agentcore_adapters.postgres import statements as sql
from agentcore_adapters.postgres import values, writer
from agentcore_adapters.postgres.batch import Answer
from agentcore_adapters.postgres.connection import BEAT, REQUESTS, TEXT, Transaction, open_database, row_of
from agentcore_adapters.postgres.flusher import Flusher
from agentcore_adapters.postgres.leases import TTL_S, PostgresLeases
from agentcore_adapters.postgres.lines import counted
from agentcore_adapters.postgres.presence import present
from agentcore_adapters.postgres.reads import Reads


@frozen
class PostgresStore(Reads):
    """Keeps the promises of ``Store``."""

    flusher: Flusher
    lines: Lines = field(factory=Lines)  #: Of tenants that are near their limit of open tasks.

    async def commit(self, changes: Changes, lease: Lease | None = None) -> Committed:
        """Store *changes*: text of many sessions together, anything else in a transaction of its own."""
        if lease is not None and changes.is_text_only:
            return await self.flusher.commit(changes, lease)

        async def write(alone: bool) -> tuple[tuple[Entry, ...], Answer | None]:  # noqa: FBT001 - it is what it is told
            async def work(transaction: Transaction) -> tuple[tuple[Entry, ...], Answer | None]:
                return await writer.write(transaction, changes, lease, alone=alone)

            return await self.database.write(changes.tenant_id, work)

        entries, opened = await counted(self.lines, changes.tenant_id, changes.most_open, write)
        return Committed(entries=entries, is_idle=opened is not None and not opened.rows())

    async def last_change(self, tenant: TenantId, task_id: TaskId) -> ChangeId | None:
        """Return the id of the last change stored under a lease of the task, once no commit of it is under way."""

        async def work(transaction: Transaction) -> ChangeId | None:
            (found,) = await transaction.arrive(transaction.send(sql.LAST_CHANGE, tenant, task_id))
            row = row_of(found)
            return ChangeId(str(row["change_id"])) if row and row["change_id"] else None

        return await self.database.write(tenant, work)

    async def begin(self, key: ReceiptKey) -> Receipt | None:
        """Reserve a key, or return its answer."""
        *place, holder = values.place_of(key)

        async def work(transaction: Transaction) -> Receipt | None:
            # Two statements: the look-up must see what the insert has waited for.
            (mine,) = await transaction.arrive(
                transaction.send(sql.RESERVE, *place, key.request_sha256, holder, RESERVED_S)
            )
            if mine:
                return None
            (found,) = await transaction.arrive(transaction.send(sql.LOOK_UP, *place))
            row = row_of(found)
            if row is None or (row["request_sha256"] == key.request_sha256 and row["status"] is None):
                raise KeyInFlight("A request with this Idempotency-Key is still being carried out.")
            if row["request_sha256"] != key.request_sha256:
                raise KeyReused("This Idempotency-Key was used for another request.")
            return Receipt(key=key, status=row["status"], body=row["body"])

        return await self.database.write(key.tenant_id, work)

    async def release(self, key: ReceiptKey) -> None:
        """Give up a reservation."""

        async def work(transaction: Transaction) -> None:
            transaction.send(sql.RELEASE, *values.place_of(key))

        await self.database.write(key.tenant_id, work)

    async def keep(self, receipt: Receipt) -> None:
        """Store the answer of a reserved key."""

        async def work(transaction: Transaction) -> None:
            place = values.place_of(receipt.key)
            (kept,) = await transaction.arrive(transaction.send(sql.KEEP_RECEIPT, receipt.status, receipt.body, *place))
            if not kept:
                raise KeyInFlight("Another request with this Idempotency-Key has taken its place.")

        await self.database.write(receipt.key.tenant_id, work)

    async def forget_keys(self, older_than_s: float, limit: int) -> int:
        """Drop what is old."""
        return await self._forget(sql.FORGET_KEYS, older_than_s, limit)

    async def forget_blobs(self, older_than_s: float, limit: int) -> int:
        """Drop what is old and unused."""
        return await self._forget(sql.FORGET_BLOBS, older_than_s, limit)

    async def set_default_engine(self, tenant: TenantId, engine: EngineName) -> None:
        """Store the tenant's choice."""

        async def work(transaction: Transaction) -> None:
            transaction.send(sql.SET_ENGINE, tenant, engine)

        await self.database.write(tenant, work)

    async def set_limits(self, tenant: TenantId, own: Own) -> None:
        """Store a tenant's own limits."""

        async def work(transaction: Transaction) -> None:
            transaction.send(sql.SET_LIMITS, tenant, Jsonb(dict(own)) if own else None)

        await self.database.write(tenant, work)

    async def keep_instance(self, instance: Instance) -> None:
        """Store an instance."""
        where = (instance.tenant_id, instance.id)
        what = (instance.name, instance.host, instance.port, instance.status.value, instance.version)

        async def work(transaction: Transaction) -> None:
            if instance.version == 1:
                transaction.send(sql.PUT_TENANT, instance.tenant_id)
                stamps = (instance.created_at, instance.updated_at)
                sent = transaction.send(sql.NEW_INSTANCE, *where, instance.owner, *what, *stamps)
            else:
                before = instance.version - 1
                sent = transaction.send(sql.MOVE_INSTANCE, *what, instance.updated_at, *where, before)
            (kept,) = await transaction.arrive(sent)
            if not kept:
                raise Stale("The instance has moved on.")

        await self.database.write(instance.tenant_id, work)

    async def drop_instance(self, tenant: TenantId, instance_id: InstanceId) -> None:
        """Remove an instance."""

        async def work(transaction: Transaction) -> None:
            transaction.send(sql.DROP_INSTANCE, tenant, instance_id)

        await self.database.write(tenant, work)

    async def erase(self, tenant: TenantId, session_id: SessionId) -> None:
        """Remove a session with all its content; the ledger stays."""

        async def work(transaction: Transaction) -> None:
            session, tasks, refs, ids = await transaction.arrive(
                transaction.send(sql.LOCK_SESSION, tenant, session_id),
                transaction.send(sql.OPEN_TASKS, tenant, session_id),
                transaction.send(sql.BLOB_REFS, tenant, session_id),
                transaction.send(sql.TASK_IDS, tenant, session_id),
            )
            if not session:
                raise SessionNotFound("There is no such session.")
            if tasks:
                raise Stale("A task of the session is still open.")
            names = [session_id, *(str(row["id"]) for row in ids)]
            transaction.send(sql.ERASE_RECEIPTS, tenant, session_id, names)
            transaction.send(sql.ERASE_EVENTS, tenant, session_id)
            transaction.send(sql.ERASE_CALLS, tenant, tenant, session_id)
            transaction.send(sql.ERASE_SESSION, tenant, session_id)
            if refs:
                transaction.send(sql.ERASE_BLOBS, tenant, [row["sha256"] for row in refs])

        await self.database.write(tenant, work)

    async def forget_tenant(self, tenant: TenantId) -> None:
        """Remove what a tenant without sessions has."""

        async def work(transaction: Transaction) -> None:
            (found,) = await transaction.arrive(transaction.send(sql.ANY_SESSION, tenant))
            if found:
                raise Stale("The tenant still has a session.")
            for statement in sql.FORGET_TENANT:
                transaction.send(statement, tenant)

        await self.database.write(tenant, work)


@asynccontextmanager
async def postgres_store(
    dsn: str, *, lease_ttl_s: float = TTL_S, node: NodeId | None = None
) -> AsyncIterator[tuple[PostgresStore, PostgresLeases]]:
    """Open the store on a database whose schema is up to date; say that *node* is there, if it is for one."""
    async with (
        open_database(dsn, REQUESTS) as database,
        open_database(dsn, TEXT) as texts,
        open_database(dsn, BEAT) as beats,
        anyio.create_task_group() as tasks,
    ):
        flusher = Flusher(texts)
        tasks.start_soon(flusher.run)
        try:
            async with present(database, node) if node else nullcontext():
                yield PostgresStore(database, flusher), PostgresLeases(database, beats, lease_ttl_s)
        finally:
            tasks.cancel_scope.cancel()
