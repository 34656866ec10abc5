"""The engine ``openclaw`` against a bridge on loopback; what its callbacks do is told by the R hazards."""

from collections.abc import AsyncIterator, Sequence

import pytest
from attrs import evolve
from tests.support.bridge import GUARD, StubBridge, an_engine, stub_bridge

from agentcore.engine import Engine, EngineRequest
from agentcore.instances import Instance
from agentcore.testing.contracts import CallbackEngineContract
from agentcore.testing.contracts.instances import an_instance


class TestOpenClaw(CallbackEngineContract):
    bridge: StubBridge

    @pytest.fixture
    async def engine(self) -> AsyncIterator[Engine]:
        engine = an_engine(GUARD, "http://127.0.0.1:1/callback")
        async with stub_bridge() as self.bridge:
            self.bridge.says = {"ok": True, "cancel": True}
            yield engine
            await engine.close()

    def instance(self, port: int) -> Instance:
        return evolve(an_instance(), host="127.0.0.1", port=port)

    def request(self, *texts: str) -> EngineRequest:
        return evolve(super().request(*texts), instance=self.instance(self.bridge.port))

    def unreachable(self, request: EngineRequest) -> EngineRequest:
        return evolve(request, instance=self.instance(1))

    def dispatched(self, engine: Engine) -> Sequence[str]:
        return [body["idempotencyKey"] for body in self.bridge.asked]

    async def withdrawn(self, engine: Engine, request: EngineRequest) -> None:
        await self.bridge.until_withdrawn(request.task_id)
