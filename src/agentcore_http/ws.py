"""The event stream and its commands over a WebSocket.

Law: one task writes and one reads; what is written is a frame of the log or the answer to a client's frame.  A
client that does not read is cut off with 4408 and comes back with its cursor: nothing is kept for it here but
what is on its way.
"""

from collections.abc import Mapping
from contextlib import ExitStack, aclosing
from datetime import datetime
from itertools import islice
from typing import Any, assert_never

import anyio
import msgspec
from anyio import fail_after
from attrs import define, field
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath, FromQuery

from agentcore.caller import Caller
from agentcore.errors import AgentcoreError, InvalidRequest, NotFound, Unavailable
from agentcore.feed import Feed, parse_after
from agentcore.runtime import Runtime
from agentcore.session import Session
from agentcore_http.auth.identifier import subprotocols
from agentcore_http.auth.tickets import agreed
from agentcore_http.door import Bucket, door_of
from agentcore_http.problems import NOT_AUTHENTICATED, TOO_OFTEN, TOO_SLOW, close_code, problem
from agentcore_http.routes.context import caller_of, identity_of, runtime_of, settings_of
from agentcore_http.routes.subscription import encoder_for, expiring
from agentcore_http.routes.tasks import DEFAULT_DEADLINE_S
from agentcore_http.sockets import FRAMES
from agentcore_http.wire import answers, commands, requests, shapes
from agentcore_http.wire.frames import Encoder
from agentcore_http.wire.json import encode

FRAMES_PER_S, FRAMES_AT_ONCE = 50.0, 100.0  # of a client, on one socket
SLOW_S = 20.0
TOGETHER = 128  # frames that are ready at once may take as long as one, and are answered between
LAST_WORD = 10  # times as long as a frame may take

Socket = WebSocket[Any, Any, Any]


@websocket("/sessions/{session_id:str}/stream")
async def stream(
    socket: Socket,
    session_id: FromPath[str],
    after: FromQuery[str | None] = None,
    include: FromQuery[str | None] = None,
) -> None:
    """Show a session from a cursor on, and take commands."""
    await socket.accept(subprotocols=agreed(subprotocols(socket.scope)))
    caller = caller_of(socket)
    with ExitStack() as stack:
        try:
            stack.enter_context(door_of(socket.app).stream(caller))
        except AgentcoreError as error:
            await socket.close(code=close_code(error), reason=error.code)
            return
        await _serve(socket, caller, session_id, after, include)


async def _serve(socket: Socket, caller: Caller, session_id: str, after: str | None, include: str | None) -> None:
    runtime, identity = runtime_of(socket), identity_of(socket)
    try:
        found = requests.session_id(session_id)
        feed = await runtime.views.subscribe(caller, found, parse_after(after))
        encoder = encoder_for(feed.session, include)
    except AgentcoreError as error:
        await socket.close(code=close_code(error), reason=error.code)
        return
    slow_s = float(socket.app.state.slow_s)
    deadline_s = settings_of(socket).deadline_seconds or DEFAULT_DEADLINE_S
    await Connection(socket, runtime, caller, feed.session, encoder, slow_s, deadline_s, identity.until).serve(feed)


