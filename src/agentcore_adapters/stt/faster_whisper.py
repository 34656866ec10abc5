"""The transcriber ``faster_whisper``: a model on this machine, through faster-whisper.

Law: the model lives in one child and hears one recording at a time; whoever waits too long, or in too long a queue,
is told so.  An answer belongs to its question: what nobody waits for any more is read and dropped.
"""

import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import define, field

from agentcore.errors import SttUnavailable
from agentcore.speech import Speech
from agentcore_adapters.stt.children import open_child
from agentcore_adapters.stt.decode import AT_ONCE, Decoded, decoded
from agentcore_adapters.stt.phantoms import spoken
from agentcore_adapters.stt.weights import fetch_whisper

NAME = "faster_whisper"
FREE = Decimal(0)
BASE = "base"
READY_S = 60.0
LINE_BYTES = 1 << 20
GONE = (anyio.IncompleteRead, anyio.DelimiterNotFound, anyio.BrokenResourceError, anyio.ClosedResourceError, ValueError)
CACHES = ("HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME")  # where a model that is named is looked for


@define(eq=False)
class _Worker:
    """The child, and what it still owes."""

    child: Process
    answers: BufferedByteReceiveStream
    owes: tuple[int, float] | None = None  #: The question it has not answered: its number, and until when it may.

    async def line(self) -> dict[str, Any]:
        """Read an answer; raises SttUnavailable if there will be none."""
        try:
            answer: dict[str, Any] = json.loads(await self.answers.receive_until(b"\n", LINE_BYTES))
        except GONE:
            raise SttUnavailable("The speech model has stopped; it is started again for the next recording.") from None
        return answer

    async def send(self, question: dict[str, Any]) -> None:
        """Ask; raises SttUnavailable if nobody is there."""
        assert self.child.stdin is not None
        try:
            await self.child.stdin.send(json.dumps(question).encode() + b"\n")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            raise SttUnavailable("The speech model has stopped; it is started again for the next recording.") from None


@define(eq=False)
class FasterWhisper:
    """Keeps the promises of ``Transcriber`` with Whisper on this machine.

    *model* is the folder of a converted model, ``base``, whose weights are fetched once into *data_dir*, or the name
    of another one that is on this machine already.
    """

    data_dir: Path
    model: str = BASE
    waiting_most: int = 64  #: So many wait behind the one that is heard.
    turn_s: float = 300.0  #: So long a recording waits until it is heard.
    patience_s: float = 60.0  #: So long hearing one may take, beyond its own length.
    say: Callable[[str], None] = print  #: Where the one line goes that the weights are being fetched.
    name: str = NAME
    _worker: _Worker | None = None
    _turn: anyio.Lock = field(factory=anyio.Lock)
    _decoding: anyio.Semaphore = field(factory=lambda: anyio.Semaphore(AT_ONCE))
    _waiting: int = 0
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1))
    _is_closed: bool = False

    @property
    def model_name(self) -> str:
        """What the ledger calls the model; no path."""
        return f"whisper-{self.model}" if self.model == BASE else Path(self.model).name

    async def start(self) -> None:
        """Fetch the weights and load the model, so that the first recording does not wait for that."""
        async with self._turn:
            await self._started()

    async def transcribe(self, recording: Path, language: str | None) -> Speech:
        """Return what is said in *recording*, as ``Transcriber`` promises."""
        with self._place():
            async with decoded(recording, turn=self._decoding) as found:
                if not found.is_speech:
                    return Speech(text="", language=language, seconds=found.seconds, no_speech=1.0)
                answer = await self._answer(found, language)
        no_speech = answer["no_speech"]
        return Speech(
            text=spoken(answer["text"], no_speech, answer["logprob"]),
            language=answer["language"],
            seconds=found.seconds,
            no_speech=1.0 if no_speech is None else min(1.0, max(0.0, no_speech)),
            model=self.model_name,
            cost_usd=FREE,
        )

    async def close(self) -> None:
        """End the child; whoever still waits is told that nobody can listen."""
        self._is_closed = True
        await self._end()

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._waiting > self.waiting_most:
            raise SttUnavailable("Too many recordings wait to be heard; try again later.")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _answer(self, found: Decoded, language: str | None) -> dict[str, Any]:
        with anyio.move_on_after(self.turn_s) as waited:
            await self._turn.acquire()
        if waited.cancelled_caught:
            raise SttUnavailable("The recording waited too long to be heard; try again later.")
        try:
            return await self._heard(found, language)
        finally:
            self._turn.release()

    async def _heard(self, found: Decoded, language: str | None) -> dict[str, Any]:
        """Ask the child, and restart it if it has died since the last time."""
        worker = await self._started()
        try:
            if worker.owes is not None and not await self._settled(worker):
                worker = await self._started()
            number, until = next(self._numbers), anyio.current_time() + self.patience_s + found.seconds
            worker.owes = (number, until)
            await worker.send({"id": number, "pcm": str(found.pcm), "language": language})
            answer = await self._until(worker, number, until)
        except SttUnavailable:
            await self._end()
            raise
        worker.owes = None
        if answer is None:
            await self._end()
            raise SttUnavailable("Hearing the recording took too long.")
        if "error" in answer:
            raise SttUnavailable("The speech model could not hear the recording.")
        return answer

    async def _settled(self, worker: _Worker) -> bool:
        """Read what *worker* owes to somebody who has gone; False: it was too slow, or dead, and is ended."""
        assert worker.owes is not None
        try:
            answer = await self._until(worker, *worker.owes)
        except SttUnavailable:
            answer = None
        if answer is None:
            await self._end()
            return False
        worker.owes = None
        return True

    async def _until(self, worker: _Worker, number: int, until: float) -> dict[str, Any] | None:
        """Read up to the answer *number*; None: it did not come in time."""
        with anyio.move_on_after(max(0.0, until - anyio.current_time())):
            while True:
                answer = await worker.line()
                if answer.get("id") == number:
                    return answer
        return None

    async def _started(self) -> _Worker:
        """Return a child that has its model loaded."""
        if self._is_closed:
            raise SttUnavailable("The server is going away.")
        if self._worker is not None and self._worker.child.returncode is None:
            return self._worker
        await self._end()
        is_base = self.model == BASE
        model = str(await fetch_whisper(self.data_dir, say=self.say)) if is_base else self.model
        caches = {name: os.environ[name] for name in CACHES if name in os.environ}
        more = {"HF_HUB_OFFLINE": "1", **caches}
        child = await open_child("agentcore_adapters.stt.worker", model, more=more)
        assert child.stdout is not None
        worker = self._worker = _Worker(child, BufferedByteReceiveStream(child.stdout))
        if self._is_closed:  # meanwhile
            await self._end()
            raise SttUnavailable("The server is going away.")
        ready: dict[str, Any] = {}
        try:
            with anyio.move_on_after(READY_S):
                ready = await worker.line()
        except SttUnavailable:
            ready = {}
        finally:
            if not ready:  # also when cancelled: a child that was half started is none
                await self._end()
        if not ready:
            raise SttUnavailable("The speech model could not be loaded; check that it is installed, and its folder.")
        return worker

    async def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        with anyio.CancelScope(shield=True):
            if worker.child.returncode is None:
                worker.child.kill()
            await worker.child.aclose()
