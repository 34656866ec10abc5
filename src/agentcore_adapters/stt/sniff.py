"""What kind of audio a file holds.

Law: only its first bytes count; a name and a media type are what somebody has said.
"""

from enum import StrEnum
from pathlib import Path

from agentcore.errors import UnsupportedMedia

HEAD_BYTES = 16


class Kind(StrEnum):
    """A container; its value is the ending of a file of that kind."""

    WEBM = "webm"
    OGG = "ogg"
    MP4 = "m4a"
    WAV = "wav"
    MP3 = "mp3"
    FLAC = "flac"


def kind_of(head: bytes) -> Kind | None:
    """Return what begins with *head*, at least ``HEAD_BYTES`` of a whole file; None: nothing that is accepted."""
    if head.startswith(b"\x1a\x45\xdf\xa3"):  # EBML: WebM and Matroska
        return Kind.WEBM
    if head.startswith(b"OggS"):
        return Kind.OGG
    if head[4:8] == b"ftyp":
        return Kind.MP4
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return Kind.WAV
    if head.startswith(b"fLaC"):
        return Kind.FLAC
    if head.startswith(b"ID3") or _is_mp3_frame(head):
        return Kind.MP3
    return None


def sniffed(recording: Path) -> Kind:
    """Return the kind of the file *recording*; raises UnsupportedMedia."""
    with recording.open("rb") as file:
        kind = kind_of(file.read(HEAD_BYTES))
    if kind is None:
        raise UnsupportedMedia("The recording is not WebM, Ogg, MP4, WAV, MP3 or FLAC.")
    return kind


def _is_mp3_frame(head: bytes) -> bool:
    """Tell whether *head* is a header of MPEG audio layer III (ISO 11172-3, 2.4.1.3)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer, rate, sampling = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer == 1 and rate not in {0, 15} and sampling != 3
