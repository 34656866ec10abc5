"""All that a session holds, for its owner to take away.

Law: it is read page by page, each page a reading of its own, so that neither memory nor a transaction grows with the
session; it ends at where the log stood when it began.  What the log no longer keeps is in the messages.
"""

from collections.abc import AsyncIterator, Iterable

from attrs import frozen

from agentcore.approval import Approval
from agentcore.books import UsageRecorded
from agentcore.changes import Blob
from agentcore.follow import Entry
from agentcore.ids import SessionId, TenantId
from agentcore.messages import FilePart, Message, Part
from agentcore.ports import SessionView, Store, TaskView

TASKS, MESSAGES, ENTRIES = 50, 100, 200


@frozen
class Whole:
    """There is nothing more: what was taken before it is all there was."""


Taken = SessionView | TaskView | Approval | UsageRecorded | Blob | Message | Entry | Whole


async def taken(store: Store, tenant: TenantId, session_id: SessionId) -> AsyncIterator[Taken]:
    """Yield the session; its tasks, each with its approvals and what it has cost; the history; the log.

    An attachment comes once, after the first task that was given it.  Raises SessionNotFound.
    """
    snapshot = await store.snapshot(tenant, session_id)
    yield snapshot.view
    shown: set[str] = set()
    after, head = 0, snapshot.page.head
    while tasks := [view for view in await store.tasks(tenant, session_id, after, TASKS) if view.task.number <= head]:
        approvals, ledger = await store.records(tenant, [view.task.id for view in tasks])
        for view in tasks:
            yield view
            for approval in approvals:
                if approval.task_id == view.task.id:
                    yield approval
            for row in ledger:
                if row.task_id == view.task.id:
                    yield row
            for sha256 in _attached(view.task.prompt):
                if sha256 not in shown:
                    shown.add(sha256)
                    for blob in (await store.blobs(tenant, [sha256])).values():
                        yield blob
        after = tasks[-1].task.number
    place = (0, 0)
    while messages := [m for m in await store.messages(tenant, session_id, place, MESSAGES) if m.seq <= head]:
        for message in messages:
            yield message
        place = (messages[-1].seq, messages[-1].n)
    seq = 1
    while entries := [e for e in (await store.log(tenant, session_id, seq, ENTRIES)).entries if e.seq <= head]:
        for entry in entries:
            yield entry
        seq = entries[-1].seq + 1
    yield Whole()


def _attached(parts: Iterable[Part]) -> list[str]:
    return [part.sha256 for part in parts if isinstance(part, FilePart)]
