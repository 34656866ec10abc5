"""What Claude Code is asked, and what it may do.

Law: a tool runs if it exists for the task and the policy lets it, or a person has allowed this very call: the decision
is bound to the tool and the input that were shown, is acted on once, and the input that was shown is the one that runs.
What was not decided by a person is never told to the model as if it were.

Story: the program asks our hook about every call, also about those that it would allow by itself.  What the hook leaves
open it asks as a permission; that stays open until the decision is there.  An attempt that goes on after its process
was lost is asked again, and the decision that was made in the meantime is given without asking anybody again.
"""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from attrs import define, field, frozen

from agentcore.approval import Approval, input_hash
from agentcore.context import CONTINUE
from agentcore.engine import EngineRequest
from agentcore.errors import EngineFailed
from agentcore.events import ApprovalRequired, DecisionUsed
from agentcore.ids import ApprovalId
from agentcore.messages import (
    FilePart,
    Message,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    ToolResultPart,
    ToolUsePart,
    clean,
    clean_json,
)
from agentcore.policy import Policy, Rule
from agentcore.task import Decision, ErrorCode
from agentcore.usage import estimated_tokens
from agentcore_adapters.engines.providers import failed, of_status

Json = dict[str, Any]

# None that asks a person questions (nobody could answer), none that asks a model by itself (its calls are not seen).
DEFAULT_TOOLS = ("Bash", "Read", "Edit", "Write", "Glob", "Grep", "NotebookEdit", "TodoWrite")
NEVER_TOOLS = frozenset({"AskUserQuestion"})
UNKNOWN_TOOL = "There is no such tool in this conversation."
FORBIDDEN = "The rules of this server forbid the tool."
UNDECIDED = "The call did not run: the work was stopped before anybody had decided about it."
REFUSED = "The person who was asked did not allow this call."
CHANGED = "The call did not run: its input is not the one that was allowed."
EARLIER = "Earlier in this conversation, which you were not part of or have no record of:"
MAX_TURNS = "The task used up its turns."
BY_KIND = {
    "authentication_failed": ErrorCode.ENGINE_AUTH,
    "oauth_org_not_allowed": ErrorCode.ENGINE_AUTH,
    "billing_error": ErrorCode.ENGINE_AUTH,
    "rate_limit": ErrorCode.ENGINE_OVERLOADED,
    "overloaded": ErrorCode.ENGINE_OVERLOADED,
    "server_error": ErrorCode.ENGINE_UNAVAILABLE,
    "unknown": ErrorCode.ENGINE_UNAVAILABLE,
}


# ----------------------------------------------------------------------------------------------------------- the prompt
def content_of(request: EngineRequest, *, is_resumed: bool) -> list[Json]:
    """Return the user message that is sent: what the engine does not know yet, each message once.

    The last message is the prompt; what stands before it goes into a block of its own.  A resumed conversation that
    knows all is only asked to go on.
    """
    messages = request.untold if is_resumed else request.messages
    blocks: list[Json] = []
    if messages[:-1]:
        blocks.append(_text(EARLIER))
        for message in messages[:-1]:
            blocks += _quoted(message, request)
        blocks.append(_text("Now:"))
    for message in messages[-1:]:
        blocks += [block for part in message.parts if (block := _block(part, request)) is not None]
    blocks += [_text(_hint(approval)) for approval in request.decisions if not approval.used]
    return blocks or [_text(CONTINUE)]


def tokens_of(request: EngineRequest, content: Sequence[Json], lines: Sequence[str]) -> int:
    """Estimate what the first call of an answer sends."""
    text = sum(estimated_tokens(block.get("text", "")) for block in content)
    return text + estimated_tokens(request.system_prompt) + sum(map(len, lines)) // 3


def _hint(approval: Approval) -> str:
    if approval.decision is Decision.APPROVED:
        return f"The call of {approval.tool_name} that waited is allowed now. It has not run: call it again."
    reason = f" Reason given: {approval.reason}" if approval.reason else ""
    return f"The call of {approval.tool_name} that waited was refused and has not run.{reason}"


def _quoted(message: Message, request: EngineRequest) -> list[Json]:
    who = "Assistant" if message.role is Role.ASSISTANT else "User"
    blocks: list[Json] = []
    for part in message.parts:
        match part:
            case TextPart(text):
                blocks.append(_text(f"{who}: {text}"))
            case ToolUsePart():
                blocks.append(_text(f"Assistant called {part.tool_name} with {part.input}"))
            case ToolResultPart():
                blocks.append(_text(f"Its result: {part.output}"))
            case FilePart():
                blocks += [block] if (block := _block(part, request)) is not None else []
            case ThinkingPart():
                pass  # its own business, and nothing without its signature
    return blocks


def _block(part: Part, request: EngineRequest) -> Json | None:
    match part:
        case TextPart(text):
            return _text(text) if text.strip() else None
        case FilePart():
            data = base64.b64encode(request.blobs[part.sha256].data).decode()
            source = {"type": "base64", "media_type": part.media_type, "data": data}
            return {"type": "image" if part.is_image else "document", "source": source}
        case ThinkingPart() | ToolUsePart() | ToolResultPart():
            return None


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


