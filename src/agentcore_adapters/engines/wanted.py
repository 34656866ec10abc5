"""Tools and calls between our names and those of the wires.

Law: providers take names of letters, digits, ``_`` and ``-``, 64 at most; ours have a dot.  A name has one name on the
wire, whichever tools are offered, so that a history reads the same in each turn; what a model wants is looked up, and a
name that was not offered stays recognisable.
"""

import hashlib
import re
from collections.abc import Sequence

import msgspec
from attrs import define, field, frozen

from agentcore.messages import Message, ToolUsePart
from agentcore.tooling import Tool, WantedCall

NAME = re.compile("[A-Za-z0-9_-]{1,64}")
BETWEEN = "__"  # between server and tool


def wire_name(name: str) -> str:
    """Return what a tool is called on the wire; two tools never share a name."""
    written = name.replace(".", BETWEEN, 1)
    if NAME.fullmatch(written) and own_name(written) == name:
        return written
    plain = re.sub("[^A-Za-z0-9_-]", "_", name)[:55]
    return f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def own_name(written: str) -> str:
    """Return the name that a name of the wire stands for, unless it was too long or too odd for that."""
    return written.replace(BETWEEN, ".", 1)


def names_used(messages: Sequence[Message]) -> list[str]:
    """Return the tools that a conversation has used."""
    parts = [part for message in messages for part in message.parts]
    return sorted({part.tool_name for part in parts if isinstance(part, ToolUsePart)})


@frozen
class Names:
    """The tools on offer, by their names on the wire."""

    own: dict[str, str]

    @classmethod
    def of(cls, tools: Sequence[Tool]) -> "Names":
        """Name *tools*."""
        return cls({wire_name(tool.name): tool.name for tool in tools})

    def wanted(self, call_id: str, written: str, arguments: str) -> WantedCall:
        """Make what a model wrote into a call that it wants."""
        return WantedCall(call_id, self.own.get(written, own_name(written)), arguments_of(arguments))


def arguments_of(text: str) -> dict[str, object] | None:
    """Read the arguments of a call; None if they are not a JSON object.  No text stands for no arguments."""
    try:
        found = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) and _is_shallow(found) else None


def _is_shallow(value: object) -> bool:
    """Tell whether a value can be walked by plain recursion, as the store and the hash do."""
    level = [value]
    for _ in range(100):
        level = [
            item
            for outer in level
            for item in (
                outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()
            )
        ]  # fmt: skip
        if not level:
            return True
    return False


@define
class Gathering:
    """A call whose arguments come in pieces."""

    id: str = ""
    name: str = ""
    index: int | None = None
    pieces: list[str] = field(factory=list)

    @property
    def arguments(self) -> str:
        """What has come so far."""
        return "".join(self.pieces)
