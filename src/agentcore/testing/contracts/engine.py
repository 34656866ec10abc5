"""What every Engine promises."""

from collections.abc import Sequence

import anyio
import pytest
from attrs import evolve

from agentcore.approval import Approval, OnReject, input_hash
from agentcore.engine import Engine, EngineRequest, foreseeing
from agentcore.errors import EngineFailed
from agentcore.events import (
    ApprovalRequired,
    Broke,
    CallClosed,
    CallOpened,
    EngineEvent,
    Finished,
    TextDelta,
    ToolResult,
    ToolUse,
)
from agentcore.ids import MessageId, SessionId, TaskId
from agentcore.messages import Message, Role, TextPart
from agentcore.task import Decision, TaskParams
from agentcore.testing.making import TENANT, an_id, now

STOP_S = 5.0


def a_request(*texts: str, allowed_tools: tuple[str, ...] | None = ()) -> EngineRequest:
    """Make a request of a conversation: user, assistant, user, ..."""
    task_id = TaskId(an_id())
    messages = tuple(
        Message(
            id=MessageId(f"{task_id}.{i}"),
            task_id=task_id,
            role=Role.ASSISTANT if i % 2 else Role.USER,
            parts=(TextPart(text),),
            at=now(),
        )
        for i, text in enumerate(texts)
    )
    return EngineRequest(
        tenant_id=TENANT,
        session_id=SessionId(an_id()),
        task_id=task_id,
        attempt=1,
        system_prompt="Be brief.",
        messages=messages,
        blobs={},
        max_turns=10,
        allowed_tools=allowed_tools,
        model=None,
    )


def calls_in(said: Sequence[EngineEvent]) -> list[CallOpened | CallClosed]:
    """Return the beginnings and the ends of calls; an engine may say the last end with its answer."""
    closed = [event.closed if isinstance(event, Finished) else event for event in said]
    return [event for event in closed if isinstance(event, CallOpened | CallClosed)]


