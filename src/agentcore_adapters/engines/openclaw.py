"""The engine ``openclaw``: a remote agent behind a bridge that answers by a callback.

Law: the task's row is the outbox.  Each attempt dispatches the task under the same key, so that a bridge runs it once
however often it is asked; the answer comes as the command ``Deliver`` and not through here.  So a run says that its
call is open, asks, and then waits to be stopped.  Nothing that the bridge says, and not its address, leaves here.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import msgspec
import structlog
from anyio import CancelScope
from attrs import define, field, frozen

from agentcore.engine import Abilities, EngineRequest
from agentcore.errors import EngineFailed, HostNotAllowed, InstanceNotRunning
from agentcore.events import CallClosed, CallOpened, EngineEvent
from agentcore.ids import EngineName
from agentcore.instances import ENGINE, Instance
from agentcore.seal import Seal
from agentcore.task import ErrorCode
from agentcore.usage import Outcome, Usage, estimated_tokens
from agentcore_adapters.netguard import Guard

log = structlog.get_logger("agentcore.openclaw")
NAME: EngineName = ENGINE
MODEL = "openclaw"
DISPATCH, WITHDRAW = "/task-async", "/task-cancel"
CALLBACK = "/instances/openclaw-app-callback"
TRY_S = 10.0  # for one try
RETRY_S = (0.5, 2.0, 5.0)  # pauses before each further one
WITHDRAW_S = 2.0
BODY_BYTES = 64 * 1024  # of an answer; what is longer is not read
AGAIN = frozenset({408, 425, 429})  # and 5xx
UNREACHED = "The remote agent could not be reached."
ABILITIES = Abilities(streaming=False, resume=True, pure_until_tool=False, stop_grace_s=WITHDRAW_S + 1)


@frozen
class Answer:
    """What a bridge answered to one try; status 0: nothing."""

    status: int
    body: bytes = b""
    was_sent: bool = True  #: The bridge may have heard of the task.


@define(eq=False, kw_only=True)
class OpenClaw:
    """Asks bridges."""

    seal: Seal = field(repr=False)
    guard: Guard
    callback_url: str
    retries_s: tuple[float, ...] = RETRY_S
    try_s: float = TRY_S
    name: EngineName = NAME
    abilities: Abilities = ABILITIES
    _client: Any = None

    @asynccontextmanager
    async def run(self, request: EngineRequest) -> AsyncIterator["BridgeRun"]:
        """Dispatch *request*, and wait."""
        run = BridgeRun(self, request)
        async with aclosing(run.said):
            yield run

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def post(self, instance: Instance, path: str, body: object, within_s: float) -> Answer:
        """Post to the bridge of *instance*, once; raises HostNotAllowed, InstanceNotRunning."""
        import httpx2  # noqa: PLC0415 - on first use

        if self._client is None:  # neither proxies of the environment nor redirects lead elsewhere
            self._client = httpx2.AsyncClient(trust_env=False, follow_redirects=False, timeout=None)
        target = await self.guard.target(*instance.address)
        request = self._client.build_request(
            "POST",
            target.url(path),
            content=msgspec.json.encode(body),
            # Not packed: what a bridge says is small, or of no interest.
            headers={"host": target.authority, "content-type": "application/json", "accept-encoding": "identity"},
            extensions={"sni_hostname": target.host},
        )
        try:
            with anyio.fail_after(within_s):
                response = await self._client.send(request, stream=True)
                try:
                    return Answer(response.status_code, await _head(response))
                finally:
                    await response.aclose()
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            return Answer(0, was_sent=False)
        except (httpx2.HTTPError, TimeoutError):
            return Answer(0)


@define(eq=False)
class BridgeRun:
    """One task at a bridge."""

    engine: OpenClaw
    request: EngineRequest
    said: AsyncGenerator[EngineEvent, None] = field(init=False)
    _asking: CancelScope = field(factory=CancelScope)
    _is_stoppable: bool | None = None  # whether the bridge takes cancellations; None: it has not said yet
    _was_heard: bool = False  # the bridge may know of the task

    def __attrs_post_init__(self) -> None:
        """Begin with nothing said."""
        self.said = self._say()

    def __aiter__(self) -> AsyncIterator[EngineEvent]:
        """Yield what is known here; the answer comes by another way."""
        return self.said

    def answer(self, decided: object) -> None:
        """Nobody asks for approvals here."""

    def interrupt(self) -> None:
        """Withdraw the task, if the bridge lets us."""
        self._asking.cancel()

    async def _say(self) -> AsyncGenerator[EngineEvent, None]:
        instance = self.request.instance
        if instance is None:
            raise EngineFailed(ErrorCode.BRIDGE_ERROR, "The remote agent is registered no more.")
        prompt = self.request.messages[-1].text
        yield CallOpened(model=MODEL, input_tokens=estimated_tokens(prompt))
        failure: EngineFailed | None = None
        with self._asking:
            failure = await self._dispatch(instance, prompt)
            if failure is None:
                await anyio.sleep_forever()
        if failure is not None:
            if not self._was_heard:  # nobody has begun anything: it costs nothing
                yield CallClosed(usage=Usage(model=MODEL), outcome=Outcome.FAILED)
            raise failure
        await self._withdraw(instance)

    async def _dispatch(self, instance: Instance, prompt: str) -> EngineFailed | None:
        """Ask until the bridge has taken the task; return why it has not."""
        body = self.body(instance, prompt)
        task_id = self.request.task_id
        for pause_s in (*self.engine.retries_s, None):
            try:
                answer = await self.engine.post(instance, DISPATCH, body, self.engine.try_s)
            except (HostNotAllowed, InstanceNotRunning) as error:
                log.warning("bridge.refused", task_id=task_id, code=error.code)
                return EngineFailed(ErrorCode.BRIDGE_ERROR, "The remote agent may not be reached as it is registered.")
            self._was_heard = self._was_heard or answer.was_sent
            if 200 <= answer.status < 300:
                self._is_stoppable = _offers_cancel(answer.body)
                return None
            log.warning("bridge.failed", task_id=task_id, status=answer.status)
            if pause_s is None or (0 < answer.status < 500 and answer.status not in AGAIN):
                break
            await anyio.sleep(pause_s)
        return EngineFailed(ErrorCode.BRIDGE_ERROR, UNREACHED)

    async def _withdraw(self, instance: Instance) -> None:
        if self._is_stoppable is not False:
            try:
                body = {"idempotencyKey": self.request.task_id}
                answer = await self.engine.post(instance, WITHDRAW, body, WITHDRAW_S)
            except (HostNotAllowed, InstanceNotRunning):
                return
            log.info("bridge.withdrawn", task_id=self.request.task_id, status=answer.status)

    def body(self, instance: Instance, prompt: str) -> dict[str, Any]:
        """Write what the bridge is asked."""
        request = self.request
        signature = self.engine.seal.signature(instance.tenant_id, request.session_id, request.task_id)
        return {
            "prompt": prompt,
            "sessionKey": f"it0:{request.session_id}",
            "idempotencyKey": request.task_id,
            "callbackUrl": self.engine.callback_url,
            "callbackData": {"sessionId": request.session_id, "taskId": request.task_id, "signature": signature},
        }


async def _head(response: Any) -> bytes:  # noqa: ANN401 - imported on first use
    """Read the beginning of an answer."""
    head = b""
    async for chunk in response.aiter_raw():
        head += chunk
        if len(head) > BODY_BYTES:
            return b""
    return head


def _offers_cancel(body: bytes) -> bool:
    """Tell whether the bridge says ``{"cancel": true}``; what it says besides is its own."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("cancel") is True
