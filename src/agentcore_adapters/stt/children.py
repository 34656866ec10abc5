"""What the children of this package have in common.

Law: a child is our own interpreter with an environment that is listed here; it has no secrets and does not outlive
its owner, who holds its standard input open.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping

import anyio
from anyio.abc import Process

PASSED = ("PATH", "PYTHONPATH", "TMPDIR", "SYSTEMROOT")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a child sees of our environment, and *more*."""
    own = {name: os.environ[name] for name in PASSED if name in os.environ}
    return own | {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"} | dict(more or {})


async def open_child(module: str, *arguments: str, more: Mapping[str, str] | None = None) -> Process:
    """Start ``python -m module``, spoken to over its standard input and output.

    Being cancelled waits until the child is there, and then it is the caller's to end: a start that is broken off
    would leave one that nobody waits for.
    """
    with anyio.CancelScope(shield=True):
        child = await anyio.open_process(
            [sys.executable, "-m", module, *arguments],
            stderr=subprocess.DEVNULL,
            env=environment(more),
            start_new_session=True,  # Ctrl-C is the owner's to handle
        )
    return child  # noqa: RET504 - a shield might swallow an error, mypy says


def end_with_owner() -> None:
    """End this process once its standard input is closed: what a child calls that does not read it."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    while os.read(0, 4096):
        continue
    os._exit(1)
