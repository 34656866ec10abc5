"""What can be refused, and the name each refusal has on the wire.

Law: the docstring of a class is the title of its problem, ``code`` is stable, and ``str(error)`` says what
went wrong this time without an address, a path, a key or a prompt in it.

    AgentcoreError
    |-- Refused                     the caller asked for what cannot be
    |   |-- InvalidRequest          UnknownEngine, ToolNotAllowed, ContextTooLarge, HostNotAllowed,
    |   |                           InstanceNotRunning, AudioRequired
    |   |-- TooLarge, UnsupportedMedia, SpeechNotDetected, OverLimit (BudgetUsedUp)
    |   |-- Unauthenticated         CallbackUnverified
    |   |-- RoleRequired, FourEyesRequired, OriginRefused
    |   |-- NotFound                SessionNotFound, TaskNotFound, InstanceNotFound
    |   `-- Conflict                TaskConflict, TaskNotLive, SessionBusy, SessionClosed, ApprovalConflict,
    |                               KeyInFlight, KeyReused
    |-- Unavailable                 EngineUnavailable, StoreUnavailable (SchemaOutdated), ShuttingDown,
    |                               SttUnavailable, IdentityUnavailable
    `-- EngineFailed                an engine broke; becomes the ``error`` event of its task
"""

from typing import ClassVar

from agentcore.ids import TaskId


class AgentcoreError(Exception):
    """Something went wrong inside the server."""

    code: ClassVar[str] = "internal_error"


class Refused(AgentcoreError):
    """The request cannot be carried out."""


class InvalidRequest(Refused):
    """The request is not valid."""

    code = "invalid_request"

    def __init__(self, detail: str, field: str | None = None) -> None:
        """Say what is wrong in *detail*; *field* is the wire name of the culprit, if there is one."""
        super().__init__(detail)
        self.field = field


class UnknownEngine(InvalidRequest):
    """There is no engine of that name."""

    code = "unknown_engine"


class ToolNotAllowed(InvalidRequest):
    """The request asks for a tool that the policy denies."""

    code = "tool_not_allowed"


class ContextTooLarge(InvalidRequest):
    """The last message alone is larger than what the engine can be shown."""

    code = "context_too_large"


class HostNotAllowed(InvalidRequest):
    """Remote agents may not live at this host."""

    code = "host_not_allowed"


class InstanceNotRunning(InvalidRequest):
    """The remote agent is not running, or has no address."""

    code = "instance_not_running"


class AudioRequired(InvalidRequest):
    """The request carries no recording."""

    code = "audio_required"


class TooLarge(Refused):
    """The request is larger than what is accepted."""

    code = "too_large"


class UnsupportedMedia(Refused):
    """The media type is not accepted here."""

    code = "unsupported_media"


class SpeechNotDetected(Refused):
    """Nobody has said anything in the recording."""

    code = "speech_not_detected"


class OverLimit(Refused):
    """The tenant has used what it may use for now."""

    code = "over_limit"

    def __init__(self, detail: str, retry_after_s: int) -> None:
        """Say in *detail* which limit it is."""
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class BudgetUsedUp(OverLimit):
    """The tenant has used up what it may use in a day."""

    code = "budget_exceeded"


class Unauthenticated(Refused):
    """The caller has not shown who it is."""

    code = "unauthenticated"


class CallbackUnverified(Unauthenticated):
    """The callback does not prove that it answers one of our tasks."""

    code = "callback_unverified"


class RoleRequired(Refused):
    """The caller lacks the role for this."""

    code = "role_required"


class FourEyesRequired(Refused):
    """Who asked for a task may not decide what it waits for."""

    code = "four_eyes_required"


class OriginRefused(Refused):
    """Requests from this origin or to this host name are not answered."""

    code = "origin_refused"


class NotFound(Refused):
    """There is no such thing, or it is not the caller's."""

    code = "not_found"


class SessionNotFound(NotFound):
    """There is no such session."""

    code = "session_not_found"


class TaskNotFound(NotFound):
    """There is no such task."""

    code = "task_not_found"


class InstanceNotFound(NotFound):
    """There is no such instance."""

    code = "instance_not_found"


class Conflict(Refused):
    """The state of things does not allow it now."""

    code = "conflict"


class TaskConflict(Conflict):
    """The transition table has no row for this."""

    code = "task_conflict"


class TaskNotLive(Conflict):
    """The task is over or has not begun, so nothing can be put into it."""

    code = "task_not_live"


class SessionBusy(Conflict):
    """The session has a task that is not finished."""

    code = "session_busy"

    def __init__(self, detail: str, live_task_id: TaskId) -> None:
        """Name the task that is in the way."""
        super().__init__(detail)
        self.live_task_id = live_task_id


class SessionClosed(Conflict):
    """The session is closed."""

    code = "session_closed"


class ApprovalConflict(Conflict):
    """There is nothing here that this decision could decide."""

    code = "approval_conflict"


class KeyInFlight(Conflict):
    """A request with this Idempotency-Key is still being carried out."""

    code = "idempotency_in_flight"


class KeyReused(Conflict):
    """This Idempotency-Key was used for another request."""

    code = "idempotency_mismatch"


class Unavailable(AgentcoreError):
    """Something that is needed cannot be reached now."""

    code = "unavailable"
    retry_after_s: ClassVar[int] = 1


class EngineUnavailable(Unavailable):
    """The engine cannot be used as things are set up."""

    code = "engine_unavailable"
    retry_after_s = 30


class StoreUnavailable(Unavailable):
    """The database cannot be reached now."""

    code = "store_unavailable"


class SchemaOutdated(StoreUnavailable):
    """The database lacks a migration that this release needs."""

    code = "schema_outdated"
    retry_after_s = 30


class SttUnavailable(Unavailable):
    """Speech cannot be turned into text now, or is not set up here."""

    code = "stt_unavailable"


class IdentityUnavailable(Unavailable):
    """Nobody can be recognised now: the keys that sign tokens could not be read yet."""

    code = "identity_unavailable"
    retry_after_s = 5


class ShuttingDown(Unavailable):
    """The server is going away."""

    code = "shutting_down"
    retry_after_s = 5


class EngineFailed(AgentcoreError):
    """The engine could not answer."""

    def __init__(self, error_code: str, message: str, *, refused_attachments: bool = False) -> None:
        """Carry the ``error`` code of the wire; *message* is ours and safe to show.

        *refused_attachments*: the provider would not take an attachment of the prompt, so that later turns
        must leave it out.
        """
        super().__init__(message)
        self.error_code = error_code
        self.refused_attachments = refused_attachments
