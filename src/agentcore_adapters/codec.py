"""Domain values as JSON, for the columns that hold them.

Law: every member of a union carries its tag, tags never change, and old rows stay readable: unknown keys are
ignored, missing ones take their default.  The converter writes all of it, and reads what is not read by the hundred,
or is not as it should be.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Union, get_args

import msgspec
from cattrs import Converter
from cattrs.strategies import configure_tagged_union

from agentcore.events import Event
from agentcore.messages import Part, TextPart
from agentcore.task import TaskParams
from agentcore.usage import Price

Json = dict[str, Any]


def _tag(kind: type) -> str:
    """Return the stable name of a class: ``TaskStarted`` is ``task_started``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


class _Tagged(msgspec.Struct):
    """What is looked at first."""

    type: str


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=False, detailed_validation=False)  # twice as fast; what is odd still raises
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    converter.register_unstructure_hook(Decimal, str)
    converter.register_structure_hook(Decimal, lambda text, _: Decimal(text))
    for union in (Part, Event):
        # The alias is flat: Python joins unions of unions.
        configure_tagged_union(Union[get_args(union)], converter, tag_name="type", tag_generator=_tag)
    return converter


_CONVERTER = _converter()
_PART: Any = Union[get_args(Part)]
_EVENT: Any = Union[get_args(Event)]
_READ_PART = _CONVERTER.get_structure_hook(_PART)  # looked up once: a history has many
_TEXT = _tag(TextPart)
_KINDS = {_tag(kind): kind for kind in get_args(Event)}
_json, _tagged = msgspec.json.Decoder().decode, msgspec.json.Decoder(_Tagged).decode


def event_json(event: Event) -> Json:
    """Write an event of the log."""
    done: Json = _CONVERTER.unstructure(event, unstructure_as=_EVENT)
    return done


def event(json: str | bytes) -> Event:
    """Read an event of the log."""
    read = _reader(_tagged(json).type)
    try:
        done: Event = read(json)
    except msgspec.ValidationError:  # an engine of somebody's own may have said null, or 12.0; that is read as ever
        done = _converted(json)
    return done


@cache
def _reader(tag: str) -> Callable[[str | bytes], Any]:
    """Return what reads events of one class, four times as fast as the converter does, for a log has many.

    Of unions of ours msgspec does not know the tags, so what holds one is left to the converter.
    """
    try:
        return msgspec.json.Decoder(_KINDS[tag]).decode
    except TypeError:
        return _converted


def _converted(json: str | bytes) -> Any:  # noqa: ANN401 - an event
    return _CONVERTER.structure(_json(json), _EVENT)


def parts_json(parts: Sequence[Part]) -> list[Json]:
    """Write the parts of a message."""
    return [_CONVERTER.unstructure(part, unstructure_as=_PART) for part in parts]


def parts(json: Sequence[Json]) -> tuple[Part, ...]:
    """Read the parts of a message."""
    return tuple(TextPart(part["text"]) if _is_text(part) else _READ_PART(part, _PART) for part in json)


def _is_text(part: Json) -> bool:
    return part["type"] == _TEXT and type(part["text"]) is str


def params_json(params: TaskParams) -> Json:
    """Write the parameters of a task."""
    done: Json = _CONVERTER.unstructure(params)
    return done


def params(json: Json) -> TaskParams:
    """Read the parameters of a task."""
    return _CONVERTER.structure(json, TaskParams)


def price_json(price: Price) -> Json:
    """Write the price of a call."""
    done: Json = _CONVERTER.unstructure(price)
    return done


def price(json: Json) -> Price:
    """Read the price of a call."""
    return _CONVERTER.structure(json, Price)
