"""Keep the sources of a release for the tests of the next one: ``python -m tests.rolling.freeze REVISION``.

Law: there is one archive, of the release before; clones may be shallow, so it is kept here and not asked of git.
"""

import lzma
import subprocess
import sys
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent
MOST_BYTES = 400_000


def freeze(revision: str) -> Path:
    """Write the archive of *revision* in place of the one there is."""

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", *arguments], check=True, capture_output=True, cwd=FOLDER).stdout

    project = tomllib.loads(git("show", f"{revision}:pyproject.toml").decode())["project"]
    packed = lzma.compress(git("-C", "../..", "archive", revision, "src"), preset=9 | lzma.PRESET_EXTREME)
    if len(packed) > MOST_BYTES:
        raise SystemExit(f"{len(packed)} bytes are too many to be kept in the repository.")
    for old in FOLDER.glob("*.tar.xz"):
        old.unlink()
    path = FOLDER / f"{project['version']}.tar.xz"
    path.write_bytes(packed)
    return path


if __name__ == "__main__":
    print(freeze(sys.argv[1]))  # noqa: T201
