"""Many frames are said at once where the server lets us, and one by one where it does not."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from tests.support.server import receive, serving, text_of, until_final
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from agentcore.caller import Caller
from agentcore.ids import TenantId
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore
from agentcore_http.serve import SOCKETS
from agentcore_http.sockets import Sockets

pytestmark = pytest.mark.anyio
CALLER = Caller(tenant_id=TenantId("default"), subject="anonymous")
TITLES = [f"{number} {'x' * (number * 40)}" for number in range(150)]  # several writes, each of several frames


@pytest.mark.parametrize("protocol", [Sockets, WebSocketsSansIOProtocol], ids=["ours", "another"])
async def test_a_long_log_is_the_same_however_it_is_written(
    protocol: type[WebSocketsSansIOProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOCKETS, "ws", protocol)
    writes: list[int] = []
    write = Sockets._write

    async def counted(socket: Sockets) -> None:
        writes.append(1)
        await write(socket)

    monkeypatch.setattr(Sockets, "_write", counted)
    clock = SystemClock()
    store = MemoryStore(clock)
    async with serving(store, MemoryLeases(store.state, clock)) as served:
        session = (await served.post("[[say:hello]]"))["sessionId"]
        for title in TITLES:
            await served.runtime.rename(CALLER, session, title)
        found: list[str] = []
        async with served.socket(session) as socket:
            with anyio.fail_after(20):
                while len(found) < len(TITLES):
                    frame = await receive(socket)
                    if frame["type"] == "session_info" and frame.get("title"):
                        found.append(frame["title"])
    assert found == TITLES
    assert (0 < len(writes) < len(TITLES) // 4) is (protocol is Sockets)


@pytest.mark.parametrize("is_behind", [False, True])
async def test_what_nobody_has_to_wait_for_is_written_past_the_stack(
    is_behind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"now": 0, "sent": 0}
    send, send_now = Sockets.send, Sockets.send_now

    def now(socket: Sockets, frames: Sequence[bytes]) -> bool:
        if is_behind:
            socket.writable.clear()
            socket.loop.call_soon(socket.writable.set)
        is_written = send_now(socket, frames)
        said["now"] += is_written
        return is_written

    async def sends(socket: Sockets, message: Any) -> None:
        said["sent"] += message["type"] == "websocket.send"
        await send(socket, message)

    monkeypatch.setattr(Sockets, "send_now", now)
    monkeypatch.setattr(Sockets, "send", sends)
    clock = SystemClock()
    store = MemoryStore(clock)
    async with serving(store, MemoryLeases(store.state, clock)) as served:
        task = await served.post("[[words:20]] [[slow:0.001]]")
        async with served.socket(task["sessionId"]) as socket:
            frames = await until_final(socket, task["taskId"])
    assert text_of(frames).count("w") == 20
    assert (said["now"] > 0, said["sent"] > 0) == (not is_behind, is_behind)
