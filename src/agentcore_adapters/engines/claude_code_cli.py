"""The engine ``claude_code_cli``: the program ``claude``, spoken to over its standard input and output.

Law: one process for one answer.  Its conversation is ours: the transcript lies in the store, is laid out for each
process and taken away after it, so any node can go on with it.

Story: the program is told what the conversation does not know yet, or, if it cannot take the conversation up again,
the history.  What it says is read a frame at a time; nothing is answered before what led to it is settled, so no tool
runs before its call is on record.
"""

import signal
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from attrs import define, field

from agentcore.approval import Approval
from agentcore.changes import Conversation
from agentcore.engine import Abilities, EngineRequest
from agentcore.events import EngineEvent, Finished, ResumeLost
from agentcore.ids import EngineName
from agentcore.policy import Policy
from agentcore.task import ErrorCode
from agentcore.usage import Outcome, Price
from agentcore_adapters.engines import claude_turn as turn
from agentcore_adapters.engines.claude_child import Child, Frame, Program, log, running
from agentcore_adapters.engines.claude_turn import Desk
from agentcore_adapters.engines.claude_wire import PROVIDER, Heard
from agentcore_adapters.engines.prices import price_of
from agentcore_adapters.engines.providers import failed

NAME = EngineName("claude_code_cli")
DEFAULT_MODEL = "claude-sonnet-5-5"
ABILITIES = Abilities(tools=True, approvals=True, resume=True, attachments=True, stop_grace_s=1.0)
HOOK_S = 86_400.0  # an unanswered hook lets the call pass after a minute by default
HOOK: Frame = {"matcher": None, "hookCallbackIds": ["every-call"], "timeout": HOOK_S, "onFailure": "block"}
STREAMS = (
    *("-p", "--output-format", "stream-json", "--input-format", "stream-json"),
    *("--verbose", "--include-partial-messages", "--session-mirror", "--permission-prompt-tool", "stdio"),
    *("--setting-sources=", "--strict-mcp-config"),  # nothing of the machine's own settings and servers
)


class Lost(Exception):
    """The program does not know the conversation that it was to take up again."""


@define(eq=False)
class ClaudeCodeCli:
    """Answers with a process of its own for each prompt."""

    program: Program
    model: str = DEFAULT_MODEL
    policy: Policy = Policy()
    name: EngineName = NAME
    abilities: Abilities = ABILITIES

    @asynccontextmanager
    async def run(self, request: EngineRequest) -> AsyncIterator["ClaudeCodeRun"]:
        """Answer *request*."""
        run = ClaudeCodeRun(self, request, Desk(request, self.policy.of(request.tenant_id)))
        async with aclosing(run.say()) as run.said:
            yield run

    async def close(self) -> None:
        """Nothing is held between answers."""


