"""Hazards H, I, B and C that belong to the main road."""

import base64

import anyio
import pytest
import structlog
from structlog.testing import capture_logs
from tests.hazards.test_s_state_and_races import all_at_once
from tests.support.server import Json, Served

from agentcore.testing.making import an_id

pytestmark = pytest.mark.anyio
HEADER = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01"
PNG = base64.b64encode(HEADER + b"0" * 48).decode()


async def test_H1_interrupted_is_a_flag(served: Served) -> None:
    task = await served.post("[[say:half]] [[hang]]")
    await served.said(task["taskId"], "half")
    await served.call("DELETE", f"/tasks/{task['taskId']}")
    (_, said) = await served.messages(task["sessionId"])
    assert (said["content"], said["interrupted"]) == ([{"type": "text", "text": "half"}], True)
    await served.done("[[say:ok]]", task["sessionId"])
    assert served.engine.requests[-1].messages[1].text == "half\n[中断]"


@pytest.mark.parametrize("how", ["err_mid", "raise", "drop", "fail:ENGINE_AUTH"])
async def test_H2_partial_text_kept(served: Served, how: str) -> None:
    task = await served.done(f"[[say:half]] [[{how}]]")
    assert task["status"] == "failed"
    said = (await served.messages(task["sessionId"]))[-1]
    assert (said["content"][0]["text"], said["interrupted"]) == ("half", True)


async def test_H3_reload_equals_live(served: Served) -> None:
    task = await served.done('[[think]] [[tool:t:{"a": 1}]] [[say:x]]')
    types = [part["type"] for m in await served.messages(task["sessionId"]) for part in m["content"]]
    assert types == ["text", "thinking", "tool_use", "tool_result", "text"]


async def test_H4_prompt_resolved_once(served: Served) -> None:
    task = await served.post("[[hang]]", systemPrompt="Be a pirate.", maxTurns=3, allowedTools=["a.b"])
    answer = await served.call("POST", f"/tasks/{task['taskId']}/inject", {"message": "[[say:ok]]"})
    await served.ended(answer.json()["taskId"])
    first, second = served.engine.requests
    assert second.system_prompt == first.system_prompt
    assert (second.max_turns, second.allowed_tools) == (3, ("a.b",))
    await served.done("[[say:ok]]", task["sessionId"])
    assert "pirate" not in served.engine.requests[-1].system_prompt


async def test_H5_voice_fields(served: Served) -> None:
    spoken = await served.done("[[say:x]]", voiceMode=True)
    typed = await served.done("Title [[say:x]]")
    sessions = {item["id"]: item for item in (await served.get("/sessions"))["items"]}
    assert (sessions[spoken["sessionId"]]["voiceMode"], sessions[spoken["sessionId"]]["title"]) == (True, "")
    assert sessions[typed["sessionId"]]["title"].startswith("Title")


@pytest.mark.parametrize(
    ("attachment", "status"),
    [
        ({"base64Data": "%%%", "mediaType": "image/png"}, 400),
        ({"base64Data": "", "mediaType": "image/png"}, 400),
        ({"base64Data": base64.b64encode(b"text").decode(), "mediaType": "image/png"}, 400),
        ({"base64Data": PNG, "mediaType": "image/tiff"}, 415),
        (
            {"base64Data": base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 5242880).decode(), "mediaType": "image/png"},
            413,
        ),
        ({"base64Data": PNG}, 400),
    ],
)
async def test_I2_bad_image_is_refused_and_not_stored(served: Served, attachment: Json, status: int) -> None:
    answer = await served.call("POST", "/tasks", {"prompt": "look", "attachments": [attachment]})
    assert answer.status_code == status
    assert "attachments[0]" in answer.text or answer.json()["field"]
    assert (await served.get("/sessions"))["items"] == []


async def test_I2_bad_image_does_not_poison(served: Served) -> None:
    picture = [{"base64Data": PNG, "mediaType": "image/png", "fileName": "a.png"}]
    refused = await served.done("look [[refuse_image]]", attachments=picture)
    assert refused["status"] == "failed"
    again = await served.done("go on [[say:fine]]", refused["sessionId"])
    assert again["status"] == "completed"
    shown = served.engine.requests[-1].messages[0]
    assert not served.engine.requests[-1].blobs
    assert "left out" in shown.text
    kept = (await served.messages(refused["sessionId"]))[0]["content"][0]
    assert (kept["type"], kept["mediaType"], kept["size"]) == ("image", "image/png", 72)
    assert (await served.call("POST", "/tasks", {"prompt": "x", "attachments": picture * 21})).status_code == 400


