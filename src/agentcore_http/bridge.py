"""``agentcore openclaw-bridge``: tasks in over HTTP, an OpenClaw gateway behind.

Law: a key is run once and answered by one callback, which is tried until it is taken; an answer that nobody took is
kept, and told when the task is asked for again.  Results go to the server that was named at the start, nowhere else.
"""

import base64
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
import msgspec
import structlog
import uvicorn
from anyio import CancelScope
from anyio.abc import TaskGroup
from attrs import define, field
from litestar import Litestar, Response, get, post
from msgspec import Raw, Struct

from agentcore.errors import AgentcoreError, InvalidRequest
from agentcore.seal import webhook_signature
from agentcore_http.gateway import Gateway, GatewayError, Outcome
from agentcore_http.problems import answer
from agentcore_http.routes.context import Req
from agentcore_http.routes.openapi import json_response
from agentcore_http.settings import LOOPBACK, SettingsError
from agentcore_http.wire.requests import decoded

log = structlog.get_logger("agentcore.bridge")
KEPT = 10_000  # runs that are over and remembered
RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 240.0)
ACCEPTED, OK = 202, 200
CALLBACK_S, ABORT_S = 30.0, 10.0
AGAIN = frozenset({408, 425, 429})  # and 5xx


class TaskBody(Struct, rename="camel"):
    """POST /task-async."""

    prompt: str
    session_key: str
    idempotency_key: str
    callback_url: str
    callback_data: Raw


class CancelBody(Struct, rename="camel"):
    """POST /task-cancel."""

    idempotency_key: str


class Callback(Struct, rename="camel", omit_defaults=True):
    """What the server is told."""

    ok: bool
    callback_data: Raw
    result: str | None = None
    error: str | None = None
    is_timeout: bool = False
    usage: dict[str, int] | None = None


@define(eq=False)
class Run:
    """One task."""

    asked: TaskBody
    scope: CancelScope = field(factory=CancelScope)
    callback: Callback | None = None  #: Once it is known what to say.
    is_told: bool = False
    is_telling: bool = True  #: Somebody works on it.


@define(eq=False, kw_only=True)
class Bridge:
    """What runs here, and what has run."""

    gateway: Gateway
    server: str  #: Base URL of the server whose tasks are run: callbacks go there only.
    key: bytes | None = field(default=None, repr=False)  #: Signs callbacks after Standard Webhooks.
    timeout_s: float = 600.0
    retries_s: tuple[float, ...] = RETRY_S
    runs: dict[str, Run] = field(factory=dict)

    def take(self, asked: TaskBody, tasks: TaskGroup, http: httpx2.AsyncClient) -> Run:
        """Begin a task, or find it; raises InvalidRequest."""
        if not asked.callback_url.startswith(self.server.rstrip("/") + "/"):
            raise InvalidRequest("callbackUrl is not an address of the server that this bridge serves.", "callbackUrl")
        run = self.runs.get(asked.idempotency_key)
        if run is None:
            run = self.runs[asked.idempotency_key] = Run(asked)
            tasks.start_soon(self._see_through, run, http)
            self._forget()
        elif not run.is_told and not run.is_telling:
            run.is_telling = True
            tasks.start_soon(self._tell, run, http)
        return run

    async def _see_through(self, run: Run, http: httpx2.AsyncClient) -> None:
        with run.scope:
            run.callback = await self._run(run.asked)
            await self._tell(run, http)
        if run.scope.cancelled_caught:
            run.is_telling = False
            await self._abort(run.asked)

    async def _run(self, asked: TaskBody) -> Callback:
        try:
            with anyio.fail_after(self.timeout_s):
                outcome = await self._ask(asked)
        except TimeoutError:
            await self._abort(asked)
            return Callback(ok=False, is_timeout=True, error="Timed out.", callback_data=asked.callback_data)
        data, usage = asked.callback_data, dict(outcome.usage) if outcome.usage else None
        if not outcome.ok:
            return Callback(ok=False, error="The agent failed.", usage=usage, callback_data=data)
        return Callback(ok=True, result=outcome.text, usage=usage, callback_data=data)

    async def _ask(self, asked: TaskBody) -> Outcome:
        for pause_s in (*self.retries_s, None):
            try:
                return await self.gateway.run(asked.session_key, asked.prompt, asked.idempotency_key)
            except GatewayError as error:
                log.warning("gateway.failed", task_id=asked.idempotency_key, error=str(error))
            if pause_s is not None:
                await anyio.sleep(pause_s)
        return Outcome(ok=False)

    async def _abort(self, asked: TaskBody) -> None:
        try:
            with anyio.move_on_after(ABORT_S):
                await self.gateway.abort(asked.session_key, asked.idempotency_key)
        except GatewayError as error:
            log.warning("gateway.not_aborted", task_id=asked.idempotency_key, error=str(error))

    async def _tell(self, run: Run, http: httpx2.AsyncClient) -> None:
        """Call back until the server has it, or says that it will never have it, or patience ends."""
        body = msgspec.json.encode(run.callback)
        for pause_s in (*self.retries_s, None):
            try:
                response = await http.post(run.asked.callback_url, content=body, headers=self._headers(run, body))
            except httpx2.HTTPError as error:
                log.warning("callback.failed", task_id=run.asked.idempotency_key, kind=type(error).__name__)
            else:
                run.is_told = not (response.status_code >= 500 or response.status_code in AGAIN)
                log.info("callback.sent", task_id=run.asked.idempotency_key, status=response.status_code)
                if run.is_told:
                    break
            if pause_s is not None:
                await anyio.sleep(pause_s)
        run.is_telling = False

    def _headers(self, run: Run, body: bytes) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if self.key is None:
            return headers
        message_id, at = run.asked.idempotency_key, str(int(time.time()))
        signature = webhook_signature(self.key, message_id, at, body)
        return headers | {"webhook-id": message_id, "webhook-timestamp": at, "webhook-signature": signature}

    def _forget(self) -> None:
        over = [key for key, run in self.runs.items() if not run.is_telling]
        for key in over[: max(0, len(self.runs) - KEPT)]:
            del self.runs[key]


