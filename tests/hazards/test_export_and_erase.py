"""A person takes a session away, and has it erased: all of it, and nothing else."""

import base64
import json
from collections.abc import AsyncIterator

import anyio
import pytest
from attrs import evolve
from tests.support.bridge import RemoteServed
from tests.support.people import EVERYTHING, MEMBER, OPERATOR, VIEWER, roles_by_header, someone
from tests.support.pictures import png
from tests.support.rows import rows_of
from tests.support.server import Json, Served

from agentcore import takeout
from agentcore.caller import Caller
from agentcore.errors import SessionNotFound, StoreUnavailable
from agentcore.ids import TenantId
from agentcore.ports import SessionView
from agentcore.testing.making import an_id
from agentcore_http.wire.ndjson import lines

pytestmark = pytest.mark.anyio
ANN = Caller(tenant_id=TenantId("acme"), subject="ann")
DATA = base64.b64encode(png(1, 1) + b" of ann").decode()
PNG = {"base64Data": DATA, "mediaType": "image/png", "fileName": "a.png"}


@pytest.fixture(autouse=True)
def roles(monkeypatch: pytest.MonkeyPatch) -> None:
    roles_by_header(monkeypatch)


async def exported(who: Served, session_id: str) -> list[Json]:
    response = await who.call("GET", f"/sessions/{session_id}/export")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/x-ndjson")
    assert response.headers["cache-control"] == "no-store"
    return [json.loads(line) for line in response.text.splitlines()]


def of(found: list[Json], kind: str) -> list[Json]:
    return [line for line in found if line["type"] == kind]


async def a_full_session(who: Served) -> str:
    """Make a session with one of everything."""
    first = await who.done("one [[say:first]]", attachments=[PNG])
    session_id: str = first["sessionId"]
    await who.done('two [[tool:look:{"at": "it"}]] [[say:second]]', session_id, attachments=[PNG])
    asked = await who.post('three [[ask:rm:{"path": "/"}]]', session_id)
    await who.until(asked["taskId"], {"awaiting_approval"})
    decided = await who.call("POST", f"/tasks/{asked['taskId']}/approve", {"approved": False, "reason": "no"})
    assert decided.status_code == 201
    await who.ended(asked["taskId"])
    return session_id


async def test_an_export_holds_all_of_a_session(served: Served) -> None:
    ann = someone(served, "ann", EVERYTHING)
    session_id = await a_full_session(ann)
    other = await ann.done("not in it [[say:not in it]]")
    found = await exported(ann, session_id)
    (session,) = of(found, "session")
    assert session == {"type": "session", "owner": "ann", **await ann.get(f"/sessions/{session_id}")}
    tasks = (await ann.get(f"/sessions/{session_id}/tasks"))["items"]
    assert of(found, "task") == [{"type": "task", "requester": "ann", **task} for task in tasks]
    assert of(found, "message") == [{"type": "message", **m} for m in await ann.messages(session_id)]
    (attachment,) = of(found, "attachment")  # once, though it was given twice
    assert (attachment["base64Data"], attachment["mediaType"]) == (DATA, "image/png")
    (approval,) = of(found, "approval")
    assert (approval["toolName"], approval["decision"], approval["by"], approval["reason"]) == (
        "rm", "rejected", "ann", "no",
    )  # fmt: skip
    usage = of(found, "usage")
    assert {row["taskId"] for row in usage} == {task["id"] for task in tasks}
    assert sum(row["inputTokens"] for row in usage) == sum(task["usage"]["inputTokens"] for task in tasks)
    events = [line["event"] for line in of(found, "event")]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    told = [{**event, "cursor": "", "sessionId": ""} for event in await ann.log(session_id)]
    assert [{**event, "cursor": "", "sessionId": ""} for event in events] == told
    assert found[-1] == {"type": "end", "lines": len(found) - 1}
    assert "not in it" not in str(found)
    assert other["id"] not in str(found)


