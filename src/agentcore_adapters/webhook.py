"""Usage events over HTTP, signed after Standard Webhooks (https://www.standardwebhooks.com).

Law: an event is taken when the receiver answers 2xx, and not before.  Nothing that the receiver says, and not its
address, reaches a log or a table: only its status does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
import httpx2
from attrs import field, frozen
from standardwebhooks import Webhook

from agentcore import __version__
from agentcore.books import SinkFailed, UsageRecorded
from agentcore_adapters.usage_event import body_of

WITHIN_S = 10.0


@frozen
class WebhookSink:
    """Posts usage events to an address."""

    url: str = field(repr=False)
    signer: Webhook = field(repr=False)
    http: httpx2.AsyncClient = field(repr=False)
    within_s: float = WITHIN_S  #: Seconds that the receiver has to answer.

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
            # The client's own limit is one for each piece, and an answer may come in ever so many.
            with anyio.fail_after(self.within_s):
                async with self.http.stream("POST", self.url, content=body, headers=headers) as response:
                    pass  # its status is all that counts: what else it says is not read
        except (httpx2.HTTPError, TimeoutError) as error:
            raise SinkFailed(f"The receiver could not be reached ({type(error).__name__}).") from None
        if not response.is_success:
            raise SinkFailed(f"The receiver answered {response.status_code}.", _retry_after(response))


@asynccontextmanager
async def webhook_sink(url: str, secret: str, *, within_s: float = WITHIN_S) -> AsyncIterator[WebhookSink]:
    """Open a sink; *secret* is the shared one: base64, with or without ``whsec_`` in front.

    *within_s*: seconds that the receiver has to answer.
    """
    # Neither proxies nor credentials of the environment: the address is the one that was configured.
    async with httpx2.AsyncClient(timeout=None, trust_env=False, follow_redirects=False) as http:
        yield WebhookSink(url, Webhook(secret), http, within_s)


def _retry_after(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdecimal() and len(text) < 6 else None
