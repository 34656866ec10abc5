"""The harness of the benchmarks reads what it is shown, and its parts still fit what they measure."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from benchmarks import report
from benchmarks.meter import Meter, percentile
from benchmarks.plots import bars

ROOT = Path(__file__).parent.parent
SAID = "".join(f"@{1000 + i:016d}:{i:04d};padding " for i in range(50))


@pytest.mark.parametrize("size", [1, 7, 23, 24, 1000])
def test_a_meter_finds_each_stamp_however_the_text_is_cut(size: int) -> None:
    meter = Meter()
    for at in range(0, len(SAID), size):
        meter.feed(SAID[at : at + size])
    assert meter.seen == len(meter.latencies) == 50
    assert meter.first is not None


def test_percentiles_lie_between_neighbours() -> None:
    assert percentile([4, 1, 3, 2], 50) == 2.5
    assert percentile([1, 2, 3], 100) == 3
    assert percentile([], 50) is None


def a_round(value: float, foreign: float) -> dict[str, object]:
    return {"target": "x", "cold_start_s": 1.0, "a": {"ttft_ms_p50": value, "foreign_cores": foreign}}


def test_rounds_that_others_disturbed_do_not_count() -> None:
    rounds = [a_round(1, 0.1), a_round(3, 0.2), a_round(50, 1.5)]
    assert report.measured(rounds, ("a", "ttft_ms_p50")) == (2.0, "2.00 [1.00 to 50.0]")


def test_where_no_round_was_quiet_the_quieter_half_counts_and_is_marked() -> None:
    rounds = [a_round(9, 1.9), a_round(5, 0.7), a_round(7, 0.8), a_round(60, 1.0)]
    assert report.measured(rounds, ("a", "ttft_ms_p50")) == (6.0, "6.00\\* [5.00 to 60.0]")


def test_a_plot_ranks_what_it_shows() -> None:
    text = bars("Time <&>", "ms", {"slow": 30.0, "agentcore:x": 0.5, "none": 0.0}, fewer_is_better=True)
    labels = [node.text for node in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert [label for label in labels if label in {"slow", "agentcore:x", "none"}] == ["agentcore:x", "slow"]
    widths = [float(node.attrib["width"]) for node in ET.fromstring(text)[1:] if node.tag.endswith("rect")]
    assert widths == sorted(widths)


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
def test_the_hot_path_can_be_timed(wire: str) -> None:
    command = [sys.executable, "-m", "benchmarks.hotpath", "--deltas", "200", "--wire", wire]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 14
