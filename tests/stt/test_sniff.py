"""What a file holds is told by its content."""

from pathlib import Path

import pytest
from tests.support.sounds import FORMATS, Studio

from agentcore.errors import UnsupportedMedia
from agentcore_adapters.stt.sniff import Kind, kind_of, sniffed

HEADS = {
    b"\x1a\x45\xdf\xa3" + bytes(12): Kind.WEBM,
    b"OggS" + bytes(12): Kind.OGG,
    b"\0\0\0\x20ftypM4A \0\0\0\0": Kind.MP4,
    b"RIFF\x24\0\0\0WAVEfmt ": Kind.WAV,
    b"RIFF\x24\0\0\0AVI LIST": None,
    b"ID3\x04" + bytes(12): Kind.MP3,
    b"\xff\xfb\x90\x64" + bytes(12): Kind.MP3,
    b"\xff\xf3\x40\xc4" + bytes(12): Kind.MP3,
    b"\xff\xf1\x50\x80" + bytes(12): None,  # AAC without a container
    b"\xff\xff\xff\xff" + bytes(12): None,
    b"\xff\xfe\x90\x64" + bytes(12): None,  # also how UTF-16 begins
    b"\xff\xfb": None,
    b"fLaC" + bytes(12): Kind.FLAC,
    b"#EXTM3U\n#EXTINF": None,
    b"hello, I am text": None,
    b"": None,
}


@pytest.mark.parametrize(("head", "kind"), HEADS.items())
def test_a_kind_is_told_by_the_first_bytes(head: bytes, kind: Kind | None) -> None:
    assert kind_of(head) is kind


@pytest.mark.parametrize("ending", FORMATS)
def test_a_name_that_lies_is_not_believed(sounds: Studio, tmp_path: Path, ending: str) -> None:
    lying = tmp_path / "song.txt"
    lying.write_bytes(sounds.speech(ending=ending).read_bytes())
    assert sniffed(lying).value == ending


def test_what_is_no_audio_is_refused_without_its_name(tmp_path: Path) -> None:
    text = tmp_path / "secret.webm"
    text.write_text("I am not a recording.")
    with pytest.raises(UnsupportedMedia) as refused:
        sniffed(text)
    assert "secret" not in str(refused.value)
