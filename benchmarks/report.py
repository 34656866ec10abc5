"""Tables and plots of what ``compare`` and ``faults`` have measured.

    python -m benchmarks.report [FILE.jsonl ...]            print the tables
    python -m benchmarks.report --write [FILE.jsonl ...]    put them into docs/explanation/performance.md, plots beside

A number is the median of the rounds during which others used less than 0.6 cores; where there was none, of the
quieter half, marked with an asterisk.  In brackets: the least and the most of all rounds.
"""

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from benchmarks.places import home
from benchmarks.plots import bars, shown

DOCS = Path(__file__).parent.parent / "docs" / "explanation"
PAGE, PLOTS = DOCS / "performance.md", DOCS / "performance"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
QUIET_CORES = 0.6
Rows = dict[str, list[dict[str, Any]]]


@frozen
class Column:
    """One number of a table, and where it lies in a row."""

    title: str
    path: tuple[str, ...]
    plot: str = ""  #: Title of its plot, if it has one.
    unit: str = ""
    fewer: bool = True


def _column(title: str, path: str, plot: str = "", unit: str = "", *, fewer: bool = True) -> Column:
    return Column(title, tuple(path.split(".")), plot, unit, fewer)


TABLES: dict[str, tuple[Column, ...]] = {
    "Time to the first delta, and of each": (
        _column("TTFT added p50 ms", "a.ttft_ms_p50", "Time to first token that the server adds", "ms, p50"),
        _column("p99", "a.ttft_ms_p99"),
        _column("before the call p50", "a.pre_llm_ms_p50"),
        _column("after it p50", "a.post_llm_ms_p50"),
        _column("delta p50 ms", "b.lat_ms_p50", "Latency of one delta", "ms, p50"),
        _column("p99", "b.lat_ms_p99"),
    ),
    "Throughput": (
        _column("deltas/s", "c.deltas_per_s", "Deltas a second, 32 runs at once", "deltas/s", fewer=False),
        _column("CPU s per 1,000", "c.cpu_s_per_1k", "CPU of the server", "seconds per 1,000 deltas"),
        _column("database's", "c.helpers_cpu_s_per_1k"),
        _column("missing", "c.missing"),
        _column("tiny runs/s", "d.runs_per_s", "Runs of one delta a second, 16 at once", "runs/s", fewer=False),
        _column("p99 ms", "d.run_ms_p99"),
        _column("CPU ms per run", "d.cpu_ms_per_run"),
        _column("database's", "d.helpers_cpu_ms_per_run"),
        _column("errors", "d.n_errors"),
    ),
    "Start and memory": (
        _column("cold start s", "cold_start_s"),
        _column("first run ms", "first_run_ms"),
        _column("idle RSS MB", "idle_rss_mb"),
        _column("with engine MB", "engine_rss_mb"),
        _column("database's MB", "idle_helpers_pss_mb"),
        _column("after all MB", "rss_after_mb"),
    ),
    "Growth": (
        _column("turn 5 ms", "e.turn5_ms"),
        _column("turn 100 ms", "e.turn100_ms"),
        _column("100/5", "e.ratio100"),
        _column("turn 500 ms", "e.turn500_ms"),
        _column("500/5", "e.ratio500"),
        _column("CPU ms turn 5", "e.cpu_ms_turn5"),
        _column("turn 100", "e.cpu_ms_turn100"),
        _column("turn 500", "e.cpu_ms_turn500"),
    ),
    "Memory per 1,000 sessions": (
        _column("MB made", "f.mb_per_1k_created"),
        _column("MB used", "f.mb_per_1k_used"),
        _column("made/s", "f.creates_per_s"),
        _column("made", "f.created"),
        _column("errors", "f.n_errors"),
        _column("database's MB", "f.helpers_pss_growth_mb"),
    ),
}
FAULTS = ("join", "disconnect", "cancel", "kill9")


