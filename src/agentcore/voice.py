"""Recordings: whose they are, what they may cost, and what was heard.

Law: a tenant that has used up its time is refused before anything is looked at; what a provider has heard is in the
ledger before anybody learns what it was.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import structlog
from anyio import CancelScope
from attrs import frozen

from agentcore import access
from agentcore.books import GroupBy, UsageRecorded
from agentcore.caller import Caller
from agentcore.errors import OverLimit, SttUnavailable
from agentcore.ids import EngineName, TaskId
from agentcore.ports import Clock, Store
from agentcore.quotas import Quotas
from agentcore.speech import Speech, Transcriber
from agentcore.usage import Outcome, Usage, UsageRecord

log = structlog.get_logger("agentcore.voice")
DAY = timedelta(days=1)
AGAIN_S = 3600
MILLISECOND = Decimal("0.001")


@frozen(kw_only=True)
class Voice:
    """The use case of listening."""

    store: Store
    clock: Clock
    new_id: Callable[[], str]
    quotas: Quotas
    transcriber: Transcriber | None = None

    async def hear(self, caller: Caller, recording: Path, language: str | None) -> Speech:
        """Return what is said in *recording*.

        Raises SttUnavailable, OverLimit, UnsupportedMedia, TooLarge.
        """
        access.act(caller)
        if self.transcriber is None:
            raise SttUnavailable("Speech to text is not set up here: set AGENTCORE_STT.")
        await self._must_be_within_its_time(caller)
        speech = await self.transcriber.transcribe(recording, language)
        if speech.model:
            with CancelScope(shield=True):  # it was heard, whether or not anybody still waits for it
                await self.store.enter(self._row(caller, self.transcriber.name, speech))
        log.info("voice.heard", tenant=caller.tenant_id, seconds=speech.seconds, chars=len(speech.text))
        return speech

    async def _must_be_within_its_time(self, caller: Caller) -> None:
        report = await self.store.usage(caller.tenant_id, self.clock.now() - DAY, None, GroupBy.DAY)
        if report.total.audio_s >= Decimal(self.quotas.of(caller.tenant_id).stt_seconds):
            raise OverLimit("The recordings of the last 24 hours are as long as a tenant's may be.", AGAIN_S)

    def _row(self, caller: Caller, name: str, speech: Speech) -> UsageRecorded:
        usage = Usage(
            model=speech.model, audio_s=Decimal(speech.seconds).quantize(MILLISECOND), cost_usd=speech.cost_usd
        )
        return UsageRecorded(
            tenant_id=caller.tenant_id,
            session_id=None,
            task_id=TaskId(self.new_id()),
            engine=EngineName(name),
            record=UsageRecord(key="1", usage=usage, outcome=Outcome.COMPLETED),
            at=self.clock.now(),
        )
