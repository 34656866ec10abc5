"""Remote agents: who has which, and what they answer.

Law: an instance of another tenant or of another owner is a missing one.  A callback is believed if it carries our
signature of its task; then it is recorded in one commit with the event that is its receipt, so that a repeated one
finds it, and the task's driver concludes.  Nobody learns from a refusal whether a task exists.
"""

from collections.abc import Callable

import structlog
from attrs import field, frozen

from agentcore import access
from agentcore.caller import Caller
from agentcore.commands import Deliver
from agentcore.errors import (
    CallbackUnverified,
    Conflict,
    HostNotAllowed,
    InvalidRequest,
    StoreUnavailable,
    TaskNotFound,
)
from agentcore.house import House
from agentcore.ids import EngineName, InstanceId, SessionId, TaskId
from agentcore.instances import ENGINE, Instance, InstanceStatus
from agentcore.lanes import Lanes
from agentcore.ports import Hosts, SessionView, Stale, Store
from agentcore.reply import Reply
from agentcore.replying import is_wanted
from agentcore.seal import Seal, is_signed
from agentcore.session import Session
from agentcore.task import Task

log = structlog.get_logger("agentcore.remote")
TRIES = 10
WINDOW_S = 300  # for the timestamp of a webhook; a repeat after it is still one of a task that has its reply


class Nowhere:
    """Keeps the promises of ``Hosts`` where remote agents may not live anywhere."""

    def admit(self, host: str, port: int) -> str:  # noqa: ARG002 - the promise is the port's
        """Refuse."""
        raise HostNotAllowed("Remote agents are not set up here: set AGENTCORE_BRIDGE_ALLOW.", "serverHost")


@frozen(kw_only=True)
class Told:
    """What an owner says of an instance; None: nothing."""

    name: str | None = None
    host: str | None = None
    port: int | None = None
    status: InstanceStatus | None = None


@frozen(kw_only=True)
class Webhook:
    """The headers of Standard Webhooks, and the raw body."""

    id: str
    timestamp: str
    signatures: tuple[str, ...]
    body: bytes = field(repr=False)


