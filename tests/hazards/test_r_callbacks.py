"""Hazards R, T, I, B and S of callbacks: a bridge is believed by its proof, and once."""

import base64
import hashlib
import hmac
import time
from typing import Any

import anyio
import httpx2
import msgspec
import pytest
from tests.support.bridge import (
    COUNTS,
    RECEIVED,
    SEAL,
    RemoteServed,
    everything,
    finals,
)
from tests.support.server import Json

from agentcore.changes import Changes
from agentcore.errors import StoreUnavailable
from agentcore.ids import InstanceId, SessionId, TaskId, TenantId
from agentcore.ports import Committed, Lease, Store
from agentcore.task import ReplyDelivered
from agentcore.testing.making import an_id

pytestmark = pytest.mark.anyio


async def test_R7_late_and_repeated_callback(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    answers: list[httpx2.Response] = []

    async def one(number: int) -> None:
        answers.append(await remote.answer(asked, result=f"answer {number}"))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, number)
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, '{"received":true}')}
    ended = await remote.served.ended(task["taskId"])
    before = await everything(remote, task["sessionId"])
    assert finals(before[0]) == ["completed"]
    assert [m["role"] for m in before[1]] == ["user", "assistant"]
    assert (await remote.answer(asked, result="another")).json() == RECEIVED
    assert (await remote.answer(asked, ok=False)).json() == RECEIVED
    assert await everything(remote, task["sessionId"]) == before
    assert (await remote.served.task(task["taskId"])) == ended
    assert remote.served.runtime.counts.late >= 2  # the 49 may have been on their way together


async def test_R8_empty_result_completes(remote: RemoteServed) -> None:
    for more in ({"result": ""}, {"result": None}, {}):
        ended = await remote.done("hello", **more)
        assert (ended["status"], ended["result"]) == ("completed", "")
        log, messages = await everything(remote, ended["sessionId"])
        assert [m["role"] for m in messages] == ["user"]
        assert log[-1]["summary"] == ""


