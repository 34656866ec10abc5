"""What the stub provider answers to a recording, and what it has seen of one."""

from email import message_from_bytes
from email.policy import HTTP
from typing import Any

from attrs import define, frozen


@define(kw_only=True)
class Hearing:
    """The answer to a recording; a test sets it."""

    text: str = "hello there"
    language: str = "english"  #: OpenAI answers with a name and not with a code.
    no_speech_prob: float | None = 0.01  #: None: an answer without segments, as some servers give it.
    avg_logprob: float = -0.2
    status: int | None = None  #: An error instead.
    hangs: bool = False  #: Nothing instead, until the client has gone.
    is_odd: bool = False  #: An answer without a text.

    def answer(self) -> dict[str, Any]:
        """Return the answer in ``verbose_json``."""
        if self.is_odd:
            return {"task": "transcribe"}
        said: dict[str, Any] = {
            "task": "transcribe",
            "language": self.language,
            "duration": 1.0,
            "text": self.text,
        }
        if self.no_speech_prob is not None:
            said["segments"] = [
                {
                    "id": 0,
                    "seek": 0,
                    "start": 0.0,
                    "end": 1.0,
                    "text": self.text,
                    "tokens": [],
                    "temperature": 0.0,
                    "avg_logprob": self.avg_logprob,
                    "compression_ratio": 1.0,
                    "no_speech_prob": self.no_speech_prob,
                }
            ]
        return said


@frozen(kw_only=True)
class Heard:
    """A recording, as it was sent."""

    file_name: str
    content: bytes
    fields: dict[str, str]  #: The other fields of the form.


def form_of(content_type: str, body: bytes) -> Heard:
    """Take a multipart form apart."""
    whole = message_from_bytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + body, policy=HTTP)
    fields: dict[str, str] = {}
    name, content = "", b""
    for part in whole.iter_parts():
        value = part.get_payload(decode=True)
        assert isinstance(value, bytes)
        if part.get_filename() is None:
            fields[str(part.get_param("name", header="content-disposition"))] = value.decode()
        else:
            name, content = str(part.get_filename()), value
    return Heard(file_name=name, content=content, fields=fields)
