"""What clients say on the WebSocket, and what they are answered.

Law: a Struct per frame.  A frame is decoded by its ``type`` and then strictly, as a body of the same request would be.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from agentcore.task import TaskStatus
from agentcore_http.wire import requests
from agentcore_http.wire.words import Id, described, one_of

FrameId = Annotated[Any, described(description="Whatever the client likes; it is echoed.")]


class Command(Struct, rename="camel", kw_only=True, tag_field="type"):
    """Base of all frames of clients."""

    id: FrameId = None


class Ping(Command, tag="ping"):
    """Ask whether anybody is there."""


class Prompt(requests.ExecuteBody, kw_only=True, tag="prompt", tag_field="type", rename="camel"):
    """Answer a prompt in this session; ``sessionId`` is ignored."""

    id: FrameId = None


class Cancel(Command, tag="cancel"):
    """Stop a task; the answer does not wait until it has stopped."""

    task_id: Id


class Inject(requests.InjectBody, kw_only=True, tag="inject", tag_field="type", rename="camel"):
    """Stop a live task and go on with a message in its place."""

    id: FrameId = None
    task_id: Id


class Approve(requests.ApproveBody, kw_only=True, tag="approve", tag_field="type", rename="camel"):
    """Approve or reject what a task waits for."""

    id: FrameId = None
    task_id: Id


class Said(Struct, rename="camel", kw_only=True, tag_field="type"):
    """Base of what a client's frame is answered."""

    id: FrameId


class Ack(Said, tag="ack"):
    """The frame was carried out; what else is there depends on what it asked."""

    session_id: Id | UnsetType = UNSET
    task_id: Id | UnsetType = UNSET
    session_created: bool | UnsetType = UNSET
    injected: bool | UnsetType = UNSET
    status: Annotated[str, one_of(TaskStatus)] | UnsetType = UNSET
    message: str | UnsetType = UNSET
    approval_id: str | UnsetType = UNSET


class Problem(Said, tag="problem"):
    """The frame was refused, and nothing was changed by it."""

    status: Annotated[int, Meta(ge=400, le=599)]
    code: str
    detail: str
    message: str


Commands = Prompt | Cancel | Inject | Approve | Ping
KINDS: Mapping[str, type[Commands]] = {
    "prompt": Prompt,
    "cancel": Cancel,
    "inject": Inject,
    "approve": Approve,
    "ping": Ping,
}

Answers = Ack | Problem
