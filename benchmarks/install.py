"""Environments for servers that are measured: one each, so that no two have to agree.

    python -m benchmarks.install handrolled agno aegra     (no name: all)

They lie under ``$AGENTCORE_BENCH_HOME/venvs``, else in the platform's temporary folder; uv makes them if it is there.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from attrs import frozen
from benchmarks.places import environment_python, home


@frozen
class Environment:
    """What one server needs."""

    packages: tuple[str, ...]
    python: tuple[int, int] = (3, 11)  #: The oldest that will do.


ENVIRONMENTS = {
    "handrolled": Environment(
        ("starlette", "uvicorn", "uvloop", "httptools", "aiosqlite", "orjson", "aiohttp", "openai")
    ),
    "agno": Environment(("agno[os]", "openai", "sqlalchemy")),
    "aegra": Environment(("aegra-cli", "aegra-api", "langchain-openai"), (3, 12)),
    "langgraph": Environment(("langgraph-cli[inmem]", "langchain-openai")),
    "chainlit": Environment(("chainlit", "openai", "sqlalchemy[asyncio]", "aiosqlite")),
    "adk": Environment(("google-adk", "litellm", "aiosqlite")),
    "openhands": Environment(("openhands-agent-server", "openhands-tools"), (3, 12)),
}


def interpreter(oldest: tuple[int, int]) -> str | None:
    """Return a Python that is new enough: this one, else one on the path that runs."""
    if sys.version_info >= oldest:
        return sys.executable
    for minor in range(oldest[1], 15):
        found = shutil.which(f"python{oldest[0]}.{minor}")
        if found and not subprocess.run([found, "--version"], capture_output=True, check=False).returncode:  # noqa: S603 - found on the path
            return found
    return None


def install(name: str, given: str | None = None) -> bool:
    """Make one environment anew and say what it took; return whether it is there."""
    wanted, folder, began = ENVIRONMENTS[name], home() / "venvs" / name, time.monotonic()
    uv = _uv()
    python = given or interpreter(wanted.python)
    if python is None:
        print(f"{name:12} left out: needs Python {'.'.join(map(str, wanted.python))} or newer: --python PATH")
        return False
    target = str(environment_python(name))
    if uv:
        steps = [
            [uv, "venv", "--quiet", "--clear", "--python", python, str(folder)],
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", target, *wanted.packages],
        ]
    else:
        steps = [
            [python, "-m", "venv", "--clear", str(folder)],
            [target, "-m", "pip", "install", "--quiet", *wanted.packages],
        ]
    for step in steps:
        variables = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
        done = subprocess.run(step, capture_output=True, text=True, check=False, env=variables)  # noqa: S603 - ours
        if done.returncode:
            print(f"{name:12} failed: {' '.join(done.stderr.split())[-500:]}")
            return False
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    print(f"{name:12} {time.monotonic() - began:4.0f} s, {size:,.0f} MB", flush=True)
    return True


def _uv() -> str | None:
    if found := shutil.which("uv"):
        return found
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if importlib.util.find_spec("uv") and beside.exists() else None


def main() -> int:
    """Read the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(ENVIRONMENTS))
    parser.add_argument("--python", help="an interpreter to make them with; else one that is new enough on the path")
    options = parser.parse_args()
    names = options.names or list(ENVIRONMENTS)
    if unknown := set(names) - set(ENVIRONMENTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(ENVIRONMENTS)}")
    done = [install(name, options.python) for name in names]
    return 0 if all(done) else 1


if __name__ == "__main__":
    raise SystemExit(main())
