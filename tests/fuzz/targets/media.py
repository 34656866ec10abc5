"""What kind of thing some bytes are."""

import base64

from agentcore.errors import InvalidRequest, TooLarge, UnsupportedMedia
from agentcore_adapters.stt.sniff import HEAD_BYTES, Kind, kind_of
from agentcore_http.wire import requests
from tests.fuzz.targets import Target

HEADS = (
    b"\x1a\x45\xdf\xa3" + bytes(12), b"OggS" + bytes(12), b"\0\0\0\x20ftypM4A " + bytes(4),
    b"RIFF\x24\0\0\0WAVEfmt ", b"fLaC" + bytes(12), b"ID3\x04" + bytes(12), b"\xff\xfb\x90\x00" + bytes(12), b"",
)  # fmt: skip
PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF....WEBP", b"%PDF-1.7", b"<svg/>")


def recording(data: bytes) -> object:
    found = kind_of(data[:HEAD_BYTES])
    assert found is None or isinstance(found, Kind)
    assert kind_of(data) == found, "only the beginning counts"
    return found


def attachment(data: bytes) -> object:
    kind = requests.MEDIA_TYPES[data[0] % len(requests.MEDIA_TYPES)] if data else "image/png"
    encoded = base64.b64encode(data[1:]).decode()
    found = requests._attachment(requests.AttachmentBody(base64_data=encoded, media_type=kind), "attachments[0]")
    assert found.data == data[1:]
    assert found.media_type == kind
    return found


TARGETS = [
    Target(name="recordings", run=recording, allowed=(), seeds=HEADS),
    Target(
        name="attachments",
        run=attachment,
        allowed=(InvalidRequest, TooLarge, UnsupportedMedia),
        seeds=[bytes([i]) + head for i in range(5) for head in PICTURES],
    ),
]
