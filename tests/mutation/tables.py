"""The transition table and the sets beside it, with a row less or a row more."""

import ast
from collections.abc import Iterable, Iterator
from typing import get_args

from agentcore.task import TRANSITIONS, TaskEvent, TaskStatus

SETS = ("LIVE", "FINAL", "NEEDS_DRIVER", "LETS_GO")
EVENTS = tuple(kind.__name__ for kind in get_args(TaskEvent))
NAMES = ("QUEUED", "RUNNING", "AWAITING", "CANCELLING", "COMPLETED", "FAILED", "CANCELLED")
STATUSES = dict(zip(NAMES, TaskStatus, strict=True))
#: Where a row that is too many leads to: where the event leads to elsewhere.
GOALS = {kind.__name__: becomes for row in TRANSITIONS.values() for kind, becomes in row.items()}
Edit = tuple[str, str, str]  #: Where, what, and the changed source.


def edits(source: str) -> Iterator[Edit]:
    """Yield the source of ``agentcore.task`` with one of its tables changed."""
    tree = ast.parse(source)
    values = {_name(node): node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)}
    transitions = values["TRANSITIONS"]
    assert isinstance(transitions, ast.Dict)
    for status, row in zip(TRANSITIONS, transitions.values, strict=True):
        assert isinstance(row, ast.Dict)
        for event in EVENTS:
            yield _row(tree, row, status, event)
    for name in SETS:
        yield from _members(tree, name, values[name])
    undriven = values["NEEDS_NO_DRIVER"]
    assert isinstance(undriven, ast.Dict)
    for key, members in zip(undriven.keys, undriven.values, strict=True):
        state = ast.unparse(key or members)
        rows = {kind.__name__ for kind in TRANSITIONS[STATUSES[state]]}  # without a row it is refused anyway
        yield from _members(tree, f"NEEDS_NO_DRIVER[{state}]", members, rows)


def _row(tree: ast.Module, row: ast.Dict, status: TaskStatus, event: str) -> Edit:
    keys, values = list(row.keys), list(row.values)
    names = [getattr(key, "id", "") for key in keys]
    if event in names:
        i = names.index(event)
        row.keys, row.values = keys[:i] + keys[i + 1 :], values[:i] + values[i + 1 :]
        what = f"no row {status.value} {event}"
    else:
        goal = GOALS[event]
        row.keys, row.values = [*keys, ast.Name(event)], [*values, ast.Name(f"TaskStatus.{goal.name}")]
        what = f"a row {status.value} {event} {goal.value}"
    edit = ("TRANSITIONS", what, ast.unparse(tree))
    row.keys, row.values = keys, values
    return edit


def _members(
    tree: ast.Module, name: str, value: ast.expr | None, others: Iterable[str] | None = None
) -> Iterator[Edit]:
    assert isinstance(value, ast.Call)
    (members,) = value.args
    assert isinstance(members, ast.Set)
    known = list(members.elts)
    if others is None:
        others = EVENTS if any(ast.unparse(member) in EVENTS for member in known) else STATUSES
    for i, member in enumerate(known):
        members.elts = known[:i] + known[i + 1 :] or [ast.Constant(None)]
        yield name, f"without {ast.unparse(member)}", ast.unparse(tree)
    for other in others:
        if other not in {ast.unparse(member) for member in known}:
            members.elts = [*known, ast.Name(other)]
            yield name, f"with {other}", ast.unparse(tree)
    members.elts = known


def _name(node: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
