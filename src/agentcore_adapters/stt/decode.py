"""A recording as samples.

Law: nothing of a recording is decoded in our own process.  What a stranger can make a decoder do ends with the child.
"""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import anyio
from attrs import frozen

from agentcore.errors import SttUnavailable, TooLarge, UnsupportedMedia
from agentcore.speech import RECORDING_BYTES, RECORDING_S
from agentcore_adapters.stt.children import open_child
from agentcore_adapters.stt.decoder import DECODED, NOT_INSTALLED, TOO_LONG
from agentcore_adapters.stt.sniff import Kind, sniffed

WAIT_S = 120.0
AT_ONCE = 4  #: So many children decode at a time, for each of which memory is limited.
FORMATS = {Kind.WEBM: "matroska", Kind.MP4: "mov"}  #: As FFmpeg calls them, where that is another word.


@frozen(kw_only=True)
class Decoded:
    """A recording that was decoded."""

    kind: Kind
    pcm: Path  #: 16 kHz, mono, s16; it is there as long as the block of ``decoded``.
    seconds: float
    is_speech: bool  #: Somebody may have spoken.


@asynccontextmanager
async def decoded(
    recording: Path, *, limit_s: float = RECORDING_S, wait_s: float = WAIT_S, turn: anyio.Semaphore | None = None
) -> AsyncIterator[Decoded]:
    """Decode *recording* and listen whether anybody speaks, in a child.

    Raises UnsupportedMedia if there is nothing to decode in it, TooLarge if it is longer than *limit_s*,
    SttUnavailable if that takes longer than *wait_s* or cannot be done here.  *turn* bounds how many are decoded at a
    time.  Being cancelled kills the child.
    """
    if recording.stat().st_size > RECORDING_BYTES:
        raise TooLarge(f"A recording may have {RECORDING_BYTES} bytes.")
    kind = sniffed(recording)
    with tempfile.TemporaryDirectory(prefix="agentcore-stt-") as folder:
        pcm = Path(folder) / "samples.pcm"
        async with turn or nullcontext():
            status, said = await _run(recording, kind, pcm, limit_s, wait_s)
        if status == TOO_LONG:
            raise TooLarge(f"A recording may be {limit_s:.0f} seconds long.")
        if status == NOT_INSTALLED:
            raise SttUnavailable("The packages that decode recordings are not installed here.")
        if status != DECODED:  # also: killed by one of its limits
            raise UnsupportedMedia("The recording cannot be decoded.")
        found = json.loads(said)
        yield Decoded(kind=kind, pcm=pcm, seconds=found["seconds"], is_speech=found["is_speech"])


async def _run(recording: Path, kind: Kind, pcm: Path, limit_s: float, wait_s: float) -> tuple[int, bytes]:
    said = b""
    arguments = (str(recording.absolute()), FORMATS.get(kind, kind.value), str(pcm), str(limit_s))
    # Left early, by an error or a cancellation, the block kills the child and waits for its end.
    async with await open_child("agentcore_adapters.stt.decoder", *arguments) as child:
        assert child.stdout is not None
        with anyio.move_on_after(wait_s):
            async for piece in child.stdout:
                said += piece
            return await child.wait(), said
        child.kill()
    raise SttUnavailable("Decoding the recording took too long.")
