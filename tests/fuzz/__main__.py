"""``python -m tests.fuzz [--seconds 60] [TARGET ...]``: attacks the readers, guided by what of them is reached.

Each target runs in a process of its own (libFuzzer ends its process when it finds something).  What is found is printed
with the input; make it a seed of its target, see it fail in ``test_targets.py``, then mend the reader.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FIGURES = ("number_of_executed_units", "average_exec_per_sec", "new_units_added")
LINE = re.compile(rf"stat::({'|'.join(FIGURES)}):\s+(\d+)")
OURS = ("agentcore", "agentcore_adapters", "agentcore_http")
BYTES = 4096


def main() -> int:
    """Run what was asked for; return how many targets have found something."""
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.child:
        return attack(said.targets[0], said.seconds)
    from tests.fuzz.targets import targets

    names = said.targets or list(targets())
    broken = 0
    say(f"{'target':<24}" + "".join(f"{word:>12}" for word in ("runs", "per s", "new inputs")))
    for name in names:
        command = [sys.executable, "-m", "tests.fuzz", "--child", "--seconds", str(said.seconds), name]
        done = subprocess.run(command, check=False, capture_output=True, timeout=said.seconds + 300)
        text = done.stderr.decode(errors="replace") + done.stdout.decode(errors="replace")
        found = dict(LINE.findall(text))
        say(f"{name:<24}" + "".join(f"{found.get(key, '?'):>12}" for key in FIGURES))
        if done.returncode != 0:
            broken += 1
            say(text[-4000:])
    return broken


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def attack(name: str, seconds: int) -> int:
    """Attack one target in this process."""
    import atheris

    with atheris.instrument_imports(include=["agentcore", "agentcore_adapters", "agentcore_http"]):
        for module in [
            word for word in sys.modules if word.partition(".")[0].startswith("agentcore") or "fuzz.targets" in word
        ]:
            del sys.modules[module]  # imported to list the targets, but not instrumented
        from tests.fuzz.targets import targets

        target = targets()[name]  # imports what it attacks
    from tests.fuzz.mutation import mutated

    def change(data: bytes, most: int, seed: int) -> bytes:
        dice = random.Random(seed)
        changed = atheris.Mutate(data, most) if dice.random() < 0.6 else mutated(data, dice)
        return bytes(changed[:most])

    def one(data: bytes) -> None:
        try:
            target.accepts(data)
        except Exception:
            say(f"input: {data!r}")
            raise

    with tempfile.TemporaryDirectory(prefix="agentcore-fuzz-") as folder:
        for number, seed in enumerate(target.seeds):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        options = [f"-max_total_time={seconds}", f"-max_len={BYTES}", "-timeout=10", "-rss_limit_mb=2048", "-seed=1"]
        crash = f"-artifact_prefix={folder}/"
        atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", crash, folder], one, custom_mutator=change)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
