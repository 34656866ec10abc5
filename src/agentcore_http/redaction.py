"""What must not be shown, and how it is kept out of a line.

Law: a secret never stands in a repr, and on its way to a log every text is searched for the secrets that are known
and for what looks like one.  Values are bounded; of an object that is not plain data only its class is told.  Of an
exception: its class, our own code and the places it went through, never its message and never a line of source,
because messages carry prompts, rows and addresses.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from uuid import UUID

from attrs import define, field

from agentcore.errors import AgentcoreError

HIDDEN = "[secret]"
TEXT_CHARS, ITEMS, DEPTH = 300, 20, 4
FRAMES, LINKS = 12, 4  # of a traceback; of a chain of causes, or of a group
SHORTEST = 6  # what is shorter would hide half of every line

# Source: the prefixes that providers give their keys, RFC 7519 for tokens, RFC 3986 for the password of an address.
SHAPES = re.compile(
    r"""(?ix)
    (?: \b(?:bearer|basic)\s+ [\w.~+/=-]{6,} )
  | (?: \b(?:sk|pk|rk)-[\w-]{8,} ) | (?: \bwhsec_[\w+/=-]{8,} )
  | (?: \b(?:gh[pousr]|github_pat|xox[abprs])[_-][\w-]{8,} )
  | (?: \beyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)? )
  | (?: (?<=://)[^\s/@:]*:[^\s/@]+(?=@) )
  | (?: \b(?:password|passwd|pwd|secret|token|api[_-]?key)["']?\s*[=:]\s*["']?[^\s"'&,;]{3,} )
    """
)
NAMES = re.compile(r"(?i)passw|secret|authorization|cookie|credential|api_?key|token$")


class Secret(str):
    """A text whose repr does not show it; wherever it is used it is the text itself, as an SDK's header needs it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show that there is something, and nothing of it."""
        return "Secret('…')"


@define
class Redactor:
    """Makes plain, bounded data of anything, without secrets."""

    _known: re.Pattern[str] | None = None
    _values: set[str] = field(factory=set, repr=False)

    def hide(self, secrets: Iterable[str]) -> None:
        """Know *secrets* from now on, in the forms in which they may appear."""
        for secret in secrets:
            self._values |= {form for form in _forms(secret) if len(form) >= SHORTEST}
        longest_first = sorted(self._values, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """Return *text* without secrets; searched as a whole, then cut, so that no half of one is left."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        text = SHAPES.sub(HIDDEN, text)
        return text if len(text) <= TEXT_CHARS else f"{text[:TEXT_CHARS]}… {len(text)} characters"

    def value(self, value: object, name: str = "", depth: int = 0) -> object:
        """Return what may be shown of *value*, which stands under *name*."""
        match value:
            case None | bool() | int() | float():
                return value
            case Secret():
                return HIDDEN
            case Enum():
                return self.text(str(value.value))
            case str():
                return HIDDEN if value and NAMES.search(name) else self.text(value)
            case Decimal() | UUID() | date() | Path():
                return self.text(str(value))
            case Mapping() if depth < DEPTH:
                shown = list(value.items())[:ITEMS]
                return {self.text(str(key)): self.value(item, str(key), depth + 1) for key, item in shown}
            case Sequence() | set() | frozenset() if not isinstance(value, bytes | bytearray) and depth < DEPTH:
                return [self.value(item, name, depth + 1) for item in list(value)[:ITEMS]]
            case BaseException():
                return failure(value)
            case _:
                return f"<{type(value).__name__}>"


def failure(error: BaseException, links: int = LINKS) -> dict[str, Any]:
    """Tell what kind of error it was, where it came from, and what it came of."""
    told: dict[str, Any] = {"kind": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")}
    if isinstance(error, AgentcoreError):
        told["code"] = error.code
    if frames := places(error.__traceback__):
        told["at"] = frames
    if links:
        if isinstance(error, BaseExceptionGroup):
            told["of"] = [failure(one, links - 1) for one in error.exceptions[:LINKS]]
        if (cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
            told["after"] = failure(cause, links - 1)
    return told


def places(traceback: TracebackType | None) -> list[str]:
    """Return ``module:line function`` of the innermost frames, without paths: they name people and machines."""
    found: list[str] = []
    while traceback is not None:
        frame = traceback.tb_frame
        found.append(f"{frame.f_globals.get('__name__', '?')}:{traceback.tb_lineno} {frame.f_code.co_name}")
        traceback = traceback.tb_next
    return found[-FRAMES:]


def _forms(secret: str) -> set[str]:
    plain = str(secret)
    forms = {plain, quote(plain, safe=""), plain.removeprefix("whsec_")}
    if "://" in plain:
        try:
            password = urlsplit(plain).password
        except ValueError:
            password = None
        forms |= {password, unquote(password)} if password else set()
    elif "password=" in plain:
        forms.add(plain.partition("password=")[2].split()[0].strip("'"))
    return forms
