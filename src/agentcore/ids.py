"""The names things go by.

Law: an id is a distinct type, so that a task can never be passed where a session is meant.
Ids are made at the edge (``wiring`` gives the runtime a maker) and only compared here.
"""

from typing import NewType

TenantId = NewType("TenantId", str)
SessionId = NewType("SessionId", str)
TaskId = NewType("TaskId", str)
MessageId = NewType("MessageId", str)
ApprovalId = NewType("ApprovalId", str)
EngineName = NewType("EngineName", str)
InstanceId = NewType("InstanceId", str)
NodeId = NewType("NodeId", str)
ChangeId = NewType("ChangeId", str)

__all__ = [
    "ApprovalId",
    "ChangeId",
    "EngineName",
    "InstanceId",
    "MessageId",
    "NodeId",
    "SessionId",
    "TaskId",
    "TenantId",
]
