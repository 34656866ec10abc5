"""One encoder for everything that leaves."""

from datetime import UTC, datetime

import msgspec

_encoder = msgspec.json.Encoder(decimal_format="string")


def encode(value: object) -> bytes:
    """Encode to JSON."""
    return _encoder.encode(value)


def timestamp(at: datetime) -> str:
    """Write a time as RFC 3339 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
