"""Hazards C4, I5 and SEC27: nobody uses more than it may, and nobody's crowd stands in the way of others."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.support.database import Server
from tests.support.server import Json, Served, serving

from agentcore.events import CallClosed, CallOpened, Finished, TextDelta, ToolResult, ToolUse
from agentcore.ids import EngineName, TenantId
from agentcore.limits import Limits
from agentcore.ports import Leases, Store
from agentcore.testing.scripted import Move, ScriptedEngine, ScriptedEngines
from agentcore.usage import Usage
from agentcore_adapters.postgres.store import postgres_store

pytestmark = pytest.mark.anyio
Stores = tuple[Store, Leases]
GENEROUS = Limits(requests_per_minute=10**6, max_in_flight=10**6)
PAID = Usage(model="m", input_tokens=100, output_tokens=50, cost_usd=Decimal("0.01"))


@asynccontextmanager
async def two_nodes(address: str, limits: Limits) -> AsyncIterator[tuple[Served, Served]]:
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(
                serving(*(await stack.enter_async_context(postgres_store(address))), limits=limits, node=f"node-{i}")
            )
            for i in range(2)
        ]
        yield nodes[0], nodes[1]


async def counted(served: Served, tenant: str = "default") -> dict[str, int]:
    """Count the tenant's sessions by what they do."""
    found: dict[str, int] = {}
    cursor = ""
    while True:
        page = await served.as_tenant(tenant).get(f"/sessions?limit=200{cursor}")
        for session in page["items"]:
            found[session["activity"]] = found.get(session["activity"], 0) + 1
        if not page["nextCursor"]:
            return found
        cursor = f"&cursor={page['nextCursor']}"


async def test_C4_limits_and_fairness(postgres: Server) -> None:
    """500 prompts at once, on two nodes: as many as may be are taken, the others get 429; others do not wait."""
    limits = evolve(GENEROUS, max_running=10, max_queued=190)
    async with two_nodes(postgres.fresh()[1], limits) as nodes:
        answers: list[Any] = []

        async def post(i: int) -> None:
            answers.append(await nodes[i % 2].call("POST", "/tasks", {"prompt": "[[say:on it]][[hang]]"}))

        async with anyio.create_task_group() as tasks:
            for i in range(500):
                tasks.start_soon(post, i)
        refused = [answer for answer in answers if answer.status_code == 429]
        assert (sum(a.status_code == 201 for a in answers), len(refused)) == (200, 300)
        assert {(a.json()["code"], int(a.headers["Retry-After"]) > 0) for a in refused} == {("over_limit", True)}
        with anyio.fail_after(10):
            while (found := await counted(nodes[0])) != {"running": 10, "queued": 190}:
                assert found.get("running", 0) <= 10
                await anyio.sleep(0.05)
        other = nodes[0].as_tenant("other")
        assert (await other.done("[[say:hello]]"))["status"] == "completed"
        # one ends on one node, and the next begins at once, wherever it was posted
        ours = [a.json()["taskId"] for a in answers if a.status_code == 201]
        running = [task for task in ours if (await nodes[0].task(task))["status"] == "running"]
        assert len(running) == 10
        await nodes[0].call("DELETE", f"/tasks/{running[0]}")
        with anyio.fail_after(10):
            while (await counted(nodes[0])).get("running") != 10:
                await anyio.sleep(0.01)
        assert (await nodes[1].call("POST", "/tasks", {"prompt": "[[hang]]"})).status_code == 201
        assert (await nodes[0].call("POST", "/tasks", {"prompt": "[[hang]]"})).status_code == 429


async def test_C4_what_waits_is_begun_in_order_when_one_ends(stores: Stores) -> None:
    """Not at the next sweep: at once; and a full tenant does not keep a free one waiting."""
    limits = evolve(GENEROUS, max_running=2)
    async with serving(*stores, limits=limits, slow_rounds=True) as served:
        posted = [await served.post("[[slow:0.05]][[words:4]]") for _ in range(8)]
        other = await served.as_tenant("other").done("[[say:hello]]")
        assert other["status"] == "completed"
        ended = [await served.ended(one["taskId"], within_s=10) for one in posted]
        started = [task["startedAt"] for task in ended]
        assert all(one <= later for one, later in zip(started, started[2:], strict=False))  # two at a time


