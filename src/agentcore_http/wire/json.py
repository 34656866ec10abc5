"""One encoder for everything that leaves, and what JSON that comes may be like."""

import re
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

DEPTH = 64
_encoder = msgspec.json.Encoder(decimal_format="string")


def encode(value: object) -> bytes:
    """Encode to JSON."""
    return _encoder.encode(value)


def moment(text: str) -> datetime:
    """Read a time of ISO 8601, of UTC if it does not say; raises ValueError, or OverflowError at the ends of time."""
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


@lru_cache(maxsize=1024)  # what happens together has one time, and is told to many
def timestamp(at: datetime) -> str:
    """Write a time as RFC 3339 in UTC, to the millisecond."""
    if at.utcoffset():
        at = at.astimezone(UTC)
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


# A string is passed over whole, closed or not, without going back: so this takes as long as the text is.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)


def is_shallow(body: bytes) -> bool:
    """Tell whether nothing is nested deeper than DEPTH; what is no JSON at all is found by whoever decodes it."""
    if body.count(b"[") + body.count(b"{") <= DEPTH:
        return True
    depth = 0
    for found in _TOKEN.finditer(body):
        token = body[found.start()]
        if token in b"[{":
            depth += 1
            if depth > DEPTH:
                return False
        elif token in b"]}":
            depth -= 1
    return True
