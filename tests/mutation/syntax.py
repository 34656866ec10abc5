"""Guards in Python, found by their shape.

Law: what decides whether something happens is a guard: the condition of an ``if``, each operand of a condition that
is joined, the filter of a comprehension, the guard of a ``case``, a call that is only there to raise, a shield.
"""

import ast
import re
from collections.abc import Callable, Iterator

RAISING = re.compile(r"_?(must|check|needs)(_|$)")
Edit = tuple[str, str, str]  #: Where, what, and the changed source.


def edits(source: str) -> Iterator[Edit]:
    """Yield *source* with one guard less, for each guard there is."""
    tree = ast.parse(source)
    for where, node in _within(tree, ""):
        for what, change, undo in _changes(node):
            change()
            yield where, what, ast.unparse(tree)
            undo()


Change = tuple[str, Callable[[], None], Callable[[], None]]


def _within(node: ast.AST, where: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        name = getattr(child, "name", None)
        inner = f"{where}.{name}" if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else where
        yield inner.lstrip("."), child
        yield from _within(child, inner)


def _changes(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.If():
            yield from _condition(node, "test", to=(False,))
        case ast.IfExp() if not isinstance(node.test, ast.Name):  # else it is about what is not there
            yield from _condition(node, "test", to=(False, True))
        case ast.match_case() if node.guard is not None:
            yield from _condition(node, "guard", to=(False, True))
        case ast.While():
            yield from _operands(node, "test")
        case ast.Return() if isinstance(node.value, ast.BoolOp | ast.UnaryOp) and _is_truth(node.value):
            yield from _operands(node, "value")
        case ast.comprehension():
            for i, test in enumerate(node.ifs):
                yield _item(f"no filter {ast.unparse(test)}", node.ifs, i, ast.Constant(value=True))
        case ast.GeneratorExp():
            yield from _operands(node, "elt")
        case ast.Expr(value=call) if isinstance(call := _called(call), ast.Call) and _is_raising(call):
            yield _attribute(f"no {ast.unparse(call)}", node, "value", ast.Constant(value=None))
        case ast.keyword(arg="shield", value=ast.Constant(value=True)):
            yield _attribute("no shield", node, "value", ast.Constant(value=False))
        case _:
            return


def _condition(node: ast.AST, name: str, *, to: tuple[bool, ...]) -> Iterator[Change]:
    text = ast.unparse(getattr(node, name))
    for value in to:
        yield _attribute(f"{'always' if value else 'never'} if {text}", node, name, ast.Constant(value=value))
    yield from _operands(node, name)


def _operands(node: ast.AST, name: str) -> Iterator[Change]:
    """Drop each operand of a joined condition, at any depth."""
    whole = getattr(node, name)
    for part in ast.walk(whole):
        if isinstance(part, ast.BoolOp):
            neutral = isinstance(part.op, ast.And)
            for i, operand in enumerate(part.values):
                yield _item(
                    f"without {ast.unparse(operand)} in {ast.unparse(whole)}",
                    part.values,
                    i,
                    ast.Constant(value=neutral),
                )


def _is_truth(value: ast.expr) -> bool:
    """Tell whether operands are conditions, and not a value with its default."""
    parts = value.values if isinstance(value, ast.BoolOp) else [value]
    return any(isinstance(part, ast.Compare) or (isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not))
               for part in parts)  # fmt: skip


def _called(value: ast.expr) -> ast.expr:
    return value.value if isinstance(value, ast.Await) else value


def _is_raising(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return RAISING.match(name) is not None


def _attribute(what: str, node: ast.AST, name: str, new: ast.expr) -> Change:
    old = getattr(node, name)
    return what, lambda: setattr(node, name, new), lambda: setattr(node, name, old)


def _item(what: str, items: list[ast.expr], i: int, new: ast.expr) -> Change:
    old = items[i]
    return what, lambda: items.__setitem__(i, new), lambda: items.__setitem__(i, old)
