"""The child that holds a Whisper model: ``python -m agentcore_adapters.stt.worker MODEL``.

Law: one question a line, one answer a line, in order.  It has read the samples before it answers and keeps nothing.
"""

import json
import os
import sys
from typing import Any

BEAM = 5


def serve(model: str) -> None:
    """Answer until standard input is closed: what the child does."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import numpy as np  # noqa: PLC0415 - an extra
    from faster_whisper import WhisperModel  # noqa: PLC0415 - an extra

    whisper = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say({"ready": True})
    for line in sys.stdin:
        question = json.loads(line)
        try:
            samples = np.fromfile(question["pcm"], dtype="<i2").astype(np.float32) / 32768
            say({"id": question["id"], **hear(whisper, samples, question["language"])})
        except Exception as error:  # noqa: BLE001 - the next question is another one
            say({"id": question["id"], "error": type(error).__name__})


def hear(whisper: Any, samples: Any, language: str | None) -> dict[str, Any]:  # noqa: ANN401 - of an extra
    """Transcribe *samples*; evidence is weighed by the length of the segments."""
    found, about = whisper.transcribe(
        samples, language=language, beam_size=BEAM, condition_on_previous_text=False, vad_filter=True
    )
    segments = list(found)  # lazy: the work is done here
    lengths = [max(0.01, segment.end - segment.start) for segment in segments]
    total = sum(lengths)

    def mean(name: str) -> float | None:
        weighed = sum(getattr(segment, name) * length for segment, length in zip(segments, lengths, strict=True))
        return float(weighed / total) if segments else None

    text = "".join(segment.text for segment in segments).strip()
    no_speech = mean("no_speech_prob")
    return {"text": text, "language": about.language, "no_speech": no_speech, "logprob": mean("avg_logprob")}


if __name__ == "__main__":
    serve(sys.argv[1])
