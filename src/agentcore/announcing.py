"""The first call of a task, announced in the transaction that begins the task.

Law: nothing is sent before that transaction is committed, and what is announced is what is sent: one plan serves both.
A call that is announced and was not sent costs nothing, as long as its driver is there to know; when nobody is, it is
billed by estimate, as every call is that was cut.

Story: a lane that submits a prompt asks the engine what it will do first.  An engine that can say so plans its call
when the store has read the history, between its two round trips, and gets it ready during the second; with files, and
for whoever goes on with a conversation of its own, more would have to be read, and the call is announced as every later
one is.
"""

from collections.abc import Sequence

import structlog
from attrs import define, evolve

from agentcore.briefing import plain_request
from agentcore.changes import Changes
from agentcore.engine import Engine, EngineRequest, Foresight, foreseeing
from agentcore.errors import ContextTooLarge
from agentcore.house import House
from agentcore.messages import Message
from agentcore.receive import announce
from agentcore.task import Task
from agentcore.turn import Turn

log = structlog.get_logger("agentcore.announcing")


@define(eq=False)
class Announcement:
    """What a task may be begun with; an ``Also`` of the leases."""

    engine: Engine
    foresight: Foresight
    request: EngineRequest | None = None  #: What the engine is run with, if its first call was announced.

    @classmethod
    async def of(cls, house: House, task: Task) -> "Announcement | None":
        """Ask the engine of *task*, which is to be queued; None if it does not say."""
        try:
            engine = house.engines.named(task.engine)
            able = foreseeing(engine)
            foresight = await able.foresee(task.tenant_id, task.params) if able is not None else None
        except Exception as error:  # noqa: BLE001 - an engine may raise anything; what matters its run will say
            _unforeseen(task, error)
            return None
        return cls(engine, foresight) if foresight is not None else None

    def __call__(self, turn: Turn, history: Sequence[Message]) -> tuple[Turn, Changes]:
        """Announce the call of *turn*, which has just begun, if there is a plan; else nothing."""
        at = turn.task.started_at or turn.task.created_at
        self.abandon()
        self.request = self._planned(turn, history)
        if self.request is None or self.request.plan is None:
            return turn, turn.nothing(at)
        if self.request.plan.begin is not None:
            self.request.plan.begin()  # while the store is busy with what it was given
        return announce(turn, self.request.plan.opened, at)

    @property
    def is_getting_ready(self) -> bool:
        """Whether a call was begun to be got ready."""
        return self.request is not None and self.request.plan is not None and self.request.plan.begin is not None

    def abandon(self) -> None:
        """Leave off what was planned: it was not stored, and is not run."""
        if self.request is not None and self.request.plan is not None:
            self.request.plan.abandon()

    def _planned(self, turn: Turn, history: Sequence[Message]) -> EngineRequest | None:
        try:
            request = plain_request(self.engine, turn, history)
            plan = self.foresight(request) if request is not None and not turn.is_over_budget else None
        except ContextTooLarge:  # its run fails with it
            return None
        except Exception as error:  # noqa: BLE001 - the same
            _unforeseen(turn.task, error)
            return None
        return evolve(request, plan=plan) if request is not None and plan is not None else None


def _unforeseen(task: Task, error: Exception) -> None:
    log.warning("engine.unforeseen", task_id=task.id, engine=task.engine, kind=type(error).__name__)
