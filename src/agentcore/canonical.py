"""JSON in its one canonical form.

Law: RFC 8785 (JCS): members sorted by their UTF-16 code units, strings escaped as little as JSON allows, numbers as
ECMAScript writes a double.  One value has one form, whichever store or wire it has passed: 1, 1.0 and 1e0 are the
same number.

The one step beyond the RFC: an integer beyond 2**53 keeps all its digits, where the RFC may round it, because two calls
that differ in such a number must not share a hash.
"""

import json
from decimal import Decimal
from typing import Any

MOST_DIGITS = 21  # ECMAScript writes numbers below 1e21 without an exponent
MOST_ZEROS = 6  # and those from 1e-6 on


def canonical(value: Any) -> str:  # noqa: ANN401 - JSON
    """Write a JSON value; raises TypeError for what is none, ValueError for NaN and infinities."""
    match value:
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int():
            return _integer(value)
        case float():
            return _double(value)
        case list() | tuple():
            return f"[{','.join(map(canonical, value))}]"
        case dict():
            members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be", "surrogatepass"))
            return f"{{{','.join(f'{canonical(name)}:{canonical(item)}' for name, item in members)}}}"
        case _:
            raise TypeError(f"{type(value).__name__} is not JSON.")


def _integer(value: int) -> str:
    try:
        double = float(value)
    except OverflowError:
        return str(value)
    # What a double is written as, an integer may be read back as: PostgreSQL writes 1.5e300 with all its zeros.
    return _double(double) if Decimal(repr(double)) == value else str(value)


def _double(value: float) -> str:
    """Write a double as ``Number::toString`` of ECMAScript does; Python finds the same shortest digits."""
    if value != value or abs(value) == float("inf"):  # noqa: PLR0124 - NaN is not itself
        raise ValueError("Neither NaN nor an infinity is JSON.")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    _, found, exponent = Decimal(repr(abs(value))).as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, found)).lstrip("0")
    point = len(digits) + exponent  # where the decimal point stands, counted from the first digit
    digits = digits.rstrip("0")
    if len(digits) <= point <= MOST_DIGITS:
        return sign + digits.ljust(point, "0")
    if 0 < point <= MOST_DIGITS:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -MOST_ZEROS < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"
