"""All that a tenant has is taken away, and erased, beside the server that serves it."""

import json
import tempfile
from pathlib import Path

import pytest
from attrs import evolve
from tests.support.bridge import RemoteServed
from tests.support.people import EVERYTHING, roles_by_header, someone
from tests.support.rows import rows_of
from tests.support.server import Json, Served

from agentcore import tenancy
from agentcore.errors import StoreUnavailable
from agentcore.ids import TenantId
from agentcore.ports import Leases, Store
from agentcore.testing.making import TENANT, a_talk
from agentcore_adapters.memory.clock import SystemClock
from agentcore_http.__main__ import main
from agentcore_http.wire import ndjson

pytestmark = pytest.mark.anyio
ACME = TenantId("acme")


async def exported(store: Store, tenant: TenantId = ACME) -> list[Json]:
    return [json.loads(line) async for line in ndjson.lines(tenancy.everything(store, tenant))]


def of(found: list[Json], kind: str) -> list[Json]:
    return [line for line in found if line["type"] == kind]


@pytest.fixture
async def people(remote: RemoteServed, monkeypatch: pytest.MonkeyPatch) -> tuple[RemoteServed, list[Served]]:
    """Two people of one tenant with a session each and an agent, and one of another tenant."""
    roles_by_header(monkeypatch)
    served = remote.served
    found = [
        someone(served, name, EVERYTHING, tenant) for name, tenant in (("ann", ACME), ("bob", ACME), ("x", "rival"))
    ]
    for who in found:
        name = who.headers["X-User-Id"]
        await who.done(f"prompt of {name} [[say:answer to {name}]]")
        await evolve(remote, served=who).add(name=f"agent of {name}")
        assert (await who.call("POST", "/engines/switch", {"engineType": "scripted"}, Idempotency_Key="k")).is_success
    return remote, found


async def test_all_of_a_tenant_is_taken_and_nobody_elses(
    people: tuple[RemoteServed, list[Served]], monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, (ann, bob, _) = people
    store = remote.served.runtime.store
    found = await exported(store)
    assert of(found, "tenant") == [{"type": "tenant", "id": "acme", "defaultEngineType": "scripted"}]
    assert {line["name"] for line in of(found, "instance")} == {"agent of ann", "agent of bob"}
    sessions = [(await who.get("/sessions"))["items"][0]["id"] for who in (bob, ann)]
    assert [line["id"] for line in of(found, "session")] == sessions
    assert {line["result"] for line in of(found, "task")} == {"answer to ann", "answer to bob"}
    assert [line["sessionId"] for line in of(found, "usage")] == sessions[::-1]  # as it was used
    assert found[-1] == {"type": "end", "lines": len(found) - 1}
    assert len(of(found, "end")) == 1
    assert "agent of x" not in str(found)
    for name in ("SESSIONS", "ROWS"):
        monkeypatch.setattr(tenancy, name, 1)
    assert await exported(store) == found


async def test_all_of_a_tenant_is_erased_but_its_numbers(
    people: tuple[RemoteServed, list[Served]], database: str | None
) -> None:
    remote, (ann, bob, rival) = people
    store = remote.served.runtime.store
    live = await bob.post("[[hang]]")
    await bob.until(live["taskId"], {"running"})
    theirs, usage = rows_of(store, database, "rival"), await ann.get("/usage")
    assert await tenancy.erase(store, SystemClock(), ACME) == 3  # what runs is stopped by the server that drives it
    assert {row.split(" ")[0] for row in rows_of(store, database, "acme")} <= {
        *("usage_record", "outbox", "ledger", "tenant", "calls"),
    }
    assert "prompt of" not in str(rows_of(store, database, "acme"))
    assert [line["type"] for line in await exported(store)] == ["tenant", *["usage"] * 3, "end"]
    after = await ann.get("/usage")
    assert (after["total"]["calls"], usage["total"]["calls"]) == (3, 2)  # what was stopped is billed, too
    assert rows_of(store, database, "rival") == theirs
    assert (await rival.get("/sessions"))["items"] != []
    assert await tenancy.erase(store, SystemClock(), ACME) == 0


async def test_what_nobody_stops_is_said(stores: tuple[Store, Leases]) -> None:
    """A task whose driver does not answer is not erased under it."""
    store, leases = stores
    talk = a_talk(store, leases)
    task = await talk.admit()
    await talk.take()
    with pytest.raises(StoreUnavailable, match="does not stop"):
        await tenancy.erase(store, SystemClock(), TENANT, patience_s=0.5)
    assert (await store.task(TENANT, task.id)).task.status.value == "cancelling"


def test_a_database_that_cannot_be_used_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTCORE_DATABASE_URL", f"host={tmp_path} dbname=agentcore")
    assert main(["tenant", "export", "acme", "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "does not answer" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_command_takes_away_and_erases(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="ac-", ignore_cleanup_errors=True) as folder:
        output, place = Path(folder) / "acme.ndjson", ["--data-dir", folder]
        assert main(["tenant", "export", "acme", "--output", str(output), *place]) == 0
        assert [json.loads(line)["type"] for line in output.read_text().splitlines()] == ["tenant", "end"]
        assert main(["tenant", "export", "acme", "--output", str(output), *place]) == 1
        assert "is there already" in capsys.readouterr().err
        assert main(["tenant", "erase", "acme", *place]) == 1
        assert "--yes" in capsys.readouterr().err
        assert main(["tenant", "erase", "acme", "--yes", *place]) == 0
        assert "0 sessions of acme are erased" in capsys.readouterr().out
