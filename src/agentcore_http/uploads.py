"""A recording as it is uploaded.

Law: it goes to a file of our own name piece by piece and is counted on the way, so that no upload is ever in memory;
the file is gone when the request is over.  What a client calls it, and says that it is, is forgotten.
"""

import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from attrs import define, field, frozen
from litestar.exceptions import HTTPException
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from agentcore.errors import AudioRequired, InvalidRequest, TooLarge
from agentcore.speech import LANGUAGES, RECORDING_BYTES
from agentcore_http.routes.context import Req

BODY_BYTES = RECORDING_BYTES + 64 * 1024  # the recording, and what is around it
FIELD_BYTES = 256
PARTS = 8


@frozen(kw_only=True)
class Upload:
    """What came."""

    path: Path
    language: str | None
    sha256: str  #: Of the recording and the language.


@define
class _Form:
    """What is being written."""

    file: IO[bytes]
    size: int = 0
    fields: dict[str, bytearray] = field(factory=dict)
    digest: "hashlib._Hash" = field(factory=hashlib.sha256)
    _part: str | None = None
    _has_audio: bool = False

    def begin(self, part: MultipartSegment) -> None:
        """Begin a part."""
        if part.name == "audio":
            if self._has_audio:
                raise InvalidRequest("There is more than one recording.", "audio")
            self._has_audio = True
        elif part.name in self.fields:
            raise InvalidRequest("The field is there twice.", part.name[:40])
        else:
            self.fields[part.name] = bytearray()
        self._part = part.name

    def add(self, piece: bytes | bytearray) -> None:
        """Write a piece of the part that has begun."""
        if self._part == "audio":
            self.size += len(piece)
            if self.size > RECORDING_BYTES:
                raise TooLarge(f"A recording may have at most {RECORDING_BYTES // 1024**2} MB.")
            self.digest.update(piece)
            self.file.write(piece)
        elif self._part is not None:
            text = self.fields[self._part]
            text += piece
            if len(text) > FIELD_BYTES:
                raise InvalidRequest("The field is too long.", self._part[:40])


@asynccontextmanager
async def recording(request: Req) -> AsyncIterator[Upload]:
    """Take in the form of *request*; raises AudioRequired, TooLarge, InvalidRequest."""
    with tempfile.TemporaryDirectory(prefix="agentcore-voice-") as folder:
        path = Path(folder) / "recording"
        with path.open("wb") as file:
            form = _Form(file)
            await _read(request, form)
        if not form.size:
            raise AudioRequired("Send a recording as the file `audio` of a multipart/form-data request.", "audio")
        language = _language(bytes(form.fields.get("language", b"")))
        form.digest.update(f"\n{language}".encode())
        yield Upload(path=path, language=language, sha256=form.digest.hexdigest())


async def _read(request: Req, form: _Form) -> None:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise AudioRequired("Send a recording as the file `audio` of a multipart/form-data request.", "audio")
    try:
        with PushMultipartParser(options["boundary"], max_segment_count=PARTS) as parser:
            async for chunk in request.stream():
                for piece in parser.parse(chunk) if not parser.closed else ():
                    if isinstance(piece, MultipartSegment):
                        form.begin(piece)
                    elif piece:
                        form.add(piece)
    except (MultipartError, HTTPException) as error:  # the latter also of a client that went away
        if isinstance(error, HTTPException) and error.status_code == TOO_LARGE:
            raise TooLarge(f"A recording may have at most {RECORDING_BYTES // 1024**2} MB.") from None
        raise InvalidRequest("The body is not multipart/form-data as it should be.") from None


TOO_LARGE = 413


def _language(raw: bytes) -> str | None:
    text = raw.decode("ascii", "replace").strip().lower()
    if not text:
        return None
    if text not in LANGUAGES:
        raise InvalidRequest(
            "language must be a code of ISO 639-1 such as en or zh; absent: it is detected.", "language"
        )
    return text