def create_bridge(bridge: Bridge) -> Litestar:
    """Make the ASGI application of *bridge*."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with httpx2.AsyncClient(timeout=CALLBACK_S, follow_redirects=False) as http:
            async with anyio.create_task_group() as tasks:
                app.state.http, app.state.tasks = http, tasks
                yield
                tasks.cancel_scope.cancel()

    @post("/task-async", status_code=ACCEPTED)
    async def dispatch(request: Req) -> Response[bytes]:
        asked = decoded(await request.body(), TaskBody)
        state = request.app.state
        run = bridge.take(asked, state.tasks, state.http)
        return json_response(
            {"runId": asked.idempotency_key, "isOver": run.callback is not None, "cancel": True}, ACCEPTED
        )

    @post("/task-cancel", status_code=OK)
    async def cancel(request: Req) -> Response[bytes]:
        run = bridge.runs.get(decoded(await request.body(), CancelBody).idempotency_key)
        is_stopped = run is not None and run.callback is None
        if run is not None and is_stopped:
            run.scope.cancel()
        return json_response({"cancelled": is_stopped})

    @get("/healthz")
    async def health(request: Req) -> Response[bytes]:  # noqa: ARG001 - the route's form
        return json_response({"status": "ok"})

    return Litestar(
        [dispatch, cancel, health],
        lifespan=[lifespan],
        exception_handlers={AgentcoreError: answer, Exception: answer},
        openapi_config=None,
        logging_config=None,
    )


def run(host: str, port: int, gateway: str, server: str, timeout_s: float) -> int:
    """Serve until told to stop; secrets come from the environment."""
    secret = os.environ.get("OPENCLAW_BRIDGE_SECRET")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True) if secret else None
    except ValueError:
        raise SettingsError("OPENCLAW_BRIDGE_SECRET must be what GET /instances/{id}/secret answers.") from None
    reached = Gateway(gateway, os.environ.get("OPENCLAW_GATEWAY_TOKEN"))
    bridge = Bridge(gateway=reached, server=server, key=key, timeout_s=timeout_s)
    if host not in LOOPBACK:
        print("Whoever reaches this address can run prompts: keep it in a private network.", file=sys.stderr)  # noqa: T201
    print(f"The bridge is at http://{host}:{port}", flush=True)  # noqa: T201 - this is the command line
    uvicorn.run(create_bridge(bridge), host=host, port=port, log_level="critical", access_log=False, lifespan="on")
    return 0
