"""What strangers send is decoded in a child with limits."""

import os
import sys
import tempfile
import time
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tests.support.sounds import EMPTY, FORMATS, SOX, Studio, run

from agentcore.errors import SttUnavailable, TooLarge, UnsupportedMedia
from agentcore.speech import RECORDING_BYTES
from agentcore_adapters.stt import children, decode
from agentcore_adapters.stt.decode import decoded
from agentcore_adapters.stt.decoder import DECODED, NOT_INSTALLED
from agentcore_adapters.stt.sniff import Kind

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("decoding")]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the samples lie, to see that nothing is left there."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("ending", FORMATS)
async def test_each_kind_becomes_samples_which_are_deleted(sounds: Studio, scratch: Path, ending: str) -> None:
    recording = sounds.speech(ending=ending)
    async with decoded(recording) as found:
        assert found.pcm.stat().st_size == pytest.approx(found.seconds * 32000)
        assert found.seconds == pytest.approx(3.6, abs=0.3)
        assert found.is_speech
        assert found.kind.value == ending
    assert left(scratch) == []


async def test_stereo_at_another_rate_is_mixed_down(sounds: Studio) -> None:
    async with decoded(sounds.changed(sounds.speech(), "stereo", "rate", "44100", "channels", "2")) as found:
        assert found.seconds == pytest.approx(3.6, abs=0.3)
        assert found.is_speech


async def test_what_cannot_be_decoded_is_refused(sounds: Studio, tmp_path: Path, scratch: Path) -> None:
    m4a, webm = sounds.speech(ending="m4a").read_bytes(), sounds.speech(ending="webm").read_bytes()
    broken = {
        "text.webm": b"I am not a recording, I am text. " * 100,
        "empty.ogg": b"",
        "half.m4a": m4a[: len(m4a) // 2],  # its index is at the end
        "head.webm": webm[:64],
        "junk.webm": webm[:16] + os.urandom(5000),
        "junk.mp3": b"ID3\x04" + os.urandom(5000),
        "junk.flac": b"fLaC" + os.urandom(5000),
        "junk.ogg": b"OggS" + bytes(5000),
        "headers.wav": sounds.speech().read_bytes()[:44],
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnsupportedMedia):
            async with decoded(tmp_path / name):
                pytest.fail(f"{name} was decoded")
    assert left(scratch) == []


async def test_a_picture_in_a_container_of_audio_is_refused(tmp_path: Path) -> None:
    film = tmp_path / "film.webm"
    run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=red:s=64x64:d=1", "-c:v", "libvpx", "-f", "webm", str(film)
    )
    with pytest.raises(UnsupportedMedia):
        async with decoded(film):
            pytest.fail("there is nothing to hear in it")


