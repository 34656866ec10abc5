"""Take each guard away, print what noticed, and judge.

``python -m tests.mutation [WORD ...]``: only mutants whose name matches one of the words; ``--list``: only name them.
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
from tests.mutation.trial import judge, open_bench
from tests.support.database import running_server

WORKERS = 2
WIDTH = 200


def main(words: list[str]) -> int:
    begun, say = time.monotonic(), sys.stdout.write
    with running_server(Path()) as server:
        found = _numbered([*schema.mutants(server.running.dsn_owner), *catalog.mutants()])
    found += [Mutant(where="control", what=" then ".join(look.paths[0] for look in looks), looks=looks) for looks in {mutant.looks for mutant in found}]
    unknown = REDUNDANT.keys() - {mutant.name for mutant in found}
    wanted = [word for word in words if not word.startswith("--")]
    mutants = [mutant for mutant in found if not wanted or any(re.search(word, mutant.name) for word in wanted)]
    if "--list" in words:
        say("".join(f"{mutant.name}\n" for mutant in mutants))
        return 0
    verdicts: list[Verdict] = []
    for verdict in _judged(mutants):
        verdicts.append(verdict)
        say(f"{_line(verdict)[:WIDTH]}\n")
        sys.stdout.flush()
    survived = [verdict.mutant for verdict in verdicts if verdict.killer is None]
    wrong = [name for name in survived if name not in REDUNDANT]
    wrong += [verdict.mutant for verdict in verdicts if (verdict.killer or "").startswith("CANNOT")]
    killed = len(verdicts) - len(survived)
    late = sum("time-out" in (verdict.killer or "") for verdict in verdicts)
    minutes = (time.monotonic() - begun) / 60
    say(f"\n{len(verdicts)} mutants: {killed} killed ({late} by time-out), {len(survived)} survived, ")
    say(
        f"{len(survived) - len([n for n in survived if n not in REDUNDANT])} of them redundant; {minutes:.1f} minutes\n"
    )
    for name in survived:
        say(f"{'redundant' if name in REDUNDANT else 'SURVIVED '} {name}  {REDUNDANT.get(name, '')}\n")
    for name in sorted(unknown):
        say(f"WRONG redundant names what is no mutant: {name}\n")
    noticed = sorted(verdict.mutant for verdict in verdicts if verdict.killer and verdict.mutant in REDUNDANT)
    for name in noticed:
        say(f"WRONG redundant names what is noticed: {name}\n")
    return 1 if wrong or unknown else 0


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


def _line(verdict: Verdict) -> str:
    end = verdict.killer or ("redundant" if verdict.mutant in REDUNDANT else "SURVIVED")
    return f"{verdict.seconds:5.1f} s  {verdict.mutant[:110]:<110}  {end.removeprefix('tests/')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