BAD = ["[]", "null", '"x"', "{", '{"prompt": {}}', '{"prompt": 1}', "{}", '{"prompt": " "}', "\xff",
       '{"prompt": "\\ud800"}',
       '{"prompt": "a\\u0000"}', '{"prompt": "x", "maxTurns": 0}', '{"prompt": "x", "maxTurns": 101}',
       '{"prompt": "x", "maxTurns": "5"}', '{"prompt": "x", "voiceMode": "false"}',
       '{"prompt": "x", "onBusy": "maybe"}',
       '{"prompt": "x", "attachments": {}}', '{"prompt": "x", "deadlineSeconds": -1}', '{"prompt": "x", "model": 3}',
       '{"prompt": "x", "sessionId": 3}', '{"prompt": "x", "allowedTools": [1]}']  # fmt: skip


async def test_I3_no_5xx_on_bad_input(served: Served) -> None:
    headers = {"Content-Type": "application/json"}
    task = await served.done("[[say:x]]")
    routes = ["/tasks", f"/tasks/{task['id']}/inject", f"/tasks/{task['id']}/approve", "/engines/switch",
              f"/sessions/{task['sessionId']}/oauth-trigger"]  # fmt: skip
    for route in routes:
        for bad in BAD:
            url = f"{served.url}/api/v1/agent{route}"
            answer = await served.http.post(url, content=bad.encode("latin-1"), headers=headers)
            assert 400 <= answer.status_code < 500, (route, bad, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert {"type", "title", "status", "detail", "code", "message"} <= set(answer.json())
    assert len((await served.get("/sessions"))["items"]) == 1
    assert (await served.done("[[say:x]]"))["status"] == "completed"


@pytest.mark.parametrize("value", [-1, 0, 501, 10**9, "5", 1.5])
async def test_I4_context_bounds(served: Served, value: object) -> None:
    answer = await served.call("POST", "/tasks", {"prompt": "x", "maxContextMessages": value})
    assert (answer.status_code, answer.json()["field"]) == (400, "maxContextMessages")


@pytest.mark.parametrize("value", [0, -1, 101])
async def test_I5_turns_and_budgets(served: Served, value: int) -> None:
    assert (await served.call("POST", "/tasks", {"prompt": "x", "maxTurns": value})).status_code == 400


async def test_I6_unknown_engine(served: Served) -> None:
    answer = await served.call("POST", "/tasks", {"prompt": "x", "engineType": "none"})
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_engine")
    assert (await served.get("/sessions"))["items"] == []


async def test_I7_each_message_once(served: Served) -> None:
    session_id: str | None = None
    for number in range(4):
        session_id = (await served.done(f"q{number} [[say:a{number}]]", session_id))["sessionId"]
    texts = [message.text for message in served.engine.requests[-1].messages]
    assert texts == [w for n in range(3) for w in (f"q{n} [[say:a{n}]]", f"a{n}")] + ["q3 [[say:a3]]"]


async def test_I8_unicode(served: Served) -> None:
    prompt = "x" * 39 + "👩‍👩‍👧" + " é مرحبا 漢字 [[say:🙂 ok]]"
    task = await served.done(prompt)
    session = await served.get(f"/sessions/{task['sessionId']}")
    assert session["title"] == "x" * 39 + "👩‍👩‍👧"
    first, second = await served.messages(task["sessionId"])
    assert first["content"][0]["text"] == prompt
    assert second["content"][0]["text"] == "🙂 ok"


async def test_I10_malformed_ids(served: Served) -> None:
    for found in ("x", "1", an_id() + "x", "%00", "..%2f"):
        for method, path in (("GET", "/tasks/{}"), ("DELETE", "/tasks/{}"), ("GET", "/sessions/{}"),
                             ("GET", "/sessions/{}/messages"), ("GET", "/sessions/{}/events"),
                             ("DELETE", "/sessions/{}")):  # fmt: skip
            answer = await served.call(method, path.format(found))
            assert answer.status_code == 404, (method, path, answer.text)


async def test_B7_retry_makes_one_task(served: Served) -> None:
    body = {"prompt": "[[say:once]]"}

    async def post() -> tuple[int, str]:
        answer = await served.call("POST", "/tasks", body, Idempotency_Key="k1")
        return answer.status_code, answer.text

    answers = await all_at_once(50, post)
    assert {status for status, _ in answers} <= {201, 409}
    assert len({text for status, text in answers if status == 201}) == 1
    replay = await served.call("POST", "/tasks", body, Idempotency_Key="k1")
    assert replay.headers["Idempotency-Replayed"] == "true"
    await served.ended(replay.json()["taskId"])
    assert len(served.engine.requests) == 1
    other = await served.call("POST", "/tasks", {"prompt": "other"}, Idempotency_Key="k1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    refused = await served.call("POST", "/tasks", {"prompt": ""}, Idempotency_Key="k2")
    assert refused.status_code == 400
    assert (await served.call("POST", "/tasks", body, Idempotency_Key="k2")).status_code == 201


async def test_C3_hung_engine_fails_at_deadline(served: Served) -> None:
    task = await served.done("[[say:half]] [[hang]]", deadlineSeconds=0.5)
    assert task["error"]["code"] == "DEADLINE"
    assert served.engine.runs[-1].is_over
    assert (await served.messages(task["sessionId"]))[-1]["content"][0]["text"] == "half"


async def test_C6_no_content_in_logs(served: Served) -> None:
    assert structlog.is_configured() in {True, False}
    with capture_logs() as logs:
        await served.done("canary-prompt [[raise]]")
        await served.done("canary-prompt [[say:canary-answer]]", systemPrompt="canary-system")
        await served.call("POST", "/tasks", {"prompt": 1, "model": "canary-model"})
        await served.call("GET", "/tasks/canary%0aid")
    assert logs
    assert "canary" not in str(logs)


async def test_T9_foreign_equals_missing(served: Served) -> None:
    theirs = await served.as_tenant("b").done("[[say:x]]")
    for method, path, body in (
        ("GET", "/tasks/{task}", None),
        ("DELETE", "/tasks/{task}", None),
        ("POST", "/tasks/{task}/inject", {"message": "x"}),
        ("POST", "/tasks/{task}/approve", {"approved": True}),
        ("GET", "/sessions/{session}", None),
        ("PATCH", "/sessions/{session}", {"title": "x"}),
        ("DELETE", "/sessions/{session}", None),
        ("GET", "/sessions/{session}/messages", None),
        ("GET", "/sessions/{session}/tasks", None),
        ("GET", "/sessions/{session}/events", None),
        ("POST", "/sessions/{session}/oauth-trigger", {"provider": "p", "url": "https://x.example"}),
    ):
        foreign = await served.call(method, path.format(task=theirs["id"], session=theirs["sessionId"]), body)
        missing_id = an_id()
        missing = await served.call(method, path.format(task=missing_id, session=missing_id), body)
        assert foreign.status_code == missing.status_code == 404
        assert {**foreign.json(), "instance": ""} == {**missing.json(), "instance": ""}


async def test_a_consent_prompt_is_told_and_only_to_http_addresses(served: Served) -> None:
    task = await served.done("[[say:x]]")
    path = f"/sessions/{task['sessionId']}/oauth-trigger"
    good = {"provider": "cal", "url": "https://consent.example/a"}
    token = served.engine.requests[0].system_prompt.partition("X-OAuth-Token: ")[2].partition('"')[0]
    assert (await served.call("POST", path, good, X_OAuth_Token=token)).status_code == 201
    assert (await served.call("POST", path, good, X_OAuth_Token="0" * 64)).status_code == 404
    assert (await served.call("POST", path, {**good, "url": "javascript:alert(1)"})).status_code == 400
    last = (await served.log(task["sessionId"]))[-1]
    assert (last["type"], last["provider"], last["url"]) == ("oauth_prompt", "cal", good["url"])


async def test_an_agent_asks_for_consent_with_its_token_alone(served: Served) -> None:
    """As its prompt tells it to: no header names its tenant, and the token is of its own session only."""
    theirs = served.as_tenant("tenant-b")
    task, other = await theirs.done("[[say:x]]"), await theirs.done("[[say:x]]")
    token = served.engine.requests[0].system_prompt.partition("X-OAuth-Token: ")[2].partition('"')[0]
    body = {"provider": "cal", "url": "https://consent.example/a"}
    path = f"/sessions/{task['sessionId']}/oauth-trigger"
    assert (await served.call("POST", path, body, X_OAuth_Token=token)).status_code == 201
    assert (await theirs.log(task["sessionId"]))[-1]["type"] == "oauth_prompt"
    assert (await served.call("POST", path, body)).status_code == 404
    elsewhere = f"/sessions/{other['sessionId']}/oauth-trigger"
    assert (await theirs.call("POST", elsewhere, body, X_OAuth_Token=token)).status_code == 404


async def test_a_hundred_turns_keep_their_context(served: Served) -> None:
    session_id: str | None = None
    for number in range(100):
        task = await served.post(f"q{number} [[say:a{number}]]", session_id)
        session_id = task["sessionId"]
        with anyio.fail_after(10):
            while not (await served.task(task["taskId"]))["completedAt"]:
                await anyio.sleep(0.002)
    shown = [message.text for message in served.engine.requests[-1].messages]
    assert shown[-1] == "q99 [[say:a99]]"
    assert shown[0] == "q90 [[say:a90]]"
    assert len(shown) == 19
