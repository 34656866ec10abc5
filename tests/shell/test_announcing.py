"""The first call of a task, announced with its beginning."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import anyio
import pytest
from attrs import define, evolve, field
from structlog.testing import capture_logs
from tests.support.node import ME, Node, opened_node, settled

from agentcore.announcing import Announcement
from agentcore.asking import Accepted, Ask
from agentcore.changes import Changes
from agentcore.engine import Abilities, EngineRequest, Foresight, Plan
from agentcore.errors import EngineFailed, StoreUnavailable
from agentcore.events import CallClosed, CallOpened, EngineEvent, Finished, TextDelta
from agentcore.ids import InstanceId, NodeId, TenantId
from agentcore.messages import FilePart, Message, Role, TextPart
from agentcore.observe import Observers
from agentcore.ports import Also, Committed, Grant, Stale, Store
from agentcore.task import ErrorCode, Task, TaskParams, TaskStatus
from agentcore.testing.making import TENANT, a_prompt, a_session, now
from agentcore.testing.puppet import Puppet, PuppetRun
from agentcore.turn import Turn
from agentcore.usage import OpenCall, Usage
from agentcore_adapters.memory.leases import MemoryLeases

pytestmark = pytest.mark.anyio
OPENED = CallOpened(model="m", input_tokens=1_000)
CLOSED = CallClosed(usage=Usage(model="m", input_tokens=900))


@define(eq=False)
class Planner(Puppet):
    """A puppet that knows what it will say first."""

    asked: list[EngineRequest] = field(factory=list)
    error: Exception | None = None
    is_silent: bool = False
    store: Store | None = None
    on_record: list[OpenCall | None] = field(factory=list)  #: The call of each task, as stored when its engine was run.
    steps: list[str] = field(factory=list)  #: What became of its plans.

    async def foresee(self, tenant: TenantId, params: TaskParams) -> Foresight | None:
        assert (tenant, params.max_context_messages) == (TENANT, 20)
        if isinstance(self.error, LookupError):
            raise self.error
        return self.plan

    def plan(self, request: EngineRequest) -> Plan | None:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return None if self.is_silent else Plan(opened=OPENED, prepared=self, begin=self.begin, leave_off=self.abandon)

    def begin(self) -> None:
        self.steps.append("begun")

    def abandon(self) -> None:
        self.steps.append("left off")

    @asynccontextmanager
    async def run(self, request: EngineRequest) -> AsyncIterator[PuppetRun]:
        if self.store is not None:
            self.on_record.append((await self.store.turn(TENANT, request.task_id)).call)
        async with Puppet.run(self, request) as run:
            self.steps.append("run")
            yield run


@define(eq=False)
class Losing:
    """Leases whose beginnings are stored, and not answered."""

    target: MemoryLeases
    loses: bool = True

    async def submit(
        self, changes: Changes, node: NodeId, most: int | None = None, also: Also | None = None
    ) -> tuple[Committed, Grant | None]:
        answer = await self.target.submit(changes, node, most, also)
        if self.loses:
            raise StoreUnavailable("lost")
        return answer

    def __getattr__(self, name: str) -> object:
        return getattr(self.target, name)


@define(eq=False)
class Watcher:
    """Hears of calls."""

    calls: list[tuple[str, datetime]] = field(factory=list)

    def committed(self, changes: Changes, seconds: float) -> None:
        assert not any(ledger.begun for ledger in changes.ledgers if self.calls == [])

    def took(self, grant: Grant) -> None:
        pass

    def called(self, task: Task, call: OpenCall, at: datetime) -> None:
        assert task.driven
        self.calls.append((call.key, at))

    def spoke(self, task: Task, seconds: float) -> None:
        pass


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with opened_node() as node:
        node.puppet = node.runtime.house.engines = Planner(store=node.store)
        yield node
        assert node.runtime.counts.failed == 0


def planner(node: Node) -> Planner:
    assert isinstance(node.puppet, Planner)
    return node.puppet


async def turn_of(node: Node, task: Accepted) -> Turn:
    return await node.store.turn(TENANT, task.task_id)


async def rows(node: Node, task: Accepted) -> list[tuple[str, int]]:
    _, ledger = await node.store.records(TENANT, [task.task_id])
    return [(row.record.key, row.record.usage.input_tokens) for row in ledger]


async def test_a_call_is_on_record_before_its_engine_is_run(node: Node) -> None:
    task = await node.ask()
    (call,) = planner(node).on_record
    assert call is not None
    assert (call.key, call.model, call.input_tokens) == ("1:1", "m", 1_000)
    request = node.run(task).request
    assert (request.plan, request.messages[-1].text) == (Plan(opened=OPENED, prepared=planner(node)), "hello")
    (planned,) = planner(node).asked
    assert evolve(request, plan=None) == planned
    await node.say(task, OPENED, TextDelta("so"), CLOSED, Finished(), None)
    assert await node.status(task) is TaskStatus.COMPLETED
    assert await rows(node, task) == [("1:1", 900)]
    again = await node.runtime.execute(ME, Ask(text="more"), session_id=task.session_id)
    await settled()
    assert [message.text for message in node.run(again).request.messages] == ["hello", "so", "more"]
    await node.say(again, OPENED, CLOSED, Finished(), None)
    assert await rows(node, again) == [("1:1", 900)]


async def test_a_call_is_got_ready_while_it_is_stored_and_left_off_when_its_run_is_over(node: Node) -> None:
    task = await node.ask()
    assert planner(node).steps == ["begun", "run"]
    await node.say(task, OPENED, CLOSED, Finished(), None)
    assert planner(node).steps == ["begun", "run", "left off"]


@pytest.mark.parametrize("error", [Stale("once"), StoreUnavailable("down")], ids=["stale", "down"])
async def test_a_call_whose_announcement_is_not_stored_is_left_off(
    node: Node, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, errors = MemoryLeases.submit, [error]

    async def failing(leases: MemoryLeases, *about: Any) -> tuple[Committed, Grant | None]:
        if not errors:
            return await submit(leases, *about)
        *_, also = about
        also(a_turn(), history(a_turn(), TextPart("hello")))
        raise errors.pop()

    monkeypatch.setattr(MemoryLeases, "submit", failing)
    if isinstance(error, Stale):
        await node.ask()
        assert planner(node).steps == ["begun", "left off", "begun", "run"]
    else:
        with pytest.raises(StoreUnavailable):
            await node.ask()
        assert planner(node).steps == ["begun", "left off"]


async def test_who_watches_hears_of_it_when_it_is_made(node: Node) -> None:
    watcher = Watcher()
    node.runtime.house.observers = Observers((watcher,))
    task = await node.ask()
    assert watcher.calls == []
    node.clock.advance(7)
    await node.say(task, OPENED, CLOSED)
    assert watcher.calls == [("1:1", node.clock.now())]
    await node.say(task, OPENED, CLOSED, Finished(), None)  # the commit has told of this one
    assert len(watcher.calls) == 1


@pytest.mark.parametrize("event", [TextDelta("so"), Finished(), EngineFailed(ErrorCode.ENGINE_AUTH, "no")])
async def test_an_engine_that_does_something_else_pays_nothing_for_what_it_announced(
    node: Node, event: EngineEvent | Exception
) -> None:
    task = await node.ask()
    await node.say(task, event, None)
    assert (await turn_of(node, task)).task.is_final
    assert await rows(node, task) == [("1:1", 0)]


async def test_what_waits_or_goes_on_is_announced_as_it_is_made(node: Node) -> None:
    first = await node.ask()
    second = await node.runtime.execute(ME, Ask(text="next"), session_id=first.session_id)
    await node.say(first, None)
    await settled()
    assert len(planner(node).asked) == 1
    assert node.run(second).request.plan is None
    assert (await turn_of(node, second)).calls == 0
    await node.say(second, OPENED)
    assert (await turn_of(node, second)).calls == 1


@pytest.mark.parametrize("error", [None, LookupError("in foresee"), RuntimeError("canary")])
async def test_an_engine_that_cannot_say_is_run_all_the_same(node: Node, error: Exception | None) -> None:
    planner(node).error, planner(node).is_silent = error, error is None
    with capture_logs() as logs:
        task = await node.ask()
    told = [entry for entry in logs if entry["event"] == "engine.unforeseen"]
    assert [entry["kind"] for entry in told] == ([type(error).__name__] if error else [])
    assert "canary" not in str(logs)
    assert node.run(task).request.plan is None
    assert (await turn_of(node, task)).calls == 0
    await node.say(task, OPENED, CLOSED, Finished(), None)
    assert await rows(node, task) == [("1:1", 900)]


async def test_a_beginning_whose_answer_was_lost_is_begun_again_for_nothing(node: Node) -> None:
    node.runtime.house.leases = Losing(node.leases)  # type: ignore[assignment]
    with anyio.fail_after(5):
        task = await node.ask()
        while task.task_id not in planner(node).runs:
            await anyio.sleep(0.01)
    stored = await turn_of(node, task)
    assert (stored.task.status, stored.task.attempt) == (TaskStatus.RUNNING, 2)
    assert node.run(task).request.plan is None
    await node.say(task, OPENED, CLOSED, Finished(), None)
    assert await node.status(task) is TaskStatus.COMPLETED
    assert await rows(node, task) == [("1:1", 0), ("2:2", 900)]


async def test_what_was_begun_again_is_driven_like_any_other(node: Node) -> None:
    node.runtime.house.leases = losing = Losing(node.leases)  # type: ignore[assignment]
    with anyio.fail_after(5):
        task = await node.ask()
        while task.task_id not in planner(node).runs:
            await anyio.sleep(0.01)
    losing.loses = False
    lane, reading = node.reading()
    with lane:  # it is remembered what was lost
        await node.say(task, OPENED)
        reading.lose()
        await settled()
        await lane.reconcile()
    stored = await turn_of(node, task)
    assert (stored.task.status, stored.task.error_code) == (TaskStatus.FAILED, ErrorCode.NODE_LOST)
    assert await rows(node, task) == [("1:1", 0), ("2:2", 1_000)]


# ---------------------------------------------------------------------------------------------- what can be announced
def a_turn(change: Callable[[TaskParams], TaskParams] = lambda params: params) -> Turn:
    prompt, session = a_prompt(), evolve(a_session(), version=1)
    task = Task(
        id=prompt.task_id,
        tenant_id=TENANT,
        session_id=session.id,
        engine=prompt.engine,
        params=change(prompt.params),
        prompt=prompt.parts,
        deadline=now(),
        created_at=now(),
        status=TaskStatus.QUEUED,
    )
    return Turn(session=session, task=task, position=0).begin(now())[0]


def history(turn: Turn, *parts: TextPart | FilePart) -> list[Message]:
    return [turn.message(Role.USER, parts, now())[1]]


FILE = FilePart(media_type="image/png", sha256="00", size=3)


@pytest.mark.parametrize(
    ("change", "parts", "abilities"),
    [
        (lambda params: params, (FILE,), {}),
        (lambda params: evolve(params, instance=InstanceId("i")), (), {}),
        (lambda params: params, (), {"resume": True}),
        (lambda params: params, (), {"context_tokens": 1}),
        (lambda params: evolve(params, max_output_tokens=0), (), {}),
    ],
    ids=["files", "remote", "a conversation of its own", "too large", "spent"],
)
async def test_nothing_is_announced_for_which_more_must_be_read(
    change: Callable[[TaskParams], TaskParams], parts: tuple[FilePart, ...], abilities: dict[str, Any]
) -> None:
    turn, engine = a_turn(change), Planner()
    engine.abilities = evolve(Abilities(), **abilities)
    announcement = Announcement(engine, engine.plan)
    same, changes = announcement(turn, history(turn, TextPart("hello"), *parts))
    assert (same, changes.is_durable, announcement.request) == (turn, False, None)


async def test_what_was_planned_for_a_try_that_was_given_up_is_forgotten() -> None:
    turn, engine = a_turn(), Planner()
    announcement = Announcement(engine, engine.plan)
    announced, changes = announcement(turn, history(turn, TextPart("hello")))
    assert announced.call is not None
    assert changes.at == turn.task.started_at
    assert announcement.request is not None
    assert engine.steps == ["begun"]
    engine.is_silent = True
    assert announcement(turn, history(turn, TextPart("hello")))[0] is turn
    assert announcement.request is None
    assert engine.steps == ["begun", "left off"]