async def test_a_list_of_addresses_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    run(*SOX, *EMPTY, str(secret), "synth", "1", "sine", "440")
    listed = tmp_path / "list.webm"
    listed.write_text(f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nfile://{secret}\n")
    with pytest.raises(UnsupportedMedia):
        async with decoded(listed):
            pytest.fail("it was followed")


async def test_a_recording_that_was_cut_off_is_heard_up_to_there(sounds: Studio, tmp_path: Path) -> None:
    whole = sounds.speech(ending="webm").read_bytes()
    (tmp_path / "cut.webm").write_bytes(whole[: len(whole) // 2])
    async with decoded(tmp_path / "cut.webm") as found:
        assert 0.5 < found.seconds < 3.0
        assert found.is_speech


@pytest.mark.parametrize("codec", [["flac"], ["libopus", "-b:a", "6k", "-compression_level", "0"]])
async def test_a_small_file_that_decodes_to_hours_is_cut_off(tmp_path: Path, scratch: Path, codec: list[str]) -> None:
    ending = "flac" if codec == ["flac"] else "ogg"
    long = tmp_path / f"long.{ending}"
    source = "anullsrc=r=16000:cl=mono:d=3600"
    run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-c:a", *codec, "-f", ending, str(long))
    assert long.stat().st_size < RECORDING_BYTES // 2
    began = time.monotonic()
    with pytest.raises(TooLarge, match="600 seconds"):
        async with decoded(long):
            pytest.fail("it was decoded")
    assert time.monotonic() - began < 20
    assert left(scratch) == []


async def test_more_bytes_than_a_recording_may_have_are_not_looked_at(tmp_path: Path) -> None:
    huge = tmp_path / "huge.wav"
    with huge.open("wb") as file:
        file.truncate(RECORDING_BYTES + 1)
    with pytest.raises(TooLarge):
        async with decoded(huge):
            pytest.fail("it was decoded")


async def test_a_decoder_that_takes_too_long_is_ended(sounds: Studio, scratch: Path) -> None:
    with pytest.raises(SttUnavailable, match="too long"):
        async with decoded(sounds.speech(), wait_s=0.05):
            pytest.fail("in no time")
    assert left(scratch) == []


async def test_being_cancelled_kills_the_child(sounds: Studio, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    async def watched(module: str, *arguments: str) -> object:
        child = await children.open_child(module, *arguments)
        pids.append(child.pid)
        return child

    monkeypatch.setattr(decode, "open_child", watched)
    recording = sounds.nobody("long_noise")
    with anyio.CancelScope() as scope:
        scope.cancel()  # before the child is there, which is when it could be left behind
        async with decoded(recording):
            pytest.fail("in no time")
    assert scope.cancelled_caught
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert left(scratch) == []


async def test_a_child_ends_with_its_owner(sounds: Studio, tmp_path: Path) -> None:
    arguments = [str(sounds.nobody("long_noise")), "wav", str(tmp_path / "out.pcm"), "600"]
    async with await children.open_child("agentcore_adapters.stt.decoder", *arguments) as child:
        assert child.stdin is not None
        await child.stdin.aclose()  # as the system does it for an owner that is gone
        with anyio.fail_after(10):
            assert await child.wait() == 1


async def test_a_child_sees_only_what_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "sk-secret" not in children.environment().values()
    assert set(children.environment()) <= {"PATH", "PYTHONPATH", "TMPDIR", "LC_ALL", "OMP_NUM_THREADS"}


async def test_a_child_that_is_killed_by_a_limit_means_a_bad_recording(
    sounds: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*arguments: object) -> tuple[int, bytes]:
        return -9, b""

    monkeypatch.setattr(decode, "_run", killed)
    with pytest.raises(UnsupportedMedia):
        async with decoded(sounds.speech()):
            pytest.fail("it was killed")


async def test_what_is_not_installed_is_said(sounds: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    async def missing(recording: Path, kind: Kind, *rest: object) -> tuple[int, bytes]:
        return NOT_INSTALLED, b""

    monkeypatch.setattr(decode, "_run", missing)
    with pytest.raises(SttUnavailable, match="not installed"):
        async with decoded(sounds.speech()):
            pytest.fail("nothing is here")


async def test_a_child_has_limits_of_memory_and_output(tmp_path: Path) -> None:
    code = """
import resource, sys
from agentcore_adapters.stt.decoder import limit
limit(1000)
try:
    bytearray(2 << 30)
except MemoryError:
    print("memory")
with open(sys.argv[1], "wb", buffering=0) as file:
    file.write(bytes(1000))
    try:
        file.write(bytes(1))
    except OSError:
        print("output")
print("cpu", resource.getrlimit(resource.RLIMIT_CPU)[0])
"""
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    done = await anyio.run_process(command, env=children.environment())
    assert done.stdout.decode().split() == ["memory", "output", "cpu", "120"]


async def test_few_are_decoded_at_a_time(sounds: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    async def counted(*arguments: object) -> tuple[int, bytes]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.lowlevel.checkpoint()
        running -= 1
        return DECODED, b'{"seconds": 1.0, "is_speech": false}'

    monkeypatch.setattr(decode, "_run", counted)
    turn, recording = anyio.Semaphore(2), sounds.speech()

    async def one() -> None:
        async with decoded(recording, turn=turn):
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(one)
    assert most == 2
