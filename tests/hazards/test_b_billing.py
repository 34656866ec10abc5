"""Hazards B: every call is paid once, and whoever counts hears of it once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.support.consumer import SECRET, Consumer, consumer
from tests.support.server import Json, Served, serving

from agentcore.books import Sink, SinkFailed, UsageRecorded
from agentcore.changes import Changes, Ledger
from agentcore.errors import StoreUnavailable
from agentcore.ids import EngineName, TenantId
from agentcore.ports import Committed, Leases, Store
from agentcore.relay import Relay
from agentcore.testing.contracts.books import a_call
from agentcore.testing.making import TENANT, a_talk, now
from agentcore.usage import Outcome, Usage, UsageRecord
from agentcore_adapters.engines.catalog import EngineSettings, open_catalog
from agentcore_adapters.testing.provider import StubProvider
from agentcore_adapters.webhook import webhook_sink

pytestmark = pytest.mark.anyio
Stores = tuple[Store, Leases]


@asynccontextmanager
async def paid(stores: Stores, provider: StubProvider, folder: Path) -> AsyncIterator[tuple[Served, Consumer]]:
    """Serve both API engines at the stub provider, and tell a consumer."""
    settings = EngineSettings(
        data_dir=folder,
        anthropic_base_url=provider.url,
        openai_base_url=f"{provider.url}/v1",
        default=EngineName("claude_api"),
    )
    async with (
        consumer() as receiver,
        webhook_sink(receiver.url, SECRET) as sink,
        open_catalog(settings) as engines,
        serving(*stores, engines=engines, sink=sink) as served,
    ):
        yield served, receiver


async def usage(served: Served, query: str = "") -> Json:
    return await served.get(f"/usage{query}")


@pytest.mark.parametrize("engine", ["claude_api", "openai"])
async def test_B3_every_outcome_is_billed(stores: Stores, provider: StubProvider, tmp_path: Path, engine: str) -> None:
    async with paid(stores, provider, tmp_path) as (served, receiver):
        done = await served.done("[[words:20]]", engineType=engine)
        failed = await served.done("[[words:20]] [[err_mid]]", engineType=engine)
        cut = await served.done("[[words:20]] [[drop]]", engineType=engine)
        cancelled = await served.post("[[words:100]] [[slow:0.01]]", engineType=engine)
        await served.said(cancelled["taskId"], "w90 ")
        await served.call("DELETE", f"/tasks/{cancelled['taskId']}")
        injected = await served.post("[[words:100]] [[slow:0.01]]", engineType=engine)
        await served.said(injected["taskId"], "w10 ")
        answer = await served.call("POST", f"/tasks/{injected['taskId']}/inject", {"message": "[[say:ok]]"})
        tasks = [done["id"], failed["id"], cut["id"], *(t["taskId"] for t in (cancelled, injected, answer.json()))]
        ended = [await served.ended(task) for task in tasks]
        assert [task["status"] for task in ended] == [
            "completed", "failed", "failed", "cancelled", "cancelled", "completed",
        ]  # fmt: skip
        assert all(task["usage"]["inputTokens"] > 0 and task["usage"]["outputTokens"] > 0 for task in ended)
        fidelity = [task["usage"]["fidelity"] for task in ended]
        assert fidelity == ["exact", "estimated", "estimated", "estimated", "estimated", "exact"]
        assert ended[3]["usage"]["outputTokens"] > 90
        report = await usage(served, "?groupBy=engine")
        assert (report["total"]["calls"], report["total"]["tasks"]) == (6, 6)
        assert [item["key"] for item in report["items"]] == [engine]
        assert len([call for call in provider.calls if "max_tokens" in call.body or "stream" in call.body]) == 6
        with anyio.fail_after(10):
            while len(receiver.counted) < 6:
                await anyio.sleep(0.02)
        assert receiver.total("inputTokens") == report["total"]["inputTokens"]
        assert receiver.total("outputTokens") == report["total"]["outputTokens"]
        cost = sum(Decimal(event["data"]["costUsd"]) for event in receiver.counted.values())
        assert cost == Decimal(report["total"]["costUsd"]) > 0
        assert {event["data"]["taskId"] for event in receiver.counted.values()} == set(tasks)
        events = (await served.get("/usage/events"))["items"]
        with anyio.fail_after(10):
            while {event["state"] for event in events} != {"delivered"}:
                events = (await served.get("/usage/events"))["items"]
        assert (await served.as_tenant("other").get("/usage/events"))["items"] == []


async def test_B4_missing_counts_are_estimated(stores: Stores, provider: StubProvider, tmp_path: Path) -> None:
    async with paid(stores, provider, tmp_path) as (served, _):
        task = await served.done("[[words:20]] [[no_usage]]", engineType="openai")
        assert task["usage"]["fidelity"] == "estimated"
        assert min(task["usage"]["inputTokens"], task["usage"]["outputTokens"]) > 0


@pytest.mark.parametrize("statement", range(4))
async def test_B1_usage_with_the_state(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, statement: int, tmp_path: Path
) -> None:
    """The answer of a commit is lost: whichever it was, the task ends once and is billed once."""
    store, leases = stores
    commit, seen = type(store).commit, 0

    async def lossy(self: Any, changes: Changes, lease: Any = None) -> Committed:
        nonlocal seen
        committed = await commit(self, changes, lease)
        if lease is not None and (changes.tasks or changes.ledgers):
            seen += 1
            if seen == statement + 1:
                raise StoreUnavailable("The answer was lost.")
        return committed

    monkeypatch.setattr(type(store), "commit", lossy)
    async with serving(store, leases) as served:
        task = await served.done("[[say:x]]")
        assert task["status"] == "completed"
        assert (await usage(served))["total"]["calls"] == 1
        assert len(await store.deliveries(TenantId("default"), None, 10)) == 1
        assert served.runtime.counts.lost == 0


async def test_B2_usage_events_once(stores: Stores) -> None:
    """The receiver is down at first, hears some twice, and counts each once."""
    store, leases = stores
    for _ in range(5):
        await a_call(store, leases)
    async with consumer() as receiver, webhook_sink(receiver.url, SECRET) as sink:
        receiver.answers = [500] * 7
        relay = Relay(store, sink, retries_s=(0.0, 0.0, 0.0))
        with anyio.fail_after(10):
            while len(receiver.counted) < 5:
                await relay.round()
        assert receiver.requests == 12
        assert await relay.round() == 0


async def test_B2_relay_killed_between_send_and_mark(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    store, leases = stores
    await a_call(store, leases)

    async def killed(self: object, results: object) -> None:
        raise Killed

    async with consumer() as receiver, webhook_sink(receiver.url, SECRET) as sink:
        with monkeypatch.context() as patch:
            patch.setattr(type(store), "tried", killed)
            patch.setattr("agentcore.relay.HOLD_S", 0.0)
            with pytest.raises(BaseExceptionGroup):
                await Relay(store, sink).round()
        assert await Relay(store, sink).round() == 1
        assert (receiver.requests, len(receiver.counted)) == (2, 1)
        assert await Relay(store, sink).round() == 0


class Killed(BaseException):
    """The process is gone."""


class Deaf:
    """A sink that takes nothing, each time in another way."""

    def __init__(self) -> None:
        self.tries = 0

    async def publish(self, event: UsageRecorded) -> None:
        self.tries += 1
        if self.tries == 1:
            await anyio.sleep_forever()
        if self.tries == 2:
            raise RuntimeError("https://user:secret@receiver")
        raise SinkFailed("The receiver answered 410.", retry_after_s=0.0)


async def test_B2_what_nobody_takes_is_kept_for_a_person(stores: Stores) -> None:
    store, leases = stores
    await a_call(store, leases)
    deaf: Sink = Deaf()
    relay = Relay(store, deaf, retries_s=(0.0, 0.0), try_s=0.05)
    async with serving(store, leases) as served:
        for _ in range(3):
            assert await relay.round() == 1
        assert await relay.round() == 0
        served_a = served.as_tenant(TENANT)
        (event,) = (await served_a.get("/usage/events?state=dead"))["items"]
        assert (event["attempts"], event["error"]) == (3, "The receiver answered 410.")
        assert "secret" not in str(await served_a.get("/usage/events"))
        path = f"/usage/events/{event['eventId']}/redeliver"
        assert (await served.as_tenant("other").call("POST", path)).status_code == 404
        assert (await served_a.call("POST", path)).status_code == 202
        assert (await served_a.call("POST", path)).status_code == 404
    async with consumer() as receiver, webhook_sink(receiver.url, SECRET) as sink:
        assert await Relay(store, sink).round() == 1
        assert list(receiver.counted) == [event["eventId"]]


async def test_B6_sums_are_exact(stores: Stores) -> None:
    """Ten thousand rows of a cost that no float can hold."""
    store, leases = stores
    talk = a_talk(store, leases)
    task = await talk.admit()
    grant = await talk.take()
    cost = Decimal("0.000000001")
    rows = [
        Usage(model="m", input_tokens=i % 7, output_tokens=3, cached_input_tokens=i % 5, cost_usd=cost)
        for i in range(10_000)
    ]
    for first in range(0, len(rows), 1000):
        settled = tuple(
            UsageRecord(key=f"1:{first + n}", usage=row, outcome=Outcome.COMPLETED)
            for n, row in enumerate(rows[first : first + 1000])
        )
        ledger = Ledger(task_id=task.id, engine=task.engine, settled=settled)
        await store.commit(evolve(grant.turn.nothing(now()), ledgers=(ledger,)), grant.lease)
    async with serving(store, leases) as served:
        total = (await served.as_tenant(TENANT).get("/usage?groupBy=model"))["total"]
    assert total["costUsd"] == "0.00001"
    assert total["inputTokens"] == sum(row.input_tokens for row in rows)
    assert total["totalTokens"] == total["inputTokens"] + 30_000


async def test_usage_is_asked_for_by_time(served: Served) -> None:
    await served.done("[[say:x]]")
    today = now().date().isoformat()
    assert (await usage(served, f"?from={today}"))["items"][0]["key"] == today
    assert (await usage(served, f"?to={today}"))["items"] == []
    assert (await usage(served, "?from=2026-01-01T00:00:00Z&groupBy=session"))["total"]["calls"] == 1
    for query in ("?from=yesterday", "?groupBy=colour", "?to=1"):
        answer = await served.call("GET", f"/usage{query}")
        assert answer.status_code == 400, query
