"""Parts of messages, as they are shown."""

from msgspec import UNSET, Struct, UnsetType

from agentcore.messages import FilePart, Part, TextPart, ThinkingPart, ToolResultPart, ToolUsePart
from agentcore_http.wire.words import Count, Object, Sha256


class Shown(Struct, rename="camel", kw_only=True, tag_field="type"):
    """Base of all parts."""


class TextAnswer(Shown, tag="text"):
    """Plain text."""

    text: str


class ThinkingAnswer(Shown, tag="thinking"):
    """What the model thought aloud."""

    text: str


class Attached(Shown, kw_only=True):
    """An attachment; its bytes are not shown."""

    media_type: str
    file_name: str | UnsetType = UNSET
    sha256: Sha256
    size: Count


class ImageAnswer(Attached, tag="image"):
    """A picture."""


class FileAnswer(Attached, tag="file"):
    """A document."""


class ToolUseAnswer(Shown, tag="tool_use"):
    """A call that the engine wanted."""

    tool_use_id: str
    tool_name: str
    input: Object


class ToolResultAnswer(Shown, tag="tool_result"):
    """What came of a call."""

    tool_use_id: str
    output: str
    is_error: bool


PartAnswer = TextAnswer | ThinkingAnswer | ImageAnswer | FileAnswer | ToolUseAnswer | ToolResultAnswer


def part(value: Part) -> PartAnswer:
    """Show a part of a message."""
    match value:
        case TextPart(text):
            return TextAnswer(text=text)
        case ThinkingPart(text):
            return ThinkingAnswer(text=text)
        case FilePart():
            kind = ImageAnswer if value.is_image else FileAnswer
            name = value.file_name or UNSET
            return kind(media_type=value.media_type, file_name=name, sha256=value.sha256, size=value.size)
        case ToolUsePart():
            return ToolUseAnswer(tool_use_id=value.tool_use_id, tool_name=value.tool_name, input=value.input)
        case ToolResultPart():
            return ToolResultAnswer(tool_use_id=value.tool_use_id, output=value.output, is_error=value.is_error)
