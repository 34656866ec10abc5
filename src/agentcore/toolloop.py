"""An engine made of a model and tools.

Law: a call is on record before it is made, and is made at most once.  What needs a person is asked for and not waited
for: the stream ends, and a later attempt begins with what was decided.  A model always hears of each call it wanted;
what became of it is told as it was: a refusal of a person is called one, and nothing else is.

Story: a *round* is one turn of the model and the calls it wanted.  Calls that may run by themselves are recorded
together and run together; then those that need a person are asked for.  Denied calls have a ``ToolUse``, too: both
providers want a use for each result, in this turn and whenever the history is shown again.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime, timedelta

import anyio
import structlog
from anyio import BrokenResourceError, ClosedResourceError
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from agentcore.approval import Approval, input_hash
from agentcore.calls import Call, Transcript
from agentcore.engine import Abilities, EngineRequest, Foresight, Plan
from agentcore.events import (
    ApprovalRequired,
    Broke,
    CallClosed,
    EngineEvent,
    Finished,
    Suspended,
    ToolResult,
    ToolUse,
)
from agentcore.ids import ApprovalId, EngineName, TenantId
from agentcore.policy import Policy, Rule
from agentcore.task import Decision, ErrorCode, TaskParams
from agentcore.tooling import NO_TOOL, Model, Tool, Toolbox, ToolCall, ToolOutput, WantedCall, planning
from agentcore.usage import Outcome

log = structlog.get_logger("agentcore.toolloop")
CALL_S = 120.0
OUTPUT_CHARS = 50_000  # about a tenth of what a model can be shown; a tool may say anything
NOT_JSON = "The call was not made: its arguments are not a JSON object."
NOT_ALLOWED = "The call was not made: the tool is not allowed here."
CHANGED = "The call was not made: it is not the one that was approved."
EXPIRED = "The call was not made: nobody decided about it in time."
NOT_DECIDED = "The call was not made: it was not approved."
REJECTED = "The call was not made: a person has rejected it."
FAILED = "The tool failed."
TOO_SLOW = "The tool did not answer in time; its effect is not known."
TOO_MANY_TURNS = Broke(code=ErrorCode.MAX_TURNS, message="The task has used all its turns.")


@define(eq=False)
class ToolLoop:
    """Answers with *model*, which may use what is in *toolbox* as far as *policy* lets it."""

    model: Model
    toolbox: Toolbox
    policy: Policy
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    call_s: float = CALL_S  #: Seconds that one call may take.
    _abilities: tuple[Abilities, Abilities] | None = field(default=None, init=False)  # the model's, and what they make

    @property
    def name(self) -> EngineName:
        """The model's name."""
        return self.model.name

    @asynccontextmanager
    async def run(self, request: EngineRequest) -> AsyncIterator["LoopRun"]:
        """Answer *request*."""
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            try:
                async with aclosing(_Rounds(self, request, tasks).say()) as said:
                    yield LoopRun(said)
            except Exception as error:  # noqa: BLE001 - raised again, outside the group, which would wrap it
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    @property
    def abilities(self) -> Abilities:
        """What the model can do; whoever can use tools can be made to ask."""
        own = self.model.abilities
        if self._abilities is None or self._abilities[0] is not own:
            self._abilities = (own, evolve(own, approvals=own.tools))
        return self._abilities[1]

    async def offered(self, tenant: TenantId, allowed: tuple[str, ...] | None) -> Sequence[Tool]:
        """Return the tools that a request of *tenant* has."""
        if not self.model.abilities.tools or allowed == ():
            return ()
        policy = self.policy.of(tenant)
        return [tool for tool in await self.toolbox.tools() if policy.allows(tool.name, allowed)]

    async def foresee(self, tenant: TenantId, params: TaskParams) -> Foresight | None:
        """Plan with the tools that there are now; the run keeps to them."""
        model = planning(self.model)
        if model is None:
            return None
        tools = await self.offered(tenant, params.allowed_tools)

        def plan(request: EngineRequest) -> Plan | None:
            found = model.plan(request, tools)
            return evolve(found, prepared=(tools, found)) if found is not None else None

        return plan


@define(eq=False)
class LoopRun:
    """One answer under way."""

    said: AsyncGenerator[EngineEvent, None]

    def __aiter__(self) -> AsyncIterator[EngineEvent]:
        """Yield what is said."""
        return self.said

    def answer(self, decided: Sequence[Approval]) -> None:
        """Nothing waits here: what needs a person ends the stream."""

    def interrupt(self) -> None:
        """Nothing to ask: a stream is stopped by closing it, a call by giving it up."""