# ------------------------------------------------------------------------------------------------------------- the desk
@frozen(kw_only=True)
class Asked:
    """A call that waits for a decision, as it was shown."""

    ticket: str  #: What the program calls its question.
    tool_name: str
    input: Json
    sha256: str


@define
class Desk:
    """Where calls are allowed."""

    request: EngineRequest
    policy: Policy = Policy()  #: Without rules every call is asked about.
    pending: dict[ApprovalId, Asked] = field(factory=dict)
    _used: set[ApprovalId] = field(factory=set)

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools that exist in this task."""
        wanted = DEFAULT_TOOLS if self.request.allowed_tools is None else self.request.allowed_tools
        return tuple(name for name in wanted if name.isidentifier() and name not in NEVER_TOOLS)

    def rule(self, tool_name: str) -> tuple[Rule, str]:
        """Say what happens to calls of a tool, and why if they are refused."""
        if tool_name not in self.tools:
            return Rule.DENY, UNKNOWN_TOOL
        return self.policy.rule(tool_name), FORBIDDEN

    def hooked(self, tool_name: str) -> Json:
        """Answer the hook that is asked about every call."""
        rule, reason = self.rule(tool_name)
        decision = {Rule.AUTO: "allow", Rule.ASK: "ask", Rule.DENY: "deny"}[rule]
        more = {"permissionDecisionReason": reason} if rule is Rule.DENY else {}
        return {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": decision} | more}

    def ask(self, ticket: str, asked: Json) -> tuple[list[ApprovalRequired | DecisionUsed], Json | None]:
        """Take in a question; return what must be on record first, and the answer if there is one already."""
        name, tool_input = clean(str(asked.get("tool_name"))), asked.get("input") or {}
        rule, reason = self.rule(name)
        if rule is Rule.DENY:
            return [], denied(reason)
        if rule is Rule.AUTO:
            return [], allowed(tool_input)
        # What is hashed is what is stored and shown; what is run is what was hashed.
        shown = clean_json(tool_input)
        sha256 = input_hash(name, shown)
        call = Asked(ticket=ticket, tool_name=name, input=shown, sha256=sha256)
        for decided in self.request.decisions:
            if not decided.used and decided.id not in self._used and decided.input_sha256 == sha256:
                self._used.add(decided.id)
                return [DecisionUsed(decided.id)], verdict(decided, call)
        approval_id = ApprovalId(str(uuid4()))
        self.pending[approval_id] = call
        expires_at = datetime.now(UTC) + timedelta(seconds=self.policy.approval_s)
        required = ApprovalRequired(
            approval_id=approval_id,
            tool_use_id=str(asked.get("tool_use_id")),
            tool_name=name,
            input=shown,
            expires_at=expires_at,
        )
        return [required], None

    def decided(self, approvals: Sequence[Approval]) -> list[tuple[str, Json]]:
        """Take in decisions; return the answers to the questions that waited for them."""
        answers: list[tuple[str, Json]] = []
        for approval in approvals:
            call = self.pending.pop(approval.id, None)
            if call is not None:
                answers.append((call.ticket, verdict(approval, call)))
        return answers

    def give_up(self) -> list[tuple[str, Json]]:
        """Return the answers to all that waits when the work is stopped: nobody has refused anything."""
        waiting, self.pending = self.pending, {}
        return [(call.ticket, denied(UNDECIDED) | {"interrupt": True}) for call in waiting.values()]


def verdict(approval: Approval, call: Asked) -> Json:
    """Return what was decided, for the call that was shown and no other."""
    if approval.input_sha256 != call.sha256:
        return denied(CHANGED)
    if approval.decision is Decision.APPROVED:
        return allowed(call.input)
    if approval.decision is Decision.REJECTED:
        return denied(f"{REFUSED} Reason given: {approval.reason}" if approval.reason else REFUSED)
    return denied(UNDECIDED)


def allowed(tool_input: Json) -> Json:
    """Return the permission to run a call with this input."""
    return {"behavior": "allow", "updatedInput": tool_input}


def denied(reason: str) -> Json:
    """Return the refusal of a call; the model reads *reason*."""
    return {"behavior": "deny", "message": reason}


# -------------------------------------------------------------------------------------------------------- how it failed
def failure(result: Json, kind: str, request: EngineRequest) -> EngineFailed:
    """Make our error of a result that is one; its words name addresses and paths, so they are left out."""
    reason, status = result.get("terminal_reason"), result.get("api_error_status")
    if reason == "max_turns" or result.get("subtype") == "error_max_turns":
        return EngineFailed(ErrorCode.MAX_TURNS, MAX_TURNS)
    if reason == "prompt_too_long":
        return failed(ErrorCode.CONTEXT_TOO_LARGE)
    if isinstance(status, int):
        return of_status(status, result.get("result"), request)
    return failed(BY_KIND.get(kind, ErrorCode.EXECUTION_ERROR))


def is_lost(result: Json) -> bool:
    """Tell whether a result says that there is no such conversation."""
    return any("No conversation found" in str(error) for error in result.get("errors") or ())
