"""Rows as an older or a newer server, or a person, may have written them."""

from collections.abc import Callable
from typing import Any, get_args

import msgspec
from cattrs.errors import BaseValidationError
from docs.generate import a_sample

from agentcore.events import Event
from agentcore.messages import TextPart, ToolUsePart
from agentcore.task import TaskParams
from agentcore_adapters import codec
from tests.fuzz.targets import Target

PARTS = codec.parts_json((TextPart("x"), ToolUsePart(tool_use_id="u", tool_name="n", input={"a": 1})))

# Rows are our own; what cannot be one of them is refused by who reads it, in its own words.
UNREADABLE = (
    *(BaseValidationError, KeyError, ValueError, TypeError, AttributeError, ArithmeticError),
    *(msgspec.DecodeError, RecursionError),
)


def row(read: Callable[[Any], Any], write: Callable[[Any], Any]) -> Callable[[bytes], object]:
    """Read a column, and write what was read: it must be read as the same again."""

    def run(data: bytes) -> object:
        found = read(msgspec.json.decode(data))
        written = write(found)  # compared as JSON: a NaN is not itself
        assert write(read(msgspec.json.decode(msgspec.json.encode(written)))) == written
        return found

    return run


def event(json: object) -> Event:
    """Read an event, which comes as text."""
    return codec.event(msgspec.json.encode(json))


TARGETS = [
    Target(
        name=f"rows_of_{name}",
        run=row(read, write),
        allowed=UNREADABLE,
        seeds=[msgspec.json.encode(seed) for seed in seeds],
    )
    for name, read, write, seeds in (
        (
            "events",
            event,
            codec.event_json,
            [codec.event_json(a_sample(kind)) for kind in get_args(Event)],
        ),
        ("parts", codec.parts, codec.parts_json, [PARTS]),
        ("params", codec.params, codec.params_json, [codec.params_json(TaskParams(system_prompt="s"))]),
    )
]
