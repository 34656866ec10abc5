"""A request as a value, and how its answer is read."""

import base64
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

import msgspec
from attrs import frozen

from agentcore_http.client.errors import not_understood
from agentcore_http.client.values import Page
from agentcore_http.wire.shapes import SessionsAnswer, TasksAnswer

T = TypeVar("T")
JSON = {"Content-Type": "application/json"}
LISTEN_S = 120.0  # a recording is heard before it is answered


@frozen(kw_only=True)
class Call(Generic[T]):
    """A request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[bytes], T]
    params: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    content: bytes | None = None
    files: Mapping[str, tuple[str, bytes]] | None = None
    form: Mapping[str, str] | None = None
    wait_s: float = 0.0  #: How much longer than usual its answer may take.
    idle_s: float | None = None  #: Of a stream: how long it may say nothing.

    def answer(self, status: int, body: bytes) -> T:
        """Read an answer; raises ApiError if it is none of ours."""
        try:
            return self.read(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise not_understood(status) from None


Paged = Callable[[str | None], Call[Page]]
_PAGE = 100


@frozen
class Pages(Generic[T]):
    """A list that is asked for page by page."""

    call: Paged


@frozen(kw_only=True)
class Attachment:
    """A file that goes with a prompt."""

    media_type: str
    data: bytes
    file_name: str | None = None

    @classmethod
    def of(cls, path: Path) -> "Attachment":
        """Read a file; its name says what it is. Raises OSError, and ValueError if the name does not say it."""
        media_type, _ = mimetypes.guess_type(path.name)
        if media_type is None:
            raise ValueError(f"What {path.name} is cannot be told from its name: make an Attachment with media_type.")
        return cls(media_type=media_type, data=path.read_bytes(), file_name=path.name)


def get(path: str, kind: type[T]) -> Call[T]:
    """Describe a question."""
    return Call(method="GET", path=path, read=reader(kind))


def change(
    method: str,
    path: str,
    kind: type[T],
    body: Mapping[str, object] | None = None,
    *,
    params: Mapping[str, str] | None = None,
    key: str | None = None,
    wait_s: float = 0.0,
) -> Call[T]:
    """Describe what changes something; it carries a key."""
    content = None
    headers = {"Idempotency-Key": key or str(uuid4())}
    if body is not None:
        content = msgspec.json.encode({name: value for name, value in body.items() if value is not None})
        headers |= JSON
    return Call(
        method=method, path=path, params=params or {}, headers=headers, content=content, read=reader(kind),
        wait_s=wait_s,
    )  # fmt: skip


def record(path: str, kind: type[T], audio: bytes | Path, language: str | None) -> Call[T]:
    """Describe the upload of a recording; raises OSError."""
    data = audio.read_bytes() if isinstance(audio, Path) else audio
    return Call(
        method="POST", path=path, headers={"Idempotency-Key": str(uuid4())}, read=reader(kind), wait_s=LISTEN_S,
        files={"audio": ("recording", data)}, form={"language": language} if language else {},
    )  # fmt: skip


def attached(files: Sequence[Attachment]) -> list[dict[str, str]] | None:
    """Encode attachments."""
    return [
        given(base64Data=base64.b64encode(file.data).decode(), mediaType=file.media_type, fileName=file.file_name)
        for file in files
    ] or None


def given(**named: str | None) -> dict[str, str]:
    """Leave out what was not given."""
    return {name: value for name, value in named.items() if value is not None}


def word(text: str) -> str:
    """Write an id that somebody typed so that it cannot reach another address; raises ValueError."""
    if text.strip(".") == "":  # a path is made shorter by dots
        raise ValueError("An id cannot be empty.")
    return quote(text, safe="")


def reader(kind: type[T]) -> Callable[[bytes], T]:
    """Return what reads a *kind*."""
    return lambda body: msgspec.json.decode(body, type=kind)


def pages(kind: type[SessionsAnswer | TasksAnswer]) -> Callable[[bytes], Page]:
    """Return what reads a page."""

    def read(body: bytes) -> Page:
        page: Any = msgspec.json.decode(body, type=kind)
        return Page(list(page.items), page.next_cursor)

    return read


def nothing(body: bytes) -> None:
    """Read nothing: it is a stream."""
