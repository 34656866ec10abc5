"""The clients of a simulation: what they ask, what they were told, and what they saw.

Law: a fact is written down only when its answer has arrived; whatever was cut off is *unknown*, and then either
outcome is right, but exactly one.
"""

from collections.abc import Awaitable, Callable
from random import Random

import anyio
from attrs import define, field

from agentcore.admission import OnBusy
from agentcore.approval import OnReject
from agentcore.asking import Accepted, Ask
from agentcore.books import DeliveryState
from agentcore.changes import Receipt, ReceiptKey
from agentcore.commands import Decide
from agentcore.errors import AgentcoreError, KeyInFlight, Refused, Unavailable
from agentcore.events import Event, TextSaid
from agentcore.feed import Restarted
from agentcore.follow import Cursor, ResetReason, Shown
from agentcore.ids import ApprovalId, SessionId, TaskId
from agentcore.runtime import Runtime
from agentcore.task import OnCrash, TaskEnd, TaskStatus
from agentcore.testing.chaos import Dead
from agentcore.testing.making import TENANT
from agentcore.testing.simulation import CALLER, CLIENTS, DEADLINES_S, LOAD_S, SESSIONS, Simulation

GIVE_UP_S = 900.0  # of virtual time after the load: longer than any deadline, lease and sweep together
SEEN_S = 60.0  # within which who stays is shown the end, however many messages are lost: heads are told every second
FOR_EVER_S = 1e6


@define(eq=False)
class Facts:
    """What callers know."""

    accepted: dict[TaskId, str] = field(factory=dict)  #: Tasks that were acknowledged, with their prompts.
    sent: set[str] = field(factory=set)  #: Prompts that may have been accepted, acknowledged or not.
    stopped: set[TaskId] = field(factory=set)  #: Tasks whose stop was acknowledged.
    decided: dict[ApprovalId, bool] = field(factory=dict)
    titles: list[tuple[SessionId, str]] = field(factory=list)
    disturbed: set[TaskId | SessionId] = field(factory=set)  #: Where somebody wanted something to end.
    completed: int = 0


@define(eq=False)
class Reader:
    """One subscriber of one session, who comes and goes."""

    session_id: SessionId
    cursor: Cursor = Cursor(0)
    text: str = ""  #: Built by appending, since the last reset.
    base: int = 0
    resets: int = 0
    events: dict[int, Event] = field(factory=dict)  #: Durable events by seq, as they were shown.
    ended: set[TaskId] = field(factory=set)

    async def read(self, runtime: Runtime, seconds: float | None) -> None:
        """Read for *seconds*; None: until the head is reached."""
        with anyio.move_on_after(seconds):
            feed = await runtime.views.subscribe(CALLER, self.session_id, self.cursor, heartbeat_s=5.0)
            batches = feed.batches()
            try:
                async for batch in batches:
                    if not batch and seconds is None:
                        break
                    for frame in batch:
                        self._take(frame)
            finally:
                with anyio.CancelScope(shield=True):
                    await batches.aclose()

    def _take(self, frame: object) -> None:
        if isinstance(frame, Shown):
            self._show(frame)
        elif isinstance(frame, Restarted):
            assert frame.reason is not ResetReason.CURSOR_EXPIRED, "I4: the log has a hole"
            self.resets += 1
            self.text, self.base = "", frame.snapshot.page.position
        self.cursor = getattr(frame, "cursor", self.cursor)

    def _show(self, frame: Shown) -> None:
        self.text += frame.text
        if frame.live is not None:
            assert frame.live.task_id not in self.ended, "I3: text is shown after the end of its task"
        if frame.entry is not None and not isinstance(frame.entry.event, TextSaid):
            entry = frame.entry
            assert self.events.setdefault(entry.seq, entry.event) == entry.event, "I4: one seq, two events"
            if isinstance(entry.event, TaskEnd) and entry.task_id is not None:
                self.ended.add(entry.task_id)