async def test_an_export_is_read_page_by_page(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = someone(served, "ann", EVERYTHING)
    session_id = await a_full_session(ann)
    whole = await exported(ann, session_id)
    for size in (1, 2, 3):
        for name in ("TASKS", "MESSAGES", "ENTRIES"):
            monkeypatch.setattr(takeout, name, size)
        assert await exported(ann, session_id) == whole


async def test_an_export_ends_though_the_session_goes_on(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes while it is read is not in it: the session is as the log stood at the beginning."""
    ann = someone(served, "ann", EVERYTHING)
    session_id = await a_full_session(ann)
    whole = await exported(ann, session_id)
    for name in ("TASKS", "MESSAGES", "ENTRIES"):
        monkeypatch.setattr(takeout, name, 1)
    taken = await served.runtime.views.takeout(ANN, whole[0]["id"])
    found: list[Json] = []
    async for line in lines(taken):
        if not found:
            await ann.done("later [[say:later]]", session_id)
        found.append(json.loads(line))
    assert found == whole


async def test_an_export_that_is_cut_off_is_seen_to_be(served: Served) -> None:
    """Whether the session is erased meanwhile, or the store is away: the last line is missing."""
    for error in (SessionNotFound("gone"), StoreUnavailable("away")):
        session_id = (await someone(served, "ann").done("[[say:x]]"))["sessionId"]
        view = await served.runtime.views.session(ANN, session_id)

        async def broken(view: SessionView = view, error: Exception = error) -> AsyncIterator[takeout.Taken]:
            yield view
            raise error

        found = [json.loads(line) async for line in lines(broken())]
        assert [line["type"] for line in found] == ["session"]


async def test_SEC08_an_export_is_its_owners_or_an_operators(served: Served) -> None:
    session_id = (await someone(served, "ann").done("[[say:x]]"))["sessionId"]
    path = f"/sessions/{session_id}/export"
    for who, status in (
        (someone(served, "ann", VIEWER), 200),
        (someone(served, "boss", OPERATOR), 200),
        (someone(served, "ann", ()), 403),
        (someone(served, "bob", MEMBER), 404),
        (someone(served, "ann", EVERYTHING, "rival"), 404),
    ):
        assert (await who.call("GET", path)).status_code == status


async def test_erasing_leaves_no_row_that_mentions_it(remote: RemoteServed, database: str | None) -> None:
    """Read from whatever tables there are: only the ledger, and the events that publish it, still name it."""
    store = remote.served.runtime.store
    ann = someone(remote.served, "ann", EVERYTHING)
    theirs = evolve(remote, served=ann)
    theirs.instance = (await theirs.add())["id"]
    kept = await ann.done("kept [[say:kept]]")
    there = await theirs.done("hello", result="from afar")
    mentioned: list[str] = []
    full = await a_full_session(ann)
    keyed = await ann.call("POST", "/tasks", {"prompt": "[[say:x]]", "sessionId": full}, Idempotency_Key="p")
    await ann.ended(keyed.json()["taskId"])
    cancelled = await ann.call("DELETE", f"/tasks/{there['id']}", Idempotency_Key="c")
    assert (keyed.status_code, cancelled.status_code) == (201, 200)
    for session_id in (full, there["sessionId"]):
        tasks = [task["id"] for task in (await ann.get(f"/sessions/{session_id}/tasks"))["items"]]
        mentioned += [session_id, *tasks]
        before = naming(rows_of(store, database, "acme"), [session_id, *tasks])
        assert any(row.startswith(("idempotency_key", "slots")) for row in before)
        usage = await ann.get("/usage?groupBy=session")
        answer = await ann.call("DELETE", f"/sessions/{session_id}?erase=true")
        assert (answer.status_code, answer.json()["title"], answer.json()["status"]) == (200, "", "closed")
        assert await ann.get("/usage?groupBy=session") == usage
    after = rows_of(store, database, "acme")
    assert {row.split(" ")[0] for row in naming(after, mentioned)} <= {"usage_record", "outbox", "ledger"}
    assert "first" not in str(after)
    assert DATA not in str(after)
    assert (await ann.task(kept["id"]))["result"] == "kept"


async def test_erasing_under_a_key_keeps_nothing_that_was_said(served: Served, database: str | None) -> None:
    """The answer that is kept for a repeat names the session, and no more."""
    ann = someone(served, "ann")
    session_id = (await ann.done("a canary [[say:x]]"))["sessionId"]
    path = f"/sessions/{session_id}?erase=true"
    first = await ann.call("DELETE", path, Idempotency_Key="k")
    again = await ann.call("DELETE", path, Idempotency_Key="k")
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json() == again.json()
    assert "canary" not in str(rows_of(served.runtime.store, database, "acme"))
    assert (await ann.call("DELETE", path)).status_code == 404


async def test_what_is_closed_can_be_erased_later(served: Served) -> None:
    ann = someone(served, "ann")
    session_id = (await ann.done("[[say:x]]"))["sessionId"]
    assert (await ann.call("DELETE", f"/sessions/{session_id}")).status_code == 200
    assert (await ann.call("DELETE", f"/sessions/{session_id}?erase=true")).status_code == 200
    assert (await ann.call("GET", f"/sessions/{session_id}")).status_code == 404


async def test_a_subscriber_is_told_that_it_is_gone(served: Served) -> None:
    ann = someone(served, "ann")
    session_id = (await ann.done("[[say:x]]"))["sessionId"]
    assert (await ann.call("DELETE", f"/sessions/{session_id}?erase=true")).status_code == 200
    async with ann.socket(session_id) as socket:
        with anyio.fail_after(5):
            await socket.wait_closed()
        assert socket.close_code == 4404
    assert (await ann.call("GET", f"/sessions/{an_id()}/export")).status_code == 404


def naming(rows: set[str], ids: list[str]) -> set[str]:
    return {row for row in rows if any(name in row for name in ids)}
