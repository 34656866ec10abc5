"""What can be asked of a task under way.

Law: a command is recorded; whoever drives the task acts on the record.
"""

from attrs import frozen

from agentcore.approval import OnReject
from agentcore.ids import ApprovalId
from agentcore.reply import Reply
from agentcore.task import StopCode


@frozen(kw_only=True)
class Cancel:
    """Stop the task."""

    code: StopCode = StopCode.USER_CANCEL


@frozen(kw_only=True)
class Decide:
    """Allow or refuse what the engine wants to do."""

    approved: bool
    by: str
    approval_id: ApprovalId | None = None  #: Needed if several are pending.
    input_sha256: str | None = None  #: Of what the person saw; checked if given.
    on_reject: OnReject = OnReject.CANCEL
    reason: str | None = None


@frozen(kw_only=True)
class Deliver:
    """A remote agent has answered."""

    reply: Reply
    receipt: str


@frozen
class Expire:
    """The time of the task, or of what it waits for, is up."""


@frozen
class Continue:
    """All is decided: let the engine go on."""


@frozen
class Recover:
    """The node that drove the task is lost; decide what becomes of it."""


@frozen
class HandBack:
    """The node that drives the task goes away in order; decide what becomes of it."""


Command = Cancel | Decide | Deliver | Expire | Continue | Recover | HandBack
