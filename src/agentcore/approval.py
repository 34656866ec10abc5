"""Something an engine wants to do, and what a person says to it.

Law: an approval is bound to one call and to the hash of what was shown; it is decided once, before it expires.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import evolve, frozen

from agentcore.canonical import canonical
from agentcore.errors import ApprovalConflict
from agentcore.ids import ApprovalId, TaskId
from agentcore.task import Decision


class OnReject(StrEnum):
    """What a rejection does to the task."""

    CANCEL = "cancel"
    CONTINUE = "continue"  #: The denial is told to the engine and the task goes on.


@frozen(kw_only=True)
class Approval:
    """One call that waits, or waited, for a decision."""

    id: ApprovalId
    task_id: TaskId
    tool_use_id: str
    tool_name: str
    input: dict[str, Any]
    input_sha256: str
    expires_at: datetime
    created_at: datetime
    decision: Decision | None = None
    on_reject: OnReject = OnReject.CANCEL
    by: str | None = None
    reason: str | None = None
    decided_at: datetime | None = None
    used: bool = False  #: It was given to the engine that acts on it: no other attempt is given it.

    @property
    def is_pending(self) -> bool:
        """Whether nobody has decided it."""
        return self.decision is None

    def decided(
        self,
        decision: Decision,
        at: datetime,
        *,
        by: str | None = None,
        reason: str | None = None,
        on_reject: OnReject = OnReject.CANCEL,
    ) -> "Approval":
        """Decide it; raises ApprovalConflict if that was done before."""
        if not self.is_pending:
            raise ApprovalConflict("The approval was decided before.")
        return evolve(self, decision=decision, decided_at=at, by=by, reason=reason, on_reject=on_reject)


def input_hash(tool_name: str, tool_input: dict[str, Any]) -> str:
    """Hash what a person is shown: SHA-256, lower-case hex, of ``[name, input]`` in canonical form."""
    return hashlib.sha256(canonical([tool_name, tool_input]).encode()).hexdigest()