async def test_C4_a_full_node_serves_tenants_in_turn(stores: Stores) -> None:
    async with serving(*stores, limits=GENEROUS, most_driven=2, slow_rounds=True) as served:
        crowd = [await served.post("[[slow:0.05]][[words:8]]") for _ in range(12)]
        one = await served.as_tenant("other").post("[[say:hello]]")
        await served.as_tenant("other").ended(one["taskId"], within_s=10)
        states = [(await served.task(task["taskId"]))["status"] for task in crowd]
        assert states.count("queued") >= 6
        for task in crowd:
            await served.ended(task["taskId"], within_s=20)
        assert served.runtime.house.gate.driven == 0


async def test_C4_a_refused_prompt_leaves_nothing(stores: Stores) -> None:
    async with serving(*stores, limits=evolve(GENEROUS, max_running=1, max_queued=0)) as served:
        first = await served.post("[[say:on it]][[hang]]")
        await served.until(first["taskId"], {"running"})
        refused = await served.call("POST", "/tasks", {"prompt": "more"}, Idempotency_Key="k")
        assert (refused.status_code, refused.json()["code"]) == (429, "over_limit")
        assert len((await served.get("/sessions"))["items"]) == 1
        again = await served.post("[[say:instead]]", first["sessionId"])  # it takes the place of what it stops
        assert (await served.ended(again["taskId"]))["status"] == "completed"
        accepted = await served.call("POST", "/tasks", {"prompt": "more"}, Idempotency_Key="k")
        assert accepted.status_code == 201


async def test_SEC27_limits_of_a_tenant_stand_in_the_store(stores: Stores) -> None:
    async with serving(
        *stores, limits=GENEROUS, tenants={TenantId("a"): {"max_running": 1, "max_queued": 1}}
    ) as served:
        store = stores[0]
        for tenant, most in (("a", 2), ("b", 3)):
            if tenant == "b":
                await store.set_limits(TenantId("b"), {"max_running": 1, "max_queued": 2})
                await anyio.sleep(0.3)
            codes = [
                (await served.as_tenant(tenant).call("POST", "/tasks", {"prompt": "[[hang]]"})).status_code
                for _ in range(4)
            ]
            assert codes == [201] * most + [429] * (4 - most)
        await store.set_limits(TenantId("a"), {"max_queued": 3})
        await anyio.sleep(0.3)
        assert (await served.as_tenant("a").call("POST", "/tasks", {"prompt": "[[hang]]"})).status_code == 201


# ------------------------------------------------------------------------------------------------------------- budgets
def working(calls: int) -> list[Move]:
    """Act in each call but the last, which answers."""
    moves: list[Move] = []
    for n in range(1, calls + 1):
        moves += [CallOpened(model="m", input_tokens=100), TextDelta(f"step {n} ")]
        if n < calls:
            use = ToolUse(tool_use_id=f"u{n}", tool_name="t", input={})
            moves += [use, CallClosed(usage=PAID), ToolResult(tool_use_id=f"u{n}", output="done")]
        else:
            moves += [CallClosed(usage=PAID), Finished()]
    return moves


@asynccontextmanager
async def at_work(stores: Stores, calls: int, limits: Limits = GENEROUS) -> AsyncIterator[Served]:
    engine = ScriptedEngine(script=lambda _: working(calls))
    engines = ScriptedEngines([engine, ScriptedEngine(name=EngineName("other"))])
    async with serving(*stores, limits=limits, engines=engines) as served:
        yield served


