"""Who watches, without being part of it.

Law: figures and traces are made of what was committed, so they say what the log says: nothing is counted that was not
stored, and nothing twice because it was tried twice.  A delta costs nothing: text is counted when it is durable.

A watcher is asked between a commit and its telling, so it returns at once and raises nothing; one that raises all the
same is counted, and neither heard nor a reason to fail.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVarTuple

import structlog
from attrs import define, field

from agentcore.changes import Changes
from agentcore.ports import Grant
from agentcore.task import Task
from agentcore.usage import OpenCall

log = structlog.get_logger("agentcore.observe")
Ts = TypeVarTuple("Ts")


class Observer(Protocol):
    """Hears of what this node has stored, in the order in which it did."""

    def committed(self, changes: Changes, seconds: float) -> None:
        """Hear of one transaction, the whole of it, and of how long the store took."""

    def took(self, grant: Grant) -> None:
        """Hear that this node drives a task from now on: an attempt begins, or a lost one is taken over."""

    def called(self, task: Task, call: OpenCall, at: datetime) -> None:
        """Hear that a call is made now that was stored with the beginning of its task; of others the commit tells."""

    def spoke(self, task: Task, seconds: float) -> None:
        """Hear that an attempt has told its first text, so long after its prompt was accepted."""


@define(eq=False)
class Observers:
    """Tells all of them; there may be none."""

    observers: tuple[Observer, ...] = ()
    failed: int = field(default=0, init=False)  #: Times that one raised.

    def committed(self, changes: Changes, seconds: float) -> None:
        """Pass it on."""
        for observer in self.observers:
            self._safely(observer.committed, changes, seconds)

    def took(self, grant: Grant) -> None:
        """Pass it on."""
        for observer in self.observers:
            self._safely(observer.took, grant)

    def called(self, task: Task, call: OpenCall, at: datetime) -> None:
        """Pass it on."""
        for observer in self.observers:
            self._safely(observer.called, task, call, at)

    def spoke(self, task: Task, seconds: float) -> None:
        """Pass it on."""
        for observer in self.observers:
            self._safely(observer.spoke, task, seconds)

    def _safely(self, tell: Callable[[*Ts], None], *args: *Ts) -> None:
        try:
            tell(*args)
        except Exception as error:  # noqa: BLE001 - whoever watches must not stop what is watched
            self.failed += 1
            log.error("observer.raised", kind=type(error).__name__)
