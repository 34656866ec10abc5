"""The transcriber ``openai``: OpenAI's transcriptions, and the many servers that speak them.

Law: who was not heard here is not sent anywhere; the provider sees the recording under a name of ours, and its words
about a failure reach nobody.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from attrs import define, field
from msgspec import Struct

from agentcore.errors import SttUnavailable
from agentcore.speech import Speech
from agentcore_adapters.stt.decode import AT_ONCE, decoded
from agentcore_adapters.stt.languages import code_of
from agentcore_adapters.stt.phantoms import spoken

if TYPE_CHECKING:
    from openai import AsyncOpenAI

NAME = "openai"
DEFAULT_MODEL = "whisper-1"
AUTH = {401, 403}
FAILED = "The speech provider could not transcribe the recording; try again later."


class Segment(Struct):
    """A piece of a transcript, with its evidence; some servers leave it out."""

    no_speech_prob: float | None = None
    avg_logprob: float | None = None


class Transcript(Struct):
    """An answer in ``verbose_json``."""

    text: str
    language: str | None = None
    segments: list[Segment] | None = None


@define(eq=False)
class OpenAiTranscriber:
    """Keeps the promises of ``Transcriber`` through ``/audio/transcriptions``."""

    api_key: str = field(repr=False)
    base_url: str | None = None
    model: str = DEFAULT_MODEL
    timeout_s: float = 60.0  #: So long the provider may be silent, and all attempts may take beyond the own length.
    max_retries: int = 2
    name: str = NAME
    _client: "AsyncOpenAI | None" = None
    _making: anyio.Lock = field(factory=anyio.Lock)
    _decoding: anyio.Semaphore = field(factory=lambda: anyio.Semaphore(AT_ONCE))

    async def transcribe(self, recording: Path, language: str | None) -> Speech:
        """Return what is said in *recording*, as ``Transcriber`` promises."""
        async with decoded(recording, turn=self._decoding) as found:
            kind, seconds = found.kind, found.seconds
        if not found.is_speech:
            return Speech(text="", language=language, seconds=seconds, no_speech=1.0)
        said = await self._ask(recording, f"recording.{kind.value}", language, self.timeout_s + seconds)
        no_speech = _mean([part.no_speech_prob for part in said.segments or ()])
        logprob = _mean([part.avg_logprob for part in said.segments or ()])
        return Speech(
            text=spoken(said.text, no_speech, logprob),
            language=code_of(said.language) or language,
            seconds=seconds,
            no_speech=min(1.0, max(0.0, no_speech or 0.0)),
            model=self.model,
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def _ask(self, recording: Path, name: str, language: str | None, within_s: float) -> Transcript:
        request: dict[str, Any] = {"model": self.model, "response_format": "verbose_json", "file": (name, recording)}
        if language is not None:
            request["language"] = language
        with _failures():
            client = await self._made()
            with anyio.fail_after(within_s):
                answer = await client.audio.transcriptions.with_raw_response.create(**request)
            return msgspec.json.decode(answer.content, type=Transcript)

    async def _made(self) -> "AsyncOpenAI":
        """Return the client, made on first use in a thread: its import takes half a second."""
        if self._client is not None:
            return self._client
        async with self._making:  # two that come first at the same time share it
            if self._client is None:
                self._client = await anyio.to_thread.run_sync(self._make)
            return self._client

    def _make(self) -> "AsyncOpenAI":
        import httpx2  # noqa: PLC0415 - heavy
        from openai import AsyncOpenAI  # noqa: PLC0415 - heavy

        timeout = httpx2.Timeout(10.0, read=self.timeout_s, write=30.0, pool=None)
        url = self.base_url or "https://api.openai.com/v1"
        return AsyncOpenAI(api_key=self.api_key, base_url=url, max_retries=self.max_retries, timeout=timeout)


@contextmanager
def _failures() -> Iterator[None]:
    """Raise SttUnavailable for whatever the SDK, the transport or an odd answer raises."""
    try:
        yield
    except ImportError:
        raise SttUnavailable("The packages of the speech provider are not installed here.") from None
    except TimeoutError:
        raise SttUnavailable("The speech provider took too long.") from None
    except Exception as error:  # noqa: BLE001 - the SDK is an extra, and all it raises means the same here
        if getattr(error, "status_code", None) in AUTH:
            raise SttUnavailable("The speech provider refused our credentials.") from None
        raise SttUnavailable(FAILED) from None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
