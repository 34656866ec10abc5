"""A client that does not read is cut off, and comes back with its cursor."""

import anyio
import msgspec
import pytest
from tests.support.server import serving, text_of
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from agentcore.caller import Caller
from agentcore.ids import TenantId
from agentcore_adapters.memory.clock import SystemClock
from agentcore_adapters.memory.leases import MemoryLeases
from agentcore_adapters.memory.store import MemoryStore
from agentcore_http.app import API

pytestmark = pytest.mark.anyio
WORDS = 50_000
CALLER = Caller(tenant_id=TenantId("default"), subject="anonymous")


async def test_E8_a_client_that_does_not_read_is_closed_and_resumes() -> None:
    clock = SystemClock()
    store = MemoryStore(clock)
    async with serving(store, MemoryLeases(store.state, clock), slow_s=0.3) as served:
        task = await served.post(f"[[words:{WORDS}]] [[tool:t:{{}}]]")
        await served.ended(task["taskId"], 60)
        for _ in range(1500):  # many frames, so that no buffer on the way holds them all
            await served.runtime.rename(CALLER, task["sessionId"], "x" * 20_000)
        address = served.url.replace("http", "ws") + f"{API}/sessions/{task['sessionId']}/stream"
        frames = []
        async with connect(address, max_size=None, max_queue=1) as socket:
            await anyio.sleep(2.0)
            with anyio.fail_after(20), pytest.raises(ConnectionClosed) as closed:
                while True:
                    frames.append(msgspec.json.decode(await socket.recv(), type=dict))
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4408
        assert len(frames) < 1500
        async with served.socket(task["sessionId"], frames[-1]["cursor"]) as socket:
            with anyio.fail_after(20):
                while len({frame.get("seq") for frame in frames} - {None}) < 1500:
                    frames.append(msgspec.json.decode(await socket.recv(), type=dict))
        assert text_of(frames) == "".join(f"w{i} " for i in range(WORDS))
