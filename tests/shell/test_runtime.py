"""The use cases of one node: who may ask what, and what is refused."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from attrs import evolve
from tests.support.node import ME, Node, a_node, settled

from agentcore.asking import Accepted, Ask, Attachment, resolved
from agentcore.books import EventId, GroupBy
from agentcore.caller import Caller, Role
from agentcore.commands import Decide
from agentcore.engine import Abilities
from agentcore.errors import (
    InvalidRequest,
    NotFound,
    RoleRequired,
    SessionClosed,
    SessionNotFound,
    ShuttingDown,
    SttUnavailable,
    ToolNotAllowed,
    UnsupportedMedia,
)
from agentcore.events import Finished, OAuthPrompted, TextDelta
from agentcore.ids import InstanceId, SessionId, TaskId, TenantId
from agentcore.instances import ENGINE as REMOTE
from agentcore.policy import Policy, Rule
from agentcore.remote import Told
from agentcore.runtime import Runtime
from agentcore.speech import Speech
from agentcore.task import OnCrash, TaskStatus
from agentcore.testing.making import TENANT, an_approval, an_id
from agentcore.testing.puppet import NAME
from agentcore_adapters.memory.store import MemoryStore

pytestmark = pytest.mark.anyio
node = a_node
NONE = InstanceId("none")
Use = Callable[[Runtime, Caller, Accepted], Awaitable[object]]
USES: dict[str, tuple[Role, Use]] = {
    "execute": (Role.MEMBER, lambda runtime, me, _: runtime.execute(me, Ask(text="x"))),
    "inject": (Role.MEMBER, lambda runtime, me, task: runtime.inject(me, task.task_id, Ask(text="x"))),
    "speak": (Role.MEMBER, lambda runtime, me, _: runtime.speak(me, None, Ask(text="x"))),
    "hear": (Role.MEMBER, lambda runtime, me, _: runtime.voice.hear(me, Path("x"), None)),
    "cancel": (Role.MEMBER, lambda runtime, me, task: runtime.cancel(me, task.task_id, 1.0)),
    "decide": (Role.APPROVER, lambda runtime, me, task: runtime.decide(me, task.task_id, Decide(approved=True, by=""))),
    "rename": (Role.MEMBER, lambda runtime, me, task: runtime.rename(me, task.session_id, "x")),
    "close": (Role.MEMBER, lambda runtime, me, task: runtime.close(me, task.session_id, erase=False)),
    "switch_engine": (Role.ADMIN, lambda runtime, me, _: runtime.switch_engine(me, NAME)),
    "redeliver": (Role.ADMIN, lambda runtime, me, _: runtime.redeliver(me, EventId("e"))),
    "add": (Role.MEMBER, lambda runtime, me, _: runtime.remote.add(me, Told())),
    "change": (Role.MEMBER, lambda runtime, me, _: runtime.remote.change(me, NONE, Told())),
    "drop": (Role.MEMBER, lambda runtime, me, _: runtime.remote.drop(me, NONE)),
    "webhook_key": (Role.MEMBER, lambda runtime, me, _: runtime.remote.webhook_key(me, NONE)),
}
NOT_ENOUGH = {
    Role.MEMBER: frozenset({Role.VIEWER, Role.APPROVER}),
    Role.APPROVER: frozenset({Role.VIEWER, Role.MEMBER, Role.OPERATOR}),
    Role.ADMIN: frozenset(Role) - {Role.ADMIN},
}
MISSES = {"redeliver", "change", "drop", "webhook_key", "hear"}  # what they need does not exist


@pytest.mark.parametrize("name", USES)
async def test_a_use_case_needs_its_role_and_no_other(node: Node, name: str) -> None:
    role, use = USES[name]
    task = await node.ask()
    await node.say(task, an_approval())
    for roles, is_let in ((NOT_ENOUGH[role], False), (frozenset({role}), True)):
        try:
            with anyio.fail_after(5):
                await use(node.runtime, evolve(ME, roles=roles), task)
        except RoleRequired:
            assert not is_let
        except (NotFound, SttUnavailable):
            assert is_let
            assert name in MISSES
        else:
            assert is_let
            assert name not in MISSES


async def test_who_registers_for_another_is_an_admin(node: Node) -> None:
    member = evolve(ME, roles=frozenset({Role.MEMBER}))
    with pytest.raises(RoleRequired):
        await node.runtime.remote.add(member, Told(), owner="another")
    with pytest.raises(RoleRequired):
        await node.runtime.remote.add(member, Told(), instance_id=InstanceId(an_id()))
    assert (await node.runtime.remote.add(member, Told(), owner="me")).owner == "me"
    assert (await node.runtime.remote.add(ME, Told(), owner="another")).owner == "another"


async def test_a_remote_agent_is_nobodys_default(node: Node) -> None:
    with pytest.raises(InvalidRequest, match="default"):
        await node.runtime.switch_engine(ME, REMOTE)


@pytest.mark.parametrize(
    ("instance", "said", "kept"),
    [
        (None, None, OnCrash.FAIL),
        (NONE, None, OnCrash.RESUME),
        (NONE, OnCrash.FAIL, OnCrash.FAIL),
        (None, OnCrash.RESUME, OnCrash.RESUME),
    ],
)
def test_what_a_caller_does_not_say_takes_its_default(
    instance: InstanceId | None, said: OnCrash | None, kept: OnCrash
) -> None:
    ask = Ask(text="x", instance=instance, on_crash=said)
    assert resolved(ask, TaskId("t"), NAME, Abilities(), "", None, Policy()).params.on_crash is kept


def test_what_may_have_acted_unseen_is_not_restarted() -> None:
    ask = Ask(text="x", on_crash=OnCrash.RESTART_IF_PURE)
    for pure, kept in ((True, OnCrash.RESTART_IF_PURE), (False, OnCrash.FAIL)):
        abilities = Abilities(pure_until_tool=pure)
        assert resolved(ask, TaskId("t"), NAME, abilities, "", None, Policy()).params.on_crash is kept
    ask, abilities = evolve(ask, on_crash=OnCrash.RESUME), Abilities(pure_until_tool=False)
    assert resolved(ask, TaskId("t"), NAME, abilities, "", None, Policy()).params.on_crash is OnCrash.RESUME


async def test_what_was_said_inherits_from_what_it_stops_and_from_nothing_else(node: Node) -> None:
    said = Ask(text="said", max_turns=7)
    queued = await node.queue()
    accepted = await node.runtime.speak(ME, queued.id, said)
    assert (await node.store.task(TENANT, accepted.task_id)).task.params.max_turns == 7
    live = await node.ask()
    accepted = await node.runtime.speak(ME, live.session_id, said)
    assert (await node.store.task(TENANT, accepted.task_id)).task.params.max_turns == 10


async def test_what_was_heard_is_paid_for_though_nobody_waits_for_it_any_more(node: Node) -> None:
    class Ears:
        name = "ears"

        async def transcribe(self, recording: Path, language: str | None) -> Speech:
            client.cancel()
            return Speech(text="x", seconds=1.5, model="m")

        async def close(self) -> None:
            """Has started nothing."""

    voice = evolve(node.runtime.voice, transcriber=Ears())
    with anyio.CancelScope() as client:
        await voice.hear(ME, Path("x"), None)
    assert (await node.store.usage(TENANT, None, None, GroupBy.DAY)).total.audio_s == Decimal("1.5")


async def test_a_tenant_may_ask_for_what_its_rules_give_it(node: Node) -> None:
    node.runtime = evolve(node.runtime, policy=Policy(tenants={TENANT: {"shell.*": Rule.DENY}}))
    with pytest.raises(ToolNotAllowed):
        await node.runtime.execute(ME, Ask(text="x", allowed_tools=("shell.run",)))
    await node.runtime.execute(evolve(ME, tenant_id=TenantId("other")), Ask(text="x", allowed_tools=("shell.run",)))


def test_tools_that_are_denied_cannot_be_asked_for() -> None:
    policy = Policy(rules={"shell.*": Rule.DENY})
    for tools, is_let in ((None, True), ((), True), (("files.read",), True), (("files.read", "shell.run"), False)):
        with nullcontext() if is_let else pytest.raises(ToolNotAllowed, match=r"shell\.run"):
            resolved(Ask(text="x", allowed_tools=tools), TaskId("t"), NAME, Abilities(), "", None, policy)


@pytest.mark.parametrize("name", ["execute", "inject", "speak"])
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


async def test_a_session_that_is_known_and_idle_is_not_read(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    task = await node.ask()
    await node.say(task, Finished())
    known = task.session
    assert known is not None
    with monkeypatch.context() as away:
        away.setattr(MemoryStore, "open_turns", None)
        for _ in range(2):
            task = await node.runtime.execute(ME, Ask(text="x"), session_id=known.id, known=known)
            await settled()
            await node.say(task, Finished())
            assert (task.session_id, task.session_created, task.status) == (known.id, False, TaskStatus.RUNNING)
            assert task.session is not None
            assert task.session.version == known.version + 1
            known = task.session
    assert len(await node.store.history(TENANT, known.id, 99)) == 3


async def test_a_session_that_is_known_and_busy_is_read(node: Node) -> None:
    first = await node.ask()
    second = await node.runtime.execute(ME, Ask(text="x"), session_id=first.session_id, known=first.session)
    await settled()
    assert await node.status(first) is TaskStatus.CANCELLED  # a prompt interrupts, as it does when nothing is known
    assert second.status is TaskStatus.QUEUED


async def test_a_session_that_has_changed_since_it_was_known_is_read(node: Node) -> None:
    first = await node.ask()
    await node.say(first, Finished())
    await node.runtime.rename(ME, first.session_id, "another")
    second = await node.runtime.execute(ME, Ask(text="x"), session_id=first.session_id, known=first.session)
    assert second.session_id == first.session_id
    assert (await node.store.session(TENANT, first.session_id)).session.title == "another"
    await settled()
    await node.say(second, Finished())
    await node.runtime.close(ME, first.session_id, erase=False)
    with pytest.raises(SessionClosed):
        await node.runtime.execute(ME, Ask(text="x"), session_id=first.session_id, known=second.session)


async def test_a_session_that_was_erased_since_it_was_known_becomes_a_new_one(node: Node) -> None:
    first = await node.ask()
    await node.say(first, Finished())
    await node.runtime.close(ME, first.session_id, erase=True)
    second = await node.runtime.execute(ME, Ask(text="x"), session_id=first.session_id, known=first.session)
    assert second.session_created
    assert second.session_id != first.session_id


async def test_a_session_that_is_busy_elsewhere_is_read(node: Node) -> None:
    session = (await node.store.session(TENANT, (await node.queue()).id)).session
    done = await node.runtime.execute(ME, Ask(text="x"), session_id=session.id, known=session)
    assert done.status is TaskStatus.QUEUED
    _, turns = await node.store.open_turns(TENANT, session.id)
    assert [turn.task.id for turn in turns] == [done.task_id]  # the other was interrupted


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
