"""The use cases of one node.

Law: a use case checks who asks, hands the decision to the domain and the writing to a lane, and answers.  It
knows no wire and no technology; ``node.open_runtime`` gives it both.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from anyio import move_on_after
from attrs import define, evolve, frozen

from agentcore import access, admission
from agentcore.admission import OnBusy, Prompt
from agentcore.asking import Accepted, Ask, Keep, resolved
from agentcore.books import EventId
from agentcore.caller import Caller
from agentcore.changes import Changes, Logged, Receipt, ReceiptKey
from agentcore.commands import Cancel, Decide
from agentcore.errors import InvalidRequest, NotFound, SessionNotFound, ShuttingDown, StoreUnavailable
from agentcore.events import OAuthPrompted, SessionRenamed
from agentcore.house import Counts, House
from agentcore.ids import ApprovalId, EngineName, SessionId, TaskId
from agentcore.instances import ENGINE as REMOTE
from agentcore.lane import Lane
from agentcore.lanes import Lanes
from agentcore.policy import Policy
from agentcore.ports import SessionView, Stale, Store, TaskView
from agentcore.prompts import PromptBuilder
from agentcore.pulse import Pulse
from agentcore.remote import Remote
from agentcore.seal import Seal
from agentcore.session import Session
from agentcore.task import FINAL, StopCode, Task, TaskParams, TaskStatus
from agentcore.turn import Turn
from agentcore.views import Views
from agentcore.voice import Voice

log = structlog.get_logger("agentcore.runtime")
ERASE_WAIT_S = 30.0


@frozen
class _Found:
    """A session and its open tasks as they were read; of version 0: one that is to be opened."""

    session: Session
    turns: Sequence[Turn] = ()


@define(eq=False, kw_only=True)
class Runtime:
    """One node at work."""

    house: House
    lanes: Lanes
    pulse: Pulse
    views: Views
    remote: Remote
    voice: Voice
    prompts: PromptBuilder
    seal: Seal
    policy: Policy = Policy()

    @property
    def store(self) -> Store:
        """The store, for what is only kept and read."""
        return self.house.store

    @property
    def counts(self) -> Counts:
        """What should stay zero."""
        return self.house.counts

    # ---------------------------------------------------------------------------------------------------- prompts
    async def execute(
        self,
        caller: Caller,
        ask: Ask,
        *,
        session_id: SessionId | None = None,
        on_busy: OnBusy = OnBusy.INTERRUPT,
        keep: Keep | None = None,
        known: Session | None = None,
    ) -> Accepted:
        """Accept a prompt; a session that for the caller there is none becomes a new one of the caller.

        *keep* makes the receipt that is stored with it.  *known* is the session as the caller was last shown it: as
        long as it has not changed and is idle, nothing has to be read.  Raises UnknownEngine, EngineUnavailable,
        SessionClosed, SessionBusy, ToolNotAllowed, OverLimit; then nothing is stored.
        """
        access.act(caller)
        self._must_be_open()
        await self._must_be_within_limits(caller, ask)
        found = await self._found(caller, session_id, ask, known)
        engine = ask.engine or found.session.engine
        called = evolve(ask, instance=await self.remote.called(caller, found.session, engine))
        prompt = self._prompt(caller, found.session, called, engine)

        def decide(session: Session, turns: Sequence[Turn], at: datetime) -> tuple[Task, Changes]:
            return admission.admit(session, turns, prompt, on_busy, at)

        try:
            return await self._admit(found, decide, keep)
        except SessionNotFound:  # it was erased meanwhile
            if known is None:
                raise
            return await self.execute(caller, ask, session_id=session_id, on_busy=on_busy, keep=keep)

    async def inject(self, caller: Caller, task_id: TaskId, ask: Ask, *, keep: Keep | None = None) -> Accepted:
        """Stop a live task and run a prompt in its place, with the parameters of the one it stops.

        Raises TaskNotFound, TaskNotLive, OverLimit.
        """
        access.act(caller)
        self._must_be_open()
        await self._must_be_within_limits(caller, ask)
        old = access.seen_task(caller, await self.store.task(caller.tenant_id, task_id)).task
        session, turns = await self.store.open_turns(caller.tenant_id, old.session_id)
        await self.remote.called(caller, session, old.engine)
        ask = evolve(ask, deadline_s=(old.deadline - old.created_at).total_seconds())
        prompt = self._prompt(caller, session, ask, old.engine, inherited=old.params)

        def decide(session: Session, turns: Sequence[Turn], at: datetime) -> tuple[Task, Changes]:
            return admission.inject(session, turns, task_id, prompt, StopCode.USER_INJECT, at)

        return await self._admit(_Found(session, turns), decide, keep)

    async def speak(
        self, caller: Caller, session_id: SessionId | None, ask: Ask, *, keep: Keep | None = None
    ) -> Accepted:
        """Accept what was said: it stops what is live and goes on with its parameters, or is a prompt like others.

        A session that for the caller there is none becomes a new voice session.  Raises as ``execute`` does.
        """
        access.act(caller)
        self._must_be_open()
        await self._must_be_within_limits(caller, ask)
        found = await self._found(caller, session_id, ask)
        live = next((turn.task for turn in found.turns if turn.task.has_begun), None)
        engine = live.engine if live else found.session.engine
        ask = evolve(ask, instance=await self.remote.called(caller, found.session, engine))
        prompt = self._prompt(caller, found.session, ask, engine, inherited=live.params if live else None)

        def decide(session: Session, turns: Sequence[Turn], at: datetime) -> tuple[Task, Changes]:
            return admission.speak(session, turns, prompt, at)

        return await self._admit(found, decide, keep)

    async def _admit(
        self,
        found: "_Found",
        decide: Callable[[Session, Sequence[Turn], datetime], tuple[Task, Changes]],
        keep: Keep | None,
    ) -> Accepted:
        session, is_new = found.session, not found.session.version
        known: tuple[Session, Sequence[Turn]] | None = (session, found.turns)  # the store says if that is old

        async def read_and_decide() -> tuple[Accepted, Changes]:
            nonlocal known
            stored, turns = known or await self.store.open_turns(session.tenant_id, session.id)
            known = known if is_new else None
            task, changes = decide(stored, turns, self.house.clock.now())
            status = TaskStatus.QUEUED if turns else TaskStatus.RUNNING
            accepted = Accepted(
                session_id=session.id,
                task_id=task.id,
                session_created=is_new,
                status=status,
                session=changes.session,
            )
            receipt = keep(accepted) if keep else None
            return accepted, evolve(changes, receipt=receipt, most_open=most_open, idle=not turns)

        most_open = self.house.quotas.of(session.tenant_id).max_open
        async with self.house.lines.at(session.tenant_id):
            with self.lanes.at(session.tenant_id, session.id) as lane:
                accepted = await lane.change(read_and_decide, submits=True)
        log.info("task.accepted", task_id=accepted.task_id, session_id=accepted.session_id)
        return accepted

    async def _found(
        self, caller: Caller, session_id: SessionId | None, ask: Ask, known: Session | None = None
    ) -> "_Found":
        if session_id is not None:
            try:
                turns: Sequence[Turn] = ()
                if known is None or self.lanes.is_driven(caller.tenant_id, session_id):
                    known, turns = await self.store.open_turns(caller.tenant_id, session_id)
                session = known
                access.seen_session(caller, session)
            except SessionNotFound:
                log.info("session.unknown", tenant=caller.tenant_id)
            else:
                if ask.instance is None or (session.instance, session.owner) == (ask.instance, caller.subject):
                    return _Found(session, turns)
        chosen = ask.engine or await self.store.default_engine(caller.tenant_id) or self.house.engines.default()
        at = self.house.clock.now()
        session = Session(
            id=SessionId(self.house.new_id()),
            tenant_id=caller.tenant_id,
            owner=caller.subject,
            engine=chosen,
            title="",
            voice_mode=ask.voice_mode,
            created_at=at,
            updated_at=at,
            version=0,
            instance=ask.instance,
        )
        return _Found(session)

    def _prompt(
        self, caller: Caller, session: Session, ask: Ask, engine: EngineName, inherited: TaskParams | None = None
    ) -> Prompt:
        abilities = self.house.engines.named(engine).abilities
        token = self.seal.oauth_token(caller.tenant_id, session.id)
        system = self.prompts.build(caller, session.id, instructions=ask.system_prompt, oauth_token=token)
        prompt = resolved(
            ask,
            TaskId(self.house.new_id()),
            engine,
            abilities,
            system,
            inherited,
            self.policy.of(caller.tenant_id),
            self.house.quotas.of(caller.tenant_id),
        )
        return evolve(prompt, params=evolve(prompt.params, requester=caller.subject))

    async def _must_be_within_limits(self, caller: Caller, ask: Ask) -> None:
        quotas = self.house.quotas
        await quotas.must_have_budget(caller.tenant_id)
        await quotas.must_have_space(caller.tenant_id, sum(len(file.data) for file in ask.attachments))

    # ----------------------------------------------------------------------------------------------------- tasks
    async def cancel(self, caller: Caller, task_id: TaskId, wait_s: float) -> tuple[TaskView, bool]:
        """Stop a task and wait until it has ended, at most *wait_s*; say whether it was over before."""
        access.act(caller)
        view = access.seen_task(caller, await self.store.task(caller.tenant_id, task_id))
        task = view.task
        if task.is_final:
            return view, True
        with self.house.bus.listen(caller.tenant_id, task.session_id) as ear:
            with self.lanes.at(caller.tenant_id, task.session_id) as lane:
                await lane.obey(task_id, Cancel())
            view = await self.store.task(caller.tenant_id, task_id)
            with move_on_after(wait_s):
                while not view.task.is_final:
                    await ear.hear()
                    view = await self.store.task(caller.tenant_id, task_id)
        was_over = view.task.status in FINAL and view.task.stop_code is None
        return view, was_over

    async def decide(
        self,
        caller: Caller,
        task_id: TaskId,
        decision: Decide,
        *,
        keep: Callable[[ApprovalId], Receipt | None] | None = None,
    ) -> ApprovalId:
        """Approve or reject what a task waits for; raises TaskNotFound, FourEyesRequired, ApprovalConflict."""
        access.decide(caller)
        view = access.seen_task(caller, await self.store.task(caller.tenant_id, task_id))
        access.second_person(caller, view, four_eyes=self.policy.four_eyes)
        decided = ApprovalId("")

        def note(_: Turn, changes: Changes) -> Changes:
            nonlocal decided
            decided = changes.approvals[0].id  # what a decision decides stands before what follows from it
            return evolve(changes, receipt=keep(decided) if keep else None)

        with self.lanes.at(caller.tenant_id, view.task.session_id) as lane:
            await lane.obey(task_id, decision, note)
        return decided

    # -------------------------------------------------------------------------------------------------- sessions
    async def rename(self, caller: Caller, session_id: SessionId, title: str) -> SessionView:
        """Give a session another title."""

        async def decide() -> tuple[None, Changes]:
            at = self.house.clock.now()
            session = (await self.store.session(caller.tenant_id, session_id)).session
            changes = Changes(tenant_id=session.tenant_id, session_id=session.id, at=at)
            log_ = (Logged(event=SessionRenamed(title)),)
            return None, evolve(changes, session=session.renamed(title, at), log=log_)

        with await self._acted(caller, session_id) as lane:
            await lane.change(decide)
        return await self.store.session(caller.tenant_id, session_id)

    async def close(self, caller: Caller, session_id: SessionId, *, erase: bool) -> SessionView:
        """Close a session, cancelling what is open; with *erase*, remove all that mentions it when all has ended."""

        async def decide() -> tuple[None, Changes]:
            session, turns = await self.store.open_turns(caller.tenant_id, session_id)
            return None, admission.close(session, turns, self.house.clock.now())

        with await self._acted(caller, session_id) as lane:
            await lane.change(decide)
            view = await self.store.session(caller.tenant_id, session_id)
            if erase:
                await self._erase(caller, lane)
                view = evolve(view, session=evolve(view.session, title=""))  # this answer may be kept for a repeat
        return view

    async def _erase(self, caller: Caller, lane: Lane) -> None:
        with self.house.bus.listen(caller.tenant_id, lane.session_id) as ear, move_on_after(ERASE_WAIT_S):
            while True:
                try:
                    await self.store.erase(caller.tenant_id, lane.session_id)
                except Stale:
                    await ear.hear()
                else:
                    return
        raise StoreUnavailable("The session's task has not stopped yet; try again.")

    async def ask_consent(
        self, caller: Caller, session_id: SessionId, prompt: OAuthPrompted, token: str | None
    ) -> None:
        """Tell the session's subscribers that the agent asks for consent.

        With *token*, the agent itself asks: it must be the token that its system prompt carries, and it is enough.
        """
        lane = await (self._acted(caller, session_id) if token is None else self._consenting(token, session_id))
        at = self.house.clock.now()
        changes = Changes(tenant_id=lane.tenant, session_id=session_id, at=at, log=(Logged(event=prompt),))

        async def decide() -> tuple[None, Changes]:
            return None, changes

        with lane:
            await lane.change(decide)

    async def _consenting(self, token: str, session_id: SessionId) -> Lane:
        tenant = self.seal.consenter(token, session_id)
        if tenant is None:
            raise SessionNotFound("There is no such session.")
        await self.store.session(tenant, session_id)
        return self.lanes.at(tenant, session_id)

    async def _acted(self, caller: Caller, session_id: SessionId) -> Lane:
        access.act(caller)
        access.seen(caller, await self.store.session(caller.tenant_id, session_id))
        return self.lanes.at(caller.tenant_id, session_id)

    # --------------------------------------------------------------------------------------------------- engines
    async def switch_engine(self, caller: Caller, engine: EngineName) -> None:
        """Choose the engine of the tenant's new sessions; raises UnknownEngine, EngineUnavailable."""
        access.administer(caller)
        if engine == REMOTE:
            raise InvalidRequest("A remote agent is one person's: it cannot be the tenant's default.", "engineType")
        self.house.engines.named(engine)
        await self.store.set_default_engine(caller.tenant_id, engine)

    # ---------------------------------------------------------------------------------------------------- usage
    async def redeliver(self, caller: Caller, event: EventId | None) -> None:
        """Send a usage event again that was given up; raises NotFound if there is none such; None: what is no id."""
        access.administer(caller)
        if event is None or not await self.store.redeliver(caller.tenant_id, event):
            raise NotFound("There is no such event that was given up.")

    # ------------------------------------------------------------------------------------------------ the node
    async def begin(self, key: ReceiptKey) -> Receipt | None:
        """Reserve an Idempotency-Key, or return the answer stored under it; raises KeyInFlight, KeyReused."""
        return await self.store.begin(key)

    def _must_be_open(self) -> None:
        if self.house.is_draining:
            raise ShuttingDown("The server is going away; try again in a moment.")