@frozen(kw_only=True)
class Remote:
    """The use cases of remote agents."""

    house: House
    lanes: Lanes
    seal: Seal
    hosts: Hosts

    @property
    def store(self) -> Store:
        """The store."""
        return self.house.store

    # -------------------------------------------------------------------------------------------------- the registry
    async def add(
        self, caller: Caller, told: Told, *, instance_id: InstanceId | None = None, owner: str | None = None
    ) -> Instance:
        """Register an instance of *owner*, else of the caller; raises HostNotAllowed, Conflict if the id is taken.

        To choose its id, or another owner, is an admin's: who could choose would learn which ids there are.
        """
        access.act(caller)
        if instance_id is not None or owner not in {None, caller.subject}:
            access.administer(caller)
        at = self.house.clock.now()
        instance = Instance(
            id=instance_id or InstanceId(self.house.new_id()),
            tenant_id=caller.tenant_id,
            owner=owner or caller.subject,
            name=told.name or "",
            host=self._host(told.host, told.port),
            port=told.port,
            status=told.status or InstanceStatus.RUNNING,
            created_at=at,
            updated_at=at,
        )
        try:
            await self.store.keep_instance(instance)
        except Stale:
            raise Conflict("There is an instance of that id.") from None
        return instance

    async def instance(self, caller: Caller, instance_id: InstanceId) -> Instance:
        """Return an instance of the caller, or raise InstanceNotFound."""
        access.look(caller)
        return await self._own(caller, instance_id)

    async def instances(self, caller: Caller, limit: int) -> list[Instance]:
        """Return the caller's instances, newest first."""
        access.look(caller)
        return await self.store.instances(caller.tenant_id, caller.subject, limit)

    async def change(self, caller: Caller, instance_id: InstanceId, told: Told) -> Instance:
        """Change an instance of the caller."""
        access.act(caller)
        for _ in range(TRIES):
            old = await self._own(caller, instance_id)
            port = old.port if told.port is None else told.port
            host = old.host if told.host is None else told.host
            if told.host is not None or told.port is not None:  # an entry of the allow-list may name one port
                host = self._host(host, port)
            new = old.changed(self.house.clock.now(), name=told.name, host=host, port=port, status=told.status)
            try:
                await self.store.keep_instance(new)
            except Stale:
                continue
            return new
        raise StoreUnavailable("The instance is changing too fast.")

    async def drop(self, caller: Caller, instance_id: InstanceId) -> Instance:
        """Remove an instance of the caller; its sessions stay, and nothing more can be asked in them of it."""
        access.act(caller)
        found = await self._own(caller, instance_id)
        await self.store.drop_instance(caller.tenant_id, instance_id)
        return found

    async def webhook_key(self, caller: Caller, instance_id: InstanceId) -> bytes:
        """Return the key with which the bridge of the caller's instance may sign its callbacks."""
        access.act(caller)
        await self._own(caller, instance_id)
        return self.seal.webhook_key(caller.tenant_id, instance_id)

    async def sessions(self, caller: Caller, instance_id: InstanceId, limit: int) -> list[SessionView]:
        """Return the caller's sessions with an instance of the caller, newest first."""
        access.look(caller)
        await self._own(caller, instance_id)
        return await self.store.sessions_with(caller.tenant_id, caller.subject, instance_id, limit)

    async def called(self, caller: Caller, session: Session, engine: EngineName) -> InstanceId | None:
        """Return the instance that answers in *session*; None if *engine* is one of this server's.

        Raises InstanceNotFound, InstanceNotRunning, HostNotAllowed.
        """
        if engine != ENGINE:
            return None
        if session.instance is None:
            detail = "That engine answers only in a session of an instance: POST /instances/{id}/tasks."
            raise InvalidRequest(detail, "engineType")
        self.hosts.admit(*(await self._own(caller, session.instance)).address)
        return session.instance

    async def _own(self, caller: Caller, instance_id: InstanceId) -> Instance:
        return access.own(caller, await self.store.instance(caller.tenant_id, instance_id))

    def _host(self, host: str | None, port: int | None) -> str | None:
        if host is None:
            return None
        if port is None:
            raise InvalidRequest("serverHost needs hostPort.", "hostPort")
        return self.hosts.admit(host, port)

    # ---------------------------------------------------------------------------------------------------- the answer
    async def deliver(
        self,
        session_id: SessionId,
        task_id: TaskId,
        signature: str,
        webhook: Webhook | None,
        read: Callable[[], Reply],
    ) -> bool:
        """Record the answer to a task and say whether it counted: what comes late or again does not.

        *read* is called when the proof is good.  Raises CallbackUnverified, and what *read* raises.
        """
        task = await self._proved(session_id, task_id, signature, webhook)
        reply = read()
        turn = await self.store.turn(task.tenant_id, task_id)
        counts = is_wanted(turn)
        if counts:
            receipt = webhook.id if webhook is not None else task_id
            with self.lanes.at(task.tenant_id, task.session_id) as lane:
                await lane.obey(task_id, Deliver(reply=reply, receipt=receipt))
        else:
            self.house.counts.late += 1
        log.info("callback.received", task_id=task_id, counts=counts, ok=reply.ok, chars=len(reply.text))
        return counts

    async def _proved(self, session_id: SessionId, task_id: TaskId, signature: str, webhook: Webhook | None) -> Task:
        unverified = CallbackUnverified("The callback carries no signature of ours for that task.")
        tenant_id = self.seal.signer(signature, session_id, task_id)
        if tenant_id is None:
            raise unverified
        try:
            task = (await self.store.task(tenant_id, task_id)).task
        except TaskNotFound:  # erased since
            raise unverified from None
        if task.session_id != session_id or task.params.instance is None:
            raise unverified
        if webhook is not None and not self._is_signed(webhook, task, task.params.instance):
            raise unverified
        return task

    def _is_signed(self, webhook: Webhook, task: Task, instance_id: InstanceId) -> bool:
        now = self.house.clock.now().timestamp()
        if not webhook.timestamp.isdecimal() or len(webhook.timestamp) > 12:
            return False
        if abs(now - int(webhook.timestamp)) > WINDOW_S:
            return False
        keys = self.seal.webhook_keys(task.tenant_id, instance_id)
        signed = (webhook.id, webhook.timestamp, webhook.body, webhook.signatures)
        return any(is_signed(key, *signed) for key in keys)
