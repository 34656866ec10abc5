"""No use case is forgotten: each one that takes a caller asks ``access`` before it says or does anything."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define, evolve, field
from tests.support.node import ME, Node, a_node, settled

from agentcore.asking import Accepted, Ask
from agentcore.books import EventId, GroupBy
from agentcore.caller import Caller, Role
from agentcore.commands import Decide
from agentcore.errors import AgentcoreError, RoleRequired
from agentcore.events import OAuthPrompted
from agentcore.ids import InstanceId, SessionId, TaskId
from agentcore.instances import ENGINE as REMOTE
from agentcore.instances import Instance
from agentcore.ports import SessionView
from agentcore.remote import Remote, Told
from agentcore.runtime import Runtime
from agentcore.session import Session
from agentcore.testing.making import a_session, an_approval, an_id
from agentcore.testing.puppet import NAME
from agentcore.views import Views
from agentcore.voice import Voice

pytestmark = pytest.mark.anyio
node = a_node
STRANGER = evolve(ME, subject="stranger", roles=frozenset({Role.VIEWER, Role.MEMBER, Role.APPROVER}))
OVERSEER = evolve(STRANGER, subject="boss", roles=STRANGER.roles | {Role.OPERATOR})
PLACES: Mapping[type, Callable[[Runtime], object]] = {
    Runtime: lambda runtime: runtime,
    Views: lambda runtime: runtime.views,
    Remote: lambda runtime: runtime.remote,
    Voice: lambda runtime: runtime.voice,
}
USES = [
    (kind, name)
    for kind in PLACES
    for name, method in inspect.getmembers(kind, inspect.iscoroutinefunction)
    if not name.startswith("_") and "caller" in inspect.signature(method).parameters
]
#: Proofs that take no caller: a signature, a token, a reserved key.
WITHOUT_A_CALLER = {"deliver", "begin"}


@define
class Ids:
    """What a use case is asked about."""

    session_id: SessionId = field(factory=lambda: SessionId(an_id()))
    task_id: TaskId = field(factory=lambda: TaskId(an_id()))
    instance_id: InstanceId = field(factory=lambda: InstanceId(an_id()))

    def argument(self, use: Callable[..., object], name: str) -> object:
        """Return what is given for a parameter; a new one must be named here."""
        if name == "instance_id" and "told" in inspect.signature(use).parameters and "owner" in _names(use):
            return None  # of one that is to be made
        known: dict[str, object] = {
            "session_id": self.session_id,
            "task_id": self.task_id,
            "instance_id": self.instance_id,
            "session": self._session(),
            "ask": Ask(text="x"),
            "decision": Decide(approved=True, by="x"),
            "told": Told(name="x"),
            "engine": REMOTE if use.__name__ == "called" else NAME,
            "event": EventId(self.task_id),
            "prompt": OAuthPrompted(provider="p", url="https://x.example"),
            "title": "x",
            "token": None,
            "erase": False,
            "wait_s": 1.0,
            "before": None,
            "after": {"messages": (0, 0), "tasks": 0}.get(use.__name__),
            "limit": 10,
            "since": None,
            "until": None,
            "group_by": GroupBy.DAY,
            "state": None,
            "recording": Path("x"),
            "language": None,
        }
        return known[name]

    def _session(self) -> Session:
        return evolve(a_session(), owner=ME.subject, instance=self.instance_id, engine=REMOTE)


def _names(use: Callable[..., object]) -> list[str]:
    return list(inspect.signature(use).parameters)


async def outcome(use: Callable[..., Awaitable[object]], caller: Caller, ids: Ids) -> tuple[object, ...]:
    """Return what a use case says, without what is new each time."""
    needed = [p for p in inspect.signature(use).parameters.values() if p.name != "caller"]
    given = {p.name: ids.argument(use, p.name) for p in needed if p.default is p.empty or p.name == "session_id"}
    try:
        with anyio.fail_after(5):
            answer = await use(caller, **given)
    except AgentcoreError as error:
        return type(error), str(error)
    finally:
        await settled()
    if isinstance(answer, Accepted):
        return Accepted, answer.session_created, answer.status
    return type(answer), _plain(answer)


def _plain(answer: object) -> object:
    if isinstance(answer, Instance):
        return answer.name
    if isinstance(answer, list):
        return [item.session.owner if isinstance(item, SessionView) else type(item) for item in answer]
    return None


async def of_mine(node: Node) -> tuple[Ids, Accepted]:
    """Make one of each, all of them mine; the task waits for a decision."""
    task = await node.ask()
    await node.say(task, an_approval())
    made = await node.runtime.remote.add(ME, Told(name="mine"))
    return Ids(task.session_id, task.task_id, made.id), task


def test_every_use_case_takes_a_caller() -> None:
    for kind in PLACES:
        names = {n for n, _ in inspect.getmembers(kind, inspect.iscoroutinefunction) if not n.startswith("_")}
        assert names - {name for k, name in USES if k is kind} <= WITHOUT_A_CALLER
    assert len(USES) > 25


@pytest.mark.parametrize(("kind", "name"), USES, ids=lambda value: getattr(value, "__name__", value))
async def test_T8_a_use_case_asks_for_a_role_first(node: Node, kind: type, name: str) -> None:
    ids, _ = await of_mine(node)
    use: Any = getattr(PLACES[kind](node.runtime), name)
    for about in (ids, Ids()):
        kind_of_error, *_ = await outcome(use, evolve(ME, roles=frozenset()), about)
        if name == "called":  # asked by use cases that have asked
            continue
        assert kind_of_error is RoleRequired


@pytest.mark.parametrize(("kind", "name"), USES, ids=lambda value: getattr(value, "__name__", value))
async def test_T8_what_is_anothers_is_missing(node: Node, kind: type, name: str) -> None:
    ids, task = await of_mine(node)
    before = (await node.store.snapshot(ME.tenant_id, task.session_id), dict(node.store.state.instances))
    log = (await node.store.log(ME.tenant_id, task.session_id, 1, 100)).entries
    use: Any = getattr(PLACES[kind](node.runtime), name)
    assert await outcome(use, STRANGER, ids) == await outcome(use, STRANGER, Ids())
    assert await node.store.snapshot(ME.tenant_id, task.session_id) == before[0]
    assert (await node.store.log(ME.tenant_id, task.session_id, 1, 100)).entries == log
    assert {key: node.store.state.instances[key] for key in before[1]} == before[1]
    parameters = inspect.signature(use).parameters
    if {"session_id", "task_id"} & set(parameters):  # and an operator is not told that it is missing
        assert await outcome(use, OVERSEER, ids) != await outcome(use, OVERSEER, Ids())


def test_new_use_cases_are_asked_about_ids_that_are_known() -> None:
    """A parameter without a default that nobody has named above fails here, and not as a test that says nothing."""
    for kind, name in USES:
        method = getattr(kind, name)
        for parameter in inspect.signature(method).parameters.values():
            if parameter.name not in {"self", "caller"} and parameter.default is parameter.empty:
                Ids().argument(method, parameter.name)


@define
class Asked:
    """A store that writes down what it is asked."""

    target: Any
    names: list[str] = field(factory=list)

    def __getattr__(self, name: str) -> Any:
        self.names.append(name)
        return getattr(self.target, name)


LOOKS: Mapping[str, tuple[Callable[[Runtime, Accepted], Awaitable[object]], list[str]]] = {
    "execute": (
        lambda runtime, task: runtime.execute(ME, Ask(text="x"), session_id=task.session_id),
        ["open_turns", "commit"],
    ),
    "subscribe": (lambda runtime, task: runtime.views.subscribe(ME, task.session_id), ["session"]),
    "snapshot": (lambda runtime, task: runtime.views.snapshot(ME, task.session_id), ["snapshot"]),
    "task": (lambda runtime, task: runtime.views.task(ME, task.task_id), ["task"]),
    "decide": (
        lambda runtime, task: runtime.decide(ME, task.task_id, Decide(approved=False, by="me")),
        ["task", "turn", "commit"],
    ),
}


@pytest.mark.parametrize("name", LOOKS)
async def test_whose_it_is_stands_in_what_is_read_anyhow(node: Node, name: str) -> None:
    _, task = await of_mine(node)
    use, expected = LOOKS[name]
    house = node.runtime.house
    house.store = asked = Asked(house.store)
    try:
        await use(node.runtime, task)
        names = list(asked.names)  # what follows on its own is not waited for
    finally:
        house.store = asked.target
        await settled()
    assert names == expected
