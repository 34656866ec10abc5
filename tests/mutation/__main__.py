"""Take each guard away, print what noticed, and judge.

``python -m tests.mutation [PATTERN ...]``: only mutants whose name matches one of them; ``--list``: only name them;
``--near``: run only the nearest tests of each, which is quick and finds too many survivors.
"""

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

from attrs import evolve

from tests.mutation import catalog, schema
from tests.mutation.mutant import Mutant, Verdict
from tests.mutation.redundant import REDUNDANT
from tests.mutation.trial import UNMADE, judge, open_bench
from tests.support.database import running_server

WORKERS = 2
CONTROL = "control"
WIDTH = 200


def main(words: list[str]) -> int:
    begun, say = time.monotonic(), sys.stdout.write
    if {word for word in words if word.startswith("--")} - {"--list", "--near"}:
        say(f"{__doc__}\n")
        return 2
    with running_server(Path()) as server:
        found = _numbered([*schema.mutants(server.running.dsn_owner), *catalog.mutants()])
    patterns = [re.compile(word) for word in words if not word.startswith("--")]
    mutants = [mutant for mutant in found if not patterns or any(p.search(mutant.name) for p in patterns)]
    if "--list" in words:
        say("".join(f"{mutant.name}\n" for mutant in mutants))
        return 0
    controls = list(_controls(mutants))
    # What is said to repeat another guard is looked at by the nearest tests only: the others would all be run in vain.
    mutants = [evolve(m, looks=m.looks[:1]) if "--near" in words or m.name in REDUNDANT else m for m in mutants]
    verdicts: list[Verdict] = []
    for verdict in _judged([*mutants, *controls]):
        verdicts.append(verdict)
        say(f"{_line(verdict)[:WIDTH]}\n")
        sys.stdout.flush()
    return _judgement(verdicts, {mutant.name for mutant in found}, (time.monotonic() - begun) / 60)


def _controls(mutants: list[Mutant]) -> Iterator[Mutant]:
    """Yield trials without a mutant: if one is red, nothing is shown."""
    for looks, module in {mutant.looks: mutant.module for mutant in mutants}.items():
        source = catalog.source_of(module) if module else ""
        what = " then ".join(look.paths[0] for look in looks)
        yield Mutant(where=CONTROL, what=what, looks=looks, module=module, source=source)


def _numbered(mutants: list[Mutant]) -> list[Mutant]:
    """Tell apart what reads the same."""
    seen: Counter[str] = Counter()
    numbered = []
    for mutant in mutants:
        seen[mutant.name] += 1
        number = seen[mutant.name]
        numbered.append(mutant if number == 1 else evolve(mutant, what=f"{mutant.what} ({number})"))
    return numbered


def _judged(mutants: list[Mutant]) -> Iterator[Verdict]:
    with get_context("spawn").Pool(WORKERS, open_bench) as pool:
        yield from pool.imap_unordered(judge, mutants)
        pool.close()
        pool.join()


def _judgement(verdicts: list[Verdict], known: set[str], minutes: float) -> int:
    say = sys.stdout.write
    controls = [verdict for verdict in verdicts if verdict.mutant.startswith(CONTROL)]
    verdicts = [verdict for verdict in verdicts if verdict not in controls]
    noticed = {verdict.mutant for verdict in verdicts if verdict.killer is not None}
    survived = [verdict.mutant for verdict in verdicts if verdict.killer is None]
    missed = [name for name in survived if name not in REDUNDANT]
    wrong = [f"red without a mutant: {verdict.killer}" for verdict in controls if verdict.killer is not None]
    wrong += [
        f"{verdict.mutant}: {verdict.killer}" for verdict in verdicts if (verdict.killer or "").startswith(UNMADE)
    ]
    wrong += [f"redundant names what is no mutant: {name}" for name in sorted(REDUNDANT.keys() - known)]
    wrong += [f"redundant names what is noticed: {name}" for name in sorted(REDUNDANT.keys() & noticed)]
    late = sum("time-out" in (verdict.killer or "") for verdict in verdicts)
    repeated = len(survived) - len(missed)
    say(f"\n{len(verdicts)} mutants: {len(noticed)} killed ({late} by time-out), {repeated} redundant, ")
    say(f"{len(missed)} SURVIVED; {minutes:.1f} minutes\n")
    for name in survived:
        say(f"redundant {name}: {REDUNDANT[name]}\n" if name in REDUNDANT else f"SURVIVED  {name}\n")
    for line in wrong:
        say(f"WRONG {line}\n")
    return 1 if missed or wrong else 0


def _line(verdict: Verdict) -> str:
    end = verdict.killer or ("redundant" if verdict.mutant in REDUNDANT else "SURVIVED")
    return f"{verdict.seconds:5.1f} s  {verdict.mutant[:110]:<110}  {end.removeprefix('tests/')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
