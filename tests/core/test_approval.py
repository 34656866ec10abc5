"""Something an engine wants to do."""

import pytest

from agentcore.approval import Approval, input_hash
from agentcore.errors import ApprovalConflict
from agentcore.ids import ApprovalId, TaskId
from agentcore.task import Decision
from agentcore.testing.making import now


def test_an_approval_is_decided_once() -> None:
    approval = Approval(
        id=ApprovalId("a"), task_id=TaskId("t"), tool_use_id="1", tool_name="rm", input={}, input_sha256="0",
        expires_at=now(), created_at=now(),
    ).decided(Decision.APPROVED, now(), by="me")  # fmt: skip
    with pytest.raises(ApprovalConflict):
        approval.decided(Decision.REJECTED, now(), by="another")


def test_the_hash_is_of_the_call_and_not_of_how_it_is_written() -> None:
    assert input_hash("rm", {"a": 1, "b": 2}) == input_hash("rm", {"b": 2, "a": 1})
    assert len({input_hash("rm", {"a": 1}), input_hash("mv", {"a": 1}), input_hash("rm", {"a": 2})}) == 3
