"""What a remote agent has answered.

Law: it is the remote's word and nobody's decision: what becomes of the task is decided by its driver.
"""

from attrs import field, frozen

from agentcore.usage import Usage


@frozen(kw_only=True)
class Reply:
    """The one answer to one task."""

    ok: bool
    text: str = field(default="", repr=False)  #: Empty is an answer, too.
    is_timeout: bool = False  #: With ``ok`` false: the bridge's own time was up.
    usage: Usage | None = None  #: As the remote counted; None: it did not say.
