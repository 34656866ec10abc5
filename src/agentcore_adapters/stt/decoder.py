"""The child that decodes one recording: ``python -m agentcore_adapters.stt.decoder IN FORMAT OUT LIMIT_S``.

Law: what a stranger has sent is decoded where nothing else is, with limits on memory, time and output, and without
any protocol but files.  The answer is one line of JSON and the exit status, never an error's text.
"""

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentcore_adapters.stt.children import end_with_owner
from agentcore_adapters.stt.gate import RATE, Gate, silero

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

DECODED, UNDECODABLE, TOO_LONG, NOT_INSTALLED = 0, 10, 11, 12
MEMORY_BYTES = 1 << 30
CPU_S = 120
SECOND_BYTES = RATE * 2


def limit(pcm_bytes: int) -> None:
    """Take away from this process what decoding does not need."""
    wanted = {
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_CPU: CPU_S,
        resource.RLIMIT_FSIZE: pcm_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 64,
    }
    for what, most in wanted.items():
        with suppress(ValueError, OSError):  # not every system has each of them; the deadline holds everywhere
            resource.setrlimit(what, (most, most))


def decode(source: str, kind: str, target: Path, limit_s: float) -> tuple[int, dict[str, Any]]:
    """Write *source* to *target* as 16 kHz mono s16, listening meanwhile; return the status and what was found."""
    try:
        import av  # noqa: PLC0415 - after the limits

        gate = Gate(silero())
    except ImportError:
        return NOT_INSTALLED, {}
    size = 0
    with target.open("wb") as sink:
        try:
            for piece in _pieces(av, source, kind):
                size += len(piece)
                if size > limit_s * SECOND_BYTES:
                    return TOO_LONG, {}
                sink.write(piece)
                gate.hear(piece)
        except (av.FFmpegError, ValueError, IndexError, EOFError):
            if not size:  # a recording that was cut off is heard up to there
                return UNDECODABLE, {}
    if not size:
        return UNDECODABLE, {}
    return DECODED, {"seconds": size / SECOND_BYTES, "is_speech": gate.is_speech}


def _pieces(av: Any, source: str, kind: str) -> Iterator[bytes]:  # noqa: ANN401 - the module, which is an extra
    options = {"protocol_whitelist": "file"}
    with av.open(f"file:{source}", format=kind, options=options, metadata_errors="ignore") as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for packet in container.demux(stream):
            for frame in packet.decode():
                frame.pts = None  # the clock of a recording is not believed: a leap in it is no silence
                yield from _samples(resampler.resample(frame))
        yield from _samples(resampler.resample(None))


def _samples(frames: "list[AudioFrame]") -> Iterator[bytes]:
    for frame in frames:
        yield bytes(frame.planes[0])[: frame.samples * 2]  # planes are padded


def main() -> int:
    """Do what the command line says."""
    source, kind, target, limit_s = sys.argv[1:5]
    end_with_owner()
    limit(int(float(limit_s) * SECOND_BYTES) + (1 << 16))
    try:
        status, found = decode(source, kind, Path(target), float(limit_s))
    except (MemoryError, OSError):
        return UNDECODABLE
    if status == DECODED:
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