class EngineContract:
    """Give it a fixture ``engine``, and override the prompts that it needs.

    What an engine declares is tested: one with ``tools`` needs ``TOOL_PROMPT``, upon which it calls a tool that runs by
    itself; one with ``approvals`` needs ``ASK_PROMPT``, upon which it calls ``ASKS`` tools that need a person.
    """

    pytestmark = pytest.mark.anyio
    PROMPT = "Say hello."
    TOOL_PROMPT: str | None = None
    ASK_PROMPT: str | None = None
    ASKS = 1
    FORESEES = False  #: Once it has answered, it knows its first call before it is run.
    CALLS_AGAIN = False  #: What was decided is given to the same call when its model makes it again, under another id.

    def effects(self, engine: Engine) -> int | None:  # noqa: ARG002 - for who overrides it
        """Return how often a tool has run; None if that cannot be seen from here."""
        return None

    async def test_an_answer_ends_once_and_says_something(self, engine: Engine) -> None:
        said = await self._all(engine)
        ends = [event for event in said if isinstance(event, Finished | Broke)]
        assert ends == [said[-1]]
        text = "".join(event.text for event in said if isinstance(event, TextDelta))
        assert text or (isinstance(said[-1], Finished) and said[-1].summary)

    async def test_each_call_is_opened_then_closed(self, engine: Engine) -> None:
        calls = calls_in(await self._all(engine))
        assert [type(event) for event in calls] == [CallOpened, CallClosed] * (len(calls) // 2)
        if engine.abilities.usage:
            assert calls

    async def test_leaving_early_stops_it(self, engine: Engine) -> None:
        with anyio.fail_after(STOP_S):
            async with engine.run(a_request(self.PROMPT)) as run:
                async for event in run:
                    if isinstance(event, TextDelta):
                        break

    async def test_being_cancelled_stops_it(self, engine: Engine) -> None:
        with anyio.fail_after(STOP_S), anyio.CancelScope() as scope:
            async with engine.run(a_request(self.PROMPT)) as run:
                async for event in run:
                    if isinstance(event, TextDelta):
                        scope.cancel()
        assert scope.cancelled_caught or scope.cancel_called

    async def test_two_answers_at_once_do_not_mix(self, engine: Engine) -> None:
        alone = await self._all(engine)
        found: list[list[EngineEvent]] = []

        async def one() -> None:
            found.append(await self._all(engine))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            tasks.start_soon(one)
        texts = ["".join(e.text for e in said if isinstance(e, TextDelta)) for said in (alone, *found)]
        assert texts[1] == texts[2] == texts[0]

    async def test_it_begins_with_what_it_has_planned(self, engine: Engine) -> None:
        able = foreseeing(engine)
        if able is None:
            assert not self.FORESEES
            return
        alone = await self._all(engine)
        request, params = a_request(self.PROMPT), TaskParams(system_prompt="Be brief.", allowed_tools=())
        foresight = await able.foresee(TENANT, params)
        plan = foresight(request) if foresight is not None else None
        assert (plan is not None) is self.FORESEES
        if foresight is None or plan is None:
            return
        assert foresight(request) == plan  # nothing was done
        said = await self._run(engine, evolve(request, plan=plan))
        assert said[0] == plan.opened == alone[0]
        assert [type(event) for event in calls_in(said)] == [type(event) for event in calls_in(alone)]

    # ------------------------------------------------------------------------------------------------------ tools
    async def test_a_call_comes_before_its_result_and_each_has_one(self, engine: Engine) -> None:
        if not engine.abilities.tools:
            return
        said = await self._all(engine, self._tool_prompt(), allowed_tools=None)
        uses = [event.tool_use_id for event in said if isinstance(event, ToolUse)]
        results = [event.tool_use_id for event in said if isinstance(event, ToolResult)]
        assert uses
        assert len(set(uses)) == len(uses)
        assert sorted(results) == sorted(uses)
        order = [event.tool_use_id for event in said if isinstance(event, ToolUse | ToolResult)]
        assert all(order.index(use) < len(order) - 1 - order[::-1].index(use) for use in uses)
        assert isinstance(said[-1], Finished)

    async def test_a_call_is_made_when_the_event_after_it_is_asked_for(self, engine: Engine) -> None:
        before = self.effects(engine)
        if before is None or not engine.abilities.tools:
            return
        with anyio.fail_after(STOP_S):
            async with engine.run(a_request(self._tool_prompt(), allowed_tools=None)) as run:
                async for event in run:
                    if isinstance(event, ToolUse):
                        await anyio.sleep(0.05)
                        assert self.effects(engine) == before
                        break
        assert self.effects(engine) == before

    async def test_a_request_without_tools_calls_none(self, engine: Engine) -> None:
        before = self.effects(engine)
        if not engine.abilities.tools:
            return
        said = await self._all(engine, self._tool_prompt(), allowed_tools=())
        assert not [event for event in said if isinstance(event, ToolResult) and not event.is_error]
        assert self.effects(engine) == before

    # -------------------------------------------------------------------------------------------------- approvals
    async def test_what_needs_a_person_is_asked_for_and_not_done(self, engine: Engine) -> None:
        if not engine.abilities.approvals:
            return
        before = self.effects(engine)
        said, asked = await self._asked(engine)
        assert len({event.approval_id for event in asked}) == len({event.tool_use_id for event in asked}) == self.ASKS
        assert all(event.expires_at > now() for event in asked)
        done = ToolResult if self.CALLS_AGAIN else ToolUse | ToolResult  # a model's call may be on record before
        assert not {event.tool_use_id for event in said if isinstance(event, done)} & {e.tool_use_id for e in asked}
        assert not [event for event in said if isinstance(event, Finished | Broke)]
        assert self.effects(engine) == before

    async def test_what_was_approved_is_done_once_by_a_later_attempt(self, engine: Engine) -> None:
        if not engine.abilities.approvals:
            return
        before = self.effects(engine)
        _, asked = await self._asked(engine)
        said = await self._after(engine, asked, Decision.APPROVED)
        assert before is None or self.effects(engine) == before + self.ASKS
        for event in asked:
            uses = self._calls(said, event)
            assert [(use.tool_name, use.input) for use in uses] == [(event.tool_name, event.input)]
            assert [result.is_error for result in self._results(said, event)] == [False]
        assert not [event for event in said if isinstance(event, ApprovalRequired)]
        assert isinstance(said[-1], Finished)

    async def test_what_was_rejected_is_told_and_not_done(self, engine: Engine) -> None:
        if not engine.abilities.approvals:
            return
        before = self.effects(engine)
        _, asked = await self._asked(engine)
        said = await self._after(engine, asked, Decision.REJECTED)
        for event in asked:
            assert [result.is_error for result in self._results(said, event)] == [True]
        assert isinstance(said[-1], Finished)
        assert self.effects(engine) == before

    def _calls(self, said: list[EngineEvent], asked: ApprovalRequired) -> list[ToolUse]:
        uses = [event for event in said if isinstance(event, ToolUse)]
        if self.CALLS_AGAIN:
            return [use for use in uses if (use.tool_name, use.input) == (asked.tool_name, asked.input)]
        return [use for use in uses if use.tool_use_id == asked.tool_use_id]

    def _results(self, said: list[EngineEvent], asked: ApprovalRequired) -> list[ToolResult]:
        ids = {use.tool_use_id for use in self._calls(said, asked)} or {asked.tool_use_id}
        return [event for event in said if isinstance(event, ToolResult) and event.tool_use_id in ids]

    def _tool_prompt(self) -> str:
        assert self.TOOL_PROMPT is not None, "it declares tools: say by TOOL_PROMPT how it is made to call one"
        return self.TOOL_PROMPT

    async def _asked(self, engine: Engine) -> tuple[list[EngineEvent], list[ApprovalRequired]]:
        """Let it ask; it may then end its stream, or wait and be left."""
        assert self.ASK_PROMPT is not None, "it declares approvals: say by ASK_PROMPT how it is made to ask"
        said: list[EngineEvent] = []
        asked: list[ApprovalRequired] = []
        with anyio.fail_after(STOP_S):
            async with engine.run(self._ask_request()) as run:
                async for event in run:
                    said.append(event)
                    asked = [event for event in said if isinstance(event, ApprovalRequired)]
                    if len(asked) == self.ASKS:
                        break
        assert len(asked) == self.ASKS
        return said, asked

    def _ask_request(self) -> EngineRequest:
        assert self.ASK_PROMPT is not None
        request = a_request(self.ASK_PROMPT, allowed_tools=None)
        return evolve(request, task_id=TaskId("00000000-0000-4000-8000-000000000001"))  # both attempts are one task's

    async def _after(self, engine: Engine, asked: list[ApprovalRequired], decision: Decision) -> list[EngineEvent]:
        request = self._ask_request()
        decisions = tuple(
            Approval(
                id=event.approval_id,
                task_id=request.task_id,
                tool_use_id=event.tool_use_id,
                tool_name=event.tool_name,
                input=event.input,
                input_sha256=input_hash(event.tool_name, event.input),
                expires_at=event.expires_at,
                created_at=now(),
                decision=decision,
                on_reject=OnReject.CONTINUE,
                decided_at=now(),
                by="somebody",
            )
            for event in asked
        )
        return await self._run(engine, evolve(request, attempt=2, decisions=decisions))

    async def _all(
        self, engine: Engine, prompt: str | None = None, allowed_tools: tuple[str, ...] | None = ()
    ) -> list[EngineEvent]:
        return await self._run(engine, a_request(prompt or self.PROMPT, allowed_tools=allowed_tools))

    async def _run(self, engine: Engine, request: EngineRequest) -> list[EngineEvent]:
        said: list[EngineEvent] = []
        try:
            async with engine.run(request) as run:
                said.extend([event async for event in run])
        except EngineFailed as error:  # an engine may end so, but not in this suite
            raise AssertionError(f"the engine failed: {error}") from error
        return said
