"""The bus between nodes, on NATS core subjects.

Law: everything here may be lost.  Whoever listens in this process is told in this process; another node is told if it
has said that it listens, with all that there is for it in one message.  Nothing waits for NATS, and nothing is kept
for it: what cannot be sent is dropped and counted.

Story: a node says what it listens to (``Listens``) when that begins, every few seconds, and to whoever comes
(``Hello``).  What is told goes to the subject of each node that listens; wakes and questions go to the subject of all.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress

import anyio
import structlog
from anyio import CancelScope, current_time, move_on_after
from attrs import define, field, frozen
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from agentcore.bus import Ask, BusState, Ear, Woken
from agentcore.follow import Entry, Head, Live
from agentcore.ids import NodeId, SessionId, TenantId
from agentcore_adapters.ears import Ears, Nodes
from agentcore_adapters.nats.connection import NatsConnection
from agentcore_adapters.nats.frames import (
    AskTail,
    Envelope,
    Hello,
    Leaves,
    Listens,
    Look,
    Message,
    Refused,
    Tail,
    Told,
    beginning_of,
    live_of,
    packed,
    told_of,
)

log = structlog.get_logger("agentcore.bus")
TAIL_S = 0.2  # a driver that does not answer by then is waited for no more: the checkpoint brings it
RENEW_S = 5.0  # a node says so often what it listens to
LISTENS_S = 15.0  # a node that has not said so for that long listens no more
SESSIONS = 5000  # in one message
HELD_CHARS = 4 * 1024 * 1024  # told and not yet sent; more is dropped
ITEM_CHARS, EVENT_CHARS = 200, 2000  # what a piece of text counts for besides itself, and an event
SAID = 100_000  # wakes and the like that are not yet sent; more are dropped
REFUSED_S = 60.0  # a stranger is mentioned at most so often
BYE_S = 1


@frozen
class Subjects:
    """Where messages go; one prefix for each deployment."""

    prefix: str

    @property
    def all(self) -> str:
        """To every node."""
        return f"{self.prefix}.all"

    def of(self, node: str) -> str:
        """To one node."""
        return f"{self.prefix}.node.{node}"


@define(eq=False)
class NatsBus:
    """Tells whoever listens, on this node and on others."""

    connection: NatsConnection
    envelope: Envelope
    node: NodeId
    subjects: Subjects
    tail_s: float = TAIL_S
    ears: Ears = field(factory=Ears)
    nodes: Nodes = field(factory=Nodes)
    sent: int = 0
    heard: int = 0
    dropped: int = 0
    refused: int = 0
    _readers: dict[SessionId, dict[str, float]] = field(factory=dict)  # nodes that listen, and until when
    _told: dict[str, dict[SessionId, list[Entry | Live | Head]]] = field(factory=dict)  # by subject
    _held: int = 0  # characters in it
    _said: list[tuple[str, Message]] = field(factory=list)  # with its subject
    _stirred: anyio.Event = field(factory=anyio.Event)
    _questions: dict[int, "_Question"] = field(factory=dict)
    _number: int = 0
    _complained_at: float = float("-inf")

    # ------------------------------------------------------------------------------------------------ what is asked
    def tell(self, session_id: SessionId, said: Sequence[Entry | Live | Head]) -> None:
        """Tell whoever listens."""
        self.ears.tell(session_id, said)
        readers = self._readers.get(session_id)
        if not readers or all(isinstance(item, Head) for item in said):  # others look at the heads themselves
            return
        if not self.connection.is_connected or self._held > HELD_CHARS:
            self.dropped += len(readers)
            return
        for node in readers:
            self._told.setdefault(self.subjects.of(node), {}).setdefault(session_id, []).extend(said)
        self._held += sum(ITEM_CHARS + len(item.text) if isinstance(item, Live) else EVENT_CHARS for item in said)
        self._stirred.set()

    def wake(self, tenant_id: TenantId, session_id: SessionId, *, waits: bool = False) -> None:
        """Ask every node to look."""
        self.nodes.wake(tenant_id, session_id, waits=waits)
        self._say(self.subjects.all, Look(tenant_id, session_id, waits))

    @contextmanager
    def listen(self, tenant_id: TenantId, session_id: SessionId) -> Iterator[Ear]:
        """Listen to a session from now on; other nodes know it as soon as they hear of it."""
        if session_id not in self.ears:
            self._say(self.subjects.all, Listens(self.node, (session_id,)))
        try:
            with self.ears.listen(tenant_id, session_id) as ear:
                yield ear
        finally:
            if session_id not in self.ears:
                self._say(self.subjects.all, Leaves(self.node, (session_id,)))

    def listened(self) -> list[tuple[TenantId, SessionId]]:
        """Return the sessions that somebody here listens to."""
        return self.ears.places()

    async def tail(self, tenant_id: TenantId, session_id: SessionId) -> tuple[Live, ...] | None:
        """Ask the driver, here or elsewhere, for the text that is told and not durable."""
        if (here := await self.nodes.tail(tenant_id, session_id)) is not None:
            return here
        if not self.connection.is_connected:
            return None
        self._number = number = self._number + 1
        question = self._questions[number] = _Question()
        self._say(self.subjects.all, AskTail(self.node, number, tenant_id, session_id))
        try:
            with move_on_after(self.tail_s):
                await question.answered.wait()
        finally:
            del self._questions[number]
        return question.tail

    def serve(self, ask: Ask, woken: Woken) -> AbstractContextManager[None]:
        """Answer questions and hear wakes from now on."""
        return self.nodes.serve(ask, woken)

    def state(self) -> BusState:
        """Say how it does."""
        return BusState(
            is_connected=self.connection.is_connected,
            sent=self.sent,
            heard=self.heard,
            dropped=self.dropped,
            refused=self.refused,
        )

    # ------------------------------------------------------------------------------------------------- what is sent
    async def run(self) -> None:
        """Send and listen until cancelled."""
        async with anyio.create_task_group() as tasks:
            await self.connection.at_each(self._greet)
            tasks.start_soon(self._renew)
            while True:
                await self._stirred.wait()
                self._stirred = anyio.Event()
                await self._send()

    async def bye(self) -> None:
        """Send what is left, and that nobody listens here any more."""
        for sessions in _some(self.ears.sessions()):
            self._say(self.subjects.all, Leaves(self.node, sessions))
        await self._send()
        if (client := self.connection.client) is not None:
            with suppress(NatsError, TimeoutError):
                await client.flush(BYE_S)

    async def _greet(self, client: Client) -> None:
        self._readers.clear()  # who still listens says so again
        await client.subscribe(self.subjects.all, cb=self._hear)
        await client.subscribe(self.subjects.of(self.node), cb=self._hear)
        await client.publish(self.subjects.all, self.envelope.seal(Hello(self.node)))
        for message in self._listens():
            await client.publish(self.subjects.all, self.envelope.seal(message))

    async def _renew(self) -> None:
        while True:
            await anyio.sleep(RENEW_S)
            for message in self._listens():
                self._say(self.subjects.all, message)
            now = current_time()
            for session_id, readers in list(self._readers.items()):
                for node in [node for node, until in readers.items() if until < now]:
                    self._forget(session_id, node)

    def _listens(self) -> Iterator[Message]:
        for sessions in _some(self.ears.sessions()):
            yield Listens(self.node, sessions)

    def _say(self, subject: str, message: Message) -> None:
        if self.connection.is_connected and len(self._said) < SAID:
            self._said.append((subject, message))
            self._stirred.set()
        else:
            self.dropped += 1

    async def _send(self) -> None:
        said, self._said = self._said, []
        told, self._told, self._held = self._told, {}, 0
        for subject, message in said:
            await self._publish(subject, message)
        for subject, sessions in told.items():
            try:
                messages = list(packed(sessions))
            except Exception as error:  # noqa: BLE001 - what cannot be written is lost, and nothing else
                self._failed(error)
                continue
            for message in messages:
                await self._publish(subject, message)

    async def _publish(self, subject: str, message: Message) -> None:
        client = self.connection.client
        if client is None:
            self.dropped += 1
            return
        try:
            await client.publish(subject, self.envelope.seal(message))
        except (NatsError, OSError) as error:
            self.dropped += 1
            log.info("bus.dropped", kind=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the same
            self._failed(error)
        else:
            self.sent += 1

    def _failed(self, error: Exception) -> None:
        self.dropped += 1
        log.error("bus.failed", kind=type(error).__name__)

    # ------------------------------------------------------------------------------------------------ what is heard
    async def _hear(self, msg: Msg) -> None:
        try:
            message = self.envelope.open(msg.data)
        except Refused as reason:
            self.refused += 1
            now = current_time()
            if now - self._complained_at > REFUSED_S:  # most likely a node with another AGENTCORE_SECRET_KEY
                self._complained_at = now
                log.warning("bus.refused", reason=str(reason))
            return
        self.heard += 1
        try:
            await self._take(message)
        except Exception as error:  # noqa: BLE001 - whoever is asked may raise anything; the next message is heard
            log.error("bus.failed", kind=type(error).__name__)

    async def _take(self, message: Message) -> None:
        match message:
            case Told(sessions):
                for name, items in sessions:
                    self.ears.tell(SessionId(name), [told_of(item) for item in items])
            case Hello(node):
                for listens in self._listens():
                    self._say(self.subjects.of(node), listens)
            case Listens(node, names):
                until = current_time() + LISTENS_S
                for name in names:
                    self._readers.setdefault(SessionId(name), {})[node] = until
            case Leaves(node, names):
                for name in names:
                    self._forget(SessionId(name), node)
            case Look(tenant, session, waits):
                self.nodes.wake(TenantId(tenant), SessionId(session), waits=waits)
            case AskTail(node, number, tenant, session):
                tail = await self.nodes.tail(TenantId(tenant), SessionId(session))
                if tail is not None:
                    self._say(self.subjects.of(node), Tail(number, beginning_of(tail)))
            case Tail(number, said):
                if (question := self._questions.get(number)) is not None:
                    question.tail = tuple(map(live_of, said))
                    question.answered.set()

    def _forget(self, session_id: SessionId, node: str) -> None:
        readers = self._readers.get(session_id, {})
        readers.pop(node, None)
        if not readers:
            self._readers.pop(session_id, None)


@define(eq=False)
class _Question:
    """A tail that is asked for."""

    answered: anyio.Event = field(factory=anyio.Event)
    tail: tuple[Live, ...] | None = None


def _some(sessions: Sequence[SessionId]) -> Iterator[tuple[str, ...]]:
    """Yield so many at a time as go into one message."""
    for begin in range(0, len(sessions), SESSIONS):
        yield tuple(sessions[begin : begin + SESSIONS])


@asynccontextmanager
async def nats_bus(
    connection: NatsConnection, keys: Sequence[bytes], node: NodeId, prefix: str, tail_s: float = TAIL_S
) -> AsyncIterator[NatsBus]:
    """Open the bus of one node.

    *keys*: the same on every node, 32 bytes or more each; the first seals, all are believed.  *prefix*: of the
    subjects, one for each deployment.  *tail_s*: how long a driver is waited for that is asked for its tail.
    """
    bus = NatsBus(connection, Envelope(tuple(keys)), node, Subjects(prefix), tail_s)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.run)
        try:
            yield bus
        finally:
            with CancelScope(shield=True), move_on_after(BYE_S):
                await bus.bye()
            tasks.cancel_scope.cancel()
