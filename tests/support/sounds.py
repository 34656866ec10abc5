"""Recordings: somebody who speaks, and all kinds of nobody.  Made once a run by espeak-ng, sox and ffmpeg."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from attrs import define

from agentcore.errors import SttUnavailable
from agentcore_adapters.stt.weights import fetch_whisper

PROGRAMS = ("espeak-ng", "sox", "ffmpeg")
SENTENCES = (
    "Please run the tests and tell me what has failed.",
    "The quick brown fox jumps over the lazy dog.",
    "Open the file and change the name of the first function.",
    "What is the weather like in London today?",
    "Write a short letter to the customer about the delay.",
    "How many people live in the capital of France?",
    "Stop what you are doing and start again from the beginning.",
    "Send me the report before the end of the week.",
    "The meeting was moved to Thursday afternoon.",
    "Add two numbers and show the result on the screen.",
)
FORMATS = {
    "wav": [],
    "webm": ["-c:a", "libopus", "-b:a", "48k", "-f", "webm"],
    "ogg": ["-c:a", "libopus", "-b:a", "48k", "-f", "ogg"],
    "m4a": ["-c:a", "aac", "-b:a", "64k", "-f", "mp4"],
    "mp3": ["-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3"],
    "flac": ["-c:a", "flac", "-f", "flac"],
}
SOX = ["sox", "-R", "-V1"]
EMPTY = ["-n", "-r", "16000", "-c", "1", "-b", "16"]
NOBODY = {
    "silence": ["trim", "0", "3"],
    "white_noise": ["synth", "3", "whitenoise", "vol", "0.3"],
    "quiet_noise": ["synth", "3", "whitenoise", "vol", "0.01"],
    "pink_noise": ["synth", "3", "pinknoise", "vol", "0.5"],
    "brown_noise": ["synth", "3", "brownnoise", "vol", "0.8"],
    "long_noise": ["synth", "60", "pinknoise", "vol", "0.5"],
    "click": ["synth", "0.005", "square", "1000", "pad", "1", "1"],
    "beep": ["synth", "0.2", "sine", "440", "pad", "1", "1"],
    "hum": ["synth", "3", "square", "50", "vol", "0.3"],
    "chord": ["synth", "3", "sine", "261.6", "synth", "3", "sine", "mix", "329.6", "synth", "3", "sine", "mix", "392"],
    "sweep": ["synth", "3", "sine", "100:3000", "vol", "0.5"],
    "rough_sweep": ["synth", "3", "square", "80:800", "vol", "0.3"],
    "string": ["synth", "3", "pluck", "C4", "norm", "-3"],
    "tremolo": ["synth", "3", "sine", "440", "tremolo", "5", "80"],
}


@define
class Studio:
    """Makes recordings into a folder and keeps them there."""

    folder: Path

    def speech(self, text: str = SENTENCES[0], ending: str = "wav", voice: str = "en-us") -> Path:
        """Let somebody say *text*."""
        name = re.sub(r"\W+", "_", text)[:40]
        wav = self.folder / f"{voice}_{name}.wav"
        if not wav.exists():
            raw = self.folder / f"raw_{wav.name}"
            run("espeak-ng", "-v", voice, "-s", "145", "-w", str(raw), text)
            run(*SOX, str(raw), "-r", "16000", "-c", "1", "-b", "16", str(wav))
        return self.packed(wav, ending)

    def packed(self, wav: Path, ending: str) -> Path:
        """Return *wav* in another format."""
        target = wav.with_suffix(f".{ending}")
        if not target.exists():
            run("ffmpeg", "-v", "error", "-y", "-i", str(wav), *FORMATS[ending], str(target))
        return target

    def nobody(self, name: str) -> Path:
        """Record what is in ``NOBODY``."""
        target = self.folder / f"{name}.wav"
        if not target.exists():
            run(*SOX, *EMPTY, str(target), *NOBODY[name])
        return target

    def changed(self, wav: Path, name: str, *effects: str) -> Path:
        """Return *wav* after *effects* of sox."""
        target = self.folder / f"{name}_{wav.name}"
        if not target.exists():
            run(*SOX, str(wav), "-r", "16000", "-c", "1", "-b", "16", str(target), *effects)
        return target

    def over_noise(self, wav: Path) -> Path:
        """Return *wav* over light noise."""
        noise, target = self.folder / f"noise_{wav.name}", self.folder / f"over_noise_{wav.name}"
        if not target.exists():
            run(*SOX, str(wav), str(noise), "synth", "whitenoise", "vol", "0.01")
            run(*SOX, "-m", str(wav), str(noise), str(target))
        return target

    def joined(self, wav: Path, times: int) -> Path:
        """Return *wav* several times over."""
        return self.changed(wav, f"times_{times}", "repeat", str(times - 1))


def studio(folder: Path) -> Studio:
    """Return a studio; skips where its programs are missing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"recordings cannot be made here: {', '.join(missing)} is not installed")
    return Studio(folder)


def needed(*modules: str) -> None:
    """Skip where an extra is missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"speech cannot be tested here: {', '.join(missing)} is not installed")


async def fetched(models: Path) -> Path:
    """Fetch the weights of Whisper into the data of *models*, which is returned; skip where they cannot be had."""
    needed("faster_whisper")
    try:
        await fetch_whisper(models, say=print)
    except SttUnavailable as error:
        pytest.skip(f"the weights cannot be fetched here: {error}")
    return models


def run(*command: str) -> None:
    """Run a program that makes a file."""
    subprocess.run(command, check=True, capture_output=True)


def words(text: str) -> list[str]:
    """Return the words of *text*, as they are compared."""
    return re.findall(r"[a-z0-9']+", text.lower())


def word_errors(expected: str, heard: str) -> int:
    """Return how many words must be changed, added or left out to make *expected* of *heard*."""
    wanted, got = words(expected), words(heard)
    row = list(range(len(got) + 1))
    for number, word in enumerate(wanted, 1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(got, 1):
            least = min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other))
            diagonal, row[column] = row[column], least
    return row[-1]


def word_error_rate(pairs: list[tuple[str, str]]) -> float:
    """Return word errors per word of *pairs* of what was said and what was heard."""
    return sum(word_errors(*pair) for pair in pairs) / sum(len(words(said)) for said, _ in pairs)
