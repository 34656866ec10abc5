"""What a simulation is judged by: what was told, what was seen and what was done, against what is stored.

Law: the store is read through its port only, by the same checker as everywhere; every assertion names the invariant
that it stands for.
"""

from collections import Counter

from agentcore.approval import OnReject
from agentcore.events import SessionRenamed, TextKind, TextSaid
from agentcore.follow import Entry
from agentcore.messages import TextPart
from agentcore.ports import TaskView
from agentcore.task import Decision, ErrorCode, StopCode, Task, TaskStatus
from agentcore.testing.checker import EVERYTHING, check_session
from agentcore.testing.clients import Clients, Reader
from agentcore.testing.making import TENANT
from agentcore.testing.simulation import Simulation
from agentcore.testing.virtual import BEGINNING

PROMPT_S = 1.0  # some calls, each of some hundredths of a second
LEASE_S, SWEEP_S, SLACK_S = 15.0, 2.0, 60.0  # slack: stubborn engines, and calls that were on their way


async def judge(simulation: Simulation, clients: Clients) -> None:
    """Assert I1 to I9 and I12 of a run that has come to rest."""
    store = simulation.world.store
    logs = {}
    views: list[TaskView] = []
    for session in clients.sessions:
        await check_session(store, TENANT, session, is_settled=True)
        logs[session] = (await store.log(TENANT, session, 1, EVERYTHING)).entries
        views += await store.tasks(TENANT, session, 0, EVERYTHING)
    _check_accepted(clients, views)
    _check_ends(simulation, views)
    for view in views:
        _check_engine(simulation, view, logs[view.task.session_id])
    for session, title in clients.facts.titles:
        assert any(entry.event == SessionRenamed(title) for entry in logs[session]), "I4: a rename was told and is lost"
    await _check_decisions(simulation, clients, views)
    await _check_bills(simulation, views)
    for session_id, entry in simulation.bus.told:
        if (log := logs.get(session_id)) is not None:
            is_stored = entry.seq <= len(log) and log[entry.seq - 1].event == entry.event
            assert is_stored, "I4: told and not stored"
    for reader in clients.readers:
        await _check_reader(simulation, reader, logs[reader.session_id])
    clients.facts.completed = sum(view.task.status is TaskStatus.COMPLETED for view in views)
    if simulation.is_calm:
        _check_calm(simulation, clients, views)


def _check_accepted(clients: Clients, views: list[TaskView]) -> None:
    prompts = Counter(view.task.prompt[-1].text for view in views if isinstance(view.task.prompt[-1], TextPart))
    by_id = {view.task.id: view.task for view in views}
    for task_id, text in clients.facts.accepted.items():
        assert task_id in by_id, "I1: a task was accepted and is lost"
        assert prompts[text] == 1, "I1: a prompt became two tasks"
    assert prompts.keys() <= clients.facts.sent, "I1: a task that nobody sent"
    assert all(number == 1 for number in prompts.values()), "I1: a prompt became two tasks"
    for task_id in clients.facts.stopped:
        assert by_id[task_id].status is TaskStatus.CANCELLED, "I3: a stop was acknowledged and did not win"


def _check_ends(simulation: Simulation, views: list[TaskView]) -> None:
    for view in views:
        task = view.task
        assert task.completed_at is not None
        late_s = (task.completed_at - task.deadline).total_seconds()
        assert late_s <= LEASE_S + SWEEP_S + SLACK_S, f"I1: {task.id} ended {late_s} s after its deadline"
        record = simulation.actor.record_of(task.id)
        assert record.running == 0, "I12: an engine runs without a live task"


def _check_engine(simulation: Simulation, view: TaskView, log: tuple[Entry, ...]) -> None:
    task, record = view.task, simulation.actor.record_of(view.task.id)
    assert not any(number > 1 for number in record.tools.values()), "I9: a tool was called twice"
    stored: dict[int, str] = {}
    for entry in log:
        if entry.task_id == task.id and isinstance(entry.event, TextSaid) and entry.event.kind is TextKind.TEXT:
            stored[entry.attempt] = stored.get(entry.attempt, "") + entry.event.text
    was_cut = simulation.deaths or simulation.counts.lost
    for attempt, heard in record.heard.items():
        said = stored.get(attempt, "")
        assert said.startswith(heard) or (was_cut and heard.startswith(said)), "I4: heard, and not stored"
    assert not any("nobody should hear this" in said for said in stored.values()), "I3: stored after the end"


