"""Many frames are said at once where the server lets us, and one by one where it does not."""

import anyio
import pytest
from tests.support.server import receive, serving
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
