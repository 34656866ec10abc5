"""A prompt as a caller sends it, as a task keeps it, and what a caller is answered.

Law: everything about a task is resolved when it is accepted: what is absent takes the default, or, when it is
injected, what the task had that it replaces.
"""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from attrs import field, frozen

from agentcore.admission import Prompt
from agentcore.changes import Blob, Receipt
from agentcore.engine import Abilities
from agentcore.errors import InvalidRequest, UnsupportedMedia
from agentcore.ids import EngineName, InstanceId, SessionId, TaskId
from agentcore.limits import COMMON, Limits
from agentcore.messages import FilePart, TextPart
from agentcore.policy import Policy
from agentcore.session import Session
from agentcore.task import OnCrash, TaskParams, TaskStatus

DEADLINE_S = 3600.0
MAX_TURNS = 10
N = TypeVar("N", int, Decimal)


@frozen(kw_only=True)
class Attachment:
    """A file that comes with a prompt, checked and decoded."""

    media_type: str
    data: bytes = field(repr=False)
    file_name: str | None = None

    @property
    def sha256(self) -> str:
        """Hash of the bytes, lower-case hex."""
        return hashlib.sha256(self.data).hexdigest()


@frozen(kw_only=True)
class Ask:
    """What a caller wants; None means that it did not say."""

    text: str = field(repr=False)
    attachments: tuple[Attachment, ...] = ()
    engine: EngineName | None = None
    system_prompt: str | None = field(default=None, repr=False)
    max_turns: int | None = None
    max_output_tokens: int | None = None
    max_cost_usd: Decimal | None = None
    max_context_messages: int = 20
    allowed_tools: tuple[str, ...] | None = None
    voice_mode: bool = False
    model: str | None = None
    deadline_s: float = DEADLINE_S
    on_crash: OnCrash | None = None
    instance: InstanceId | None = None  #: The remote agent that is to answer.


def resolved(
    ask: Ask,
    task_id: TaskId,
    engine: EngineName,
    abilities: Abilities,
    system_prompt: str,
    inherited: TaskParams | None,
    policy: Policy,
    limits: Limits = COMMON,
) -> Prompt:
    """Make *ask* ready to be admitted.

    Raises UnsupportedMedia if *engine* cannot be shown its attachments, ToolNotAllowed if *policy* denies a tool,
    InvalidRequest if it asks for more than *limits* allow.
    """
    if ask.max_turns is not None and ask.max_turns > limits.max_turns:
        raise InvalidRequest(f"maxTurns may be at most {limits.max_turns}.", "maxTurns")
    policy.check(ask.allowed_tools)
    if ask.attachments and not abilities.attachments:
        raise UnsupportedMedia(f"The engine {engine} cannot be shown attachments.")
    files = tuple(
        FilePart(media_type=file.media_type, sha256=file.sha256, size=len(file.data), file_name=file.file_name)
        for file in ask.attachments
    )
    blobs = {file.sha256: Blob(sha256=file.sha256, media_type=file.media_type, data=file.data)
             for file in ask.attachments}  # fmt: skip
    params = inherited or TaskParams(
        system_prompt=system_prompt,
        max_turns=ask.max_turns or min(MAX_TURNS, limits.max_turns),
        max_context_messages=ask.max_context_messages,
        allowed_tools=ask.allowed_tools,
        voice_mode=ask.voice_mode,
        model=ask.model,
        on_crash=_on_crash(ask, abilities),
        max_output_tokens=_least(ask.max_output_tokens, limits.task_output_tokens),
        max_cost_usd=_least(ask.max_cost_usd, limits.task_cost_usd),
        instance=ask.instance,
    )
    return Prompt(
        task_id=task_id,
        engine=engine,
        parts=(*files, TextPart(ask.text)),
        params=params,
        deadline_s=ask.deadline_s,
        blobs=tuple(blobs.values()),
    )


def _least(asked: N | None, most: N | None) -> N | None:
    """Return what a request asks for, as far as it is allowed."""
    return most if asked is None else asked if most is None else min(asked, most)


def _on_crash(ask: Ask, abilities: Abilities) -> OnCrash:
    """Say what becomes of a task whose node is lost; nothing of a remote agent's work is lost with it."""
    if ask.on_crash is OnCrash.RESTART_IF_PURE and not abilities.pure_until_tool:
        return OnCrash.FAIL  # nobody can tell whether it has acted
    return ask.on_crash or (OnCrash.RESUME if ask.instance else OnCrash.FAIL)


@frozen(kw_only=True)
class Accepted:
    """What became of a prompt."""

    session_id: SessionId
    task_id: TaskId
    session_created: bool
    status: TaskStatus  #: RUNNING if nothing stood in its way, else QUEUED.
    session: Session | None = None  #: As it was stored with the prompt.


Keep = Callable[[Accepted], Receipt | None]
