"""What providers' SDKs have in common: their exceptions, and the streams under them.

Law: a provider's words never reach a client; its error becomes one of our codes with a sentence of ours.  The SDKs
do authentication, retries before the first byte, and errors; the stream itself is decoded here, because building a
validated model for each chunk costs more than all the rest together.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import msgspec
from anyio import move_on_after

from agentcore.engine import EngineRequest
from agentcore.errors import EngineFailed
from agentcore.events import TextDelta, ThinkingDelta
from agentcore.messages import FilePart
from agentcore.task import ErrorCode
from agentcore.tooling import ModelEvent
from agentcore.usage import estimated_tokens
from agentcore_adapters.engines.posting import Body

T = TypeVar("T")
OVERFLOW_WORDS = ("context", "too long", "exceed_context_size", "maximum context length", "too many tokens")
SAID = {
    ErrorCode.ENGINE_AUTH: "The model provider refused our credentials.",
    ErrorCode.ENGINE_OVERLOADED: "The model provider is overloaded; try again later.",
    ErrorCode.ENGINE_UNAVAILABLE: "The model provider could not be reached, or stopped answering.",
    ErrorCode.ENGINE_EOF: "The model provider's stream ended without a result.",
    ErrorCode.CONTEXT_TOO_LARGE: "The conversation is larger than what the model can be shown.",
    ErrorCode.EXECUTION_ERROR: "The model provider refused the request.",
}
BY_STATUS = {401: ErrorCode.ENGINE_AUTH, 403: ErrorCode.ENGINE_AUTH, 429: ErrorCode.ENGINE_OVERLOADED}
BY_TYPE = {
    "authentication_error": ErrorCode.ENGINE_AUTH,
    "permission_error": ErrorCode.ENGINE_AUTH,
    "rate_limit_error": ErrorCode.ENGINE_OVERLOADED,
    "overloaded_error": ErrorCode.ENGINE_OVERLOADED,
    "api_error": ErrorCode.ENGINE_UNAVAILABLE,
    "timeout_error": ErrorCode.ENGINE_UNAVAILABLE,
    "server_error": ErrorCode.ENGINE_UNAVAILABLE,
}
OVERLOADED, SERVER_ERRORS = 529, 500
REST_S = 0.1  # for what follows the last word; then the connection is given up
TRANSPORT = frozenset({"aiohttp.client_exceptions", "aiohttp.http_exceptions"})  # those the SDKs' bridge lets through
LINE_BYTES = 16 * 1024 * 1024  # no event of theirs is near that
MOST_TOKENS = 10**12


def failed(code: ErrorCode, *, refused_attachments: bool = False) -> EngineFailed:
    """Make the error of *code*, in our words."""
    return EngineFailed(code, SAID[code], refused_attachments=refused_attachments)


@contextmanager
def provider_errors(request: EngineRequest) -> Iterator[None]:
    """Raise EngineFailed for whatever an SDK, or the transport under it, raises."""
    import httpx2  # noqa: PLC0415 - comes with the SDKs

    try:
        yield
    except httpx2.HTTPError:
        raise failed(ErrorCode.ENGINE_UNAVAILABLE) from None
    except Exception as error:
        status, body = getattr(error, "status_code", None), getattr(error, "body", None)
        if isinstance(status, int):
            raise of_status(status, body, request) from None
        if type(error).__name__ in {"APIConnectionError", "APITimeoutError"} or type(error).__module__ in TRANSPORT:
            raise failed(ErrorCode.ENGINE_UNAVAILABLE) from None
        raise


def is_refusal(error: Exception) -> bool:
    """Tell whether *error* is an answer that was none: nothing was served, and it costs nothing."""
    return isinstance(getattr(error, "status_code", None), int)


def of_status(status: int, body: object, request: EngineRequest) -> EngineFailed:
    """Make the error of an answer that was none."""
    text = str(body).lower()
    if status in BY_STATUS:
        return failed(BY_STATUS[status])
    if status == OVERLOADED:
        return failed(ErrorCode.ENGINE_OVERLOADED)
    if status < SERVER_ERRORS and any(word in text for word in OVERFLOW_WORDS):
        return failed(ErrorCode.CONTEXT_TOO_LARGE)
    if has_attachments(request) and (status < SERVER_ERRORS or "image" in text):
        return failed(ErrorCode.EXECUTION_ERROR, refused_attachments=True)
    return failed(ErrorCode.ENGINE_UNAVAILABLE if status >= SERVER_ERRORS else ErrorCode.EXECUTION_ERROR)


def of_type(kind: object) -> EngineFailed:
    """Make the error of an error event in the stream, whose status says nothing (it is 200)."""
    return failed(BY_TYPE.get(str(kind), ErrorCode.EXECUTION_ERROR))


def has_attachments(request: EngineRequest) -> bool:
    """Tell whether the prompt of *request* comes with files."""
    return bool(request.messages) and any(isinstance(part, FilePart) for part in request.messages[-1].parts)


async def events(response: Body, decoder: msgspec.json.Decoder[T]) -> AsyncGenerator[list[T], None]:
    """Decode the data lines of an event stream, up to ``[DONE]``; yields what has come at once together."""
    rest, pieces = b"", response.iter_bytes()
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LINE_BYTES:
            raise failed(ErrorCode.EXECUTION_ERROR)
        found: list[T] = []
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                yield found
                await _read_to_the_end(pieces)
                return
            try:
                found.append(decoder.decode(data))
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                yield found
                raise failed(ErrorCode.EXECUTION_ERROR) from None
        if found:
            yield found


async def _read_to_the_end(pieces: AsyncIterator[bytes]) -> None:
    """Read what may follow the last word, usually nothing: only then the connection can be used again."""
    import httpx2  # noqa: PLC0415 - comes with the SDKs

    with suppress(httpx2.HTTPError), move_on_after(REST_S):
        async for _ in pieces:
            pass


def coalesced(said: Iterable[ModelEvent]) -> Iterator[ModelEvent]:
    """Make one of the deltas that have come at once: under load, all that follows is done once for many."""
    held: TextDelta | ThinkingDelta | None = None
    try:
        for event in said:
            if held is not None and isinstance(event, TextDelta | ThinkingDelta) and type(event) is type(held):
                held = type(held)(held.text + event.text)
                continue
            if held is not None:
                yield held
                held = None
            if isinstance(event, TextDelta | ThinkingDelta):
                held = event
            else:
                yield event
    except EngineFailed:
        if held is not None:
            yield held
        raise
    if held is not None:
        yield held


def plausible(count: int | None) -> int | None:
    """Return a count as the ledger can hold it, whatever a server says."""
    return None if count is None else min(max(int(count), 0), MOST_TOKENS)


def request_tokens(body: dict[str, Any]) -> int:
    """Estimate what a request costs; attachments in base64 count as pictures and not as text."""
    tokens = 0
    stack: list[object] = [body.get("messages"), body.get("system"), body.get("tools")]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if value.get("type") in {"image", "document", "image_url", "file"}:
                tokens += 1600
                continue
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, str):
            tokens += estimated_tokens(value)
    return tokens
