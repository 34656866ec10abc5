"""A short simulation in this process: mutants live in forks, and a pool of processes would not have them."""

import pytest

from tests.simulation.world import be_silent, run

SEEDS = 30


@pytest.fixture(autouse=True)
def silence() -> None:
    be_silent()


def test_thirty_seeds_keep_every_promise() -> None:
    broken = (result for seed in range(SEEDS) if isinstance(result := run(seed), str))
    assert next(broken, None) is None
