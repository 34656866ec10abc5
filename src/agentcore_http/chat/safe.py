"""Text of strangers, made safe for a terminal.

Law: no character leaves here that a terminal obeys or that changes the order or the look of others: each is written
as its code.  What is left besides is line breaks, tabs and what is visible.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

# C0 without tab and line feed, DEL, C1; what sets the direction; line and paragraph separators; half surrogates; tags,
# and other characters without a look that hide what stands beside them.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_JOINERS = re.compile("[\u200c\u200d]")  # needed by scripts and by emoji; a decision is better shown without
SHOWN = 20


def safe(text: str) -> str:
    """Return *text* as it may be shown."""
    return _OBEYED.sub(_code, text.replace("\r\n", "\n"))


def line(text: str, most: int = 200) -> str:
    """Return *text* as it may be shown on one line."""
    one = safe(" ".join(text.split()))
    return one if len(one) <= most else one[: most - 1] + "…"


def exact(value: Mapping[str, Any]) -> str:
    """Return all of *value*, as it is and nothing hidden, for somebody who decides on it."""
    return _JOINERS.sub(_code, safe(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)))


def strange(value: Mapping[str, Any]) -> list[str]:
    """Name the characters of *value* that look like others, or may: those that are not ASCII."""
    found = sorted({char for char in json.dumps(value, ensure_ascii=False) if not char.isascii()})
    return [f"{safe(char)} U+{ord(char):04X} {unicodedata.name(char, 'unnamed').lower()}" for char in found[:SHOWN]]


class Pieces:
    """A text that comes piece by piece: CR LF may come in two."""

    def __init__(self) -> None:
        """Begin."""
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what may be shown now."""
        text = self._held + piece
        self._held = "\r" if text.endswith("\r") else ""
        return safe(text[:-1] if self._held else text)

    def rest(self) -> str:
        """Return what was held back."""
        held, self._held = self._held, ""
        return safe(held)


def _code(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number > 0xFFFF:
        return f"\\U{number:08x}"
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}"
