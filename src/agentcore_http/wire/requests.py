"""What clients send.

Law: wrong types are refused and never converted (``"false"`` is no boolean); unknown fields are ignored; every
refusal names its field.
"""

import base64
import binascii
import re
import uuid
from decimal import Decimal
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from agentcore.admission import OnBusy
from agentcore.approval import OnReject
from agentcore.asking import DEADLINE_S, Ask, Attachment
from agentcore.books import EventId
from agentcore.commands import Decide
from agentcore.errors import (
    InvalidRequest,
    NotFound,
    SessionNotFound,
    TaskNotFound,
    TooLarge,
    UnsupportedMedia,
)
from agentcore.events import OAuthPrompted
from agentcore.ids import ApprovalId, EngineName, SessionId, TaskId
from agentcore.messages import is_storable
from agentcore.task import OnCrash
from agentcore_http.wire.images import size_of
from agentcore_http.wire.json import DEPTH, is_shallow

ATTACHMENT_BYTES = 5 * 1024 * 1024
ATTACHMENTS = 20
IMAGE_EDGE = 8000  # pixels: what providers take at most
MOST_TURNS = 1000  # whatever the limit of the tenant is
T = TypeVar("T")

MAGIC: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("application/pdf", re.compile(rb"%PDF-")),
)
MEDIA_TYPES = tuple(media_type for media_type, _ in MAGIC)


class AttachmentBody(Struct, rename="camel"):
    """A file in base64."""

    base64_data: str
    media_type: str
    file_name: str | None = None


class ExecuteBody(Struct, rename="camel"):
    """POST /tasks."""

    prompt: str
    session_id: str | None = None
    system_prompt: str | None = None
    max_turns: Annotated[int, Meta(ge=1, le=MOST_TURNS)] | None = None
    allowed_tools: list[str] | None = None
    engine_type: str | None = None
    max_context_messages: Annotated[int, Meta(ge=1, le=500)] | None = None
    voice_mode: bool | None = None
    attachments: Annotated[list[AttachmentBody], Meta(max_length=ATTACHMENTS)] | None = None
    on_busy: Literal["interrupt", "enqueue", "reject"] | None = None
    model: str | None = None
    deadline_seconds: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    on_crash: Literal["fail", "resume", "restart_if_pure"] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    max_cost_usd: Annotated[float, Meta(gt=0, le=10**6)] | None = None

    def ask(self, default_deadline_s: float) -> Ask:
        """Turn it into what the core is asked."""
        _check_texts(self, "prompt", "system_prompt", "engine_type", "model")
        for tool in self.allowed_tools or ():
            if not is_storable(tool):
                raise InvalidRequest("A tool's name holds a character that cannot be stored.", "allowedTools")
        return Ask(
            text=not_blank(self.prompt, "prompt"),
            attachments=_attachments(self.attachments),
            engine=EngineName(self.engine_type) if self.engine_type is not None else None,
            system_prompt=self.system_prompt or None,
            max_turns=self.max_turns,
            max_context_messages=self.max_context_messages or 20,
            allowed_tools=None if self.allowed_tools is None else tuple(self.allowed_tools),
            voice_mode=bool(self.voice_mode),
            model=self.model or None,
            deadline_s=self.deadline_seconds or default_deadline_s,
            on_crash=OnCrash(self.on_crash) if self.on_crash is not None else None,
            max_output_tokens=self.max_output_tokens,
            max_cost_usd=None if self.max_cost_usd is None else Decimal(str(self.max_cost_usd)),
        )

    @property
    def busy(self) -> OnBusy:
        """What to do if the session is busy."""
        return OnBusy(self.on_busy or "interrupt")


class InjectBody(Struct, rename="camel"):
    """POST /tasks/{id}/inject."""

    message: str
    attachments: Annotated[list[AttachmentBody], Meta(max_length=ATTACHMENTS)] | None = None

    def ask(self) -> Ask:
        """Turn it into what the core is asked; the rest is inherited."""
        _check_texts(self, "message")
        text = not_blank(self.message, "message")
        return Ask(text=text, attachments=_attachments(self.attachments), deadline_s=DEADLINE_S)


class ApproveBody(Struct, rename="camel"):
    """POST /tasks/{id}/approve."""

    approved: bool
    approval_id: str | None = None
    input_sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    on_reject: Literal["cancel", "continue"] | None = None
    reason: Annotated[str, Meta(max_length=2000)] | None = None

    def decide(self, by: str) -> Decide:
        """Turn it into a command."""
        _check_texts(self, "reason", "approval_id")
        return Decide(
            approved=self.approved,
            by=by,
            approval_id=ApprovalId(self.approval_id) if self.approval_id is not None else None,
            input_sha256=self.input_sha256,
            on_reject=OnReject(self.on_reject or "cancel"),
            reason=self.reason,
        )


