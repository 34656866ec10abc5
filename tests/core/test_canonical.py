"""One value, one form, one hash."""

import json
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcore.approval import input_hash
from agentcore.canonical import canonical

# RFC 8785, appendix B: doubles by their bits, and what they are written as.
DOUBLES = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(("bits", "text"), DOUBLES.items())
def test_a_double_is_written_as_the_rfc_has_it(bits: str, text: str) -> None:
    (double,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(double) == text


def test_the_example_of_the_rfc() -> None:
    text = r"""{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"""
    assert canonical(json.loads(text)) == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_members_are_sorted_by_their_utf_16_units() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    assert list(json.loads(canonical(dict.fromkeys(names)))) == [
        "\r",
        "1",
        "\u0080",
        "\u00f6",
        "\u20ac",
        "\U0001f600",
        "\ufb33",
    ]


def test_one_number_has_one_hash_and_two_have_two() -> None:
    assert input_hash("t", {"n": 1}) == input_hash("t", {"n": 1.0}) == input_hash("t", {"n": 1e0})
    assert input_hash("t", {"n": -0.0}) == input_hash("t", {"n": 0})
    assert input_hash("t", {"n": 1e22}) == input_hash("t", {"n": 10**22})
    assert input_hash("pay", {"to": 9007199254740993}) != input_hash("pay", {"to": 9007199254740992})
    assert input_hash("pay", {"to": 10**400}) != input_hash("pay", {"to": 10**400 + 1})
    assert input_hash("a", {}) != input_hash("b", {})


def test_what_is_no_json_has_no_form() -> None:
    for value in (float("nan"), float("-inf")):
        with pytest.raises(ValueError, match="NaN"):
            canonical(value)
    with pytest.raises(TypeError):
        canonical(object())


@given(JSON)
def test_the_form_is_json_and_final(value: Any) -> None:
    form = canonical(value)
    assert canonical(json.loads(form)) == form
    assert canonical(json.loads(json.dumps(value))) == form


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_store_that_writes_numbers_out_changes_nothing(value: float) -> None:
    """PostgreSQL's jsonb gives a double back as a decimal without an exponent."""
    assert canonical(json.loads(f"{Decimal(repr(value)):f}")) == canonical(value)