@define(eq=False)
class ClaudeCodeRun:
    """One answer under way."""

    engine: ClaudeCodeCli
    request: EngineRequest
    desk: Desk
    said: AsyncGenerator[EngineEvent, None] | None = None
    heard: Heard | None = None
    child: Child | None = None
    is_interrupted: bool = False
    _requests: int = 0
    _replies: list[tuple[str, turn.Json | None]] = field(factory=list)

    def __aiter__(self) -> AsyncIterator[EngineEvent]:
        """Yield what is said."""
        assert self.said is not None
        return self.said

    def answer(self, decided: Sequence[Approval]) -> None:
        """Answer the questions that were decided."""
        for ticket, verdict in self.desk.decided(decided):
            self.reply(ticket, verdict)

    def interrupt(self) -> None:
        """Ask it to stop.  What its transcript says of that is not kept: it would be told as a person's refusal."""
        self.is_interrupted = True
        if self.heard is not None:
            self.heard.is_muted = True
        for ticket, verdict in self.desk.give_up():
            self.reply(ticket, verdict)
        self.ask_to_stop()

    async def say(self) -> AsyncGenerator[EngineEvent, None]:
        """Yield what is said: by the conversation, or if that is lost by a new one that is shown the history."""
        price = await price_of(self.model, PROVIDER)
        known = self.request.resume
        if known is not None:
            try:
                async with aclosing(self.attempt(known, price)) as said:
                    async for event in said:
                        yield event
            except Lost:
                log.warning("resume.lost", session_id=self.request.session_id, engine=self.engine.name)
                yield ResumeLost(self.engine.name)
            else:
                return
        async with aclosing(self.attempt(None, price)) as said:
            async for event in said:
                yield event

    @property
    def model(self) -> str:
        """The model that is asked for."""
        return self.request.model or self.engine.model

    def options(self) -> list[str]:
        """Return the options of the program; values that others chose are one word with theirs."""
        tools = ",".join(self.desk.tools)
        return [*STREAMS, f"--model={self.model}", f"--tools={tools}", f"--max-turns={self.request.max_turns}"]

    async def attempt(self, resume: Conversation | None, price: Price | None) -> AsyncGenerator[EngineEvent, None]:
        """Yield what one process says; raises Lost if it knows nothing of *resume*."""
        if resume is not None and not resume.lines:
            raise Lost
        reference = resume.reference if resume else self.request.session_id
        heard = Heard(self.model, price, reference, len(resume.lines) if resume else 0, self.is_interrupted)
        content = turn.content_of(self.request, is_resumed=resume is not None)
        self.heard = heard
        async with self.talking(resume) as frames:
            for event in heard.open(turn.tokens_of(self.request, content, resume.lines if resume else ())):
                yield event
            message = {"role": "user", "content": content}
            await self.prompt({"type": "user", "message": message, "parent_tool_use_id": None, "session_id": ""})
            result: Frame = {}
            async for frame in frames:
                if frame.get("type") == "result":
                    result = frame
                    break
                for event in self._asked(heard, frame) if "request" in frame else heard.take(frame):
                    yield event
                self._release()  # what was just said is on record
            if self.child is not None:
                self.child.is_done = bool(result)
                if result and self.is_interrupted:  # its tools have ended, and what it writes now is not kept
                    self.child.signal(signal.SIGKILL)
            for event in heard.close(Outcome.CANCELLED if self.is_interrupted else Outcome.FAILED):
                yield event
            if not self.is_interrupted:  # else the end is said by who reads it, when the process has gone
                yield self._last(heard, result, is_resumed=resume is not None)

    @asynccontextmanager
    async def talking(self, resume: Conversation | None) -> AsyncIterator[AsyncIterator[Frame]]:
        """Start a process, and begin to hear it."""
        program, session_id, prompt = self.engine.program, self.request.session_id, self.request.system_prompt
        async with running(program, session_id, self.options(), resume, prompt) as self.child:
            # Without a snapshot: a resumed conversation would keep the system prompt that it began with.
            self._request({"subtype": "initialize", "hooks": {"PreToolUse": [HOOK]}, "systemPromptSnapshot": False})
            async with aclosing(self.child.frames()) as frames:
                yield frames

    async def prompt(self, message: Frame) -> None:
        """Send what is asked."""
        if self.child is not None:
            self.child.send(message)

    def ticket(self, frame: Frame) -> str:
        """Return what the answer to a question is addressed to."""
        return str(frame.get("request_id"))

    def reply(self, ticket: str, answer: turn.Json | None) -> None:
        """Answer a question of the program; None: it is not understood."""
        response: Frame = {"subtype": "success", "request_id": ticket, "response": answer}
        if answer is None:
            response = {"subtype": "error", "request_id": ticket, "error": "not supported"}
        if self.child is not None:
            self.child.send({"type": "control_response", "response": response})

    def ask_to_stop(self) -> None:
        """Interrupt the program; returns at once."""
        self._request({"subtype": "interrupt"})

    def _last(self, heard: Heard, result: Frame, *, is_resumed: bool) -> EngineEvent:
        """Return the last word that a result stands for, or raise what it says went wrong."""
        if not result:
            raise failed(ErrorCode.ENGINE_EOF)
        if is_resumed and turn.is_lost(result):
            raise Lost
        if result.get("is_error"):
            raise turn.failure(result, heard.error, self.request)
        return Finished(summary="" if heard.has_spoken else str(result.get("result") or ""))

    def _asked(self, heard: Heard, frame: Frame) -> list[EngineEvent]:
        """Take in a question of the program; its answer, if there is one, waits until what led to it is on record."""
        ticket, asked = self.ticket(frame), frame["request"]
        said: list[EngineEvent] = []
        if asked.get("subtype") == "hook_callback":
            call = asked.get("input") or {}
            name = str(call.get("tool_name"))
            said += heard.announce(str(call.get("tool_use_id")), name, call.get("tool_input") or {})
            self._replies.append((ticket, self.desk.hooked(name)))
        elif asked.get("subtype") == "can_use_tool":
            required, verdict = self.desk.ask(ticket, asked)
            said += required
            if verdict is not None:
                self._replies.append((ticket, verdict))
        else:
            self._replies.append((ticket, None))
        return said

    def _release(self) -> None:
        replies, self._replies = self._replies, []
        for ticket, answer in replies:
            self.reply(ticket, answer)

    def _request(self, request: Frame) -> None:
        self._requests += 1
        if self.child is not None:
            self.child.send({"type": "control_request", "request_id": f"ours-{self._requests}", "request": request})
