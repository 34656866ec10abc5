"""Both clients, against the application on a loopback port, over networks that break."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from litestar import Litestar, Request, Response, get, post
from tests.support.clients import Hands, hands, text_of
from tests.support.cutting import between
from tests.support.server import Served, listening_on, serving
from tests.support.tokens import Issuer, guarded, jwt_settings, memory

import agentcore_http.client
from agentcore.feed import HEARTBEAT_S
from agentcore.follow import Head
from agentcore.views import Views
from agentcore_http import client as package
from agentcore_http.client import (
    ApiError,
    ApprovalRequired,
    AsyncClient,
    Attachment,
    Client,
    Event,
    Other,
    OtherPart,
    Patience,
    StreamReset,
    Timeouts,
    Unreachable,
    UserMessage,
)
from agentcore_http.client.following import EventReader

pytestmark = pytest.mark.anyio
SOON = Patience(tries=4, first_s=0.01, longest_s=2.0)
ODD = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg \U0001f600é"  # characters that end a line for Python, and not for the wire
Kind = type[Client] | type[AsyncClient]


@pytest.fixture(params=[Client, AsyncClient], ids=["blocking", "awaited"])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(*memory()) as found:
        yield found


@pytest.fixture
async def mine(kind: Kind, served: Served) -> AsyncIterator[Hands]:
    async with hands(kind, served.url, patience=SOON) as found:
        yield found


async def test_a_prompt_is_asked_and_its_answer_is_a_value(mine: Hands) -> None:
    told: list[Event] = []
    result = await mine.run("[[say:hello there]] [[think]]", on_event=told.append, model="scripted-1")
    assert (result.text, result.is_completed, result.task.status) == ("hello there", True, "completed")
    assert told[-1].is_final
    assert {"thinking", "text", "completed"} <= {event.type for event in told}
    again = await mine.run("[[say:more]]", result.task.session_id)
    assert (again.text, again.task.session_id) == ("more", result.task.session_id)
    failed = await mine.run("[[fail:EXECUTION_ERROR]] [[say:half]]", result.task.session_id)
    assert (failed.text, failed.is_completed, failed.task.error and failed.task.error.code) == (
        "half",
        False,
        "EXECUTION_ERROR",
    )
    elsewhere = await mine.run("[[say:new]]", "00000000-0000-4000-8000-000000000000")
    assert elsewhere.text == "new"


async def test_what_a_session_holds_is_listed_page_by_page(mine: Hands) -> None:
    first = await mine.run("[[say:one]] [[tool:clock:{}]]")
    session_id = first.task.session_id
    await mine.run("[[say:two]]", session_id)
    await mine.run("[[say:other]]")
    messages = await mine.all("messages", session_id, page=1)
    assert [(m.role, m.text) for m in messages if m.role == "user" or m.text] == [
        ("user", "[[say:one]] [[tool:clock:{}]]"),
        ("assistant", "one"),
        ("user", "[[say:two]]"),
        ("assistant", "two"),
    ]
    assert {part.tool_name for m in messages for part in m.content if hasattr(part, "tool_name")} == {"clock"}
    tasks = await mine.all("tasks", session_id, page=1)
    assert [task.status for task in tasks] == ["completed", "completed"]
    sessions = await mine.all("sessions", page=1)
    assert sessions[1].id == session_id
    assert len(sessions) == 2
    assert (await mine.do("rename_session", session_id, "Renamed")).title == "Renamed"
    assert (await mine.do("get_session", session_id)).title == "Renamed"
    lines = await mine.all("export", session_id)
    assert {"session", "message", "task", "event"} <= {line["type"] for line in lines}
    assert (await mine.do("close_session", session_id)).status == "closed"
    with pytest.raises(ApiError) as closed:
        await mine.do("create_task", "x", session_id)
    assert (closed.value.status, closed.value.code) == (409, "session_closed")
    await mine.do("close_session", session_id, erase=True)
    with pytest.raises(ApiError):
        await mine.all("messages", session_id)


async def test_a_task_is_stopped_and_put_right(mine: Hands) -> None:
    task = await mine.do("create_task", "[[words:3]] [[hang]]")
    with pytest.raises(ApiError) as busy:
        await mine.do("create_task", "x", task.session_id, on_busy="reject")
    assert busy.value.code == "session_busy"
    injected = await mine.do("inject", task.task_id, "[[say:instead]] [[hang]]")
    assert (await mine.do("get_task", task.task_id)).stop_code == "USER_INJECT"
    queued = await mine.do("create_task", "[[say:later]]", task.session_id, on_busy="enqueue")
    assert queued.status == "queued"
    assert (await mine.do("cancel_task", injected.task_id)).status == "cancelled"
    assert [event.type async for event in mine.each("follow", task.session_id, queued.task_id)][-1] == "completed"
    assert (await mine.do("cancel_task", queued.task_id)).message == "Task already finished"
    with pytest.raises(TypeError, match="onBusy"):
        await mine.do("create_task", "x", onBusy="reject")


async def test_SEC20_a_decision_is_bound_to_what_was_shown(mine: Hands, served: Served) -> None:
    task = await mine.do("create_task", '[[ask:shell:{"cmd":"rm"}]] [[say:done]]')
    asked = await _asked(mine, task)
    other = ApprovalRequired(
        approval_id=asked.approval_id,
        tool_use_id=asked.tool_use_id,
        tool_name=asked.tool_name,
        input={"cmd": "ls"},
        input_sha256="0" * 64,
        expires_at=asked.expires_at,
    )
    with pytest.raises(ApiError) as changed:
        await mine.do("approve", task.task_id, other)
    assert changed.value.code == "approval_conflict"
    await mine.do("approve", task.task_id, asked)
    events = await mine.all("follow", task.session_id, task.task_id)
    assert [event.payload.output for event in events if event.type == "tool_result"] == ["shell ran"]
    task = await mine.do("create_task", "[[ask:shell:{}]] [[say:without]]")
    await mine.do("reject", task.task_id, await _asked(mine, task), on_reject="continue", reason="not here")
    assert (await served.ended(task.task_id))["status"] == "completed"
    task = await mine.do("create_task", "[[ask:shell:{}]] [[say:without]]")
    await mine.do("reject", task.task_id, await _asked(mine, task))
    assert (await served.ended(task.task_id))["stopCode"] == "USER_REJECT"


async def _asked(mine: Hands, task: Any) -> ApprovalRequired:
    async for event in mine.each("follow", task.session_id, task.task_id):
        if isinstance(event.payload, ApprovalRequired):
            return event.payload
    raise AssertionError("nothing was asked")


async def test_E4_a_connection_that_is_cut_anywhere_loses_and_doubles_nothing(kind: Kind, served: Served) -> None:
    text = " ".join(f"w{i} {ODD}" for i in range(40))
    task = await served.post(f"[[say:{text}]] [[slow:0.005]]")
    session_id, task_id = task["sessionId"], task["taskId"]
    lost: list[ApiError] = []
    async with between(served.url) as network, hands(kind, network.url) as mine:
        network.cuts = [400, 1500, 1501, 1700, 2000, 2503, 3001, 5000]
        events = await mine.all("follow", session_id, task_id, on_lost=lambda error, _: lost.append(error))
    said = (await served.task(task_id))["result"]
    assert text_of(events) == text_of(await mine_again(served, session_id, task_id)) == said
    assert ODD in said
    durable = [event.seq for event in events if event.seq is not None]
    assert durable == sorted(set(durable))
    assert len(lost) == 8
    assert all(isinstance(error, Unreachable) for error in lost)


async def mine_again(served: Served, session_id: str, task_id: str) -> list[Event]:
    async with AsyncClient(served.url) as client:
        return [event async for event in client.follow(session_id, task_id)]


async def test_E4_every_byte_is_a_place_to_be_cut() -> None:
    """The reader of the stream, cut anywhere: what came whole before and after is the text, once."""
    frames = [
        {"type": "text", "cursor": f"{i}", "sessionId": "s", "ts": "t", "content": f"{i}{ODD};"} for i in range(3)
    ]
    for newline in (b"\n", b"\r\n"):
        told = [
            newline.join(
                [b"id: %d" % i, b"event: text", b"data: " + json.dumps(f, ensure_ascii=False).encode(), b"", b""]
            )
            for i, f in enumerate(frames)
        ]
        stream = b"".join(told)
        for cut in range(len(stream)):
            first = list(EventReader().feed(stream[:cut]))
            at = int(first[-1].cursor) + 1 if first else 0
            second = EventReader()
            rest = [event for byte in b"".join(told[at:]) for event in second.feed(bytes([byte]))]
            assert text_of(first + rest) == "".join(str(f["content"]) for f in frames)


async def test_a_dead_connection_is_noticed_and_left(kind: Kind, served: Served) -> None:
    task = await served.post("[[words:30]] [[slow:0.02]]")
    timeouts = Timeouts(idle_s=0.3)
    events: list[Event] = []
    async with between(served.url) as network, hands(kind, network.url, timeouts=timeouts) as mine:

        def heal(error: ApiError, pause_s: float) -> None:
            network.is_silent = False

        with anyio.fail_after(20):
            async for event in mine.each("follow", task["sessionId"], task["taskId"], on_lost=heal):
                events.append(event)
                if event.type == "text" and network.connections == 1:
                    network.is_silent = True
    assert text_of(events).split() == [f"w{i}" for i in range(30)]
    assert network.connections > 1


async def test_patience_with_a_network_that_is_down_has_an_end(kind: Kind, served: Served) -> None:
    task = await served.done("[[say:x]]")
    once = Patience(tries=3, first_s=0.01)
    async with between(served.url) as network, hands(kind, network.url, patience=once) as mine:
        network.is_down = True
        with pytest.raises(Unreachable) as gone:
            await mine.all("events", task["sessionId"], patience=once)
        assert (gone.value.status, gone.value.code, network.connections) == (0, "unreachable", 3)
        with pytest.raises(Unreachable):
            await mine.do("engines")
        assert network.url.partition("//")[2] not in str(gone.value)
        network.is_down = False
        assert (await mine.do("get_task", task["id"])).status == "completed"
    async with hands(kind, served.url) as mine:
        with pytest.raises(ApiError) as missing:
            await mine.all("events", "00000000-0000-4000-8000-000000000000")
        assert missing.value.code == "session_not_found"


async def test_B7_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice(kind: Kind, served: Served) -> None:
    async with between(served.url) as network, hands(kind, network.url, patience=SOON) as mine:
        network.cuts = [1, 30, 100]  # the request arrived, its answer did not
        task = await mine.do("create_task", "[[say:once]]")
        assert network.connections == 4
        assert (await mine.do("create_task", "[[say:k]]", idempotency_key="k")) == (
            await mine.do("create_task", "[[say:k]]", idempotency_key="k")
        )
    assert len((await served.get("/sessions"))["items"]) == 2
    assert len(served.engine.requests) == 2
    assert (await served.ended(task.task_id))["result"] == "once"


async def test_a_token_that_was_refused_is_renewed_once(kind: Kind) -> None:
    issuer = Issuer()
    asked: list[str] = []

    def token() -> str:
        asked.append(issuer.token(exp=1) if len(asked) % 3 == 0 else issuer.token())
        return asked[-1]

    async with guarded(jwt_settings(), issuer) as served, hands(kind, served.url, token=token) as mine:
        task = await mine.do("create_task", "[[say:hello]]")
        asked.clear()
        assert text_of(await mine.all("follow", task.session_id, task.task_id)) == "hello"
        assert len(asked) == 2
    async with guarded(jwt_settings(), issuer) as served:
        for refused in ("nonsense", lambda: "nonsense"):
            async with hands(kind, served.url, token=refused) as mine:
                with pytest.raises(ApiError) as unknown:
                    await mine.do("engines")
                assert (unknown.value.status, unknown.value.code) == (401, "unauthenticated")


async def test_an_awaitable_may_say_the_token() -> None:
    issuer = Issuer()

    async def token() -> str:
        return issuer.token()

    async with guarded(jwt_settings(), issuer) as served, AsyncClient(served.url, token=token) as client:
        assert (await client.run("[[say:hello]]")).text == "hello"


async def test_retry_after_is_waited_for_under_the_same_key(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []
    refusals = [(429, "1"), (503, "1"), (409, ""), (503, "3600")]
    waits: list[float] = []
    monkeypatch.setattr("agentcore_http.client.patience.random.uniform", lambda low, high: 0.0)
    monkeypatch.setattr("agentcore_http.client.blocking.time.sleep", waits.append)

    @post("/api/v1/agent/tasks")
    async def refuse(request: Request[Any, Any, Any]) -> Response[bytes]:
        seen.append((request.headers["idempotency-key"], (await request.body()).decode()))
        status, after = refusals[len(seen) - 1]
        code = "idempotency_in_flight" if status == 409 else "busy"
        body = json.dumps({"code": code, "detail": "Later."}).encode()
        return Response(body, status_code=status, headers={"Retry-After": after} if after else {})

    async with listening_on(Litestar([refuse], openapi_config=None)) as url, hands(kind, url, patience=SOON) as mine:
        with pytest.raises(ApiError) as late:
            await mine.do("create_task", "x")
    assert (late.value.status, late.value.retry_after_s, len(seen)) == (503, 3600.0, 4)
    assert len(set(seen)) == 1
    if kind is Client:
        assert [wait for wait in waits if wait >= 1] == [1.0, 1.0]


async def test_what_is_no_server_of_ours_is_said_to_be_none(kind: Kind) -> None:
    @get(["/api/v1/agent/engines", "/api/v1/agent/sessions/x/events"])
    async def page() -> Response[bytes]:
        return Response(b"<html>secret page</html>", media_type="text/html")

    @get("/api/v1/agent/tasks/x")
    async def broken() -> Response[bytes]:
        return Response(b"<html>secret page</html>", status_code=418, media_type="text/html")

    async with listening_on(Litestar([page, broken], openapi_config=None)) as url, hands(kind, url) as mine:
        for asking in (mine.do("engines"), mine.all("events", "x")):
            with pytest.raises(ApiError) as strange:
                await asking
            assert strange.value.code == "not_understood"
            assert "secret" not in str(strange.value)
        with pytest.raises(ApiError) as refused:
            await mine.do("get_task", "x")
        assert (refused.value.status, refused.value.code) == (418, "http_error")
        for nothing in ("", ".", ".."):
            with pytest.raises(ValueError, match="id"):
                await mine.do("get_task", nothing)


async def test_a_newer_server_may_say_more(kind: Kind) -> None:
    around = {"cursor": "1", "sessionId": "s", "ts": "t", "seq": 1, "taskId": "t"}
    text = {"type": "text", "text": "q"}
    counts = {"tokensUsed": 0, "inputTokens": 0, "outputTokens": 0}
    told = [
        {**around, "type": "text", "content": "a", "more": {"x": 1}},
        {**around, "type": "hologram", "depth": 3},
        {**around, "type": "user_message", "messageId": "m", "content": [text, {"type": "smell", "of": "roses"}]},
        {**around, "type": "tool_use", "toolName": "no id and no input"},
        {**around, "type": "completed", "summary": "", **counts, "costUsd": None, "model": "m", "mood": "good"},
    ]

    @get("/api/v1/agent/sessions/s/events")
    async def events() -> Response[bytes]:
        body = b"".join(b": comment\nid: 1\ndata: " + json.dumps(one).encode() + b"\n\n" for one in told)
        return Response(body, media_type="text/event-stream")

    async with listening_on(Litestar([events], openapi_config=None)) as url, hands(kind, url) as mine:
        found = await mine.all("follow", "s", "t")
    assert [event.type for event in found] == [str(one["type"]) for one in told]
    assert found[1].payload == Other({"depth": 3})
    assert isinstance(found[2].payload, UserMessage)
    assert found[2].payload.content[1] == OtherPart("smell", {"of": "roses"})
    assert isinstance(found[3].payload, Other)


async def test_after_a_reset_the_answer_is_what_the_history_says(
    kind: Kind, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor from a log that is no more: the task is over, and the place is after its end."""
    done = await served.done("[[say:whole]]")
    async with hands(kind, served.url) as mine:
        with anyio.fail_after(10):
            found = await mine.all("follow", done["sessionId"], done["id"], "999999")
        assert isinstance(found[0].payload, StreamReset)
        assert len(found) == 1

        async def ahead(session_id: str) -> str:
            return "999999"

        monkeypatch.setattr(mine.client, "latest", ahead if kind is AsyncClient else lambda session_id: "999999")
        assert (await mine.run("[[say:after all]]", done["sessionId"])).text == "after all"


