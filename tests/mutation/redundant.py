"""What may be taken away unnoticed, and why.

Law: only what repeats another guard, or saves work and changes nothing, stands here; each line says which.
"""

from collections.abc import Mapping

REDUNDANT: Mapping[str, str] = {
    "usage_provider_message_once: without (provider_message_id IS NOT NULL)": (
        "NULLs are distinct; the predicate makes the index small."
    ),
    "memory.state said: no filter m.task_id == task_id and m.role is not Role.USER": (
        "One task at a time: what it has said since its last message stands behind everybody's messages."
    ),
    "memory.state _put_task: never if stored is not None": "Who decides has read the number from the store.",
    "memory.state _append: without logged.task_id is not None in isinstance(logged.event, TaskQueued) and "
    "logged.task_id is not None": "For the type checker: a task that is queued has an id.",
    "memory.state Shelf.history: without first in first and self.messages[first].role is not Role.USER": (
        "The first message of a session is a user's."
    ),
    "memory.store _view: no filter task.is_live": "What has begun stands first, so the first is live or none is.",
    "memory.leases MemoryLeases.renew: without shelf is None in shelf is None or hold is None or hold.epoch != "
    "lease.epoch or (hold.node != lease.node)": "For the type checker: there is no hold on no shelf.",
    "memory.leases MemoryLeases._is_lost: without hold.expires_at is not None in hold.expires_at is not None and "
    "hold.expires_at <= self.clock.now()": "For the type checker: only the hold of a driven task is asked.",
    "postgres.writer _put_task: without task.driven in task.driven and take is not None": (
        "Only a task that begins is taken, and what begins is driven."
    ),
    "postgres.values call: always if opened.price": "The JSON of no price is read back as no price.",
    "postgres.leases PostgresLeases._take: without row['completed_at'] is not None in row is None or "
    "row['completed_at'] is not None": "The session's lock, taken before, keeps the task from ending meanwhile.",
    "postgres.leases PostgresLeases._take: without row['lease_owner'] is not None in row['lease_owner'] == node or "
    "(row['lease_owner'] is not None and row['is_lost'])": (
        "Without an owner there is no time that could be over: task_lease_is_whole."
    ),
    "postgres.leases PostgresLeases._take: without row['lease_owner'] is not None in row['lease_owner'] is not None "
    "or row['status'] != 'queued'": "What is queued has no owner: task_works_under_a_lease.",
    "postgres.flusher Flusher.run: never if not self._waiting": "It waits to save work: no text is stored at once.",
    "postgres.flusher Flusher._flush: no filter item.lease.task_id not in stored": (
        "What is asked about those that are stored is not looked at."
    ),
    "postgres.flusher _fail: never if not item.done.is_set()": "Nobody looks at an item again that is done.",
    "postgres.store PostgresStore.commit: without lease is not None in lease is not None and changes.is_text_only": (
        "Only a driver has text to store."
    ),
    "postgres.store PostgresStore.begin.work: without row is None in row is None or (row['request_sha256'] == "
    "key.request_sha256 and row['status'] is None)": "The insert has locked the row that it ran into.",
    "task LETS_GO: with TaskStarted": "What is started is driven, whatever else is said of its event.",
    "pulse Pulse.tick: never if lane.is_busy": "What is begun twice waits for the lane's lock, and finds nothing due.",
    "receive _finished: without summary in summary and (not turn.unspoken) and (turn.messages <= 1)": (
        "An empty text is not heard."
    ),
    "admission admit: no filter turn.task.is_live": "What has begun stands first, so the first is live or none is.",
    "postgres.connection _snapshot: never if statements == 1": "One statement is one snapshot either way.",
    "postgres.presence present: no shield": "The farewell is sent in one step, before anybody can be cancelled.",
    "postgres.statements SET_CHANGE: without completed_at IS NULL": "What is over has no lease: its driver is fenced.",
    "postgres.statements SAID: without m.role <> 'user'": (
        "What a task has said stands behind its prompt, and behind everybody's messages."
    ),
    "postgres.statements SAID: without v.event ->> 'type' IN ('text_said', 'tool_use', 'task_requeued', "
    "'reply_delivered')": ("Whoever reads leaves out the rest again; it saves the way."),
    "postgres.statements PLACE: without t.completed_at IS NULL": "What is over has no owner: task_works_under_a_lease.",
    "postgres.statements WAITING: without lease_owner IS NOT NULL": (
        "Without an owner there is no time that could be over: task_lease_is_whole."
    ),
    "postgres.book_statements DELIVERED: without delivered_at IS NULL": "What is delivered twice is delivered.",
    "remote Remote._proved: never if tenant_id is None": "For the type checker: nobody's task is not found.",
    "remote Remote._proved: without task.session_id != session_id in task.session_id != session_id or "
    "task.params.instance is None": "The signature is over both ids, and we have signed none that do not belong.",
    "feed Feed._mend: never if Need.TAIL in needs": "Reading the log to its head asks for the tail, too.",
    "runtime Runtime._consenting: never if tenant is None": "For the type checker: nobody's session is not found.",
    "toolloop ToolLoop.offered: without allowed == () in not self.model.abilities.tools or "
    "allowed == ()": "An empty list allows no tool; it saves asking their servers.",
    "lane Lane.checkpoint: without reading.turn.tail in (reading := self.reading) is not None and "
    "reading.turn.tail and (not reading.is_over)": "No tail, no change.",
    "lane Lane.checkpoint: without not reading.is_over in (reading := self.reading) is not None and "
    "reading.turn.tail and (not reading.is_over)": "A reading that is over moves nothing.",
    "reading Reading._try_to_end: never if self.is_lost or not self.turn.task.driven": (
        "Whoever is lost or has let go moves nothing; it saves a look at the table."
    ),
    "reading Reading._try_to_end: without self.is_lost in self.is_lost or not self.turn.task.driven": (
        "Whoever is lost or has let go moves nothing; it saves a look at the table."
    ),
    "reading Reading._try_to_end: without not self.turn.task.driven in self.is_lost or not self.turn.task.driven": (
        "Whoever is lost or has let go moves nothing; it saves a look at the table."
    ),
    "reading Reading.move: without changes.live in changes.live and (not self.is_muted)": "Telling nothing is silence.",
    "pulse Pulse.beat: never if not readings": "Renewing nothing renews nothing; it saves the way.",
    "pulse Pulse.beat: without lane.reading is not reading in lane.reading is not reading or not "
    "reading.turn.task.driven": "A reading that its lane has left has let its task go.",
    "pulse Pulse.beat: without not reading.turn.task.driven in lane.reading is not reading or not "
    "reading.turn.task.driven": "A reading that has let its task go is left by its lane, and losing it stops nothing.",
    "pulse Pulse.heads: never if not listened": "The heads of no logs are told to nobody.",
    "pulse Pulse.sweep: never if self.house.is_draining": "A lane of a node that goes away takes nothing.",
    "postgres.books PostgresBooks.take_events.work: never if not taken": "By no ids no events are read.",
    "lane Lane._take_up: without command is not None in command is not None and (not isinstance(command, Stop))": (
        "For the type checker: what is taken over is not over, so there is something to do."
    ),
    "lane Lane._take_up: without not isinstance(command, Stop) in command is not None and (not isinstance(command, "
    "Stop))": ("For the type checker: what is not read cannot be stopped."),
    "lane Lane._do_due: without reading.is_over in reading.is_over or reading.is_stopping": (
        "A reading that is over moves nothing."
    ),
    "lane Lane._do_due: without reading.is_stopping in reading.is_over or reading.is_stopping": (
        "A reading is stopped once, and its first word counts."
    ),
    "lane Lane._do_due: without reading.run is not None in reading.turn.task.status is TaskStatus.RUNNING and "
    "reading.run is not None": "For the type checker: a decision was asked for by a run.",
    "lane Lane._do_due: no filter not approval.is_pending": "A task goes on only when nothing is pending.",
}