@pytest.mark.parametrize("method", ["task", "turn", "commit"])
async def test_R9_callback_is_atomic(remote: RemoteServed, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """The database fails under the callback: nothing is stored and nothing told, and the retry gives one message."""
    task, asked = await remote.asked("hello")
    before = await everything(remote, task["sessionId"])
    store = remote.served.runtime.store

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("The database is away.")

    with monkeypatch.context() as patch:
        patch.setattr(type(store), method, away)
        answer = await remote.answer(asked, result="x")
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert await everything(remote, task["sessionId"]) == before
    assert (await remote.answer(asked, result="x")).json() == RECEIVED
    assert (await remote.served.ended(task["taskId"]))["status"] == "completed"
    log, messages = await everything(remote, task["sessionId"])
    assert finals(log) == ["completed"]
    assert len(messages) == 2


async def test_R9_a_callback_whose_commit_was_answered_late_counts_once(
    remote: RemoteServed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stored, and nobody heard so: the bridge is told to come again, and finds it done."""
    task, asked = await remote.asked("hello")
    store = remote.served.runtime.store
    commit, lost = type(store).commit, [True]

    async def unheard(self: Store, changes: Changes, lease: Lease | None = None) -> Committed:
        committed = await commit(self, changes, lease)
        if lost and any(isinstance(logged.event, ReplyDelivered) for logged in changes.log):
            lost.clear()
            raise StoreUnavailable("The answer was lost.")
        return committed

    monkeypatch.setattr(type(store), "commit", unheard)
    assert (await remote.answer(asked, result="x")).status_code == 503
    assert (await remote.answer(asked, result="y")).json() == RECEIVED
    assert (await remote.served.ended(task["taskId"]))["result"] == "x"
    log, messages = await everything(remote, task["sessionId"])
    assert (finals(log), len(messages)) == (["completed"], 2)


def signed(asked: Json, body: bytes, key: bytes, at: float | None = None) -> dict[str, str]:
    """Make the headers of Standard Webhooks."""
    stamp = str(int(at if at is not None else time.time()))
    mac = hmac.new(key, f"msg-1.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": "msg-1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,bm9wZQ== v1,{base64.b64encode(mac).decode()}",
    }


async def unchanged(remote: RemoteServed, task: Json, asked: Json, data: object, **more: Any) -> None:
    """A callback with *data* is refused, and is the same refusal whatever is wrong."""
    before = await everything(remote, task["sessionId"])
    answer = await remote.served.http.post(asked["callbackUrl"], json={"ok": True, "result": "!", **more} | (
        {"callbackData": data} if data is not None else {}))  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (401, "callback_unverified")
    assert await everything(remote, task["sessionId"]) == before


async def test_R10_callback_session_must_match(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    other, _ = await remote.asked("other")
    data = asked["callbackData"]
    await unchanged(remote, task, asked, data | {"sessionId": other["sessionId"]})
    await unchanged(remote, other, asked, data | {"sessionId": other["sessionId"]})


async def test_T5_callback_needs_signature(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    other, others = await remote.asked("other")
    data, signature = asked["callbackData"], asked["callbackData"]["signature"]
    foreign = SEAL.signature(TenantId("tenant-b"), SessionId(data["sessionId"]), TaskId(data["taskId"]))
    missing = an_id()
    altered = signature[:-1] + ("0" if signature[-1] != "0" else "1")
    for wrong in (
        None,
        {key: value for key, value in data.items() if key != "signature"},
        *(data | {"signature": text} for text in ("", "v1..", "v1.%%.x", "\u00e9", altered, foreign, signature + "=")),
        data | {"signature": others["callbackData"]["signature"]},
        data | {"taskId": other["taskId"]},
        {"sessionId": data["sessionId"], "taskId": missing,
         "signature": SEAL.signature(TenantId("default"), SessionId(data["sessionId"]), TaskId(missing))},
    ):  # fmt: skip
        await unchanged(remote, task, asked, wrong)
    plain = await remote.served.done("[[say:x]]")  # a task of our own engines, signed by us or not
    ids = (SessionId(plain["sessionId"]), TaskId(plain["id"]))
    forged = {"sessionId": ids[0], "taskId": ids[1], "signature": SEAL.signature(TenantId("default"), *ids)}
    await unchanged(remote, plain, asked, forged)


async def test_T5_headers_of_standard_webhooks_must_be_right_if_they_are_there(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    url, http = asked["callbackUrl"], remote.served.http
    secret = (await remote.served.get(f"/instances/{remote.instance}/secret"))["secret"]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert 24 <= len(key) <= 64
    assert key == SEAL.webhook_key(TenantId("default"), InstanceId(remote.instance))
    body = msgspec.json.encode({"ok": True, "result": "signed", "callbackData": asked["callbackData"]})
    good = signed(asked, body, key)
    before = await everything(remote, task["sessionId"])
    for wrong in (
        good | {"webhook-id": "msg-2"},
        good | {"webhook-signature": "v1,bm9wZQ=="},
        good | {"webhook-timestamp": "soon"},
        good | {"webhook-timestamp": "9" * 400},
        {name: value for name, value in good.items() if name != "webhook-signature"},
        signed(asked, body, b"x" * 32),
        signed(asked, body + b" ", key),
        signed(asked, body, key, time.time() - 400),
        signed(asked, body, key, time.time() + 400),
    ):
        answer = await http.post(url, content=body, headers=wrong)
        assert (answer.status_code, answer.json()["code"]) == (401, "callback_unverified"), wrong
    assert await everything(remote, task["sessionId"]) == before
    assert (await http.post(url, content=body, headers=good)).json() == RECEIVED
    assert (await remote.served.ended(task["taskId"]))["result"] == "signed"
    page = await remote.served.runtime.house.store.log(TenantId("default"), SessionId(task["sessionId"]), 1, 100)
    receipts = [entry.event.receipt for entry in page.entries if isinstance(entry.event, ReplyDelivered)]
    assert receipts == [good["webhook-id"]]
    assert (await http.post(url, content=body, headers=good)).json() == RECEIVED


async def test_I11_callback_bad_body(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    before = await everything(remote, task["sessionId"])
    url, headers = asked["callbackUrl"], {"content-type": "application/json"}
    for body in ("", "[]", "null", '"text"', "{", '{"callbackData": null}', '{"callbackData": {"taskId": 5}}'):
        answer = await remote.served.http.post(url, content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "callback_unverified"), body
    for more in ({"ok": "yes"}, {"ok": None}, {"result": 5}, {"usage": {"inputTokens": -1, "outputTokens": 0}}):
        answer = await remote.answer(asked, **more)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), more
    assert (await remote.answer(asked, result="x" * 300_000)).status_code == 413
    assert await everything(remote, task["sessionId"]) == before


async def test_B5_bridge_is_billed(remote: RemoteServed) -> None:
    """From the callback if it has counts, else by estimate; once, however often it calls back."""
    task, asked = await remote.asked("hello")
    for _ in range(3):
        await remote.answer(asked, result="twelve chars")
    ended = await remote.served.ended(task["taskId"])
    assert (ended["usage"]["fidelity"], ended["usage"]["outputTokens"]) == ("estimated", 4)
    assert ended["usage"]["inputTokens"] > 0
    counted = await remote.done("hello", result="x", usage=COUNTS)
    assert (counted["usage"]["fidelity"], counted["usage"]["inputTokens"], counted["usage"]["outputTokens"]) == (
        "exact", 11, 7,
    )  # fmt: skip
    assert (counted["usage"]["model"], counted["usage"]["costUsd"]) == ("claw-1", None)
    refused = await remote.done("hello", ok=False, usage=COUNTS)
    assert refused["usage"]["fidelity"] == "exact"
    stopped, _ = await remote.asked("hello")
    await remote.served.call("DELETE", f"/tasks/{stopped['taskId']}")
    report = await remote.served.get("/usage?groupBy=engine")
    assert [(item["key"], item["calls"], item["tasks"]) for item in report["items"]] == [("openclaw", 4, 4)]


async def test_S24_a_callback_does_not_reopen_a_session(remote: RemoteServed) -> None:
    task, asked = await remote.asked("hello")
    await remote.served.call("DELETE", f"/sessions/{task['sessionId']}")
    assert (await remote.served.ended(task["taskId"]))["stopCode"] == "SESSION_CLOSED"
    assert (await remote.answer(asked, result="late")).json() == RECEIVED
    assert (await remote.served.get(f"/sessions/{task['sessionId']}"))["status"] == "closed"
    await remote.served.call("DELETE", f"/sessions/{task['sessionId']}?erase=true")
    assert (await remote.answer(asked, result="late")).status_code == 401