async def test_a_file_goes_with_a_prompt_and_a_recording_is_heard(mine: Hands, served: Served, tmp_path: Path) -> None:
    from tests.support.pictures import png

    data = png(2, 2)
    (tmp_path / "dot.png").write_bytes(data)
    result = await mine.run("[[say:seen]]", attachments=[Attachment.of(tmp_path / "dot.png")])
    picture, _ = (await mine.all("messages", result.task.session_id))[0].content
    assert (picture.media_type, picture.file_name, picture.size) == ("image/png", "dot.png", len(data))
    with pytest.raises(ValueError, match="cannot be told"):
        Attachment.of(tmp_path / "dot")
    (tmp_path / "said.wav").write_bytes(b"RIFF")
    for audio in (tmp_path / "said.wav", b"RIFF"):
        with pytest.raises(ApiError) as deaf:
            await mine.do("transcribe", audio, language="en")
        assert deaf.value.code == "stt_unavailable"
        with pytest.raises(ApiError):
            await mine.do("speak", audio)


async def test_engines_are_listed_and_chosen(mine: Hands) -> None:
    assert [engine.engine_type for engine in (await mine.do("engines")).engines] == ["scripted", "other"]
    await mine.do("switch_engine", "other")
    assert (await mine.run("[[say:x]]")).task.engine_type == "other"
    with pytest.raises(ApiError) as unknown:
        await mine.do("switch_engine", "nobody")
    assert (unknown.value.status, unknown.value.code) == (400, "unknown_engine")