async def _check_decisions(simulation: Simulation, clients: Clients, views: list[TaskView]) -> None:
    store = simulation.world.store
    for view in views:
        turn = await store.turn(TENANT, view.task.id)
        for approval in turn.approvals:
            assert not approval.is_pending, "I12: an approval is pending for nobody"
            told = clients.facts.decided.get(approval.id)
            if told is not None:
                expected = Decision.APPROVED if told else Decision.REJECTED
                assert approval.decision is expected, "I9: a decision was acknowledged and is another one now"
            if approval.tool_use_id in simulation.actor.record_of(view.task.id).approved:
                assert approval.decision is Decision.APPROVED, "I9: a tool ran without leave"
            elif approval.decision is Decision.REJECTED and approval.on_reject is OnReject.CANCEL:
                assert view.task.status is not TaskStatus.COMPLETED, "I9: rejected, and completed all the same"


async def _check_bills(simulation: Simulation, views: list[TaskView]) -> None:
    store = simulation.world.store
    deliveries = await store.deliveries(TENANT, None, EVERYTHING)
    rows = Counter(delivery.event.task_id for delivery in deliveries)
    keys = {(delivery.event.task_id, delivery.event.record.key) for delivery in deliveries}
    assert len(keys) == len(deliveries), "I7: a call is billed twice"
    for view in views:
        record = simulation.actor.record_of(view.task.id)
        assert record.sent <= rows[view.task.id] <= record.opened, f"I7: {view.task.id}: {rows[view.task.id]} bills"
        billed = [d.event.record.provider_message_id for d in deliveries if d.event.task_id == view.task.id]
        named = [message_id for message_id in billed if message_id is not None]
        assert len(named) == len(set(named)), "I7: a message of the provider is billed twice"
    assert simulation.consumer.seen.keys() == {d.event.id for d in deliveries}, "I7: the consumer counts otherwise"


async def _check_reader(simulation: Simulation, reader: Reader, log: tuple[Entry, ...]) -> None:
    resets = reader.resets
    runtime = simulation.any_runtime(simulation.random)
    assert runtime is not None
    await reader.read(runtime, None)
    said = "".join(entry.event.text for entry in log if isinstance(entry.event, TextSaid))
    assert reader.text == said[reader.base :], "I5: what a reader has put together is not the log"
    for seq, event in reader.events.items():
        assert log[seq - 1].event == event, "I4: told and not stored"
    assert reader.resets <= simulation.deaths + simulation.counts.lost + simulation.counts.recovered, (
        "I5: needless reset"
    )
    assert reader.resets - resets <= 1, "I5: one crash, two resets"


def _check_calm(simulation: Simulation, clients: Clients, views: list[TaskView]) -> None:
    """Without faults nothing is recovered, nothing is lost, and whatever nobody wanted to end ends by itself."""
    counts = simulation.counts
    assert (counts.lost, counts.failed, counts.recovered) == (0, 0, 0), f"progress: {counts}"
    assert not any(reader.resets for reader in clients.readers), "I5: a reset without a crash"
    for view in views:
        task = view.task
        assert task.error_code not in {ErrorCode.NODE_LOST, ErrorCode.CRASH_LOOP}, "progress: lost without a crash"
        wanted = clients.facts.disturbed & {task.id, task.session_id}
        if task.status is TaskStatus.CANCELLED and not wanted:
            assert task.stop_code is StopCode.APPROVAL_EXPIRED, "progress: cancelled, and nobody wanted that"
    for session in clients.sessions:
        _check_promptness(simulation, [view.task for view in views if view.task.session_id == session])


def _check_promptness(simulation: Simulation, tasks: list[Task]) -> None:
    """Without faults a task starts as soon as nothing stands before it, without anybody having to look for it."""
    free = BEGINNING
    for task in sorted((task for task in tasks if task.started_at), key=lambda task: task.started_at or BEGINNING):
        assert task.started_at is not None
        assert task.completed_at is not None
        idle_s = (task.started_at - max(free, task.created_at)).total_seconds()
        assert idle_s <= PROMPT_S, f"progress: {task.id} waited {idle_s} s for nothing"
        left_at = simulation.actor.record_of(task.id).left_at  # the next one waits until the engine has really stopped
        free = max(free, task.completed_at, left_at or free)
