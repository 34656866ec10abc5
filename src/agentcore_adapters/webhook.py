"""Usage events over HTTP, signed after Standard Webhooks (https://www.standardwebhooks.com).

Law: an event is taken when the receiver answers 2xx, and not before.  Nothing that the receiver says, and not its
address, reaches a log or a table: only its status does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx2
import msgspec
from attrs import field, frozen
from standardwebhooks import Webhook

from agentcore import __version__
from agentcore.books import SinkFailed, UsageRecorded

TIMEOUT = httpx2.Timeout(10.0)
TYPE = "usage.recorded"


@frozen
class WebhookSink:
    """Posts usage events to an address."""

    url: str = field(repr=False)
    signer: Webhook = field(repr=False)
    http: httpx2.AsyncClient = field(repr=False)

    async def publish(self, event: UsageRecorded) -> None:
        """Return once the receiver has answered 2xx; raises SinkFailed."""
        body = body_of(event)
        at = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": f"agentcore/{__version__}",
            "webhook-id": event.id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self.signer.sign(event.id, at, body.decode()),
        }
        try:
            response = await self.http.post(self.url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            raise SinkFailed(f"The receiver could not be reached ({type(error).__name__}).") from None
        if not response.is_success:
            raise SinkFailed(f"The receiver answered {response.status_code}.", _retry_after(response))


@asynccontextmanager
async def webhook_sink(url: str, secret: str) -> AsyncIterator[WebhookSink]:
    """Open a sink; *secret* is the shared one: base64, with or without ``whsec_`` in front."""
    async with httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as http:
        yield WebhookSink(url, Webhook(secret), http)


def body_of(event: UsageRecorded) -> bytes:
    """Write an event as it is posted; decimals are strings."""
    usage, record = event.record.usage, event.record
    data = {
        "tenantId": event.tenant_id,
        "sessionId": event.session_id,
        "taskId": event.task_id,
        "engine": event.engine,
        "call": record.key,
        "outcome": record.outcome.value,
        "providerMessageId": record.provider_message_id,
        "model": usage.model,
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cachedInputTokens": usage.cached_input_tokens,
        "cacheWriteInputTokens": usage.cache_write_input_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "audioSeconds": f"{usage.audio_s:f}",
        "costUsd": None if usage.cost_usd is None else f"{usage.cost_usd:f}",
        "fidelity": usage.fidelity.value,
    }
    return msgspec.json.encode({"type": TYPE, "timestamp": event.at.isoformat(), "data": data})


def _retry_after(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdecimal() and len(text) < 6 else None