def test_the_client_needs_nothing_of_the_server() -> None:
    code = "import agentcore_http.client, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"litestar", "uvicorn", "structlog", "psycopg", "cattrs", "rich", "prompt_toolkit", "agentcore_adapters"}
    assert not heavy & set(done.stdout.split())
    assert "agentcore.runtime" not in done.stdout


# What is another word for the client that blocks.
WORDS = [
    ("AsyncGenerator[Event, None]", "Generator[Event, None, None]"),
    ("AsyncGenerator[dict[str, Any], None]", "Generator[dict[str, Any], None, None]"),
    ("httpx2.AsyncClient", "httpx2.Client"),
    ("AsyncClient", "Client"),
    ("AsyncIterator", "Iterator"),
    ("async with ", "with "),
    ("async for ", "for "),
    ("async def ", "def "),
    ("``async with``", "``with``"),
    ("await ", ""),
    ("asynccontextmanager", "contextmanager"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    ("aclos", "clos"),
    ("anyio.sleep", "time.sleep"),
    ("aiter_bytes", "iter_bytes"),
    ("aread", "read"),
    ("awaited", "blocking"),
]


def test_the_clients_differ_in_how_they_wait_and_in_nothing_else() -> None:
    folder = Path(agentcore_http.client.__file__).parent
    awaited, blocking = ((folder / name).read_text() for name in ("waiting.py", "blocking.py"))
    for word, other in WORDS:
        awaited = awaited.replace(word, other)

    def methods(text: str) -> dict[str, str]:
        (found,) = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
        return {ast.unparse(node).partition("\n")[0]: ast.unparse(node) for node in found.body}

    mine, its = methods(awaited), methods(blocking)
    own = {name for name in mine if "_bearer" in name}
    assert len(own) == 1
    assert {name: mine[name] for name in mine if name not in own} == {
        name: its[name] for name in its if name not in own
    }
    assert mine.keys() == its.keys()
    public = {name for name in vars(Client) if not name.startswith("_")}
    assert {name for name in vars(AsyncClient) if not name.startswith("_")} == {
        n.replace("close", "aclose") if n == "close" else n for n in public
    }
    for name in public:
        assert re.match(r"[A-Z].*\.", getattr(Client, name).__doc__), name
    assert set(package.__all__) <= set(vars(package))


async def test_E4_a_stream_that_has_nothing_to_tell_says_that_it_lives(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server hears and does not tell, as where the log ends, is silence to the client."""
    usual = Views.subscribe.__defaults__ or ()
    assert HEARTBEAT_S in usual
    monkeypatch.setattr(Views.subscribe, "__defaults__", tuple(0.5 if each == HEARTBEAT_S else each for each in usual))
    done = await served.done("[[say:x]]")
    session_id = done["sessionId"]

    async def hint() -> None:
        while True:
            served.runtime.house.bus.tell(session_id, [Head(1)])
            await anyio.sleep(0.02)

    async with AsyncClient(served.url) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(hint)
        with anyio.fail_after(10):
            async with aclosing(client.events(session_id, "latest")) as events:
                told = [await anext(events) for _ in range(2)]
        tasks.cancel_scope.cancel()
    assert [event.type for event in told] == ["subscribed", "heartbeat"]
