"""Three nodes in bad weather, seed by seed."""

import multiprocessing
import os
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from attrs import evolve
from tests.simulation.planted import PLANTED
from tests.simulation.world import be_silent, run

from agentcore.testing.chaos import CALM
from agentcore.testing.simulation import Report

SEEDS = int(os.environ.get("AGENTCORE_TEST_SEEDS", "600"))
FOUND_WITHIN = 150  # seeds; a planted fault that needs more is not found


@pytest.fixture(autouse=True)
def silence() -> None:
    be_silent()


def test_every_seed_keeps_every_promise() -> None:
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), be_silent) as pool:
        results = pool.map(run, range(SEEDS), chunksize=25)
    assert [result for result in results if isinstance(result, str)] == []
    reports = [result for result in results if isinstance(result, Report)]
    # The weather was bad, and work was done in it: a run that only refuses is safe and useless.
    assert sum(report.deaths for report in reports) > SEEDS
    assert sum(report.recovered for report in reports) > SEEDS / 2
    assert sum(report.resets for report in reports) > SEEDS / 20
    assert sum(report.completed for report in reports) > SEEDS


def test_a_bus_that_loses_everything_costs_time_only() -> None:
    """No message of it ever arrives, before, during and after trouble: everything is done and seen all the same."""
    deaf = evolve(CALM, lost=1.0)
    completed = 0
    for seed in range(20):
        report = run(seed, deaf)
        assert isinstance(report, Report), report
        completed += report.completed
    assert completed >= 20


def test_a_seed_replays_identically() -> None:
    for seed in range(12):
        first, second = run(seed), run(seed)
        assert isinstance(first, Report), first
        assert first == second


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: Callable[[], AbstractContextManager[None]]) -> None:
    with plant():
        for seed in range(FOUND_WITHIN):
            if isinstance(run(seed), str):
                return
    raise AssertionError(f"{plant.__name__} went unnoticed for {FOUND_WITHIN} seeds")