def measured(rows: Iterable[dict[str, Any]], path: tuple[str, ...]) -> tuple[float, str] | None:
    """Return the number for a table, and how it is written."""
    found: list[tuple[float, float]] = []
    for row in rows:
        value = _at(row, path)
        if value is not None:
            found.append((_at(row, (path[0], "foreign_cores")) or 0.0 if len(path) > 1 else 0.0, value))
    if not found:
        return None
    quiet = [value for foreign, value in found if foreign < QUIET_CORES]
    mark = "" if quiet else "\\*"
    quiet = quiet or [value for _, value in sorted(found)[: (len(found) + 1) // 2]]
    middle, all_ = statistics.median(quiet), [value for _, value in found]
    text = shown(middle) + mark
    if len(all_) > 1 and max(all_) > 0:
        text += f" [{shown(min(all_))} to {shown(max(all_))}]"
    return middle, text


def _at(row: dict[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = row
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None


def tables(rows: Rows) -> str:
    """Return all tables for which there are numbers."""
    parts: list[str] = []
    for title, columns in TABLES.items():
        lines = []
        for name, own in rows.items():
            cells = [measured(own, column.path) for column in columns]
            if any(cells):
                lines.append(f"| {name} | " + " | ".join(cell[1] if cell else "-" for cell in cells) + " |")
        if lines:
            head = "| target | " + " | ".join(column.title for column in columns) + " |"
            parts.append("\n".join([f"### {title}\n", head, "|---|" + "---:|" * len(columns), *lines]))
    return "\n\n".join(parts)


def faults_table(rows: Rows) -> str:
    """Return what became of each fault; empty if none was tried."""
    lines = []
    for name, own in rows.items():
        for scenario in FAULTS:
            found = next((row[scenario] for row in reversed(own) if scenario in row), None)
            if found is not None:
                said = "; ".join(f"{key.replace('_', ' ')}: {_short(value)}" for key, value in found.items())
                lines.append(f"| {name} | {scenario} | {said} |")
    head = ["### Faults\n", "| target | what happens | what is seen |", "|---|---|---|"]
    return "\n".join([*head, *lines]) if lines else ""


def _short(value: object) -> str:
    return shown(value) if isinstance(value, float) else str(value)


def plots(rows: Rows) -> dict[str, str]:
    """Return the plots, by name of file."""
    found: dict[str, str] = {}
    for column in (column for columns in TABLES.values() for column in columns if column.plot):
        values = {name: cell[0] for name, own in rows.items() if (cell := measured(own, column.path))}
        if values:
            name = f"{column.path[-1].replace('_', '-')}.svg"
            found[name] = bars(column.plot, column.unit, values, fewer_is_better=column.fewer)
    return found


def read(files: Iterable[Path]) -> Rows:
    """Read lines of JSON; a name of a target is one row of a table."""
    rows: Rows = {}
    for path in files:
        for line in path.read_text().splitlines():
            row = json.loads(line)
            rows.setdefault(row["target"], []).append(row)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="default: all results")
    parser.add_argument("--write", action="store_true", help="into the docs")
    options = parser.parse_args(arguments)
    rows = read(options.files or sorted((home() / "results").glob("*.jsonl")))
    compared = {name: own for name, own in rows.items() if any("cold_start_s" in row for row in own)}
    tried = {name: found for name, own in rows.items() if (found := [r for r in own if any(f in r for f in FAULTS)])}
    text = "\n\n".join(part for part in (tables(compared), faults_table(tried)) if part)
    if not options.write:
        print(text)
        return
    PLOTS.mkdir(exist_ok=True)
    images = plots(compared)
    for name, image in images.items():
        (PLOTS / name).write_text(image)
    shown_ = "\n".join(f"![{name.removesuffix('.svg')}](performance/{name})" for name in images)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{shown_}\n\n{text}\n\n{END}{after}")
    print(f"wrote {PAGE.name} and {len(images)} plots")


if __name__ == "__main__":
    main()
