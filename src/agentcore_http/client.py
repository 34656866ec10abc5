"""A small client of the API, as the command line uses it."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import anyio
import httpx2

API = "/api/v1/agent"
FINAL = frozenset({"completed", "error", "cancelled"})
UNAVAILABLE, RETRY_S = 503, 1.0
Token = Callable[[], str]


class ApiError(Exception):
    """The server has refused; the text is the problem's detail."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        """Keep what the problem says."""
        super().__init__(detail)
        self.status = status
        self.code = code


class Client:
    """Talks to one server; use it in ``async with``."""

    def __init__(
        self, url: str, *, tenant: str | None = None, user: str | None = None, token: Token | None = None
    ) -> None:
        """Connect to *url*, the server's base address; *token* is asked for the bearer token of each request."""

        def authorize(request: httpx2.Request) -> httpx2.Request:
            if token is not None:
                request.headers["Authorization"] = f"Bearer {token()}"
            return request

        names = {"X-Tenant-Id": tenant, "X-User-Id": user}
        headers = {name: value for name, value in names.items() if value}
        timeout = httpx2.Timeout(10.0, read=60.0)
        self._http = httpx2.AsyncClient(
            base_url=url.rstrip("/") + API, headers=headers, timeout=timeout, auth=authorize
        )

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self._http.aclose()

    async def execute(self, prompt: str, session_id: str | None = None, **more: object) -> dict[str, Any]:
        """Post a prompt; a lost answer can be asked for again, because the request carries a key."""
        body = {"prompt": prompt, **more} | ({"sessionId": session_id} if session_id else {})
        return await self._call("POST", "/tasks", json=body, headers={"Idempotency-Key": str(uuid4())})

    async def cancel(self, task_id: str) -> dict[str, Any]:
        """Stop a task."""
        return await self._call("DELETE", f"/tasks/{task_id}")

    async def approve(self, task_id: str, asked: dict[str, Any], *, approved: bool) -> dict[str, Any]:
        """Decide what a task waits for, bound to what was shown."""
        body = {"approved": approved, "approvalId": asked["approvalId"], "inputSha256": asked["inputSha256"]}
        return await self._call("POST", f"/tasks/{task_id}/approve", json=body)

    async def session(self, session_id: str) -> dict[str, Any]:
        """Show a session."""
        return await self._call("GET", f"/sessions/{session_id}")

    async def messages(self, session_id: str) -> list[dict[str, Any]]:
        """Return the whole history."""
        items: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            params = {"after": cursor} if cursor else {}
            page = await self._call("GET", f"/sessions/{session_id}/messages", params=params)
            items += page["items"]
            cursor = page["nextCursor"]
        return items

    async def events(self, session_id: str, after: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of a session from a cursor on; a connection that breaks is picked up where it broke."""
        cursor = after
        while True:
            try:
                async with self._stream(session_id, cursor) as lines:
                    async for line in lines:
                        if line.startswith("data: "):
                            event: dict[str, Any] = json.loads(line[6:])
                            cursor = event["cursor"]
                            yield event
            except httpx2.TransportError:
                continue
            except ApiError as error:
                if error.status != UNAVAILABLE:
                    raise
                await anyio.sleep(RETRY_S)

    @asynccontextmanager
    async def _stream(self, session_id: str, cursor: str | None) -> AsyncIterator[AsyncIterator[str]]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": cursor} if cursor else {})
        async with self._http.stream("GET", f"/sessions/{session_id}/events", headers=headers) as response:
            if response.is_error:
                await response.aread()
                raise _error(response)
            yield response.aiter_lines()

    async def _call(self, method: str, path: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - passed on as it is
        response = await self._http.request(method, path, **more)
        if response.is_error:
            raise _error(response)
        answer: dict[str, Any] = response.json()
        return answer


def _error(response: httpx2.Response) -> ApiError:
    try:
        problem = response.json()
        return ApiError(response.status_code, problem["code"], problem["detail"])
    except (ValueError, KeyError):
        return ApiError(response.status_code, "http_error", f"The server answered {response.status_code}.")
