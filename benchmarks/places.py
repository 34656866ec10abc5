"""Where benchmarks keep what they make: outside of the project."""

import os
import tempfile
from pathlib import Path


def home() -> Path:
    """Return where environments, work folders, logs and results lie: outside of the project."""
    return Path(os.environ.get("AGENTCORE_BENCH_HOME") or Path(tempfile.gettempdir()) / "agentcore-bench").resolve()


def environment_python(name: str) -> Path:
    """Return the interpreter of an environment that ``benchmarks.install`` makes."""
    return home() / "venvs" / name / "bin" / "python"
