"""What an engine is shown of a conversation.

Law: the window is the longest run of whole groups at the end of the history that fits both limits and begins
with a user's message.  A group is a user's message, or an assistant's message with the results of its tool
calls, so a call is never split from its result.  A larger limit shows the same and more; a window of a window is
itself.  The marker of interrupted text is rendered here and stands nowhere else.
"""

from collections.abc import Callable, Sequence
from itertools import takewhile

from attrs import evolve

from agentcore.errors import ContextTooLarge
from agentcore.ids import MessageId
from agentcore.messages import (
    FilePart,
    Message,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    ToolResultPart,
    ToolUsePart,
)
from agentcore.usage import estimated_tokens

INTERRUPTED_MARKER = "\n[中断]"  # as the original controller wrote it
CUT_TOOL = "The call was interrupted; its effect is not known."
CONTINUE = "Continue."
ATTACHMENT_TOKENS = 1600  # what a provider counts for a picture of about a megapixel
MESSAGE_TOKENS = 4  # role and separators

Count = Callable[[Message], int]


def estimated_message_tokens(message: Message) -> int:
    """Estimate on the high side what *message* costs an engine."""
    return MESSAGE_TOKENS + sum(_part_tokens(part) for part in message.parts)


def window(
    messages: Sequence[Message], *, limit: int, budget: int, count: Count = estimated_message_tokens
) -> tuple[Message, ...]:
    """Choose what is shown: at most *limit* messages that cost at most *budget* tokens by *count*.

    *messages* are in history order; the last user message and what follows it are always shown.
    Raises ContextTooLarge if these alone cost more than *budget*.
    """
    groups = _groups(messages)
    last_user = max((i for i, group in enumerate(groups) if group[0].role is Role.USER), default=len(groups))
    shown: list[tuple[Message, ...]] = []
    number = tokens = 0
    for i in range(len(groups) - 1, -1, -1):
        group = groups[i]
        number += len(group)
        tokens += sum(map(count, group))
        if i >= last_user and tokens > budget:
            raise ContextTooLarge(f"The last message needs about {tokens} tokens; the engine can be shown {budget}.")
        if i < last_user and (number > limit or tokens > budget):
            break
        shown.append(group)
    while shown and shown[-1][0].role is not Role.USER:
        shown.pop()
    return tuple(message for group in reversed(shown) for message in group)


def untold(
    messages: Sequence[Message], knows: MessageId, *, limit: int, budget: int, count: Count = estimated_message_tokens
) -> tuple[Message, ...]:
    """Choose what an engine with a conversation of its own is told: what came after the message *knows*.

    If that is not among *messages* it is older than all of them.  At most *limit* whole groups that cost at most
    *budget*, the newest ones; the last is always told.  It need not begin with a user's message.
    """
    place = next((i for i, message in enumerate(messages) if message.id == knows), -1)
    told: list[tuple[Message, ...]] = []
    tokens = 0
    for group in reversed(_groups(messages[place + 1 :])):
        tokens += sum(map(count, group))
        if told and (len(told) >= limit or tokens > budget):
            break
        told.append(group)
    return tuple(message for group in reversed(told) for message in group)


def rendered(messages: Sequence[Message], *, goes_on: bool = True) -> tuple[Message, ...]:
    """Make *messages* fit for an engine: mark cut text, answer cut tool calls, leave out refused attachments.

    *goes_on*: the engine is to say more at once; else there are decided calls, which it makes first.
    """
    shown: list[Message] = []
    for place, message in enumerate(messages):
        parts = tuple(_refused(p) for p in message.parts) if message.attachments_refused else message.parts
        if message.interrupted and not isinstance(parts[-1], ToolUsePart):  # a cut call is answered as such
            parts = (*parts, TextPart(INTERRUPTED_MARKER))
        shown.append(message if parts is message.parts else evolve(message, parts=parts))
        if message.role is Role.ASSISTANT and any(isinstance(part, ToolUsePart) for part in message.parts):
            results = takewhile(lambda after: after.role is Role.TOOL, messages[place + 1 :])
            cut = _unanswered(message.parts, tuple(part for result in results for part in result.parts))
            if cut:
                shown.append(evolve(message, role=Role.TOOL, parts=cut, interrupted=False))
    if goes_on and shown and shown[-1].role is Role.ASSISTANT:  # resumed: the engine has to be asked for something
        shown.append(evolve(shown[-1], role=Role.USER, parts=(TextPart(CONTINUE),), interrupted=False))
    return tuple(shown)


def _groups(messages: Sequence[Message]) -> list[tuple[Message, ...]]:
    groups: list[tuple[Message, ...]] = []
    for message in messages:
        if message.role is Role.TOOL and groups:
            groups[-1] = (*groups[-1], message)
        else:
            groups.append((message,))
    return groups


def _unanswered(parts: Sequence[Part], results: Sequence[Part]) -> tuple[ToolResultPart, ...]:
    known = {part.tool_use_id for part in (*parts, *results) if isinstance(part, ToolResultPart)}
    uses = [part for part in parts if isinstance(part, ToolUsePart) and part.tool_use_id not in known]
    return tuple(ToolResultPart(tool_use_id=use.tool_use_id, output=CUT_TOOL, is_error=True) for use in uses)


def _refused(part: Part) -> Part:
    if not isinstance(part, FilePart):
        return part
    return TextPart(f"[attachment {part.media_type} left out: the model would not take it]")


def _part_tokens(part: Part) -> int:
    match part:
        case TextPart(text) | ThinkingPart(text):
            return estimated_tokens(text)
        case FilePart():
            return ATTACHMENT_TOKENS
        case ToolUsePart():
            return estimated_tokens(part.tool_name + str(part.input)) + MESSAGE_TOKENS
        case ToolResultPart():
            return estimated_tokens(part.output) + MESSAGE_TOKENS
