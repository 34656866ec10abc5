"""Every reader of foreign bytes, over its seeds and hundreds of changes of them; ``nox -s fuzz`` goes on from there."""

import random

import pytest

from tests.fuzz.mutation import attacks
from tests.fuzz.targets import Target, targets

CHANGES = 600
TARGETS = targets()


@pytest.mark.parametrize("name", TARGETS)
def test_nonsense_is_refused_as_such(name: str) -> None:
    target = TARGETS[name]
    understood = 0
    for data in attacks(target.seeds, CHANGES, random.Random(name)):
        try:
            understood += target.accepts(data)
        except Exception as error:
            error.add_note(f"{name} was given {data[:2000]!r}")
            raise
    assert understood, "a target that understands nothing tests nothing"


def test_a_target_finds_what_it_is_there_for() -> None:
    """A reader that is careless about what JSON can be is caught by the changes alone."""

    def careless(data: bytes) -> object:
        import json

        return json.loads(data)["a"]["b"].strip()

    target = Target(name="careless", run=careless, allowed=(ValueError,), seeds=[b'{"a":{"b":"x"}}'])
    with pytest.raises((KeyError, TypeError, AttributeError)):
        for data in attacks(target.seeds, 200, random.Random(1)):
            target.accepts(data)
