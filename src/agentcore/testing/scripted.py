"""An engine that says what it is told to.

Law: it is as strict as a real one: one event at a time, nothing ahead of being asked, and leaving it stops it.

Story: a script is a list of engine events and of *moves* (pause, hang, wait for a gate, raise).  Without a script the
newest user message that holds markers is the script, in the grammar that the stub provider speaks too:

    [[say:TEXT]] [[words:N]] [[slow:S]] [[think]] [[tool:NAME:{json}]] [[ask:NAME:{json}]] [[hang]] [[drop]] [[err_mid]]
    [[raise]] [[fail:CODE]] [[late]] [[stubborn:S]] [[no_usage]] [[refuse_image]]
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import anyio
from attrs import define, field, frozen

from agentcore.approval import Approval
from agentcore.engine import Abilities, EngineRequest, EngineState, Foresight, Plan
from agentcore.errors import EngineFailed, UnknownEngine
from agentcore.events import (
    ApprovalRequired,
    BlockEnded,
    Broke,
    CallClosed,
    CallOpened,
    EngineEvent,
    Finished,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
)
from agentcore.ids import ApprovalId, EngineName, TenantId
from agentcore.messages import FilePart, Role
from agentcore.task import Decision, ErrorCode, TaskParams
from agentcore.usage import Outcome, Usage

CANARY = "canary: this text of an exception must never be seen by a client"
MARKER = re.compile(r"\[\[(\w+)(?::((?:[^\]]|\](?!\]))*))?\]\]")
MODEL = "scripted-1"
OPENED = CallOpened(model=MODEL, input_tokens=23)
USAGE = Usage(model=MODEL, input_tokens=23, output_tokens=17, cached_input_tokens=5, reasoning_tokens=3)
FAR = timedelta(days=3650)


@frozen
class Pause:
    """Say nothing for that many seconds."""

    seconds: float


@frozen
class Hang:
    """Say nothing more."""


@frozen
class Gate:
    """Go on when the event is set."""

    event: anyio.Event


@frozen
class Raise:
    """Raise."""

    error: Exception


@frozen
class Stubborn:
    """When told to stop, take that many seconds over it."""

    seconds: float


@frozen
class Await:
    """Wait for the decision on a call, then act on it."""

    asked: ApprovalRequired


Move = EngineEvent | Pause | Hang | Gate | Raise | Stubborn | Await
Script = Iterable[Move] | Callable[[EngineRequest], Iterable[Move]]


@define(eq=False)
class ScriptedRun:
    """One answer under way."""

    request: EngineRequest
    moves: Iterable[Move]
    said: list[EngineEvent] = field(factory=list)
    is_over: bool = False  #: It was left, whoever wanted that.
    was_stopped: bool = False  #: It was left before its script had ended.
    stubborn_s: float = 0.0
    _decided: dict[str, Approval] = field(factory=dict)
    _answered: anyio.Event = field(factory=anyio.Event)
    _interrupted: anyio.Event = field(factory=anyio.Event)

    def interrupt(self) -> None:
        """Wake from a pause or a hang, say what it has cost, and end."""
        self._interrupted.set()

    def answer(self, decided: Sequence[Approval]) -> None:
        """Hear what was decided."""
        self._decided |= {approval.id: approval for approval in decided}
        self._answered.set()

    def __aiter__(self) -> AsyncIterator[EngineEvent]:
        """Say the script."""
        return self._say()

    async def _say(self) -> AsyncGenerator[EngineEvent, None]:
        self.was_stopped = True
        for move in self.moves:
            match move:
                case Pause() | Hang():
                    with anyio.move_on_after(move.seconds if isinstance(move, Pause) else None):
                        await self._interrupted.wait()
                        yield CallClosed(usage=USAGE, outcome=Outcome.CANCELLED)
                        return
                case Gate(event):
                    await event.wait()
                case Raise(error):
                    raise error
                case Stubborn(seconds):
                    self.stubborn_s = seconds
                case Await(asked):
                    async for said in self._act(asked):
                        yield said
                case _:
                    self.said.append(move)
                    yield move
        self.was_stopped = False

    async def _act(self, asked: ApprovalRequired) -> AsyncIterator[EngineEvent]:
        while asked.approval_id not in self._decided:
            self._answered = anyio.Event()
            await self._answered.wait()
        for event in acted(self._decided[asked.approval_id], asked.tool_use_id, asked.tool_name, asked.input):
            yield event


@define(eq=False)
class ScriptedEngine:
    """The engine ``scripted``."""

    script: Script | None = None
    name: EngineName = EngineName("scripted")
    abilities: Abilities = Abilities(tools=True, approvals=True, attachments=True)
    foresees: bool = True  #: It knows its first call, as far as that can be known.
    requests: list[EngineRequest] = field(factory=list)
    runs: list[ScriptedRun] = field(factory=list)

    async def foresee(self, tenant: TenantId, params: TaskParams) -> Foresight | None:  # noqa: ARG002 - a promise
        """Plan what scripts in prompts begin with; of any other script nothing is known."""
        return (lambda _: Plan(opened=OPENED, prepared=None)) if self.foresees and self.script is None else None

    @asynccontextmanager
    async def run(self, request: EngineRequest) -> AsyncIterator[ScriptedRun]:
        """Answer *request* as the script says."""
        script = self.script if self.script is not None else script_of
        run = ScriptedRun(request, script(request) if callable(script) else script)
        self.requests.append(request)
        self.runs.append(run)
        try:
            yield run
        finally:
            if run.stubborn_s:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(run.stubborn_s)
            run.is_over = True


def script_of(request: EngineRequest) -> Iterable[Move]:
    """Read the script in the newest user message that has one."""
    texts = [message.text for message in request.messages if message.role is Role.USER]
    text = next((text for text in reversed(texts) if MARKER.search(text)), texts[-1] if texts else "")
    markers = [(match[1], match[2] or "") for match in MARKER.finditer(text)]
    flags = dict(markers)
    plain = MARKER.sub("", text).strip()
    default = f"You said: {plain}. Messages so far: {len(request.messages)}."
    if "stubborn" in flags:
        yield Stubborn(float(flags["stubborn"]))
    if "refuse_image" in flags and any(isinstance(p, FilePart) for m in request.messages for p in m.parts):
        raise EngineFailed(ErrorCode.EXECUTION_ERROR, "The attachment was refused.", refused_attachments=True)
    yield OPENED
    if "think" in flags:
        yield ThinkingDelta("Let me ")
        yield ThinkingDelta("think.")
        yield BlockEnded()
    for name, value in markers:
        if name in {"tool", "ask"}:
            yield from _tool(request, name, value)
    words = [f"w{i} " for i in range(int(flags.get("words", "0")))]
    pause = float(flags.get("slow", "0"))
    for i, word in enumerate(words or re.findall(r"\S+\s*|\s+", flags.get("say", default))):
        if pause:
            yield Pause(pause)
        yield TextDelta(word)
        if i == 0 and "err_mid" in flags:
            yield Broke(code=ErrorCode.ENGINE_OVERLOADED, message="The provider is overloaded.")
            return
    yield from _end(flags)


def _end(flags: dict[str, str]) -> Iterable[Move]:
    if "hang" in flags:
        yield Hang()
    if "raise" in flags:
        yield Raise(RuntimeError(CANARY))
    if "fail" in flags:
        yield Raise(EngineFailed(flags["fail"], "It failed as it was told to."))
    if "drop" in flags:
        return
    if "no_usage" not in flags:
        yield CallClosed(usage=USAGE)
    yield Finished()
    if "late" in flags:
        for i in range(20):
            yield Pause(0.01)
            yield TextDelta(f"late{i} ")


def _tool(request: EngineRequest, kind: str, value: str) -> Iterable[Move]:
    name, _, text = value.partition(":")
    tool_input: dict[str, Any] = json.loads(text or "{}")
    if request.allowed_tools is not None and name not in request.allowed_tools:
        return
    use_id = f"use-{uuid5(NAMESPACE_OID, f'{request.task_id} {value}')}"
    if kind == "tool":
        yield ToolUse(tool_use_id=use_id, tool_name=name, input=tool_input)
        yield ToolResult(tool_use_id=use_id, output=f"{name} ran")
        return
    if any(getattr(part, "tool_use_id", None) == use_id for message in request.messages for part in message.parts):
        return  # an earlier attempt has called it
    decided = next((decided for decided in request.decisions if decided.tool_use_id == use_id), None)
    if decided is not None:
        yield from acted(decided, use_id, name, tool_input)
        return
    approval_id = ApprovalId(str(uuid5(NAMESPACE_OID, f"{request.task_id} {request.attempt} {value}")))
    expires_at = datetime.now(UTC) + FAR
    asked = ApprovalRequired(
        approval_id=approval_id, tool_use_id=use_id, tool_name=name, input=tool_input, expires_at=expires_at
    )
    yield asked
    yield Await(asked)


def acted(decided: Approval, use_id: str, name: str, tool_input: dict[str, Any]) -> Iterable[EngineEvent]:
    """Do what was decided."""
    yield ToolUse(tool_use_id=use_id, tool_name=name, input=tool_input)
    if decided.decision is Decision.APPROVED:
        yield ToolResult(tool_use_id=use_id, output=f"{name} ran")
    else:
        yield ToolResult(tool_use_id=use_id, output="denied", is_error=True)


@frozen
class ScriptedEngines:
    """A catalogue of scripted engines, the first of which is the default."""

    engines: Sequence[ScriptedEngine]

    def named(self, name: EngineName) -> ScriptedEngine:
        """Look one up."""
        for engine in self.engines:
            if engine.name == name:
                return engine
        raise UnknownEngine(f"There is no engine of that name. Known: {', '.join(e.name for e in self.engines)}.")

    def states(self) -> Sequence[EngineState]:
        """Return all of them."""
        return [
            EngineState(name=e.name, abilities=e.abilities, is_available=True, models=(MODEL,)) for e in self.engines
        ]

    def default(self) -> EngineName:
        """Return the first one's name."""
        return self.engines[0].name