@define(eq=False)
class Clients:
    """All clients of one run."""

    simulation: Simulation
    facts: Facts = field(factory=Facts)
    readers: list[Reader] = field(factory=list)
    sessions: list[SessionId] = field(factory=list)
    tasks: list[TaskId] = field(factory=list)
    _numbers: int = 0

    async def load(self) -> None:
        """Let everybody work while the weather lasts."""
        async with anyio.create_task_group() as tasks:
            for number in range(CLIENTS):
                random = Random(f"{self.simulation.seed} client {number}")  # noqa: S311 - a simulation
                tasks.start_soon(self._work, random)

    async def settle(self) -> None:
        """Wait until every task has ended, as each must, and until who stays has been shown it."""
        random = Random(f"{self.simulation.seed} stayers")  # noqa: S311 - a simulation
        stayers = [Reader(session) for session in self.sessions]
        self.readers += stayers
        async with anyio.create_task_group() as tasks:
            for reader in stayers:
                tasks.start_soon(self._stay, reader, random)
            await self._until_all_is_over()
            await self._until_seen(stayers)
            tasks.cancel_scope.cancel()

    async def _stay(self, reader: Reader, random: Random) -> None:
        while (runtime := self.simulation.any_runtime(random)) is None:
            await anyio.sleep(1.0)
        await reader.read(runtime, FOR_EVER_S)

    async def _until_all_is_over(self) -> None:
        store, loop = self.simulation.world.store, self.simulation.loop
        until = loop.time() + GIVE_UP_S
        while True:
            views = [view for s in self.sessions for view in await store.tasks(TENANT, s, 0, 10_000)]
            late = [view.task.id for view in views if not view.task.is_final]
            running = [task_id for task_id, record in self.simulation.actor.records.items() if record.running]
            pending = await store.deliveries(TENANT, DeliveryState.PENDING, 10_000)
            if not (late or running or pending):
                break
            assert loop.time() < until, f"I1, I7, I12: open {late}, running {running}, {len(pending)} events not told"
            await anyio.sleep(1.0)

    async def _until_seen(self, stayers: list[Reader]) -> None:
        store, loop = self.simulation.world.store, self.simulation.loop
        until = loop.time() + SEEN_S
        for reader in stayers:
            head = (await store.log(TENANT, reader.session_id, 1, 1)).head
            while reader.cursor.seq < head:
                assert loop.time() < until, f"I5: who stays has seen {reader.cursor} and not {head}"
                await anyio.sleep(0.5)

    async def _work(self, random: Random) -> None:
        until = self.simulation.loop.time() + LOAD_S
        while self.simulation.loop.time() < until:
            await anyio.sleep(random.expovariate(1 / 4.0))
            runtime = self.simulation.any_runtime(random)
            if runtime is None:
                continue
            action = random.choices(
                [self._submit, self._cancel, self._inject, self._decide, self._rename, self._read, self._close],
                [6, 2, 2, 4, 1, 6, 0.1],
            )[0]
            patience = random.choice([None, None, 30.0, random.uniform(0, 0.2), random.uniform(0, 0.2)])
            with anyio.move_on_after(patience):  # the client goes away, at any moment
                try:
                    await action(runtime, random)
                except (AgentcoreError, Dead) as error:
                    self.simulation.note(action.__name__, type(error).__name__)
                else:
                    self.simulation.note(action.__name__)

    # ------------------------------------------------------------------------------------------------- what is asked
    async def _submit(self, runtime: Runtime, random: Random) -> None:
        self._numbers += 1
        ask = Ask(
            text=f"prompt {self._numbers}",
            on_crash=random.choice(list(OnCrash)),
            deadline_s=random.choice(DEADLINES_S),
        )
        on_busy = random.choice([OnBusy.INTERRUPT, OnBusy.ENQUEUE, OnBusy.ENQUEUE, OnBusy.REJECT])
        session = None if len(self.sessions) < SESSIONS else random.choice(self.sessions)
        if on_busy is OnBusy.INTERRUPT and session is not None:
            self.facts.disturbed.add(session)

        async def work(runtime: Runtime, keep: Callable[[Accepted], Receipt | None]) -> Accepted:
            return await runtime.execute(CALLER, ask, session_id=session, on_busy=on_busy, keep=keep)

        self.facts.sent.add(ask.text)
        self._accept(await self._once(runtime, random, ask.text, work), ask.text)

    async def _inject(self, runtime: Runtime, random: Random) -> None:
        if not self.tasks:
            return
        self._numbers += 1
        ask = Ask(text=f"injected {self._numbers}")
        old = random.choice(self.tasks[-4:])
        self.facts.disturbed.add(old)

        async def work(runtime: Runtime, keep: Callable[[Accepted], Receipt | None]) -> Accepted:
            return await runtime.inject(CALLER, old, ask, keep=keep)

        self.facts.sent.add(ask.text)
        self._accept(await self._once(runtime, random, ask.text, work), ask.text)

    async def _once(
        self,
        runtime: Runtime,
        random: Random,
        name: str,
        work: Callable[[Runtime, Callable[[Accepted], Receipt | None]], Awaitable[Accepted]],
    ) -> tuple[SessionId, TaskId]:
        """Do *work* under an Idempotency-Key until it is answered; return its answer, or the one that was kept."""
        while True:
            key = ReceiptKey(
                tenant_id=TENANT,
                subject="somebody",
                route="POST /tasks",
                key=name,
                request_sha256=name,
                holder=self.simulation.actor.new_id(),
            )

            def keep(accepted: Accepted, key: ReceiptKey = key) -> Receipt | None:
                return Receipt(key=key, status=201, body=f"{accepted.session_id} {accepted.task_id}")

            try:
                stored = await runtime.begin(key)
                if stored is not None:
                    session_id, task_id = stored.body.split()
                    return SessionId(session_id), TaskId(task_id)
                try:
                    accepted = await work(runtime, keep)
                except Refused as error:
                    if not isinstance(error, KeyInFlight):
                        await runtime.store.release(key)
                    raise
                else:
                    return accepted.session_id, accepted.task_id
            except (Unavailable, KeyInFlight, Dead):
                await anyio.sleep(random.uniform(1, 25))
            other = self.simulation.any_runtime(random)
            runtime = other if other is not None else runtime

    def _accept(self, answer: tuple[SessionId, TaskId], text: str) -> None:
        session_id, task_id = answer
        self.facts.accepted[task_id] = text
        self.tasks.append(task_id)
        if session_id not in self.sessions:
            self.sessions.append(session_id)
            self.readers += [Reader(session_id), Reader(session_id)]

    async def _cancel(self, runtime: Runtime, random: Random) -> None:
        if self.tasks:
            task_id = random.choice(self.tasks[-4:])
            self.facts.disturbed.add(task_id)
            view, was_over = await runtime.cancel(CALLER, task_id, random.choice([0.0, 5.0]))
            if not was_over:
                assert view.task.status in {TaskStatus.CANCELLED, TaskStatus.CANCELLING}
                self.facts.stopped.add(task_id)

    async def _decide(self, runtime: Runtime, random: Random) -> None:
        for task_id in reversed(self.tasks[-6:]):
            view = await runtime.views.task(CALLER, task_id)
            if view.approvals:
                approved = random.random() < 0.7
                on_reject = random.choice(list(OnReject))
                approval = view.approvals[0]
                self.facts.disturbed |= {task_id} if not approved else set()
                decision = Decide(
                    approved=approved,
                    by="somebody",
                    approval_id=approval.id,
                    input_sha256=approval.input_sha256,
                    on_reject=on_reject,
                )
                decided = await runtime.decide(CALLER, task_id, decision)
                assert decided == approval.id
                assert self.facts.decided.setdefault(decided, approved) == approved, "I9: decided twice"
                return

    async def _rename(self, runtime: Runtime, random: Random) -> None:
        if self.sessions:
            self._numbers += 1
            session, title = random.choice(self.sessions), f"title {self._numbers}"
            await runtime.rename(CALLER, session, title)
            self.facts.titles.append((session, title))

    async def _close(self, runtime: Runtime, random: Random) -> None:
        if self.sessions:
            session = random.choice(self.sessions)
            self.facts.disturbed.add(session)
            await runtime.close(CALLER, session, erase=False)

    async def _read(self, runtime: Runtime, random: Random) -> None:
        if self.readers:
            reader = random.choice(self.readers)
            if reader in self._reading:
                return
            self._reading.append(reader)
            try:
                await reader.read(runtime, random.choice([0.5, 5.0, 20.0]))
            finally:
                self._reading.remove(reader)

    _reading: list[Reader] = field(factory=list)
