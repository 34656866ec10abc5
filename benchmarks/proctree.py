"""CPU time and memory of trees of processes, read from /proc.

Law: a tree of a server does not hold its database: a ``postgres`` below a process that is none is another tree.
"""

import os
from collections.abc import Sequence
from pathlib import Path

PROC = Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
DATABASE = "postgres"


def tree(roots: Sequence[int]) -> list[int]:
    """Return the live processes at or below any of *roots*."""
    children: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (found := _stat(int(entry.name))) is not None:
            names[int(entry.name)], parent, _ = found
            children.setdefault(parent, []).append(int(entry.name))
    out: list[int] = []
    todo = [pid for pid in roots if pid in names]
    while todo:
        pid = todo.pop()
        if pid not in out:
            out.append(pid)
            in_database = names[pid] == DATABASE
            todo += [child for child in children.get(pid, []) if in_database or names[child] != DATABASE]
    return out


def cpu_seconds(roots: Sequence[int]) -> float:
    """Return user and system time of the tree, with that of children it has waited for (ticks of 10 ms)."""
    return sum(found[2] for pid in tree(roots) if (found := _stat(pid)) is not None) / TICK


def rss_mb(roots: Sequence[int]) -> float:
    """Return the resident memory of the tree."""
    return sum(int((_read(pid, "statm") or b"0 0").split()[1]) * PAGE for pid in tree(roots)) / 1e6


def pss_mb(roots: Sequence[int]) -> float:
    """Return its proportional memory: the honest sum where processes share pages, as those of PostgreSQL do."""
    total = 0
    for pid in tree(roots):
        for line in (_read(pid, "smaps_rollup") or b"").splitlines():
            if line.startswith(b"Pss:"):
                total += int(line.split()[1]) * 1024
    return total / 1e6


def machine_busy_s() -> float:
    """Return the CPU seconds that the whole machine has worked: they show what else ran during a measurement."""
    fields = list(map(int, (PROC / "stat").read_bytes().split(b"\n", 1)[0].split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / TICK


def _stat(pid: int) -> tuple[str, int, int] | None:
    """Return name, parent and ticks of a process (fields 2, 4 and 14 to 17 of proc(5)); None if it has gone."""
    content = _read(pid, "stat")
    if content is None:
        return None
    end = content.rindex(b")")
    rest = content[end + 2 :].split()
    return content[content.index(b"(") + 1 : end].decode(errors="replace"), int(rest[1]), sum(map(int, rest[11:15]))


def _read(pid: int, name: str) -> bytes | None:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return None