@pytest.mark.parametrize(
    ("body", "limits"),
    [
        ({"maxOutputTokens": 100}, GENEROUS),
        ({"maxCostUsd": 0.02}, GENEROUS),
        ({}, evolve(GENEROUS, task_output_tokens=100)),
        ({"maxOutputTokens": 10**6}, evolve(GENEROUS, task_output_tokens=100)),
        ({"maxCostUsd": 5}, evolve(GENEROUS, task_cost_usd=Decimal("0.015"))),
    ],
)
async def test_I5_turns_and_budgets(stores: Stores, body: Json, limits: Limits) -> None:
    """A budget that is reached: stopped, billed, coded; and the session takes the next prompt."""
    async with at_work(stores, 5, limits) as served:
        task = await served.done("go", **body)
        assert (task["status"], task["stopCode"]) == ("cancelled", "BUDGET")
        assert task["usage"]["outputTokens"] == 100
        said = "".join(str(m["content"]) for m in await served.messages(task["sessionId"]))
        assert "step 1" in said
        assert "step 2" in said
        assert "step 3" not in said
        again = await served.done("go on", task["sessionId"], **body)
        assert again["stopCode"] == "BUDGET"


async def test_I5_a_whole_answer_is_not_taken_back(stores: Stores) -> None:
    async with at_work(stores, 2) as served:
        assert (await served.done("go", maxOutputTokens=100))["status"] == "completed"
        assert (await served.done("go", maxOutputTokens=101))["status"] == "completed"
        assert (await served.done("go", maxOutputTokens=50))["stopCode"] == "BUDGET"


async def test_I5_bounds(served: Served) -> None:
    for body in (
        {"maxTurns": 0}, {"maxTurns": -1}, {"maxTurns": 101}, {"maxTurns": 10**9}, {"maxTurns": "5"},
        {"maxOutputTokens": 0}, {"maxOutputTokens": -5}, {"maxOutputTokens": 1.5}, {"maxCostUsd": 0},
        {"maxCostUsd": -1}, {"maxCostUsd": "1"}, {"maxCostUsd": 1e300},
    ):  # fmt: skip
        answer = await served.call("POST", "/tasks", {"prompt": "x", **body})
        assert (answer.status_code, answer.json()["field"]) == (400, next(iter(body))), body
    assert (await served.get("/sessions"))["items"] == []


async def test_SEC27_a_day_that_is_used_up(stores: Stores) -> None:
    """New prompts get 429 until tomorrow, what is queued waits, what runs stops when its call is paid for."""
    limits = evolve(GENEROUS, tokens_per_day=400, max_running=1)
    async with at_work(stores, 4, limits) as served:
        first = await served.post("go")
        second = await served.post("go")  # waits
        task = await served.ended(first["taskId"])
        assert (task["stopCode"], task["usage"]["totalTokens"]) == ("BUDGET", 450)
        refused = await served.call("POST", "/tasks", {"prompt": "x"})
        assert (refused.status_code, refused.json()["code"]) == (429, "budget_exceeded")
        assert 0 < int(refused.headers["Retry-After"]) <= 86_401
        assert (await served.as_tenant("other").call("POST", "/tasks", {"prompt": "x"})).status_code == 201
        await anyio.sleep(0.5)
        assert (await served.task(second["taskId"]))["status"] == "queued"
        await stores[0].set_limits(TenantId("default"), {"tokens_per_day": None})
        assert (await served.ended(second["taskId"]))["status"] == "completed"


async def test_SEC27_money_of_a_day(stores: Stores) -> None:
    async with at_work(stores, 3, evolve(GENEROUS, cost_per_day_usd=Decimal("0.025"))) as served:
        assert (await served.done("go"))["status"] == "completed"  # the last call went over, and was the last
        answer = await served.call("POST", "/tasks", {"prompt": "x"})
        assert answer.json()["code"] == "budget_exceeded"


async def test_SEC27_space_for_attachments(stores: Stores) -> None:
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    async with serving(*stores, limits=evolve(GENEROUS, stored_bytes=100)) as served:
        body = {"prompt": "x", "attachments": [{"base64Data": png, "mediaType": "image/png"}]}
        assert (await served.call("POST", "/tasks", body)).status_code == 201
        refused = await served.call("POST", "/tasks", body)
        assert (refused.status_code, refused.json()["code"]) == (429, "over_limit")
        assert (await served.call("POST", "/tasks", {"prompt": "x"})).status_code == 201
