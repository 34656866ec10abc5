import pytest
from attrs import evolve, frozen

from agentcore.moving import mover
from agentcore.testing.making import a_prompt


@frozen(kw_only=True)
class Value:
    one: int
    two: str = "two"
    three: tuple[int, ...] = ()


def test_it_is_what_evolve_makes() -> None:
    value = Value(one=1, two="2", three=(3,))
    assert mover(Value, "three", "one")(value, (4,), 5) == evolve(value, three=(4,), one=5)
    prompt = a_prompt()
    assert mover(type(prompt), "deadline_s")(prompt, 7.0) == evolve(prompt, deadline_s=7.0)


def test_a_field_that_there_is_not_is_noticed_at_once() -> None:
    with pytest.raises(TypeError, match="Value has no field four"):
        mover(Value, "one", "four")
