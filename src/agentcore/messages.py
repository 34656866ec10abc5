"""What is said in a conversation, as it is kept.

Law: a message is stored clean.  That its task was cut is a flag; the marker an engine is shown is rendered by
``context`` and stands nowhere else.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import evolve, frozen

from agentcore.ids import MessageId, TaskId

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Drop what no store can keep: U+0000 and lone surrogates.

    Engine text passes here before it is counted or told, because PostgreSQL refuses both and positions in the
    log would disagree.  What a caller sends is refused instead, see ``is_storable``.
    """
    return UNSTORABLE.sub("", text) if UNSTORABLE.search(text) else text


def clean_json(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Do the same to all text in a JSON value."""
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(str(key)): clean_json(item) for key, item in value.items()}
        case list() | tuple():
            return [clean_json(item) for item in value]
        case float() if value != value or abs(value) == float("inf"):  # noqa: PLR0124 - NaN is not itself
            return None
        case _:
            return value


def is_storable(text: str) -> bool:
    """Tell whether *text* is free of U+0000 and lone surrogates."""
    return UNSTORABLE.search(text) is None


class Role(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@frozen
class TextPart:
    """Plain text."""

    text: str


@frozen
class ThinkingPart:
    """What a model thought aloud; *signature* goes back to its provider unchanged."""

    text: str
    signature: str | None = None


@frozen(kw_only=True)
class FilePart:
    """An attachment: its bytes lie in the store under the hash."""

    media_type: str
    sha256: str  #: Of the decoded bytes, lower-case hex.
    size: int  #: Decoded bytes.
    file_name: str | None = None

    @property
    def is_image(self) -> bool:
        """Whether it is a picture, not a document."""
        return self.media_type.startswith("image/")


@frozen(kw_only=True)
class ToolUsePart:
    """A call that the engine wanted."""

    tool_use_id: str
    tool_name: str
    input: dict[str, Any]


@frozen(kw_only=True)
class ToolResultPart:
    """What came of a call."""

    tool_use_id: str
    output: str
    is_error: bool = False


Part = TextPart | ThinkingPart | FilePart | ToolUsePart | ToolResultPart


@frozen(kw_only=True)
class Message:
    """One message of a session's history."""

    id: MessageId
    task_id: TaskId
    role: Role
    parts: tuple[Part, ...]
    at: datetime
    interrupted: bool = False  #: The task was cut before the message was whole.
    attachments_refused: bool = False  #: The provider would not take them; shown without them. Read side only.
    seq: int = 0  #: Of the log entry that announced it; given by the store.
    n: int = 0  #: Which of the messages of that entry.

    @property
    def text(self) -> str:
        """All plain text, run together."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


def joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Run neighbouring text together, and neighbouring thinking that is not signed."""
    out: list[Part] = []
    for part in parts:
        match part, out[-1] if out else None:
            case TextPart(text), TextPart(before):
                out[-1] = TextPart(before + text)
            case ThinkingPart(text, signature), ThinkingPart(before, None) as last:
                out[-1] = evolve(last, text=before + text, signature=signature)
            case _:
                out.append(part)
    return tuple(out)