@define(eq=False)
class Connection:
    """One subscriber on one socket."""

    socket: Socket
    runtime: Runtime
    caller: Caller
    session: Session  #: As it was last seen here.
    encoder: Encoder
    slow_s: float  #: Seconds that what is sent at once may take to be accepted by the client.
    deadline_s: float
    until: datetime | None = None  #: When what proved the caller expires.
    _sending: anyio.Lock = field(factory=lambda: anyio.Lock(fast_acquire=True))
    _close: tuple[int, str] | None = None

    async def serve(self, feed: Feed) -> None:
        """Write and read until one side has had enough."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, tasks.cancel_scope)
            try:
                with expiring(self.until, self.runtime.house.clock) as expired:
                    await self._write(feed)
                if expired.cancelled_caught:
                    self._close = (NOT_AUTHENTICATED, "token_expired")
            except TimeoutError:
                self._close = (TOO_SLOW, "too slow: resume with the last cursor")
            except (NotFound, Unavailable) as error:
                self._close = (close_code(error), error.code)
            except WebSocketDisconnect:
                self._close = None
            finally:
                tasks.cancel_scope.cancel()
        if self._close is not None:
            # The close frame waits behind what the client has not read yet; nothing more is kept for it meanwhile.
            with anyio.move_on_after(self.slow_s * LAST_WORD):
                await self.socket.close(code=self._close[0], reason=self._close[1])

    async def _write(self, feed: Feed) -> None:
        now = self.runtime.house.clock.now
        async with aclosing(feed.batches()) as batches:
            async for batch in batches:
                frames = self.encoder.encode(batch, now())
                while some := [frame.body for frame in islice(frames, TOGETHER)]:
                    await self._send(*some)

    async def _send(self, *bodies: bytes) -> None:
        async with self._sending:
            server: Any = (self.socket.scope.get("extensions") or {}).get(FRAMES)
            if server is not None and server["now"](bodies):
                return
            with fail_after(self.slow_s):
                if server is not None:
                    await self.socket.send({"type": "websocket.send", FRAMES: bodies})  # type: ignore[arg-type]  # ours
                else:  # another server than ours
                    for body in bodies:
                        await self.socket.send_text(body.decode())

    async def _read(self, scope: anyio.CancelScope) -> None:
        monotonic = self.runtime.house.clock.monotonic
        frames = Bucket(FRAMES_AT_ONCE, monotonic())
        try:
            while True:
                frame = await self.socket.receive_text()
                if frames.take(monotonic(), FRAMES_PER_S, FRAMES_AT_ONCE):
                    self._close = (TOO_OFTEN, "too many messages: send fewer")
                    scope.cancel()
                    return
                await self._answer(frame)
        except (WebSocketDisconnect, TimeoutError):
            scope.cancel()

    async def _answer(self, text: str) -> None:
        """Carry out one frame of the client, and say what became of it."""
        frame: dict[str, Any] = {}
        try:
            raw = text.encode(errors="replace")
            frame = requests.decoded(raw, dict[str, Any])
            kind = commands.KINDS.get(str(frame.get("type")))
            if kind is None:
                raise InvalidRequest(f"type must be one of {', '.join(commands.KINDS)}.", "type")
            done = await self._carry_out(requests.decoded(raw, kind))
            body: dict[str, Any] = {"type": "ack", "id": frame.get("id")} | msgspec.to_builtins(done)
        except AgentcoreError as error:
            status, found, _ = problem(error, self.socket.scope["path"])
            body = {"type": "problem", "id": frame.get("id"), "status": status}
            body |= {key: found[key] for key in ("code", "detail", "message")}
        await self._send(encode(body))

    async def _carry_out(self, frame: commands.Commands) -> Mapping[str, Any] | msgspec.Struct:
        match frame:
            case commands.Ping():
                return {}
            case commands.Prompt():
                ask = frame.ask(self.deadline_s)
                known = self.session
                done = await self.runtime.execute(
                    self.caller, ask, session_id=known.id, on_busy=frame.busy, known=known
                )
                if done.session is not None and done.session_id == known.id:
                    self.session = done.session
                return answers.accepted(done)
            case commands.Cancel():
                view, _ = await self.runtime.cancel(self.caller, requests.task_id(frame.task_id), 0.0)
                return {"taskId": view.task.id, "status": view.task.status.value}
            case commands.Inject():
                ask = frame.ask()
                done = await self.runtime.inject(self.caller, requests.task_id(frame.task_id), ask)
                return shapes.InjectedAnswer(session_id=done.session_id, task_id=done.task_id)
            case commands.Approve():
                task_id = requests.task_id(frame.task_id)
                decided = await self.runtime.decide(self.caller, task_id, frame.decide(self.caller.subject))
                said = "Command approved" if frame.approved else "Command rejected"
                return shapes.DecidedAnswer(message=said, task_id=task_id, approval_id=decided)
            case _:
                assert_never(frame)
