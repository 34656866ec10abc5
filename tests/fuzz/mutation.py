"""How an input is changed into a worse one, without knowing what reads it.

Law: everything is drawn from the dice, so the same seed attacks in the same way.
"""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30, 0.5, -0.0, 1e308, 1e-320,
    "", " ", "\x00", "\ud800", "\u202e", "null", "NaN", "x" * 300, "../..", "٣", [], {}, [[]], {"": None}, [None],
    {"type": "text"}, {"type": []}, {"type": {}},
)  # fmt: skip
PIECES: tuple[bytes, ...] = (
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\n", b"\r\n", b"null", b"-", b"1e999", b"[" * 1100,
    b'{"a":' * 600, b'"' * 3, b"9" * 5000, b"\xf4\x90\x80\x80", "٣".encode(), b"=", b".", b"%", b"data: ", b",", b"]}",
)  # fmt: skip


def attacks(seeds: Sequence[bytes], count: int, dice: random.Random) -> Iterator[bytes]:
    """Yield the seeds, then *count* changes of them, several on top of each other now and then."""
    yield from seeds
    for _ in range(count):
        data = dice.choice(seeds)
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            data = mutated(data, dice)
        yield data


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Change *data* in one place: a value of its JSON, if it is some, else bytes."""
    if dice.random() < 0.6:
        lines = data.split(b"\n")
        place = dice.randrange(len(lines))
        before, mark, after = lines[place].rpartition(b"data: ")
        try:
            value = json.loads(after)
        except (ValueError, RecursionError):
            return _bytes(data, dice)
        try:
            lines[place] = before + mark + json.dumps(_value(value, dice)).encode()
        except (ValueError, RecursionError):
            return _bytes(data, dice)
        return b"\n".join(lines)
    return _bytes(data, dice)


def _value(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        rest = {name: item for name, item in value.items() if name != key}
        match dice.randrange(8):
            case 0:
                return rest
            case 1:
                return rest | {dice.choice(("", "type", key.upper(), "\x00", key[:-1])): value[key]}
            case 2:
                return value | {dice.choice(("type", "id", "extra")): dice.choice(ODD)}
            case _:
                return value | {key: _value(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.8:
        place = dice.randrange(len(value))
        match dice.randrange(5):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return value * 2
            case _:
                return [*value[:place], _value(value[place], dice), *value[place + 1 :]]
    return dice.choice(ODD)


def _bytes(data: bytes, dice: random.Random) -> bytes:
    at = dice.randint(0, len(data))
    end = min(len(data), at + dice.choice((1, 1, 2, 5, 20)))
    match dice.randrange(6):
        case 0:
            return data[:at] + data[end:]
        case 1:
            return data[:at] + dice.choice(PIECES) + data[at:]
        case 2:
            return data[:at] + dice.choice(PIECES) + data[end:]
        case 3:
            return data[:at] + bytes(dice.randrange(256) for _ in range(end - at)) + data[end:]
        case 4:
            return data[:at]
        case _:
            return data[:end] + data[at:]
