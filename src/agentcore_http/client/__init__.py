"""The client of the API: ``Client`` blocks, ``AsyncClient`` is awaited.

Law: needs httpx2 and msgspec besides the core's own packages, and nothing of the server.
"""

from agentcore_http.client.blocking import Client
from agentcore_http.client.call import Attachment
from agentcore_http.client.calls import TaskOptions
from agentcore_http.client.errors import ApiError, Unreachable
from agentcore_http.client.patience import ENDLESS, Patience
from agentcore_http.client.shell import Timeouts
from agentcore_http.client.values import FINAL, OVER, Event, Message, Other, OtherPart, Result, UserMessage
from agentcore_http.client.waiting import AsyncClient
from agentcore_http.wire.events import (
    ApprovalRequired,
    ApprovalResolved,
    Cancelled,
    Completed,
    Failed,
    Heartbeat,
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
    UsageSettled,
)
from agentcore_http.wire.parts import (
    FileAnswer,
    ImageAnswer,
    TextAnswer,
    ThinkingAnswer,
    ToolResultAnswer,
    ToolUseAnswer,
)
from agentcore_http.wire.shapes import AcceptedAnswer, ApprovalAnswer, EngineAnswer, SessionAnswer, TaskAnswer

__all__ = [
    "ENDLESS",
    "FINAL",
    "OVER",
    "AcceptedAnswer",
    "ApiError",
    "ApprovalAnswer",
    "ApprovalRequired",
    "ApprovalResolved",
    "AsyncClient",
    "Attachment",
    "Cancelled",
    "Client",
    "Completed",
    "EngineAnswer",
    "Event",
    "Failed",
    "FileAnswer",
    "Heartbeat",
    "ImageAnswer",
    "Message",
    "OAuthPrompt",
    "Other",
    "OtherPart",
    "Patience",
    "Result",
    "ResumeLost",
    "SessionAnswer",
    "SessionInfo",
    "StreamReset",
    "Subscribed",
    "TaskAnswer",
    "TaskInfo",
    "TaskOptions",
    "Text",
    "TextAnswer",
    "Thinking",
    "ThinkingAnswer",
    "Timeouts",
    "ToolResult",
    "ToolResultAnswer",
    "ToolUse",
    "ToolUseAnswer",
    "Unreachable",
    "UsageSettled",
    "UserMessage",
]