class RenameBody(Struct, rename="camel"):
    """PATCH /sessions/{id}."""

    title: Annotated[str, Meta(max_length=200)]

    def text(self) -> str:
        """Return the new title."""
        _check_texts(self, "title")
        return self.title.strip()


class SwitchBody(Struct, rename="camel"):
    """POST /engines/switch."""

    engine_type: str


class OAuthBody(Struct, rename="camel"):
    """POST /sessions/{id}/oauth-trigger."""

    provider: Annotated[str, Meta(min_length=1, max_length=100)]
    url: Annotated[str, Meta(max_length=4000)]

    def event(self) -> OAuthPrompted:
        """Turn it into what subscribers are told."""
        _check_texts(self, "provider", "url")
        if not re.fullmatch(r"https?://[^\s\x00-\x1f\\]+", self.url, re.IGNORECASE):
            raise InvalidRequest("url must begin with http:// or https://.", "url")
        return OAuthPrompted(provider=self.provider, url=self.url)


def decoded(body: bytes, kind: type[T]) -> T:
    """Decode strictly; raises InvalidRequest that names the field."""
    if not is_shallow(body):
        raise InvalidRequest(f"The body is nested more than {DEPTH} deep.")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        found = re.search(r"`\$\.?([^`]*)`", text) or re.search(r"field `([^`]+)`", text)
        field = found[1] if found else None
        raise InvalidRequest(f"{text}.", field or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not valid JSON in UTF-8.") from None


def session_id(text: str) -> SessionId:
    """Read an id; what cannot be one is one that does not exist."""
    return SessionId(_canonical(text, SessionNotFound("There is no such session.")))


def task_id(text: str) -> TaskId:
    """Read an id; what cannot be one is one that does not exist."""
    return TaskId(_canonical(text, TaskNotFound("There is no such task.")))


def event_id(text: str) -> EventId | None:
    """Read an id; None: it cannot be one, which is said to those only who may ask."""
    try:
        return EventId(_canonical(text, NotFound()))
    except NotFound:
        return None


def _canonical(text: str, missing: Exception) -> str:
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text, re.ASCII) is None:
        raise missing
    return str(uuid.UUID(text))


def not_blank(text: str, field: str) -> str:
    """Return *text*, or refuse it if there is nothing in it."""
    if not text.strip():
        raise InvalidRequest(f"{field} must not be blank.", field)
    return text


def _check_texts(body: Struct, *names: str) -> None:
    for name in names:
        text = getattr(body, name)
        if text is not None and not is_storable(text):
            field = re.sub(r"_(\w)", lambda match: match[1].upper(), name)
            raise InvalidRequest(f"{field} holds U+0000 or half a surrogate pair, which cannot be stored.", field)


def _check_pixels(media_type: str, data: bytes, field: str) -> None:
    """Refuse what no model takes, before anything decodes it: a small file can hold a very large image."""
    size = size_of(media_type, data)
    if size is None:
        raise InvalidRequest(f"{field} is not a whole image: its header does not say how large it is.", field)
    if max(size) > IMAGE_EDGE:
        raise TooLarge(f"{field} is {size[0]} x {size[1]} pixels; an image may have {IMAGE_EDGE} x {IMAGE_EDGE}.")


def _attachments(bodies: list[AttachmentBody] | None) -> tuple[Attachment, ...]:
    return tuple(_attachment(body, f"attachments[{i}]") for i, body in enumerate(bodies or ()))


def _attachment(body: AttachmentBody, field: str) -> Attachment:
    if len(body.base64_data) > ATTACHMENT_BYTES * 4 // 3 + 4:
        raise TooLarge(f"{field}.base64Data: an attachment may have 5 MB.")
    try:
        data = base64.b64decode(body.base64_data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{field}.base64Data is not base64.", f"{field}.base64Data") from None
    if not data:
        raise InvalidRequest(f"{field}.base64Data is empty.", f"{field}.base64Data")
    if len(data) > ATTACHMENT_BYTES:
        raise TooLarge(f"{field}.base64Data: an attachment may have 5 MB.")
    if body.media_type not in MEDIA_TYPES:
        raise UnsupportedMedia(f"{field}.mediaType must be one of {', '.join(MEDIA_TYPES)}.")
    found = next((media_type for media_type, magic in MAGIC if magic.match(data)), None)
    if found != body.media_type:
        raise InvalidRequest(f"{field} is not {body.media_type}, whatever it says.", f"{field}.mediaType")
    if found.startswith("image/"):
        _check_pixels(found, data, field)
    name = body.file_name
    if name is not None and (len(name) > 255 or not is_storable(name)):
        raise InvalidRequest(f"{field}.fileName is too long or cannot be stored.", f"{field}.fileName")
    return Attachment(media_type=found, data=data, file_name=name)
