"""How large an image is, read from its header: nothing is decoded.

Source: the formats' own specifications: PNG (third edition) 11.2.2, GIF89a 18, JPEG ITU-T T.81 B.2.2, WebP RFC 9649.
"""

import struct
from collections.abc import Callable, Mapping

Size = tuple[int, int]
SOF = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
ALONE = frozenset({0x01, *range(0xD0, 0xDA)})
SEGMENTS = 1000  # of a JPEG before its frame; real ones have a few dozen


def size_of(media_type: str, data: bytes) -> Size | None:
    """Return width and height in pixels; None if the header does not say."""
    try:
        return _READERS[media_type](data)
    except (struct.error, IndexError):
        return None


def _png(data: bytes) -> Size | None:
    if data[12:16] != b"IHDR":
        return None
    return _sized(*struct.unpack_from(">II", data, 16))


def _gif(data: bytes) -> Size | None:
    return _sized(*struct.unpack_from("<HH", data, 6))


def _jpeg(data: bytes) -> Size | None:
    at = 2
    for _ in range(SEGMENTS):
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # padding
            at += 1
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker in ALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in SOF:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return _sized(width, height)
        if length < 2:
            return None
        at += 2 + length
    return None


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return _sized(width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return _sized((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        return _sized(width, height) if len(data) >= 30 else None
    return None


def _sized(width: int, height: int) -> Size | None:
    return (width, height) if width and height else None


_READERS: Mapping[str, Callable[[bytes], Size | None]] = {
    "image/png": _png,
    "image/gif": _gif,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
}
