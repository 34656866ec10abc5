"""How well, and how fast, ten sentences are heard in each format. Word errors count; seconds are this machine's."""

import os
import tempfile
import time
from pathlib import Path

import anyio
from tests.support.sounds import FORMATS, SENTENCES, studio, word_error_rate

from agentcore_adapters.stt.faster_whisper import FasterWhisper


async def main() -> None:
    """Print a table."""
    data_dir = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "agentcore-tests"
    listener = FasterWhisper(data_dir)
    await listener.start()
    print(f"{'format':8} {'WER':>7} {'exact':>6} {'s each':>7}")
    with tempfile.TemporaryDirectory() as folder:
        sounds = studio(Path(folder))
        for ending in FORMATS:
            pairs, spent = [], 0.0
            for sentence in SENTENCES:
                recording = sounds.speech(sentence, ending)
                began = time.perf_counter()
                said = await listener.transcribe(recording, "en")
                spent += time.perf_counter() - began
                pairs.append((sentence, said.text))
            exact = sum(word_error_rate([pair]) == 0 for pair in pairs)
            print(f"{ending:8} {word_error_rate(pairs):7.1%} {exact:6} {spent / len(pairs):7.2f}", flush=True)
    await listener.close()


if __name__ == "__main__":
    anyio.run(main)
