"""Remote agents on the wire: what their owners say, what their bridges answer, what is shown."""

import re
import uuid
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from agentcore.admission import OnBusy
from agentcore.asking import Ask
from agentcore.errors import CallbackUnverified, InstanceNotFound, InvalidRequest
from agentcore.ids import EngineName, InstanceId, SessionId, TaskId
from agentcore.instances import ENGINE, Instance, InstanceStatus
from agentcore.messages import is_storable
from agentcore.ports import SessionView
from agentcore.remote import Told, Webhook
from agentcore.reply import Reply
from agentcore.usage import Usage
from agentcore_http.wire.json import timestamp
from agentcore_http.wire.requests import decoded, not_blank

UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")
Status = Literal["running", "stopped", "error"]
Name = Annotated[str, Meta(max_length=200)]
Host = Annotated[str, Meta(min_length=1, max_length=255)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=0, le=10**12)]


class ChangeInstanceBody(Struct, rename="camel"):
    """PATCH /instances/{id}."""

    name: Name | None = None
    server_host: Host | None = None
    host_port: Port | None = None
    status: Status | None = None

    def told(self) -> Told:
        """Turn it into what the core is told."""
        if self.name is not None and not is_storable(self.name):
            raise InvalidRequest("name holds a character that cannot be stored.", "name")
        status = InstanceStatus(self.status) if self.status is not None else None
        return Told(name=self.name, host=self.server_host, port=self.host_port, status=status)


class NewInstanceBody(ChangeInstanceBody, rename="camel"):
    """POST /instances."""

    id: str | None = None
    user_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None

    def owner(self) -> str | None:
        """Return whom it belongs to, if somebody else."""
        if self.user_id is not None and not is_storable(self.user_id):
            raise InvalidRequest("userId holds a character that cannot be stored.", "userId")
        return self.user_id

    def chosen_id(self) -> InstanceId | None:
        """Return its id, if it brings one."""
        if self.id is None:
            return None
        if UUID.fullmatch(self.id) is None:
            raise InvalidRequest("id must be a UUID.", "id")
        return InstanceId(str(uuid.UUID(self.id)))


class InstanceTaskBody(Struct, rename="camel"):
    """POST /instances/{id}/tasks."""

    prompt: str
    session_id: str | None = None
    deadline_seconds: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    on_busy: Literal["interrupt", "enqueue", "reject"] | None = None

    def ask(self, instance_id: InstanceId, default_deadline_s: float) -> Ask:
        """Turn it into what the core is asked."""
        if not is_storable(self.prompt):
            raise InvalidRequest("prompt holds U+0000 or half a surrogate pair, which cannot be stored.", "prompt")
        return Ask(
            text=not_blank(self.prompt, "prompt"),
            engine=EngineName(ENGINE),
            instance=instance_id,
            deadline_s=self.deadline_seconds or default_deadline_s,
        )

    @property
    def busy(self) -> OnBusy:
        """What to do if the session is busy."""
        return OnBusy(self.on_busy or "interrupt")


class CallbackData(Struct, rename="camel"):
    """What a bridge echoes."""

    session_id: str
    task_id: str
    signature: Annotated[str, Meta(max_length=300)]


class Envelope(Struct, rename="camel"):
    """A callback, as far as its proof goes."""

    callback_data: CallbackData


class CountsBody(Struct, rename="camel"):
    """What the remote agent has counted."""

    input_tokens: Count
    output_tokens: Count
    cached_input_tokens: Count = 0
    cache_write_input_tokens: Count = 0
    reasoning_tokens: Count = 0
    model: Annotated[str, Meta(max_length=200)] = ""


class CallbackBody(Envelope, rename="camel"):
    """POST /instances/openclaw-app-callback."""

    ok: bool
    result: str | None = None
    error: str | None = None
    is_timeout: bool | None = None
    usage: CountsBody | None = None

    def reply(self) -> Reply:
        """Turn it into what the core is told; what the bridge says of an error is not kept."""
        usage = Usage(**msgspec.structs.asdict(self.usage)) if self.usage is not None else None
        return Reply(ok=self.ok, text=self.result or "", is_timeout=bool(self.is_timeout), usage=usage)


class InstanceAnswer(Struct, rename="camel"):
    """An instance."""

    id: str
    name: str
    server_host: str | None
    host_port: int | None
    status: str
    user_id: str
    created_at: str
    updated_at: str


class InstanceSessionAnswer(Struct, rename="camel"):
    """A session in the list of an instance."""

    id: str
    title: str
    status: str
    created_at: str
    updated_at: str


class SecretAnswer(Struct, rename="camel"):
    """The key of an instance's bridge."""

    secret: str


class ReceivedAnswer(Struct, rename="camel"):
    """What every believed callback is answered, whether it counts or not."""

    received: bool = True


def proof(body: bytes) -> tuple[SessionId, TaskId, str]:
    """Read what a callback says that it answers; raises CallbackUnverified."""
    try:
        data = decoded(body, Envelope).callback_data
    except InvalidRequest:
        raise CallbackUnverified("The callback carries no callbackData of ours.") from None
    if UUID.fullmatch(data.session_id) is None or UUID.fullmatch(data.task_id) is None:
        raise CallbackUnverified("The callback carries no callbackData of ours.")
    return SessionId(data.session_id), TaskId(data.task_id), data.signature


def webhook(headers: Mapping[str, str], body: bytes) -> Webhook | None:
    """Read the headers of Standard Webhooks; None if there are none of them, for then nothing was signed."""
    found = [headers.get(name) for name in SIGNED]
    if not any(text is not None for text in found):
        return None
    message_id, at, signatures = (text or "" for text in found)
    return Webhook(id=message_id[:255], timestamp=at, signatures=tuple(signatures.split()[:16]), body=body)


def reply(body: bytes) -> Reply:
    """Read what a callback whose proof is good answers; raises InvalidRequest."""
    return decoded(body, CallbackBody).reply()


def instance_id(text: str) -> InstanceId:
    """Read an id; what cannot be one is one that does not exist."""
    if UUID.fullmatch(text) is None:
        raise InstanceNotFound("There is no such instance.")
    return InstanceId(str(uuid.UUID(text)))


def instance(value: Instance) -> InstanceAnswer:
    """Show an instance."""
    return InstanceAnswer(
        id=value.id,
        name=value.name,
        server_host=value.host,
        host_port=value.port,
        status=value.status.value,
        user_id=value.owner,
        created_at=timestamp(value.created_at),
        updated_at=timestamp(value.updated_at),
    )


def session(view: SessionView) -> InstanceSessionAnswer:
    """Show a session in the list of an instance."""
    value = view.session
    return InstanceSessionAnswer(
        id=value.id,
        title=value.title,
        status=value.status.value,
        created_at=timestamp(value.created_at),
        updated_at=timestamp(value.updated_at),
    )
