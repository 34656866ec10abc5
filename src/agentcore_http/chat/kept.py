"""What is remembered from one conversation to the next: what was typed, and the last session of each server.

Law: for its owner's eyes only, whatever the umask says.
"""

import json
import os
from pathlib import Path

import platformdirs


def folder() -> Path:
    """Return where it lies."""
    found = Path(platformdirs.user_state_dir("agentcore"))
    found.mkdir(parents=True, exist_ok=True, mode=0o700)
    return found


def private(path: Path) -> Path:
    """Make *path* a file that only its owner can read."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600))
    path.chmod(0o600)
    return path


def typed() -> Path:
    """Return the file of what was typed."""
    return private(folder() / "chat-history")


def last_session(url: str) -> str | None:
    """Return the last session that was talked in at *url*."""
    found = _sessions().get(url)
    return found if isinstance(found, str) else None


def remember(url: str, session_id: str) -> None:
    """Remember it; a folder that cannot be written is no reason not to talk."""
    try:
        path = private(folder() / "chat-sessions.json")
        fresh = path.with_suffix(".new")
        private(fresh).write_text(json.dumps(_sessions() | {url: session_id}), encoding="utf-8")
        fresh.replace(path)
    except OSError:
        return


def _sessions() -> dict[str, object]:
    try:
        found = json.loads((folder() / "chat-sessions.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
