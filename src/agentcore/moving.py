"""Values that move on often.

Law: the same as ``attrs.evolve``, for fields that are named beforehand: what those are is looked up once, at import,
and not for every piece of text that is heard.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import fields

T = TypeVar("T")


def mover(kind: type[T], *names: str) -> Callable[..., T]:
    """Return ``move(value, *new)``, which copies a *kind* with other values for the fields *names*, in that order."""
    known = [attribute.name for attribute in fields(kind)]  # type: ignore[arg-type]  # T is an attrs class, which no bound can say
    if unknown := set(names) - set(known):
        raise TypeError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}.")
    arguments = ", ".join(f"{name}={name if name in names else 'value.' + name}" for name in known)
    scope: dict[str, Any] = {"kind": kind}
    exec(f"def move(value, {', '.join(names)}):\n return kind({arguments})", scope)  # noqa: S102 - names of fields
    move: Callable[..., T] = scope["move"]
    return move