@define(eq=False)
class _Rounds:
    """The rounds of one attempt."""

    loop: ToolLoop
    request: EngineRequest
    tasks: TaskGroup
    tools: Sequence[Tool] = field(factory=tuple)

    async def say(self) -> AsyncGenerator[EngineEvent, None]:
        loop, request = self.loop, self.request
        plan: Plan | None = None
        if request.plan is not None:
            self.tools, plan = request.plan.prepared
        else:
            self.tools = await loop.offered(request.tenant_id, request.allowed_tools)
        talk = Transcript.of(request, loop.new_id)
        # An outer generator that is closed closes nothing inside it; so each inner one is closed by hand.
        if talk.undone:
            async with aclosing(self._make(talk, [self._decided(approval) for approval in talk.undone])) as made:
                async for event in made:
                    yield event
        for number in range(request.turns + 1, request.max_turns + 1):
            wanted: list[WantedCall] = []
            closed: CallClosed | None = None  # held back as long as it may be the last
            shown, plan = evolve(request, messages=talk.messages, plan=plan), None
            async with loop.model.answer(shown, self.tools) as turn:
                async for said in turn:
                    if closed is not None:  # something follows it
                        yield closed
                        closed = None
                    if isinstance(said, WantedCall):
                        wanted.append(said)
                        continue
                    talk.hear(said)
                    if isinstance(said, CallClosed) and not wanted and said.outcome is Outcome.COMPLETED:
                        closed = said
                    else:
                        yield said
            if not wanted:
                yield Finished(closed=closed)
                return
            if number == request.max_turns:  # nobody would hear what comes of them, so they are not made
                break
            calls = [self._judged(talk.named(call)) for call in wanted]
            asked = [call for call in calls if call.refusal is None and call.rule is Rule.ASK]
            async with aclosing(self._make(talk, [call for call in calls if call not in asked])) as made:
                async for event in made:
                    yield event
            for call in asked:
                yield self._asked(call)
            if asked:
                yield Suspended()
                return
        yield TOO_MANY_TURNS

    def _judged(self, call: Call) -> Call:
        """Say whether a call that the model wants is made, asked for, or refused."""
        rule = self.loop.policy.of(self.request.tenant_id).rule(call.name)
        if rule is Rule.DENY:
            return evolve(call, refusal=NOT_ALLOWED)
        if all(tool.name != call.name for tool in self.tools):
            return evolve(call, refusal=NO_TOOL)
        return evolve(call, rule=rule, refusal=call.refusal or (None if call.is_object else NOT_JSON))

    def _decided(self, approval: Approval) -> Call:
        """Say what a decision has made of a call."""
        call = Call(id=approval.tool_use_id, name=approval.tool_name, input=approval.input)
        match approval.decision:
            case Decision.APPROVED if input_hash(call.name, call.input) == approval.input_sha256:
                return self._judged(call)
            case Decision.APPROVED:
                log.error("approval.changed", task_id=self.request.task_id, approval_id=approval.id)
                return evolve(call, refusal=CHANGED)
            case Decision.REJECTED:
                reason = f" The reason given: {approval.reason}" if approval.reason else ""
                return evolve(call, refusal=REJECTED + reason)
            case Decision.EXPIRED:
                return evolve(call, refusal=EXPIRED)
            case _:
                return evolve(call, refusal=NOT_DECIDED)

    def _asked(self, call: Call) -> ApprovalRequired:
        expires_at = self.loop.now() + timedelta(seconds=self.loop.policy.approval_s)
        return ApprovalRequired(
            approval_id=ApprovalId(self.loop.new_id()),
            tool_use_id=call.id,
            tool_name=call.name,
            input=call.input,
            expires_at=min(expires_at, self.request.deadline or expires_at),
        )

    async def _make(self, talk: Transcript, calls: Sequence[Call]) -> AsyncGenerator[EngineEvent, None]:
        """Record all of *calls*, then make those that are not refused, and tell what comes of each as it comes."""
        for call in calls:
            event = ToolUse(tool_use_id=call.id, tool_name=call.name, input=call.input)
            talk.hear(event)
            yield event
        done, results = anyio.create_memory_object_stream[ToolResult](len(calls))
        with done, results:
            for call in calls:
                if call.refusal is not None:
                    result = ToolResult(tool_use_id=call.id, output=call.refusal, is_error=True)
                    done.send_nowait(result)
                else:
                    # In the run's group and not in one of our own: a generator must not yield inside of one.
                    self.tasks.start_soon(self._run, call, done.send_nowait)
            for _ in calls:
                result = await results.receive()
                talk.hear(result)
                yield result

    async def _run(self, call: Call, tell: Callable[[ToolResult], None]) -> None:
        request, output = self.request, ToolOutput(TOO_SLOW, is_error=True)
        made = ToolCall(
            tool_use_id=call.id,
            name=call.name,
            input=call.input,
            session_id=request.session_id,
            task_id=request.task_id,
        )
        try:
            with anyio.move_on_after(self.loop.call_s):
                output = await self.loop.toolbox.call(made)
        except Exception as error:  # noqa: BLE001 - a tool may raise anything; its text is not for the model
            log.warning("tool.raised", task_id=request.task_id, tool=call.name, kind=type(error).__name__)
            output = ToolOutput(FAILED, is_error=True)
        with suppress(ClosedResourceError, BrokenResourceError):  # the run has been left meanwhile
            tell(ToolResult(tool_use_id=call.id, output=bounded(output.text), is_error=output.is_error))


def bounded(text: str) -> str:
    """Cut what a tool says to what a model can be shown."""
    if len(text) <= OUTPUT_CHARS:
        return text
    return f"{text[:OUTPUT_CHARS]}\n[{len(text) - OUTPUT_CHARS} more characters were cut]"
