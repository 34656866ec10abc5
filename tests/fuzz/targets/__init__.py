"""Everything that reads bytes from outside, one target each.

Law: a target states which errors are the answer to nonsense; whatever else is raised is a bug, and so is an answer that
could not be stored.
"""

from collections.abc import Callable, Sequence

from attrs import frozen


@frozen(kw_only=True)
class Target:
    """One reader."""

    name: str
    run: Callable[[bytes], object]  #: Reads, and asserts what holds for whatever was read.
    allowed: tuple[type[Exception], ...]
    seeds: Sequence[bytes]

    def accepts(self, data: bytes) -> bool:
        """Read *data*; tell whether it was understood.  Raises what is a bug."""
        try:
            self.run(data)
        except self.allowed:
            return False
        return True


def targets() -> dict[str, Target]:
    """Return all of them by name."""
    from tests.fuzz.targets import (
        bodies,
        claude,
        hosts,
        identity,
        media,
        places,
        providers,
        remote,
        rows,
        settings,
        values,
    )

    modules = (bodies, claude, hosts, identity, media, places, providers, remote, rows, settings, values)
    found = [target for module in modules for target in module.TARGETS]
    assert len({target.name for target in found}) == len(found)
    return {target.name: target for target in found}


def lines(data: bytes) -> Sequence[bytes]:
    """Return the parts of an input that is made of several."""
    return data.split(b"\n")
