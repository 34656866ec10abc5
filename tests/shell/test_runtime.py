"""The use cases of one node: who may ask what, and what is refused."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from attrs import evolve
from tests.support.node import ME, Node, a_node

from agentcore.asking import Ask, Attachment, resolved
from agentcore.books import EventId
from agentcore.caller import Caller, Role
from agentcore.commands import Decide
from agentcore.engine import Abilities
from agentcore.errors import NotFound, RoleRequired, SessionNotFound, ShuttingDown, UnsupportedMedia
from agentcore.events import Finished, OAuthPrompted, TextDelta
from agentcore.ids import SessionId, TaskId
from agentcore.policy import Policy
from agentcore.runtime import Accepted, Runtime
from agentcore.task import TaskStatus
from agentcore.testing.making import TENANT, an_approval, an_id
from agentcore.testing.puppet import NAME

pytestmark = pytest.mark.anyio
node = a_node
Use = Callable[[Runtime, Caller, Accepted], Awaitable[object]]
USES: dict[str, tuple[Role, Use]] = {
    "execute": (Role.MEMBER, lambda runtime, me, _: runtime.execute(me, Ask(text="x"))),
    "inject": (Role.MEMBER, lambda runtime, me, task: runtime.inject(me, task.task_id, Ask(text="x"))),
    "cancel": (Role.MEMBER, lambda runtime, me, task: runtime.cancel(me, task.task_id, 1.0)),
    "decide": (Role.APPROVER, lambda runtime, me, task: runtime.decide(me, task.task_id, Decide(approved=True, by=""))),
    "rename": (Role.MEMBER, lambda runtime, me, task: runtime.rename(me, task.session_id, "x")),
    "close": (Role.MEMBER, lambda runtime, me, task: runtime.close(me, task.session_id, erase=False)),
    "switch_engine": (Role.ADMIN, lambda runtime, me, _: runtime.switch_engine(me, NAME)),
    "redeliver": (Role.ADMIN, lambda runtime, me, _: runtime.redeliver(me, EventId("e"))),
}


@pytest.mark.parametrize("name", USES)
async def test_a_use_case_needs_its_role_and_no_other(node: Node, name: str) -> None:
    role, use = USES[name]
    task = await node.ask()
    await node.say(task, an_approval())
    for roles, is_let in ((frozenset(Role) - {role}, False), (frozenset({role}), True)):
        try:
            with anyio.fail_after(5):
                await use(node.runtime, evolve(ME, roles=roles), task)
        except RoleRequired:
            assert not is_let
        except NotFound:
            assert (name, is_let) == ("redeliver", True)
        else:
            assert is_let


@pytest.mark.parametrize("name", ["execute", "inject"])
async def test_a_node_that_goes_away_accepts_nothing(node: Node, name: str) -> None:
    task = await node.ask()
    node.runtime.house.is_draining = True
    with pytest.raises(ShuttingDown):
        await USES[name][1](node.runtime, ME, task)


async def test_a_prompt_goes_into_the_session_that_it_names(node: Node) -> None:
    first = await node.ask()
    again = await node.runtime.execute(ME, Ask(text="x"), session_id=first.session_id)
    assert (again.session_id, again.session_created) == (first.session_id, False)
    other = await node.runtime.execute(ME, Ask(text="x"), session_id=SessionId(an_id()))
    assert other.session_created


async def test_cancelling_what_is_over_says_so(node: Node) -> None:
    task = await node.ask()
    await node.say(task, TextDelta("x"), Finished())
    node.runtime.house.bus = None  # type: ignore[assignment]
    view, was_over = await node.runtime.cancel(ME, task.task_id, 1.0)
    assert (view.task.status, was_over) == (TaskStatus.COMPLETED, True)


async def test_closing_erases_only_if_it_is_asked_to(node: Node) -> None:
    task = await node.ask()
    await node.say(task, Finished())
    await node.runtime.close(ME, task.session_id, erase=False)
    await node.store.session(TENANT, task.session_id)
    await node.runtime.close(ME, task.session_id, erase=True)
    with pytest.raises(SessionNotFound):
        await node.store.session(TENANT, task.session_id)


async def test_consent_is_asked_by_a_person_or_with_the_agents_token(node: Node) -> None:
    task = await node.ask()
    prompt = OAuthPrompted(provider="p", url="u")
    good = node.runtime.seal.oauth_token(TENANT, task.session_id)
    for token in (None, good):
        await node.runtime.ask_consent(ME, task.session_id, prompt, token)
    with pytest.raises(SessionNotFound):
        await node.runtime.ask_consent(ME, task.session_id, prompt, "another")


async def test_attachments_go_only_to_an_engine_that_can_be_shown_them() -> None:
    file = Attachment(media_type="image/png", data=b"x")
    for files, can, is_let in (((), False, True), ((), True, True), ((file,), True, True), ((file,), False, False)):
        ask, abilities = Ask(text="x", attachments=files), Abilities(attachments=can)
        if is_let:
            assert len(resolved(ask, TaskId("t"), NAME, abilities, "", None, Policy()).blobs) == len(files)
            continue
        with pytest.raises(UnsupportedMedia):
            resolved(ask, TaskId("t"), NAME, abilities, "", None, Policy())
