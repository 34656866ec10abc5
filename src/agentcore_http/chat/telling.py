"""Events, told to a person."""

from attrs import define, field

from agentcore_http.chat import paint
from agentcore_http.chat.blocks import Blocks
from agentcore_http.chat.safe import Pieces, line, safe
from agentcore_http.chat.screen import Screen
from agentcore_http.client import (
    FINAL,
    ApprovalRequired,
    ApprovalResolved,
    Cancelled,
    Completed,
    Event,
    Failed,
    OAuthPrompt,
    ResumeLost,
    SessionInfo,
    StreamReset,
    Subscribed,
    TaskInfo,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)

LIVE = frozenset({"running", "awaiting_approval", "cancelling"})
PROMPT, QUESTION = "> ", "y/n > "


@define(eq=False)
class Teller:
    """Tells one session."""

    screen: Screen
    running: str | None = None  #: The task that can be stopped.
    pending: list[tuple[str, ApprovalRequired]] = field(factory=list)
    _blocks: Blocks = field(factory=Blocks)
    _pieces: Pieces = field(factory=Pieces)
    _thought: str = ""
    _names: dict[str, str] = field(factory=dict)
    _is_lost: bool = False

    def lost(self) -> None:
        """Say that the connection is lost, once."""
        if not self._is_lost:
            self._is_lost = True
            self.screen.show(paint.note("(the connection is lost; trying again)", "yellow"))

    def tell(self, event: Event) -> None:
        """Tell an event."""
        if self._is_lost:
            self._is_lost = False
            self.screen.show(paint.note("(connected again)", "yellow"))
        if not isinstance(event.payload, Thinking):
            self._end_thought()
        if not isinstance(event.payload, Text | Subscribed) and event.type != "heartbeat":
            self._end_text()
        self._tell(event)
        if event.type in FINAL:
            self._end_task(event.task_id)
        self._show_status()

    def decided(self, approval_id: str) -> None:
        """Ask no more."""
        left = [(task, asked) for task, asked in self.pending if asked.approval_id != approval_id]
        if self.pending and not left:
            self.screen.prompt = PROMPT
            self.screen.bring_draft()
        elif left and left[0] != self.pending[0]:
            self.screen.show(paint.question(left[0][1]))
        self.pending = left
        self._show_status()

    def _tell(self, event: Event) -> None:
        show = self.screen.show
        match event.payload:
            case Text(content=content):
                if done := self._blocks.feed(self._pieces.feed(content)):
                    show(paint.said(done))
            case Thinking(content=content):
                self._thought += content
            case TaskInfo(status=status) if event.task_id is not None:
                self.running = event.task_id if status in LIVE else self.running
            case ToolUse() as call:
                self._names[call.tool_use_id] = call.tool_name
                show(paint.call(call.tool_name, call.input))
            case ToolResult() as result:
                name = self._names.pop(result.tool_use_id, "tool")
                show(paint.outcome(name, result.output, is_error=result.is_error))
            case ApprovalRequired() as asked if event.task_id is not None:
                if not self.pending:
                    self.screen.hide_draft()
                    self.screen.prompt = QUESTION
                    show(paint.question(asked))
                self.pending.append((event.task_id, asked))
            case ApprovalResolved(approval_id=found, decision=decision):
                show(paint.note(f"({line(decision)})"))
                self.decided(found)
            case Failed(message=message, code=code) | Cancelled(message=message, code=code):
                show(paint.note(f"({line(message)}) [{line(code)}]", "red" if event.type == "error" else "dim"))
            case Completed() as end:
                cost = "" if end.cost_usd is None else f", ${end.cost_usd:.4f}"
                show(paint.note(f"({line(end.model)}, {end.tokens_used} tokens{cost})"))
            case OAuthPrompt(provider=provider, url=url):
                show(paint.note(f"{line(provider)} asks for your consent: {line(url, 4000)}", "bold"))
            case ResumeLost(engine_type=engine):
                show(paint.note(f"({line(engine)} has lost its own conversation, and was shown this one)"))
            case SessionInfo(title=str(title)):
                show(paint.note(f"({line(title)})"))
            case StreamReset() as reset:
                self._begin_again(reset)

    def _begin_again(self, reset: StreamReset) -> None:
        self.screen.show(paint.note("(what was shown of this answer no longer holds; it is, up to now:)", "yellow"))
        task = reset.snapshot.task
        self.running = task.id if task is not None and task.status in LIVE else None
        if self.pending:
            self.decided(self.pending[0][1].approval_id)
        if done := self._blocks.feed(safe(reset.snapshot.text)):
            self.screen.show(paint.said(done))

    def _end_task(self, task_id: str | None) -> None:
        if self.running == task_id:
            self.running = None
        for _, asked in [one for one in self.pending if one[0] == task_id]:
            self.decided(asked.approval_id)

    def _end_text(self) -> None:
        done = self._blocks.feed(self._pieces.rest()) + self._blocks.flush()
        if done.strip():
            self.screen.show(paint.said(done))

    def _end_thought(self) -> None:
        if self._thought:
            self.screen.show(paint.thought(self._thought))
            self._thought = ""

    def _show_status(self) -> None:
        self.screen.live = self._blocks.pending
        self.screen.thinking = safe(self._thought[-300:])
        self.screen.status = "" if self.running is None or self.pending else "answering; Ctrl-C stops it"
        self.screen.redraw()
