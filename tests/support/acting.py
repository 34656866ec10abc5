"""A server whose engines speak to the stub provider and act with functions that are watched."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from attrs import define, field

from agentcore.engine import Engine
from agentcore.policy import Policy, Rule
from agentcore.ports import Leases, Store
from agentcore.tooling import Toolbox, Toolboxes
from agentcore_adapters.engines.catalog import Catalog, Equipment, Listing
from agentcore_adapters.engines.claude_api import ClaudeModel
from agentcore_adapters.engines.openai import OpenAiModel
from agentcore_adapters.testing.provider import StubProvider
from agentcore_adapters.tools.functions import FunctionTools
from tests.support.server import Json, Served, serving

RULES = Policy(rules={"t.look": Rule.AUTO, "t.wait": Rule.AUTO, "t.drop": Rule.DENY})


@define
class Effects:
    """What tools have done."""

    done: list[str] = field(factory=list)
    begun: anyio.Event = field(factory=anyio.Event)
    go_on: anyio.Event = field(factory=anyio.Event)
    was_cancelled: bool = False

    def toolbox(self) -> Toolboxes:
        """Return tools that leave a trace here."""

        async def look(at: str = "it") -> str:
            """Look at something."""
            self.done.append(f"look {at}")
            return f"saw {at}"

        async def note(text: str) -> str:
            """Write something down."""
            self.done.append(f"note {text}")
            return f"noted {text}"

        async def drop() -> str:
            """Do what nobody may."""
            self.done.append("drop")
            return "dropped"

        async def wait(until: str = "") -> str:
            """Wait until the test says so."""
            self.done.append(f"wait {until}")
            self.begun.set()
            try:
                await self.go_on.wait()
            except anyio.get_cancelled_exc_class():
                self.was_cancelled = True
                raise
            return "waited"

        return Toolboxes([FunctionTools("t", [look, note, drop, wait])])


@define
class Acting:
    """A running server, its provider, and what its tools have done."""

    served: Served
    provider: StubProvider
    effects: Effects
    engine: str

    async def ask(self, prompt: str, session_id: str | None = None, **more: object) -> Json:
        """Send a prompt to the engine."""
        return await self.served.post(prompt, session_id, engineType=self.engine, **more)

    async def waiting(self, prompt: str, number: int = 1, **more: Any) -> Json:
        """Send a prompt and wait until that many calls wait for a person, and nobody drives the task."""
        task_id = (await self.ask(prompt, **more))["taskId"]
        with anyio.fail_after(15):
            while True:
                task = await self.served.until(task_id, {"awaiting_approval"})
                if len(task["pendingApprovals"]) == number:
                    return task
                await anyio.sleep(0.01)

    async def decide(self, task: Json, body: object, **headers: str) -> int:
        """Decide; return the status."""
        return (await self.served.call("POST", f"/tasks/{task['id']}/approve", body, **headers)).status_code

    @property
    def shown(self) -> list[Any]:
        """What the model was shown last."""
        messages: list[Any] = self.provider.calls[-1].body["messages"]
        return messages


@asynccontextmanager
async def acting(
    stores: tuple[Store, Leases],
    provider: StubProvider,
    engine: str = "claude_api",
    policy: Policy = RULES,
    effects: Effects | None = None,
    more: Sequence[Toolbox] = (),
    wrapped: Callable[[Engine], Engine] = lambda engine: engine,
) -> AsyncIterator[Acting]:
    """Serve *stores* with the API engines."""
    effects = effects or Effects()
    equipment = Equipment(toolbox=Toolboxes([effects.toolbox(), *more]), policy=policy, call_s=5.0)
    models: list[ClaudeModel | OpenAiModel] = [
        ClaudeModel("key", provider.url),
        OpenAiModel("key", provider.url + "/v1"),
    ]
    listings = [Listing(name=model.name, engine=wrapped(equipment.engine(model))) for model in models]
    async with serving(*stores, engines=Catalog(listings), policy=policy) as served:
        yield Acting(served, provider, effects, engine)
    for model in models:
        await model.close()
