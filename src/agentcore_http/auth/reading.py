"""How the settings of identity are read.

Law: what would let in whom it should not is refused when it is read, in a sentence that says what is wanted.
"""

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

MODES = ("none", "gateway", "jwt")
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
TYPES = ("at+jwt", "JWT")
SECRET_BYTES = 32
LEEWAY_S, MOST_LEEWAY_S = 30.0, 60.0
ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)


def mode(value: object) -> str:
    """Read who the caller is."""
    if value not in MODES:
        raise ValueError("none, gateway or jwt")
    return str(value)


def words(value: object) -> tuple[str, ...]:
    """Read a list, or a text with commas between."""
    found = value if isinstance(value, list) else str(value).split(",")
    if not all(isinstance(word, str) for word in found):
        raise ValueError("a list of texts")
    kept = tuple(word.strip() for word in found if word.strip())
    if not kept:
        raise ValueError("at least one")
    return kept


def secrets(value: object) -> tuple[str, ...]:
    """Read one shared secret, or two while one replaces the other."""
    found = words(value)
    if len(found) > 2 or not all(
        len(word) >= SECRET_BYTES and word.isascii() and word.isprintable() and " " not in word for word in found
    ):
        raise ValueError(
            "32 characters or more, or two such with a comma between, for example from: openssl rand -hex 32"
        )
    return found


def algorithms(value: object) -> tuple[str, ...]:
    """Read the algorithms that tokens may be signed with: public keys only."""
    found = words(value)
    if not set(found) <= set(ALGORITHMS):
        raise ValueError(f"some of {', '.join(ALGORITHMS)}: a key set is public, so a shared secret cannot sign")
    return found


def leeway(value: object) -> float:
    """Read by how much clocks may differ."""
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MOST_LEEWAY_S:
        raise ValueError("0 to 60 seconds")
    return seconds


def key_set(value: object) -> str | Path:
    """Read where the keys are: an address or a file."""
    text = value.strip() if isinstance(value, str) else ""
    if "://" not in text and text:
        try:
            return Path(text).expanduser()
        except RuntimeError:  # ~somebody who is not known here
            raise ValueError("a path whose ~ is somebody's home here") from None
    if not _is_address(text):
        raise ValueError("a file, or an https:// address without a name or password in it")
    return text


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False


def origins(value: object) -> tuple[str, ...]:
    """Read origins and host names, each of them exactly one."""
    found = tuple(word.removesuffix("/") for word in words(value))
    for word in found:
        if (ORIGIN if "//" in word else HOST).fullmatch(word) is None:
            raise ValueError("origins such as https://app.example, or host names; no patterns and no paths")
    return tuple(word.lower() for word in found)
