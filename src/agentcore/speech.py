"""What a person has said, as text.

Law: whether anybody has spoken is decided before anything is done about it; on doubt nobody has.
"""

from decimal import Decimal
from pathlib import Path
from typing import Protocol

from attrs import frozen

RECORDING_BYTES = 25 * 1024 * 1024
RECORDING_S = 600.0
# Source: the languages of Whisper's models (github.com/openai/whisper, tokenizer.py), less those without a code of two
# letters.
_CODES = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha he hi hr ht "
    "hu hy id is it ja jv ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa "
    "pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh"
)
LANGUAGES = frozenset(_CODES.split())


@frozen(kw_only=True)
class Speech:
    """What was found in one recording."""

    text: str  #: Empty: nobody has said anything.
    language: str | None = None  #: As detected or as asked for, ISO 639-1.
    seconds: float = 0.0  #: Length of the recording.
    no_speech: float = 0.0  #: How likely it is that nobody speaks, 0 to 1.
    cost_usd: Decimal | None = None  #: None: nobody knows a price.
    model: str = ""  #: Of the provider that has heard it; empty: none was asked, so that there is nothing to bill.


class Transcriber(Protocol):
    """Turns recordings into text; one of a server, for many callers at once."""

    @property
    def name(self) -> str:
        """What it is called in the ledger."""

    async def transcribe(self, recording: Path, language: str | None) -> Speech:
        """Return what is said in the file *recording*; *language* as in ISO 639-1, None: it is detected.

        The file is looked at and not believed: neither its name nor what a client has said of it counts, and its
        name goes nowhere.  Raises UnsupportedMedia if it is not audio of a known kind or cannot be decoded, TooLarge
        if it is longer than ``RECORDING_S``, SttUnavailable if nobody can listen, or takes too long; nothing of the
        recording is in these errors or in logs.  Being cancelled stops the work.
        """

    async def close(self) -> None:
        """End what it has started."""
