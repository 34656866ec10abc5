"""A repeated request has one effect and one answer.

Law: the key is reserved before the work, its answer is stored in the work's own commit where there is one, and a
request that is refused gives the key back, so that nothing is stored when validation fails.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from anyio import CancelScope, move_on_after, sleep
from attrs import define
from litestar import Request, Response

from agentcore.caller import Caller
from agentcore.changes import Receipt, ReceiptKey
from agentcore.errors import InvalidRequest, StoreUnavailable
from agentcore.ports import RESERVED_S
from agentcore.runtime import Runtime
from agentcore_http.wire import json

HEADER = "idempotency-key"
KEY_CHARS = 255
RETRY_S = 0.5


@define
class Keeper:
    """Makes the receipt that a commit stores, and remembers that it did."""

    key: ReceiptKey | None
    kept: bool = False

    def receipt(self, status: int, answer: object) -> Receipt | None:
        """Make the receipt of *answer*; None if the request carries no key."""
        if self.key is None:
            return None
        self.kept = True
        return Receipt(key=self.key, status=status, body=json.encode(answer).decode())


Work = Callable[[Keeper], Awaitable[tuple[int, object]]]


async def once(
    runtime: Runtime, caller: Caller, request: Request[Any, Any, Any], work: Work, *, digest: str | None = None
) -> Response[bytes]:
    """Do *work* and answer; under an Idempotency-Key, do it at most once.

    *digest*: of a body that was read already and is not in memory.
    """
    key = await _key(caller, request, digest)
    if key is None:
        status, answer = await work(Keeper(None))
        return _response(status, json.encode(answer))
    keeper = Keeper(key)
    try:
        stored = await runtime.store.begin(key)
        if stored is not None:
            return _response(stored.status, stored.body.encode(), {"Idempotency-Replayed": "true"})
        status, answer = await work(keeper)
    except BaseException:
        with CancelScope(shield=True):
            await _give_back(runtime, key)
        raise
    if not keeper.kept:
        receipt = keeper.receipt(status, answer)
        if receipt is not None:
            await runtime.store.keep(receipt)
    return _response(status, json.encode(answer))


async def _give_back(runtime: Runtime, key: ReceiptKey) -> None:
    """Let the client try again under its key; changes nothing if the answer was stored, or the key is another's."""
    try:
        await runtime.store.release(key)
    except StoreUnavailable:
        runtime.house.spawn(_give_back_later, runtime, key)


async def _give_back_later(runtime: Runtime, key: ReceiptKey) -> None:
    # Whether it was reserved is not known while the store is away; until it is given back, every new try of the
    # client would be told that this one is still being carried out.
    with move_on_after(RESERVED_S):  # then it lapses by itself
        while True:
            await sleep(RETRY_S)
            try:
                return await runtime.store.release(key)
            except StoreUnavailable:
                continue


async def _key(caller: Caller, request: Request[Any, Any, Any], digest: str | None) -> ReceiptKey | None:
    text = request.headers.get(HEADER)
    if text is None:
        return None
    checked(text)
    scope = request.scope
    route = f"{scope['method']} {scope['path']}"
    body = await request.body() if digest is None else digest.encode()
    whole = hashlib.sha256(scope["query_string"] + b"\n" + body)
    return ReceiptKey(
        tenant_id=caller.tenant_id,
        subject=caller.subject,
        route=route,
        key=text,
        request_sha256=whole.hexdigest(),
        holder=secrets.token_hex(8),
    )


def checked(text: str) -> None:
    """Raise InvalidRequest unless *text* can be a key."""
    if not 1 <= len(text) <= KEY_CHARS or not text.isascii() or not text.isprintable():
        raise InvalidRequest("Idempotency-Key must be 1 to 255 printable ASCII characters.", "Idempotency-Key")


def _response(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(body, status_code=status, headers=headers, media_type="application/json")
