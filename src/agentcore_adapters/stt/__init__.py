"""Ways to turn recordings into text.

Law: what each of them needs is imported when it is chosen, and the heavy part of it when it is first used.
"""

from pathlib import Path
from typing import Literal, assert_never

from agentcore.speech import Transcriber

Adapter = Literal["openai", "faster_whisper"]


def transcriber(
    kind: Adapter, *, model: str | None = None, api_key: str = "", base_url: str | None = None, data_dir: Path
) -> Transcriber:
    """Return a transcriber; it starts nothing before it is asked.

    *model* is what the provider calls it, or for ``faster_whisper`` a folder or a name; None: the usual one.
    *api_key* and *base_url* are for ``openai``, *data_dir* is where ``faster_whisper`` keeps its weights.
    """
    match kind:
        case "openai":
            from agentcore_adapters.stt.openai import DEFAULT_MODEL, OpenAiTranscriber  # noqa: PLC0415

            return OpenAiTranscriber(api_key, base_url, model or DEFAULT_MODEL)
        case "faster_whisper":
            from agentcore_adapters.stt.faster_whisper import BASE, FasterWhisper  # noqa: PLC0415

            return FasterWhisper(data_dir, model or BASE)
        case _:
            assert_never(kind)
