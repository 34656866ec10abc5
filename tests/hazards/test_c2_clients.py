"""Hazard C2: what clients meet while the store is away, and that they can go on where they were."""

from typing import Any

import anyio
import pytest
from tests.support.database import Server, ask
from tests.support.flaky import a_fate, a_served_fate
from tests.support.server import Json, Served, receive, text_of, until_final
from websockets.exceptions import ConnectionClosed

from agentcore.briefing import engine_request
from agentcore.changes import Changes, Receipt, ReceiptKey
from agentcore.engine import EngineRequest
from agentcore.errors import StoreUnavailable
from agentcore.follow import Head
from agentcore.ids import ChangeId, TaskId, TenantId
from agentcore.ports import Committed, Lease, Store
from agentcore.testing.chaos import Fate
from agentcore_adapters.postgres.connection import REQUESTS, Transaction, open_database
from agentcore_http.client import AsyncClient, Text

pytestmark = pytest.mark.anyio
fate, served = a_fate, a_served_fate


async def test_C2_subscribers_are_sent_away_and_come_back_with_their_cursor(served: Served, fate: Fate) -> None:
    task = await served.post("[[words:60]] [[slow:0.02]]")
    async with served.socket(task["sessionId"]) as socket:
        frames: list[Json] = []
        while not text_of(frames):
            frames.append(await receive(socket))
        fate.is_store_away = True
        with anyio.fail_after(20), pytest.raises(ConnectionClosed) as closed:
            while True:  # what is live is told for a while; then the log must be read
                frames.append(await receive(socket))
                served.runtime.house.bus.tell(task["sessionId"], [_far_head()])
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "store_unavailable")
    async with served.socket(task["sessionId"]) as socket:
        with pytest.raises(ConnectionClosed) as refused:
            await receive(socket)
        assert refused.value.rcvd is not None
        assert refused.value.rcvd.code == 1013
    fate.is_store_away = False
    async with served.socket(task["sessionId"], frames[-1]["cursor"]) as socket:
        frames += await until_final(socket, task["taskId"])
    assert text_of(frames).count("w") == 60


async def test_C2_a_stream_of_events_is_picked_up_again(served: Served, fate: Fate) -> None:
    task = await served.post("[[words:60]] [[slow:0.02]]")
    texts: list[str] = []
    was_away = False
    async with AsyncClient(served.url) as client, anyio.create_task_group() as tasks:
        with anyio.fail_after(30):
            async for event in client.events(task["sessionId"]):
                if event.is_final:
                    break
                if isinstance(event.payload, Text):
                    texts.append(event.payload.content)
                if texts and not was_away:
                    fate.is_store_away = was_away = True
                    served.runtime.house.bus.tell(task["sessionId"], [_far_head()])
                    tasks.start_soon(_comes_back, fate)
    assert "".join(texts).count("w") == 60


async def test_C2_a_key_is_given_back_when_the_store_is_back(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was reserved, the answer to that was lost, and so was the attempt to give it back."""
    monkeypatch.setattr("agentcore_http.idempotency.RETRY_S", 0.01)
    line: Any = served.runtime.store
    kind, losses = type(line.target), 2
    begin, release = kind.begin, kind.release

    async def lossy_begin(store: Store, key: ReceiptKey) -> Receipt | None:
        nonlocal losses
        answer: Receipt | None = await begin(store, key)
        if losses:
            losses -= 1
            raise StoreUnavailable("The answer was lost.")
        return answer

    async def lossy_release(store: Store, key: ReceiptKey) -> None:
        nonlocal losses
        if losses:
            losses -= 1
            raise StoreUnavailable("It did not arrive.")
        await release(store, key)

    monkeypatch.setattr(kind, "begin", lossy_begin)
    monkeypatch.setattr(kind, "release", lossy_release)
    first = await served.call("POST", "/tasks", {"prompt": "x"}, Idempotency_Key="k")
    assert first.status_code == 503
    with anyio.fail_after(10):
        while (again := await served.call("POST", "/tasks", {"prompt": "x"}, Idempotency_Key="k")).status_code == 409:
            await anyio.sleep(0.01)
    assert again.status_code == 201
    assert len((await served.get("/sessions"))["items"]) == 1


async def test_C2_a_store_that_is_away_for_a_moment_is_no_fault_of_the_engine(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an engine is shown could not be read when its task began: it is read a little later."""
    failures = 3

    async def failing(*args: Any) -> EngineRequest:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreUnavailable("The database cannot be reached now.")
        return await engine_request(*args)

    monkeypatch.setattr("agentcore.reading.engine_request", failing)
    served.engine.foresees = False  # else what it is shown comes with the beginning
    assert (await served.done("[[say:ok]]"))["status"] == "completed"
    assert failures == 0


async def test_S17_looking_up_a_lost_answer_may_fail_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's commit got through, its answer was lost, and for a moment nobody can say whether it got through."""
    line: Any = served.runtime.store
    kind = type(line.target)
    commit, last_change, losses = kind.commit, kind.last_change, 0

    async def lossy(store: Store, changes: Changes, lease: Lease | None = None) -> Committed:
        nonlocal losses
        committed: Committed = await commit(store, changes, lease)
        if not losses and lease is not None and changes.ledgers:
            losses = 1
            raise StoreUnavailable("The answer was lost.")
        return committed

    async def late(store: Store, tenant: TenantId, task_id: TaskId) -> ChangeId | None:
        nonlocal losses
        if losses < 3:
            losses += 1
            raise StoreUnavailable("The database cannot be reached now.")
        found: ChangeId | None = await last_change(store, tenant, task_id)
        return found

    monkeypatch.setattr(kind, "commit", lossy)
    monkeypatch.setattr(kind, "last_change", late)
    task = await served.done("[[say:ok]]")
    assert (await served.done("[[say:ok]]", task["sessionId"]))["status"] == "completed"
    assert (task["status"], losses, served.runtime.counts.lost) == ("completed", 3, 0)


async def test_C2_it_was_we_who_were_slow(postgres: Server) -> None:
    """The server ends a transaction in which nothing is said for long: to us the store was unavailable."""
    owner, service = postgres.fresh()
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"
    async with open_database(service, REQUESTS) as database:

        async def slow(transaction: Transaction) -> None:
            await transaction.arrive(
                transaction.send("SELECT set_config('idle_in_transaction_session_timeout', '50', true)")
            )
            with anyio.fail_after(5):
                while ask(owner, idle):
                    await anyio.sleep(0.01)
            await transaction.arrive(transaction.send("SELECT 1"))

        with pytest.raises(StoreUnavailable):
            await database.write_all(slow)
        (rows,) = await database.read_all(("SELECT 1 AS alive", ()))
        assert rows == [{"alive": 1}]


async def _comes_back(fate: Fate) -> None:
    await anyio.sleep(0.2)
    fate.is_store_away = False


def _far_head() -> Any:
    return Head(10_000)
