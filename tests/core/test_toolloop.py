"""The loop, with a model that says what it is told to."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest
from attrs import define, evolve, field

from agentcore.approval import Approval, input_hash
from agentcore.engine import Abilities, EngineRequest, Plan
from agentcore.errors import EngineFailed
from agentcore.events import (
    ApprovalRequired,
    BlockEnded,
    Broke,
    CallClosed,
    CallOpened,
    EngineEvent,
    Finished,
    Suspended,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from agentcore.ids import ApprovalId, EngineName, TenantId
from agentcore.messages import Message, Role, TextPart, ThinkingPart, ToolResultPart, ToolUsePart
from agentcore.policy import Policy, Rule
from agentcore.task import Decision, ErrorCode, TaskParams
from agentcore.testing.contracts.engine import a_request
from agentcore.testing.making import TENANT, an_id, now
from agentcore.tooling import ModelEvent, Tool, Toolboxes, ToolCall, ToolOutput, WantedCall
from agentcore.toolloop import (
    CHANGED,
    EXPIRED,
    FAILED,
    NOT_ALLOWED,
    NOT_DECIDED,
    OUTPUT_CHARS,
    REJECTED,
    TOO_SLOW,
    ToolLoop,
)
from agentcore.usage import Usage

pytestmark = pytest.mark.anyio
CLOSED = CallClosed(usage=Usage(model="m"))
AUTO = Policy(default=Rule.AUTO)


@define(eq=False)
class Told:
    """A model that says its turns, one after another, and keeps what it was shown."""

    turns: list[Sequence[ModelEvent | Exception]]
    name: EngineName = EngineName("told")
    abilities: Abilities = Abilities(tools=True)
    shown: list[tuple[Message, ...]] = field(factory=list)
    offered: list[str] = field(factory=list)

    @asynccontextmanager
    async def answer(self, request: EngineRequest, tools: Sequence[Tool]) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        self.shown.append(request.messages)
        self.offered = [tool.name for tool in tools]

        async def said() -> AsyncIterator[ModelEvent]:
            for event in self.turns.pop(0) if self.turns else (CLOSED,):
                if isinstance(event, Exception):
                    raise event
                yield event

        yield said()


@define(eq=False)
class Planner(Told):
    """A model that knows what it will ask."""

    planned: list[EngineRequest] = field(factory=list)
    given: list[Plan | None] = field(factory=list)

    def plan(self, request: EngineRequest, tools: Sequence[Tool]) -> Plan | None:
        self.planned.append(request)
        opened = CallOpened(model="m", input_tokens=len(tools))
        return Plan(opened=opened, prepared=request) if request.model != "unknown" else None

    @asynccontextmanager
    async def answer(self, request: EngineRequest, tools: Sequence[Tool]) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        self.given.append(request.plan)
        async with Told.answer(self, request, tools) as said:
            yield said


@define(eq=False)
class Box:
    """A tool that does what its input says."""

    calls: list[ToolCall] = field(factory=list)

    async def tools(self) -> Sequence[Tool]:
        return [Tool(name="t.do", description="", input_schema={"type": "object"})]

    async def call(self, call: ToolCall) -> ToolOutput:
        self.calls.append(call)
        match call.input:
            case {"sleep": seconds}:
                await anyio.sleep(seconds)
            case {"say": text}:
                return ToolOutput(text)
            case {"raise": text}:
                raise RuntimeError(text)
        return ToolOutput("done")


def wants(use: str = "1", name: str = "t.do", **arguments: object) -> WantedCall:
    return WantedCall(use, name, arguments)


def a_loop(*turns: Sequence[ModelEvent | Exception], policy: Policy = AUTO) -> tuple[ToolLoop, Told, Box]:
    model, box = Told(list(turns)), Box()
    return ToolLoop(model, box, policy, now, an_id, call_s=0.5), model, box


def a_task(**more: Any) -> EngineRequest:
    return evolve(a_request("go"), allowed_tools=None, **more)


def decided(decision: Decision | None = Decision.APPROVED, use: str = "1", **more: Any) -> Approval:
    approval = Approval(
        id=ApprovalId(an_id()),
        task_id=a_task().task_id,
        tool_use_id=use,
        tool_name="t.do",
        input={"n": 1},
        input_sha256=input_hash("t.do", {"n": 1}),
        expires_at=now() + timedelta(hours=1),
        created_at=now(),
        decision=decision,
    )
    return evolve(approval, **more)


async def heard(loop: ToolLoop, request: EngineRequest | None = None) -> list[EngineEvent]:
    async with loop.run(request or a_task()) as run:
        return [event async for event in run]


def results(said: Sequence[EngineEvent]) -> dict[str, str]:
    return {event.tool_use_id: event.output for event in said if isinstance(event, ToolResult)}


async def test_a_plan_is_for_the_first_turn_and_for_the_tools_that_it_names() -> None:
    loop, _, _ = a_loop()
    params = TaskParams(system_prompt="")
    assert await loop.foresee(TENANT, params) is None  # a model that cannot say
    model = Planner([[wants("1"), CLOSED], [CLOSED]])
    loop.model = model
    foresight = await loop.foresee(TENANT, params)
    assert foresight is not None
    assert foresight(a_task(model="unknown")) is None
    plan = foresight(a_task())
    assert plan is not None
    assert plan.opened == CallOpened(model="m", input_tokens=1)
    without = await loop.foresee(TENANT, evolve(params, allowed_tools=()))
    assert without is not None
    bare = without(a_task())
    assert bare is not None
    assert bare.opened == CallOpened(model="m", input_tokens=0)
    loop.toolbox = Toolboxes()  # its tools are gone meanwhile, and what was planned is still what is said
    await heard(loop, a_task(plan=plan))
    assert [given and given.prepared for given in model.given] == [model.planned[1], None]
    assert model.offered == ["t.do"]


async def test_a_call_is_on_record_before_it_is_made() -> None:
    loop, _, box = a_loop([wants("1"), wants("2"), CLOSED])
    async with loop.run(a_task()) as run:
        async for event in run:
            if isinstance(event, ToolUse):
                await anyio.sleep(0.02)
                assert box.calls == []
    assert [call.tool_use_id for call in box.calls] == ["1", "2"]


async def test_the_next_turn_is_shown_what_the_store_keeps() -> None:
    turn: list[ModelEvent] = [
        ThinkingDelta("h"),
        ThinkingDelta("m"),
        BlockEnded("sig"),
        TextDelta("I "),
        TextDelta("do"),
        wants(),
        CLOSED,
    ]
    loop, model, _ = a_loop(turn)
    assert isinstance((await heard(loop))[-1], Finished)
    _, said, used, result = model.shown[1]
    assert said.parts == (ThinkingPart("hm", "sig"), TextPart("I do"))
    assert used.parts == (ToolUsePart(tool_use_id="1", tool_name="t.do", input={}),)
    assert (result.role, result.parts) == (Role.TOOL, (ToolResultPart(tool_use_id="1", output="done"),))


async def test_a_signature_stays_with_the_thinking_that_it_signs() -> None:
    blocks: list[ModelEvent] = [
        BlockEnded("of nothing"),
        ThinkingDelta("hm"),
        BlockEnded("sig"),
        BlockEnded(None),
        TextDelta("so"),
        BlockEnded("of text"),
    ]
    loop, model, _ = a_loop([*blocks, wants(), CLOSED])
    assert isinstance((await heard(loop))[-1], Finished)
    assert model.shown[1][1].parts == (ThinkingPart("hm", "sig"), TextPart("so"))


async def test_what_a_tool_does_wrong_is_told_in_our_words() -> None:
    long = "x" * (OUTPUT_CHARS + 7)
    calls = [wants("1", raise_="no"), wants("2", **{"raise": "secret"}), wants("3", sleep=9), wants("4", say=long)]
    loop, _, _ = a_loop([*calls, CLOSED])
    with anyio.fail_after(3):
        said = results(await heard(loop))
    assert said["2"] == FAILED
    assert said["3"] == TOO_SLOW
    assert said["4"].endswith("[7 more characters were cut]")
    assert said["1"] == "done"


async def test_a_failing_model_fails_as_itself() -> None:
    loop, _, _ = a_loop([TextDelta("so"), EngineFailed("ENGINE_AUTH", "no")])
    with pytest.raises(EngineFailed, match="no"):
        await heard(loop)


async def test_a_call_has_an_id_that_no_other_has() -> None:
    loop, model, _ = a_loop([wants("x"), wants("x"), wants(""), wants("a b"), CLOSED], [wants("x"), CLOSED])
    said = await heard(loop)
    uses = [event.tool_use_id for event in said if isinstance(event, ToolUse)]
    assert len(set(uses)) == 5
    assert uses[0] == "x"
    assert all(len(use) <= 40 and use.replace("_", "a").isalnum() for use in uses)
    assert set(results(said)) == set(uses)
    assert len(model.shown) == 3


async def test_what_runs_is_what_the_store_has_cleaned() -> None:
    loop, _, box = a_loop([WantedCall("1", "t.do", {"a\0": "b\0", "n": float("nan")}), CLOSED])
    await heard(loop)
    assert box.calls[0].input == {"a": "b", "n": None}


async def test_everything_else_runs_before_a_person_is_asked() -> None:
    policy = Policy(rules={"t.do": Rule.ASK, "u.*": Rule.AUTO}, approval_s=60)
    loop, model, box = a_loop([wants("1", n=1), wants("2", "u.none"), wants("3", n=3), CLOSED], policy=policy)
    deadline = now() + timedelta(seconds=30)
    said = await heard(loop, a_task(deadline=deadline))
    assert [type(event) for event in said] == [
        CallClosed,
        ToolUse,
        ToolResult,
        ApprovalRequired,
        ApprovalRequired,
        Suspended,
    ]
    asked = [event for event in said if isinstance(event, ApprovalRequired)]
    assert [event.tool_use_id for event in asked] == ["1", "3"]
    assert all(event.expires_at == deadline for event in asked)
    assert box.calls == []
    assert len(model.shown) == 1


async def test_what_was_decided_is_carried_out_first_and_in_order() -> None:
    loop, model, box = a_loop(policy=Policy())
    first, second = decided(use="a"), decided(use="b", created_at=now() - timedelta(minutes=1))
    said = await heard(loop, a_task(decisions=(first, second)))
    assert [type(event) for event in said[:2]] == [ToolUse, ToolUse]
    assert [call.tool_use_id for call in box.calls] == ["b", "a"]
    assert [message.role for message in model.shown[0]] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.TOOL]


@pytest.mark.parametrize(
    ("approval", "told"),
    [
        (decided(input={"n": 2}), CHANGED),
        (decided(tool_name="t.other"), CHANGED),
        (decided(Decision.REJECTED, reason="no!"), f"{REJECTED} The reason given: no!"),
        (decided(Decision.REJECTED), REJECTED),
        (decided(Decision.EXPIRED), EXPIRED),
        (decided(Decision.SUPERSEDED), NOT_DECIDED),
        (decided(decision=None), NOT_DECIDED),
    ],
)
async def test_what_was_not_approved_as_it_is_does_not_run(approval: Approval, told: str) -> None:
    loop, model, box = a_loop(policy=Policy())
    said = await heard(loop, a_task(decisions=(approval,)))
    assert results(said)["1"] == told
    assert ("person" in results(said)["1"]) == (approval.decision is Decision.REJECTED)
    assert box.calls == []
    assert isinstance(said[-1], Finished)
    assert len(model.shown) == 1


async def test_an_approval_does_not_outlive_a_rule_or_a_tool() -> None:
    loop, _, box = a_loop(policy=Policy(rules={"t.do": Rule.DENY}))
    assert "not allowed" in results(await heard(loop, a_task(decisions=(decided(),))))["1"]
    loop, _, box = a_loop(policy=Policy())
    request = evolve(a_task(decisions=(decided(),)), allowed_tools=("t.other",))
    assert "no tool" in results(await heard(loop, request))["1"]
    assert box.calls == []


async def test_a_call_that_was_begun_by_a_lost_attempt_is_never_made_again() -> None:
    loop, model, box = a_loop(policy=Policy())
    request = a_task(decisions=(decided(),))
    use = ToolUsePart(tool_use_id="1", tool_name="t.do", input={"n": 1})
    lost = evolve(request.messages[0], role=Role.ASSISTANT, parts=(use,), interrupted=True)
    cut = ToolResultPart(tool_use_id="1", output="cut", is_error=True)
    answered = evolve(lost, role=Role.TOOL, parts=(cut,), interrupted=False)
    said = await heard(loop, evolve(request, messages=(*request.messages, lost, answered)))
    assert not results(said)
    assert box.calls == []
    assert len(model.shown) == 1


async def test_turns_end_and_the_calls_of_the_last_one_are_not_made() -> None:
    turns: list[list[ModelEvent]] = [[wants(str(n)), CLOSED] for n in range(9)]
    loop, model, box = a_loop(*turns)
    said = await heard(loop, a_task(max_turns=3, turns=1))
    assert said[-1] == Broke(code=ErrorCode.MAX_TURNS, message="The task has used all its turns.")
    assert len(model.shown) == 2
    assert len(box.calls) == 1
    said = await heard(loop, a_task(max_turns=3, turns=3))
    assert [type(event) for event in said] == [Broke]


async def test_a_request_has_the_tools_that_it_may_have() -> None:
    loop, model, _ = a_loop()
    await heard(loop, evolve(a_task(), allowed_tools=("t.other",)))
    assert model.offered == []
    await heard(loop, evolve(a_task(), allowed_tools=("t.do",)))
    assert model.offered == ["t.do"]
    model.abilities = Abilities()
    await heard(loop, a_task())
    assert model.offered == []
    assert not loop.abilities.approvals


async def test_leaving_gives_calls_up() -> None:
    loop, _, box = a_loop([wants("1", sleep=60), wants("2", sleep=60), CLOSED])
    loop.call_s = 60
    with anyio.fail_after(5):
        with anyio.move_on_after(0.5):
            await heard(loop)
        async with loop.run(a_task()) as run:
            async for event in run:
                if isinstance(event, ToolUse):
                    break
    assert len(box.calls) == 2


async def test_several_toolboxes_are_one() -> None:
    boxes = Toolboxes([Toolboxes(), Box(), Box()])
    assert [tool.name for tool in await boxes.tools()] == ["t.do"]
    call = ToolCall(tool_use_id="1", name="none", input={}, session_id=a_task().session_id, task_id=a_task().task_id)
    assert (await boxes.call(call)).is_error
    assert await boxes.call(evolve(call, name="t.do")) == ToolOutput("done")


def test_a_rule_is_the_tools_own_else_its_servers_else_the_default() -> None:
    policy = Policy(rules={"a.*": Rule.AUTO, "a.rm": Rule.DENY})
    assert [policy.rule(name) for name in ("a.x", "a.rm", "b.x", "Read")] == ["auto", "deny", "ask", "ask"]
    assert policy.allows("b.x", None)
    assert not policy.allows("b.x", [])
    assert not policy.allows("a.rm", ["a.rm"])


def test_a_tenants_rules_stand_before_the_servers_and_cannot_lift_a_denial() -> None:
    rules = {"a.*": Rule.AUTO, "a.rm": Rule.DENY, "b.x": Rule.AUTO}
    mine = {"a.x": Rule.ASK, "a.rm": Rule.AUTO, "b.*": Rule.DENY, "c.x": Rule.AUTO}
    tenants = {TENANT: mine, TenantId("strict"): {"*": Rule.DENY, "c.x": Rule.ASK}}
    policy = Policy(rules=rules, tenants=tenants)
    names = ("a.x", "a.y", "a.rm", "b.x", "c.x", "c.y")
    assert [policy.of(TENANT).rule(name) for name in names] == ["ask", "auto", "deny", "deny", "auto", "ask"]
    assert [policy.of(TenantId("strict")).rule(name) for name in names] == ["deny"] * 4 + ["ask", "deny"]
    assert [policy.of(TenantId("other")).rule(name) for name in names] == ["auto", "auto", "deny", "auto", "ask", "ask"]
    assert [policy.rule(name) for name in names] == ["auto", "auto", "deny", "auto", "ask", "ask"]


async def test_a_tenant_has_the_tools_that_its_rules_give_it() -> None:
    policy = Policy(default=Rule.AUTO, tenants={TENANT: {"t.do": Rule.DENY}})
    loop, model, box = a_loop([wants("1"), CLOSED], [CLOSED], [wants("2"), CLOSED], policy=policy)
    said = await heard(loop, evolve(a_task(), tenant_id=TENANT))
    assert (model.offered, results(said)["1"], box.calls) == ([], NOT_ALLOWED, [])
    await heard(loop, evolve(a_task(), tenant_id=TenantId("another")))
    assert (model.offered, [call.tool_use_id for call in box.calls]) == (["t.do"], ["2"])
